"""Cutting a TCP stream into tokens, with each engine."""

import time
from collections.abc import Callable, Iterable
from types import ModuleType

import pytest

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import Token, TokenKind, parse_stream_open
from tests.unit.xml_engines import xml

__all__ = ["xml"]

OPEN = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" xml:lang='de' to='a' version='1.0'>"
)
CLOSE = b"</stream:stream>"


def pulled(framer: object, chunks: Iterable[bytes]) -> list[Token]:
    """All tokens that these chunks give."""
    tokens = []
    for chunk in chunks:
        framer.push(chunk)  # type: ignore[attr-defined]
        while token := framer.pull():  # type: ignore[attr-defined]
            tokens.append(token)
    return tokens


def opened(xml: ModuleType, max_bytes: int = 10_240) -> object:
    """A framer whose stream is open."""
    framer = xml.Framer(max_bytes)
    assert pulled(framer, [OPEN]) == [Token(TokenKind.OPEN, OPEN)]
    return framer


def refused(framer: object, *chunks: bytes) -> StreamCondition:
    """The condition for which these chunks are refused."""
    with pytest.raises(PeerViolation) as caught:
        pulled(framer, chunks)
    return caught.value.condition


ELEMENTS = [
    b"<a/>",
    b"<a b='/>' c=\"'>\" />",
    b"<a><a/><a></a>text</a>",
    b"<aa><a>x</a></aa>",
    b"<a><![CDATA[</a>]] > <b>]]]></a>",
    b"<message><body>x &gt; y</body></message >",
    b"<m a='>'><n b='</m>'/></m>".replace(b"</m>'", b"/m'"),
    "<ü>ß</ü>".encode(),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_tokens_are_the_same_however_the_stream_is_cut(xml: ModuleType, size: int) -> None:
    stream = b"<?xml version='1.0'?>\n" + OPEN + b" \n".join(ELEMENTS) + b"\t" + CLOSE
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert pulled(xml.Framer(), chunks) == [
        Token(TokenKind.OPEN, OPEN),
        *[Token(TokenKind.ELEMENT, element) for element in ELEMENTS],
        Token(TokenKind.CLOSE, CLOSE),
    ]


@pytest.mark.parametrize("element", ELEMENTS)
def test_an_element_that_arrives_whole_is_given_out_whole(xml: ModuleType, element: bytes) -> None:
    framer = opened(xml)
    for _ in range(3):
        assert pulled(framer, [element]) == [Token(TokenKind.ELEMENT, element)]
        assert framer.pending == 0  # type: ignore[attr-defined]


def test_several_elements_in_one_push_come_one_by_one(xml: ModuleType) -> None:
    framer = opened(xml)
    framer.push(b"<a/><b>x</b><a")
    assert framer.pull().data == b"<a/>"
    assert framer.pull().data == b"<b>x</b>"
    assert framer.pull() is None
    assert framer.pending == 2
    framer.push(b"/>")
    assert framer.pull().data == b"<a/>"
    assert framer.pull() is None


def test_white_space_between_elements_is_swallowed(xml: ModuleType) -> None:
    framer = opened(xml)
    for _ in range(1000):
        assert pulled(framer, [b" \r\n\t"]) == []
    assert framer.pending == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "declaration",
    [
        b"",
        b"<?xml version='1.0'?>",
        b'<?xml version="1.0" encoding="utf-8" ?>\r\n',
        b"<?xml version='1.1' encoding='UTF-8' standalone='yes'?>",
        b"  <?xml version = '1.0'?>",
    ],
)
def test_an_xml_declaration_before_the_stream_is_dropped(xml: ModuleType, declaration: bytes) -> None:
    assert pulled(xml.Framer(), [declaration + OPEN]) == [Token(TokenKind.OPEN, OPEN)]


