"""What is remembered of strangers is bounded, and no input takes more than linear time."""

import ast
import contextlib
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from rainbow_xmpp.auth.authenticator import Attempts
from rainbow_xmpp.auth.throttle import Throttle, source_of
from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.jid import JID
from rainbow_xmpp.presence import directed
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.testing import TestServer, condition_of
from rainbow_xmpp.transport.gatekeeper import Gatekeeper
from rainbow_xmpp.xml import NO_LIMITS, escape, parse, pure
from rainbow_xmpp.xml.model import TokenKind

try:
    from rainbow_xmpp.xml import compiled

    ENGINES: list[ModuleType] = [pure, compiled]
except ImportError:
    ENGINES = [pure]

ROOT = Path(__file__).resolve().parents[2]
STRANGERS = 20_000


@contextlib.contextmanager
def at_most(held_bytes: int) -> Iterator[None]:
    """What is done in here holds no more memory afterwards."""
    tracemalloc.start()
    try:
        yield
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < held_bytes


class Nobody:
    async def by_localpart(self, localpart: str) -> None:
        return None


@pytest.mark.parametrize("form", ["{}", "{}" + "x" * 240, "{}" + "\N{GRINNING FACE}" * 1000])
async def test_the_directory_remembers_so_many_inventions_and_no_more(form: str) -> None:
    directory = AccountDirectory(Nobody(), most=5_000)
    with at_most(4_000_000):
        for number in range(20_000):
            assert await directory.find(form.format(number)) is None


def test_throttles_remember_so_many_strangers_and_no_more() -> None:
    with at_most(4_000_000):
        throttle = Throttle(most=5_000)
        for number in range(STRANGERS):
            throttle.failed(
                f"name {number}", source_of(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"), 0.0
            )
        assert len(throttle) <= 10_000


def test_attempts_are_forgotten_with_their_minute() -> None:
    attempts = Attempts(10)
    with at_most(100_000):
        for number in range(STRANGERS):
            attempts.allow(f"source {number}", 0.0)
        attempts.allow("somebody", 60.0)


def test_addresses_that_have_gone_are_forgotten() -> None:
    gatekeeper = Gatekeeper(10, 10, 100)
    with at_most(100_000):
        for number in range(STRANGERS):
            gatekeeper.admit(f"source {number}")
            gatekeeper.left(f"source {number}", was_half_open=True)


def test_names_that_peers_make_up_stay_nowhere() -> None:
    """Nothing is interned, cached for ever or made a label of."""

    def make_up(numbers: range) -> None:
        for number in numbers:
            data = f"<n{number} xmlns='urn:x:{number}' a{number}='{number}'><m{number} b{number}=''/></n{number}>"
            for engine in ENGINES:
                assert engine.scan(data.encode()).children
            parse(data.encode())
            JID.parse(f"ä{number}@{number}.example/ü{number}")

    make_up(range(9_000))  # what is remembered for a while is full by then, and new names put out old ones
    with at_most(8_000_000):
        make_up(range(9_000, 18_000))


async def test_a_session_is_remembered_by_so_many_and_no_more() -> None:
    """Directed presence is taken back at the end of a session, so whom it went to must be kept."""
    async with TestServer() as server:
        ann = await server.login("ann@acme")
        bob = await server.person("bob@acme")
        ann.send(f"<presence to='{'x' * 1000}@rainbow.test/{'y' * 1000}'/>")
        assert await ann.rest() == []
        assert not ann.session.directed  # there is nobody to tell
        refused = 0
        for number in range(400):
            ann.send(f"<presence to='{bob.bare}/{number}{'y' * 1000}'/>")
            refused += sum(condition_of(stanza) is not None for stanza in await ann.rest())
        assert refused > 150
        assert ann.session.directed is not None
        assert sum(map(len, ann.session.directed)) <= directed.LIMIT_CHARS


# Time


SHAPES: dict[str, Callable[[int], str]] = {
    "elements": lambda n: "<a>" + "<b/>" * n + "</a>",
    "depth": lambda n: "<a>" * n + "</a>" * n,
    "attributes": lambda n: "<a " + " ".join(f"b{k}=''" for k in range(n)) + "/>",
    "attributes of prefixes": lambda n: "<a xmlns:p='u:p' " + " ".join(f"p:b{k}=''" for k in range(n)) + "/>",
    "namespaces": lambda n: "<a>" + "".join(f"<b xmlns='urn:{k}'/>" for k in range(n)) + "</a>",
    "prefixes": lambda n: "<a>" + "".join(f"<p{k}:b xmlns:p{k}='urn:{k}'/>" for k in range(n)) + "</a>",
    "prefixes of one element": lambda n: "<a " + " ".join(f"xmlns:p{k}='urn:{k}'" for k in range(n)) + "/>",
    "references": lambda n: "<a>" + "&amp;" * n + "</a>",
    "references in a value": lambda n: "<a b='" + "&#x1F600;" * n + "'/>",
    "sections": lambda n: "<a>" + "<![CDATA[x]]>" * n + "</a>",
    "a long section": lambda n: "<a><![CDATA[" + "]" * n + "]]></a>",
    "brackets": lambda n: "<a>" + "]" * n + "</a>",
    "white space": lambda n: "<a" + " " * n + "b=''" + "\n" * n + "/>",
    "a long name": lambda n: "<" + "a" * n + "/>",
    "a long namespace": lambda n: "<a xmlns='" + "a:" * n + "'/>",
    "a namespace of percents": lambda n: "<a xmlns='//" + "%41" * n + "@'/>",
    "quotes": lambda n: "<a b='" + '"' * n + "'/>",
    "tags in a value": lambda n: "<a b='" + "/>" * n + "'/>",
    "from in text": lambda n: "<a" + " x='from'" * 1 + ">" + " from='x'" * n + "</a>",
}


def best(cpu_of: Callable[[int], float], size: int) -> float:
    return min(cpu_of(size) for _ in range(5))


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.SCANNER)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_stanza_of_any_shape_takes_linear_time(engine: ModuleType, shape: Callable[[int], str]) -> None:
    """Without limits, that is: which keep such stanzas small besides. CVE-2026-45186, CVE-2025-66382."""

    def cpu_of(size: int) -> float:
        data = shape(size).encode()
        begun = time.thread_time()
        with contextlib.suppress(PeerViolation):
            view = engine.scan(data, "jabber:client", {}, replace(NO_LIMITS))
            assert engine.stamp(view, from_="a@b/c", to="d@e")
            assert view.without(*view.children).text is not None
        return time.thread_time() - begun

    # Eight times as much: 8 when linear, 64 when quadratic.
    assert best(cpu_of, 8_000) < 32 * best(cpu_of, 1_000) + 0.002


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.SCANNER)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_stanza_in_pieces_takes_linear_time(engine: ModuleType, shape: Callable[[int], str]) -> None:
    def cpu_of(size: int) -> float:
        data = shape(size).encode()
        framer = engine.Framer(10_000_000)
        framer.push(b"<s>")
        assert framer.pull().kind is TokenKind.OPEN
        begun = time.thread_time()
        with contextlib.suppress(PeerViolation):
            for start in range(0, len(data), 8):
                framer.push(data[start : start + 8])
                if framer.pull() is None and framer.pending:
                    framer.check_held()
        return time.thread_time() - begun

    assert best(cpu_of, 8_000) < 32 * best(cpu_of, 1_000) + 0.002


