"""XML and stanzas that nobody means well with, before and after login, over both transports.

Each ends its own stream with the right error within moments, leaves no traceback in the log, and two
bystanders who chat meanwhile notice nothing.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import pytest
import pytest_asyncio

from tests.conformance import websocket_frames as ws
from tests.conformance.wire import NAMESPACES, Over, Wire, WssWire
from tests.doors import Door
from tests.process import ChatServer
from tests.security.bystanders import Bystanders, Holdings

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE_S = 3.0
"""Within a second, that is; machines that run tests are busy."""

Stage = Literal["opened", "bound"]
XML_BOMB = (
    "<!DOCTYPE m [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1 or str()};' * 10}'>" for n in range(1, 9))
    + "]><message xmlns='jabber:client'>&a8;</message>"
)


@dataclass(frozen=True)
class Attack:
    """Bytes in a place where a stanza is expected; the answer may differ between TCP and WebSockets."""

    name: str
    data: bytes
    tcp: str
    wss: str = ""

    def condition(self, over: Over) -> str:
        return self.wss if self.wss and over == "wss" else self.tcp

    def __str__(self) -> str:
        return self.name


def attack(name: str, text: str | bytes, tcp: str, wss: str = "") -> Attack:
    return Attack(name, text if isinstance(text, bytes) else text.encode(), tcp, wss)


def message(content: str | bytes, attributes: str = "") -> bytes:
    content = content if isinstance(content, bytes) else content.encode()
    start = f"<message xmlns='jabber:client' to='nobody@localhost'{attributes}>"
    return start.encode() + content + b"</message>"


def nested(depth: int) -> str:
    return "<a>" * depth + "</a>" * depth


XML = [
    attack("DOCTYPE", "<!DOCTYPE message>", "restricted-xml", "not-well-formed restricted-xml"),
    attack("DOCTYPE before a stanza", b"<!DOCTYPE m>" + message(""), "restricted-xml"),
    attack("DOCTYPE inside", message("<!DOCTYPE m>"), "restricted-xml", "not-well-formed restricted-xml"),
    attack("external entity", b"<!DOCTYPE m [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + message("&x;"),
           "restricted-xml"),
    attack("entities of entities", XML_BOMB, "restricted-xml"),
    attack("attribute list", b"<!DOCTYPE m [<!ATTLIST m a CDATA 'x'>]>" + message(""), "restricted-xml"),
    attack("comment", "<!-- hello -->", "restricted-xml"),
    attack("comment inside", message("<!-- hello -->"), "restricted-xml"),
    attack("comment deep inside", message("<a><b><!----></b></a>"), "restricted-xml"),
    attack("processing instruction", "<?php phpinfo() ?>", "restricted-xml"),
    attack("processing instruction inside", message("<?x y?>"), "restricted-xml"),
    attack("XML declaration", b"<?xml version='1.0'?>" + message(""), "restricted-xml"),
    attack("CDATA outside", "<![CDATA[x]]>", "restricted-xml", "restricted-xml not-well-formed"),
    attack("unknown entity", message("&nbsp;"), "restricted-xml"),
    attack("unknown entity in an attribute", message("", " id='&x;'"), "restricted-xml"),
    attack("reference to nothing", message("&#0;"), "not-well-formed"),
    attack("reference to a surrogate", message("&#xD800;"), "not-well-formed"),
    attack("reference to no character", message("&#xFFFE;"), "not-well-formed"),
    attack("bare ampersand", message("a & b"), "not-well-formed"),
    attack("mismatched tags", "<message xmlns='jabber:client'><a></b></message>", "not-well-formed"),
    attack("crossed tags", "<message xmlns='jabber:client'><a><b></a></b></message>", "not-well-formed"),
    attack("never closed", "<message xmlns='jabber:client'><a></message>", "not-well-formed"),
    attack("attribute twice", message("", " id='1' id='2'"), "not-well-formed"),
    attack("attribute twice by two prefixes", message("<a xmlns:p='u:x' xmlns:q='u:x' p:a='1' q:a='2'/>"),
           "not-well-formed"),
    attack("attribute without a value", message("", " id"), "not-well-formed"),
    attack("attribute without quotes", message("", " id=1"), "not-well-formed"),
    attack("attributes without space", message("<a b='1'c='2'/>"), "not-well-formed"),
    attack("less-than in an attribute", message("<a b='<'/>"), "not-well-formed"),
    attack("unbound prefix", message("<x:y/>"), "bad-namespace-prefix"),
    attack("unbound prefix of an attribute", message("<y x:z='1'/>"), "bad-namespace-prefix"),
    attack("two colons", message("<a:b:c/>"), "not-well-formed bad-namespace-prefix"),
    attack("prefix undeclared", message("<a xmlns:p=''/>"), "not-well-formed"),
    attack("prefix xml bound elsewhere", message("<a xmlns:xml='urn:x'/>"), "not-well-formed"),
    attack("prefix xmlns bound", message("<a xmlns:xmlns='urn:x'/>"), "not-well-formed"),
    attack("end of CDATA in text", message("]]>"), "not-well-formed"),
    attack("zero byte", message(b"\x00"), "not-well-formed"),
    attack("control character", message(b"\x01"), "not-well-formed"),
    attack("UTF-8 cut short", message(b"\xc3"), "unsupported-encoding not-well-formed"),
    attack("overlong UTF-8", message(b"\xc0\xaf"), "unsupported-encoding not-well-formed"),
    attack("surrogate in UTF-8", message(b"\xed\xa0\x80"), "unsupported-encoding not-well-formed"),
    attack("beyond Unicode", message(b"\xf5\x80\x80\x80"), "unsupported-encoding not-well-formed"),
    attack("Latin-1", message("grün".encode("latin-1")), "unsupported-encoding not-well-formed"),
    attack("UTF-16", "<message/>".encode("utf-16"), "bad-format not-well-formed"),
    attack("no character U+FFFF", message("\uffff"), "not-well-formed"),
    attack("text", "hello", "bad-format", "not-well-formed"),
    attack("text before a stanza", b"x" + message(""), "bad-format", "not-well-formed"),
    attack("a tag inside a tag", "<message <a/>>", "not-well-formed"),
    attack("only less-than", "< message/>", "not-well-formed"),
    attack("a name that is none", "<1message/>", "not-well-formed"),
    attack("an empty name", "<>", "not-well-formed"),
    attack("end tag of nothing", "</message>", "not-well-formed"),
]  # fmt: skip

LIMITS = [
    attack("too deep", message(nested(64)), "policy-violation"),
    attack("far too deep", message(nested(1200)), "policy-violation"),
    attack("too many elements", message("<a/>" * 512), "policy-violation"),
    attack("too many attributes", message("<a " + " ".join(f"a{n}=''" for n in range(25)) + "/>"),
           "policy-violation"),
    attack("hundreds of attributes", message("<a " + " ".join(f"a{n}=''" for n in range(900)) + "/>"),
           "policy-violation"),
    attack("too many namespaces", message("".join(f"<a xmlns:p{n}='u:{n}'/>" for n in range(513))),
           "policy-violation"),
    attack("a long name", message(f"<{'a' * 257}/>"), "policy-violation"),
    attack("a long attribute name", message(f"<a {'b' * 257}=''/>"), "policy-violation"),
    attack("a long prefix", message(f"<a xmlns:{'p' * 257}='u:x'/>"), "policy-violation"),
    attack("a long namespace", message(f"<a xmlns='u:{'x' * 512}'/>"), "policy-violation"),
]  # fmt: skip

UNKNOWN = [
    attack("an unknown element", "<hello xmlns='urn:example:x'/>", "unsupported-stanza-type"),
    attack("an unknown element of ours", "<hello xmlns='jabber:client'/>", "unsupported-stanza-type"),
    attack("features", f"<features xmlns='{NAMESPACES['stream']}'/>", "unsupported-stanza-type"),
    attack("a compression request", "<compress xmlns='http://jabber.org/protocol/compress'/>",
           "unsupported-stanza-type"),
    attack("a server's dialback", "<db:result xmlns:db='jabber:server:dialback' from='a' to='b'>x</db:result>",
           "unsupported-stanza-type"),
    attack("the handshake of a component", "<handshake xmlns='jabber:component:accept'>x</handshake>",
           "unsupported-stanza-type"),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bystanders(server_process: ChatServer) -> AsyncIterator[Bystanders]:
    """They chat through all tests of this file; at the end the server holds no more than it did before."""
    holdings = Holdings(server_process.pid)
    pair = Bystanders(server_process)
    pair.arrive()
    sockets, resident_kib = holdings.sockets, holdings.resident_kib
    try:
        yield pair
        await holdings.until_sockets(sockets)
        assert holdings.resident_kib < resident_kib + 30_000
    finally:
        pair.leave()


@pytest_asyncio.fixture(loop_scope="module")
async def hostile(
    server_process: ChatServer, bystanders: Bystanders, over: Over
) -> AsyncIterator[Callable[[Stage], object]]:
    """Makes a hostile client that has come as far as this; afterwards everybody else must be well."""
    since = server_process.log_file.stat().st_size
    bystanders.start()
    async with AsyncExitStack() as stack:
        door = Door(server_process, over, stack)

        async def arrive(stage: Stage) -> Wire:
            return await (door.opened() if stage == "opened" else door.log_in())

        yield arrive
        await bystanders.assert_well()
    server_process.assert_no_fault(since)


async def expect_one_of(wire: Wire, conditions: str) -> None:
    """The stream ends with one of these errors, and the connection with it."""
    error = await wire.expect("stream:error", AT_ONCE_S)
    found = {child.tag.partition("}")[2] for child in error} - {"text"}
    assert len(found) == 1
    assert found <= set(conditions.split())
    await wire.wait_end(AT_ONCE_S)
    assert wire.stream_closed


@pytest.mark.parametrize("stage", ["opened", "bound"])
@pytest.mark.parametrize("case", [*XML, *LIMITS], ids=str)
async def test_xml_that_is_not_allowed_ends_the_stream(
    hostile: Callable[[Stage], object], over: Over, case: Attack, stage: Stage
) -> None:
    if stage == "opened" and len(case.data) > 10_240:
        case = Attack(case.name, case.data, "policy-violation")
    wire: Wire = await hostile(stage)  # type: ignore[misc]
    await wire.send_bytes(case.data)
    await expect_one_of(wire, case.condition(over))


@pytest.mark.parametrize("stage", ["opened", "bound"])
@pytest.mark.parametrize("case", UNKNOWN, ids=str)
async def test_an_element_that_is_no_stanza_ends_the_stream(
    hostile: Callable[[Stage], object], over: Over, case: Attack, stage: Stage
) -> None:
    wire: Wire = await hostile(stage)  # type: ignore[misc]
    await wire.send_bytes(case.data)
    await expect_one_of(wire, case.condition(over))


@pytest.mark.parametrize("element", ["success", "auth", "starttls", "open", "bind"])
async def test_login_elements_after_the_login_end_the_stream(
    hostile: Callable[[Stage], object], element: str
) -> None:
    namespace = {"success": "sasl", "auth": "sasl", "starttls": "tls", "open": "framing", "bind": "bind"}[
        element
    ]
    wire: Wire = await hostile("bound")  # type: ignore[misc]
    await wire.send_bytes(f"<{element} xmlns='{NAMESPACES[namespace]}'/>".encode())
    await expect_one_of(wire, "unsupported-stanza-type policy-violation")


@pytest.mark.parametrize(
    ("stage", "most"), [("opened", 10_240), ("bound", 262_144)], ids=["before login", "after login"]
)
@pytest.mark.parametrize("shape", ["text", "attribute", "unfinished tag", "unfinished text", "blank"])
async def test_an_element_that_is_too_large_ends_the_stream(
    hostile: Callable[[Stage], object], over: Over, stage: Stage, most: int, shape: str
) -> None:
    data = {
        "text": message("x" * most),
        "attribute": message("", f" id='{'x' * most}'"),
        "unfinished tag": b"<message " + b"a='b' " * (most // 6 + 1),
        "unfinished text": b"<message xmlns='jabber:client'>" + b"x" * most,
        "blank": b"<message xmlns='jabber:client'" + b" " * most + b"/>",
    }[shape]
    wire: Wire = await hostile(stage)  # type: ignore[misc]
    await wire.send_bytes(data)
    await expect_one_of(
        wire, "policy-violation" if "unfinished" not in shape else "policy-violation not-well-formed"
    )


async def test_a_stream_header_that_never_ends_is_cut_off(
    hostile: Callable[[Stage], object], over: Over
) -> None:
    wire: Wire = await hostile("opened")  # type: ignore[misc]
    if isinstance(wire, WssWire):
        await wire.send_frame(ws.TEXT, b"<open " + b"a" * 9_000, fin=False)
        await wire.send_frame(ws.CONTINUATION, b"a" * 9_000, fin=False)
    else:
        await wire.send_bytes(b"<x " + b"a" * 18_000)
    await expect_one_of(wire, "policy-violation not-well-formed")


async def test_a_websocket_frame_of_two_elements_ends_the_stream(
    hostile: Callable[[Stage], object], over: Over
) -> None:
    """On TCP two stanzas may share a write; in a frame the second would have been smuggled in."""
    wire: Wire = await hostile("bound")  # type: ignore[misc]
    two = message("one") + message("two")
    if over == "wss":
        await wire.send_bytes(two)
        await expect_one_of(wire, "not-well-formed")
    else:
        await wire.send_bytes(two)
        await wire.settle()
        assert len([e for e in wire.inbox if e.get("type") == "error"]) == 2


@pytest.mark.parametrize("around", ["\n{}", "{}\n", "x{}", "{}x", "{} <a/>", "\ufeff{}"])
async def test_a_websocket_frame_holds_nothing_beside_its_element(
    hostile: Callable[[Stage], object], over: Over, around: str
) -> None:
    wire: Wire = await hostile("bound")  # type: ignore[misc]
    if over == "tls":
        around = "{}x"
    await wire.send_bytes(around.format(message("").decode()).encode())
    await expect_one_of(wire, "not-well-formed bad-format")


# Who one is not


@pytest.mark.parametrize("kind", ["message", "presence", "iq type='get' id='x'"])
@pytest.mark.parametrize(
    "claimed",
    [
        "",
        "localhost",
        "admin@localhost",
        "{other}",
        "{full}x",
        "{bare}/",
        "{bare}/another",
        "{bare} ",
        "@",
    ],
)
async def test_a_stanza_in_somebody_elses_name_ends_the_stream(
    hostile: Callable[[Stage], object], kind: str, claimed: str
) -> None:
    wire: Wire = await hostile("bound")  # type: ignore[misc]
    other: Wire = await hostile("bound")  # type: ignore[misc]
    bare = wire.jid.partition("/")[0]
    sender = claimed.format(other=other.jid, full=wire.jid, bare=bare)
    name = kind.partition(" ")[0]
    await wire.send(f"<{kind} from='{sender}' to='{other.jid}'><ping xmlns='urn:xmpp:ping'/></{name}>")
    await expect_one_of(wire, "invalid-from")
    await other.settle()
    assert not other.inbox


@pytest.mark.parametrize("where", ["from='{victim}' ", "xmlns:x='u:x' x:from='{victim}' "])
async def test_an_attribute_that_looks_like_from_is_not(
    hostile: Callable[[Stage], object], where: str
) -> None:
    """The stamp replaces the stanza's own `from` and nothing else, wherever one may stand."""
    wire: Wire = await hostile("bound")  # type: ignore[misc]
    other: Wire = await hostile("bound")  # type: ignore[misc]
    fake = where.format(victim="boss@localhost")
    await wire.send(f"<message to='{other.jid}' id=' from=&apos;boss@localhost&apos;'><a {fake}/></message>")
    received = await other.expect("message")
    assert received.get("from") == wire.jid
    assert received.get("id") == " from='boss@localhost'"
    assert "boss@localhost" in received[0].attrib.values()


@pytest.mark.parametrize(
    "forged",
    [
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>",
        "<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'/></result>",
    ],
)
async def test_what_only_ones_own_server_says_does_not_pass(
    hostile: Callable[[Stage], object], forged: str
) -> None:
    wire: Wire = await hostile("bound")  # type: ignore[misc]
    other: Wire = await hostile("bound")  # type: ignore[misc]
    await wire.send(f"<message to='{other.jid}'><body>x</body>{forged}{forged}</message>")
    await wire.settle()
    await other.settle()
    assert not any(forged.split()[0].strip("<") in child.tag for e in other.inbox for child in e)