@pytest.mark.parametrize(
    ("head", "condition"),
    [
        (b"<?xml version='1.0' encoding='latin-1'?>", StreamCondition.UNSUPPORTED_ENCODING),
        (b"<?xml?>", StreamCondition.NOT_WELL_FORMED),
        (b"<?xml version='1.0'?><?xml version='1.0'?>", StreamCondition.RESTRICTED_XML),
        (b"<?php x?>", StreamCondition.RESTRICTED_XML),
        (b"<?p", StreamCondition.RESTRICTED_XML),
        (b"<?xml" + b" " * 300, StreamCondition.RESTRICTED_XML),
        (b"<!DOCTYPE", StreamCondition.RESTRICTED_XML),
        (b"<!", StreamCondition.RESTRICTED_XML),
        (b"GET / HTTP/1.1\r\n", StreamCondition.NOT_WELL_FORMED),
        (b"\xef\xbb\xbf", StreamCondition.NOT_WELL_FORMED),
        (b"\x16\x03\x01", StreamCondition.NOT_WELL_FORMED),
        (b"</stream:stream>", StreamCondition.NOT_WELL_FORMED),
    ],
)
def test_what_cannot_begin_a_stream_is_refused_at_first_sight(
    xml: ModuleType, head: bytes, condition: StreamCondition
) -> None:
    assert refused(xml.Framer(), head) == condition
    assert refused(xml.Framer(), *[bytes([byte]) for byte in head]) == condition


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"text", StreamCondition.BAD_FORMAT),
        (b"<a/>text", StreamCondition.BAD_FORMAT),
        (b"&amp;", StreamCondition.BAD_FORMAT),
        (b"<!", StreamCondition.RESTRICTED_XML),
        (b"<![CDATA[", StreamCondition.RESTRICTED_XML),
        (b"<?", StreamCondition.RESTRICTED_XML),
        (b"<a><!-", StreamCondition.RESTRICTED_XML),
        (b"<a><!D", StreamCondition.RESTRICTED_XML),
        (b"<a><![CDATE", StreamCondition.RESTRICTED_XML),
        (b"<a><?", StreamCondition.RESTRICTED_XML),
        (b"<a <", StreamCondition.NOT_WELL_FORMED),
        (b"</stream>", StreamCondition.NOT_WELL_FORMED),
        (b"</a>", StreamCondition.NOT_WELL_FORMED),
    ],
)
def test_what_no_stream_may_hold_is_refused_at_first_sight(
    xml: ModuleType, data: bytes, condition: StreamCondition
) -> None:
    assert refused(opened(xml), data) == condition
    assert refused(opened(xml), *[bytes([byte]) for byte in data]) == condition


def test_the_end_tag_of_the_stream_may_have_any_prefix(xml: ModuleType) -> None:
    framer = xml.Framer()
    tokens = pulled(framer, [b"<s xmlns='http://etherx.jabber.org/streams'>", b"</s", b" >"])
    assert [token.kind for token in tokens] == [TokenKind.OPEN, TokenKind.CLOSE]


def test_nothing_comes_after_the_end_of_the_stream(xml: ModuleType) -> None:
    framer = opened(xml)
    assert [token.kind for token in pulled(framer, [CLOSE + b"<a/>text", b"<b/>"])] == [TokenKind.CLOSE]
    assert framer.pending == 0  # type: ignore[attr-defined]


def test_a_restarted_stream_begins_anew_with_what_is_held(xml: ModuleType) -> None:
    framer = opened(xml)
    framer.push(b"<auth/>\n" + OPEN + b"<iq/>")
    assert framer.pull() == (TokenKind.ELEMENT, b"<auth/>")
    framer.restart()
    assert framer.pull() == (TokenKind.OPEN, OPEN)
    assert framer.pull() == (TokenKind.ELEMENT, b"<iq/>")
    framer.restart()
    assert pulled(framer, [b"<?xml version='1.0'?>", OPEN, CLOSE]) == [
        (TokenKind.OPEN, OPEN),
        (TokenKind.CLOSE, CLOSE),
    ]