@pytest.mark.parametrize("text", ["&", "\0", "'", "\ud800", "é", "<>"])
def test_escaping_takes_linear_time(text: str) -> None:
    def cpu_of(size: int) -> float:
        begun = time.thread_time()
        escape(text * size)
        return time.thread_time() - begun

    assert best(cpu_of, 80_000) < 32 * best(cpu_of, 10_000) + 0.001


# What the server is made of

HARMLESS_CHANCE = {
    "plugins/pep/events.py": "ids of events, which tell nothing",
    "rainbow_xmpp/outside/patience.py": "when a call is tried again",
    "rainbow_xmpp/plugin/registries.py": "when jobs begin",
    "rainbow_xmpp/router/traced.py": "which stanzas are traced",
}
FORBIDDEN_IMPORTS = {"random", "pickle", "marshal", "shelve", "telnetlib", "xmlrpc"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "compile"}


def modules() -> list[Path]:
    return [*sorted((ROOT / "rainbow_xmpp").rglob("*.py")), *sorted((ROOT / "plugins").rglob("*.py"))]


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_identifiers_come_from_the_operating_system_and_no_text_becomes_code(module: Path) -> None:
    """ejabberd 26.07 names five modules whose tokens could be foretold."""
    forbidden = FORBIDDEN_IMPORTS - (
        {"random"} if str(module.relative_to(ROOT)) in HARMLESS_CHANCE else set()
    )
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Import(names=names):
                assert not {name.name.partition(".")[0] for name in names} & forbidden
            case ast.ImportFrom(module=str(source)):
                assert source.partition(".")[0] not in forbidden
            case ast.Call(func=ast.Name(id=called)):
                assert called not in FORBIDDEN_CALLS
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                pytest.fail("a shell")
