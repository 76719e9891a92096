"""Streams for fuzzing the framer: however their bytes are cut, the same comes out."""

import enum
import random
from collections.abc import Iterator, Sequence
from types import ModuleType

from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.xml.model import Token, TokenKind
from tests.security.fuzz_checks import ENGINES, Fault
from tests.security.fuzz_corpus import CLIENT, CORPUS, OPEN, PREFIXES, Generator, mutate


class Ending(enum.Enum):
    """How a stream stands when all of it has arrived."""

    ALL_TAKEN = 1
    WAITING = 2
    REFUSED = 3


def tokens_of(engine: ModuleType, chunks: Sequence[bytes]) -> tuple[list[Token], list[object], Ending]:
    """The tokens of a stream in these chunks, what their scans say, and how the stream stands then."""
    framer = engine.Framer(1_000_000)
    tokens: list[Token] = []
    views: list[object] = []
    try:
        for chunk in chunks:
            whole = framer.whole(chunk)
            if whole is None:
                framer.push(chunk)
                found = iter(framer.pull, None)
            else:
                found = iter([Token(TokenKind.ELEMENT, element) for element in whole])
            for token in found:
                tokens.append(token)
                if token.kind is TokenKind.ELEMENT:
                    view = engine.scan(token.data, CLIENT, PREFIXES)
                    views.append((view.data, view.name, view.attrs))
            if framer.pending:
                framer.check_held()
    except PeerViolation:
        return tokens, views, Ending.REFUSED
    return tokens, views, Ending.WAITING if framer.pending else Ending.ALL_TAKEN


def cut(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """`data` in random chunks, many of them tiny."""
    longest = rng.choice((1, 3, 20, 200, 2000))
    while data:
        size = rng.randint(1, longest)
        yield data[:size]
        data = data[size:]


def _element(rng: random.Random) -> bytes:
    return rng.choice(CORPUS) if rng.randrange(2) else Generator(rng).element(frozenset(("x",)))


def check_stream(rng: random.Random) -> None:
    """A sound stream gives its tokens however it is cut."""
    elements = [_element(rng) for _ in range(rng.randrange(6))]
    stream = rng.choice((b"", b"<?xml version='1.0' encoding=\"UTF-8\" ?>\n", b" \n")) + OPEN
    for element in elements:
        stream += rng.choice((b"", b" ", b"\r\n\t")) + element
    stream += b" </stream:stream > "
    expected = [OPEN, *elements, b"</stream:stream >"]
    for engine in ENGINES:
        chunks = list(cut(rng, stream))
        tokens, _, ending = tokens_of(engine, chunks)
        if ending is not Ending.ALL_TAKEN or [token.data for token in tokens] != expected:
            raise Fault(f"{engine.__name__}: {chunks!r}: {tokens}")


def check_broken_stream(rng: random.Random) -> None:
    """However a broken stream is cut, the same is accepted, but for what is refused sooner.

    What cannot become XML any more may be refused by one and awaited by the other.
    """
    stream = OPEN + mutate(rng, b"".join(_element(rng) for _ in range(rng.randint(1, 3))))
    results = [tokens_of(engine, cuts) for engine in ENGINES for cuts in ([stream], list(cut(rng, stream)))]
    longest = max((views for _, views, _ in results), key=len)
    sound = {ending is Ending.ALL_TAKEN for _, _, ending in results}
    for _, views, ending in results:
        if len(sound) > 1 or views != longest[: len(views)]:
            raise Fault(f"{stream!r}: {results}")
        if ending is not Ending.REFUSED and views != longest:
            raise Fault(f"{stream!r}: {results}")