@pytest.mark.parametrize("beginning", [b"<a>" + b"x" * 200, b"<a b='" + b"x" * 200, b"<" + b"x" * 200])
def test_an_element_is_refused_as_soon_as_too_much_of_it_is_held(xml: ModuleType, beginning: bytes) -> None:
    framer = opened(xml, max_bytes=150)
    assert pulled(framer, [bytes([byte]) for byte in beginning[:150]]) == []
    assert refused(framer, beginning[150:151]) == StreamCondition.POLICY_VIOLATION
    assert refused(opened(xml, max_bytes=150), beginning) == StreamCondition.POLICY_VIOLATION


def test_a_finished_element_beyond_the_limit_is_refused(xml: ModuleType) -> None:
    element = b"<a>" + b"x" * 200 + b"</a>"
    assert refused(opened(xml, max_bytes=206), element) == StreamCondition.POLICY_VIOLATION
    assert pulled(opened(xml, max_bytes=207), [element * 3]) == [(TokenKind.ELEMENT, element)] * 3


def test_the_start_tag_of_a_stream_is_limited_too(xml: ModuleType) -> None:
    assert refused(xml.Framer(100), b"<stream:stream a='" + b"x" * 100) == StreamCondition.POLICY_VIOLATION


def best(cpu_of: Callable[[int], float], count: int) -> float:
    """The least of seven takes, in seconds."""
    return min(cpu_of(count) for _ in range(7))


def test_the_limit_can_be_raised_after_login(xml: ModuleType) -> None:
    framer = opened(xml, max_bytes=150)
    framer.max_bytes = 1000  # type: ignore[attr-defined]
    assert len(pulled(framer, [b"<a>" + b"x" * 500 + b"</a>"])) == 1


@pytest.mark.parametrize(
    "head",
    [b"<a b='", b"<a b='>", b"<a>", b"<a><![CDATA[", b"<a></", b"<a", b'<a>y<b c="', b"<a>" + b"]" * 10],
)
def test_a_long_element_in_small_pieces_takes_linear_time(xml: ModuleType, head: bytes) -> None:
    """CVE-2023-52425 of a parser that begins each unfinished token anew."""

    def cpu_of(size: int) -> float:
        framer = opened(xml, max_bytes=10_000_000)
        begun = time.thread_time()
        assert pulled(framer, [head]) == []
        for _ in range(size):
            framer.push(b"]x]]x>"[:5] if b"[" in head or b"]" in head else b"x")  # type: ignore[attr-defined]
            assert framer.pull() is None  # type: ignore[attr-defined]
            framer.check_held()  # type: ignore[attr-defined]
        return time.thread_time() - begun

    # Eight times as much: 8 when linear, 64 when quadratic. The best of several: others use the machine too.
    assert best(cpu_of, 16_000) < 40 * best(cpu_of, 2_000)


def test_a_flood_of_small_elements_takes_linear_time(xml: ModuleType) -> None:
    def cpu_of(count: int) -> float:
        framer = opened(xml)
        begun = time.thread_time()
        assert len(pulled(framer, [b"<a>x</a>" * count])) == count
        return time.thread_time() - begun

    # Eight times as much: 8 when linear, 64 when quadratic. The best of several: others use the machine too.
    assert best(cpu_of, 16_000) < 40 * best(cpu_of, 2_000)


def test_bytes_may_come_in_any_kind_of_buffer(xml: ModuleType) -> None:
    tokens = pulled(opened(xml), [bytearray(b"<a>"), memoryview(b"</a>"), bytearray(b"<b/>")])  # type: ignore[list-item]
    assert [token.data for token in tokens] == [b"<a></a>", b"<b/>"]
    assert all(type(token.data) is bytes for token in tokens)


def test_the_start_tag_of_a_stream_is_read() -> None:
    found = parse_stream_open(OPEN)
    assert (found.name, found.ns) == ("stream", "http://etherx.jabber.org/streams")
    assert found.attrs == {"to": "a", "version": "1.0", "xml:lang": "de"}
    assert found.default_ns == "jabber:client"
    assert found.prefixes == {"stream": "http://etherx.jabber.org/streams"}


def test_a_stream_may_be_the_default_namespace() -> None:
    found = parse_stream_open(b"<stream xmlns='http://etherx.jabber.org/streams' to='a'>")
    assert (found.ns, found.default_ns) == (found.ns, "http://etherx.jabber.org/streams")
    assert found.prefixes == {}


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<stream:stream to='a'/>", StreamCondition.BAD_FORMAT),
        (b"<stream:stream to='a'>", StreamCondition.BAD_NAMESPACE_PREFIX),
        (b"<s to='a' to='b'>", StreamCondition.NOT_WELL_FORMED),
        (b"<s a='&x;'>", StreamCondition.RESTRICTED_XML),
        (b"<s>text<t/>", StreamCondition.BAD_FORMAT),
        (b"<s" + b" a='\xff'>", StreamCondition.UNSUPPORTED_ENCODING),
        (b"<s" + b"".join(b" a%d=''" % i for i in range(25)) + b">", StreamCondition.POLICY_VIOLATION),
        (b"", StreamCondition.NOT_WELL_FORMED),
    ],
)
def test_a_malformed_start_tag_of_a_stream_is_refused(data: bytes, condition: StreamCondition) -> None:
    with pytest.raises(PeerViolation) as caught:
        parse_stream_open(data)
    assert caught.value.condition == condition


@pytest.mark.parametrize(
    ("begun", "condition"),
    [
        (b"<a><b></c>", StreamCondition.NOT_WELL_FORMED),
        (b"<a b='1' b='2'>", StreamCondition.NOT_WELL_FORMED),
        (b"<a>&nbsp;", StreamCondition.RESTRICTED_XML),
        (b"<a>&#0;", StreamCondition.NOT_WELL_FORMED),
        (b"<a>\x00", StreamCondition.NOT_WELL_FORMED),
        (b"<a>\xff<b>", StreamCondition.UNSUPPORTED_ENCODING),
        ("<a><b>ä</c>ä".encode()[:-1], StreamCondition.NOT_WELL_FORMED),
        (b"<stream:stream>", StreamCondition.POLICY_VIOLATION),
        (b"<stream:stream to='x' ", StreamCondition.POLICY_VIOLATION),
        (b"<a>" * 2000, StreamCondition.POLICY_VIOLATION),  # expat would keep 130 bytes for each
    ],
)
def test_a_beginning_that_can_never_be_right_is_refused(
    xml: ModuleType, begun: bytes, condition: StreamCondition
) -> None:
    framer = opened(xml, max_bytes=10_000)
    assert pulled(framer, [b"<x/>", begun]) == [Token(TokenKind.ELEMENT, b"<x/>")]
    with pytest.raises(PeerViolation) as caught:
        framer.check_held()  # type: ignore[attr-defined]
    assert caught.value.condition == condition


def test_the_end_of_the_stream_may_come_in_pieces(xml: ModuleType) -> None:
    framer = opened(xml)
    for at in range(len(CLOSE)):
        assert framer.pull() is None  # type: ignore[attr-defined]
        framer.check_held()  # type: ignore[attr-defined]
        framer.push(CLOSE[at : at + 1])  # type: ignore[attr-defined]
    assert framer.pull() == Token(TokenKind.CLOSE, CLOSE)  # type: ignore[attr-defined]


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_beginning_that_may_still_be_right_is_not(xml: ModuleType, element: bytes) -> None:
    framer = opened(xml)
    for _ in range(2):
        for at in range(len(element)):
            assert framer.pull() is None  # type: ignore[attr-defined]
            framer.check_held()  # type: ignore[attr-defined]
            framer.push(element[at : at + 1])  # type: ignore[attr-defined]
        assert framer.pull() == Token(TokenKind.ELEMENT, element)  # type: ignore[attr-defined]
