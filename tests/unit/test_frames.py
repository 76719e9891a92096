"""WebSocket frames without a socket (RFC 6455 §5), by Python alone and with the extension."""

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.transport import frames
from rainbow_xmpp.transport.frames import FrameError, FrameReader
from rainbow_xmpp.transport.upgrade import answer_to
from tests.conformance import websocket_frames as ws

LONG = bytes(range(256)) * 300
MIXED = [
    (frames.TEXT, b"<presence/>"),
    (frames.PING, b""),
    (frames.BEGINS_TEXT, b"<mess"),
    (frames.PONG, b"x" * 125),
    (frames.CONTINUES, b""),
    (frames.ENDS, b"age/>"),
    (frames.TEXT, b"y" * 126),
    (frames.TEXT, LONG),
    (frames.BINARY, b"\0\xff"),
    (frames.CLOSE, b"\x03\xe8bye"),
]


def sent(first: int, payload: bytes) -> bytes:
    """The frame as a client sends it, masked."""
    return ws.frame(first & 0x0F, payload, fin=bool(first & 0x80))


def pulled(reader: FrameReader, chunks: Iterable[bytes]) -> list[tuple[int, bytes]]:
    found = []
    for chunk in chunks:
        reader.push(chunk)
        while (frame := reader.pull()) is not None:
            found.append(frame)
    return found


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 1_000_000])
def test_frames_are_the_same_however_they_are_cut(size: int) -> None:
    data = b"".join(sent(*frame) for frame in MIXED)
    assert pulled(FrameReader(100_000), pieces(data, size)) == MIXED


def test_what_the_extension_takes_is_what_python_takes() -> None:
    rng = random.Random(1)
    taken = 0

    def outcome(
        reader: FrameReader, first: list[bytes], chunks: list[bytes]
    ) -> tuple[list[tuple[int, bytes]], str]:
        found = [(frames.TEXT, payload) for payload in first]
        try:
            for chunk in chunks:
                reader.push(chunk)
                while (frame := reader.pull()) is not None:
                    found.append(frame)
        except (FrameError, PeerViolation) as error:
            return found, type(error).__name__
        return found, ""

    for _ in range(2_000):
        data = b"".join(
            sent(frames.TEXT, rng.randbytes(rng.choice((0, 1, 7, 125, 126, 3000)))) for _ in range(3)
        )
        if rng.randrange(2):
            at = rng.randrange(len(data))
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        most = 2_999 if rng.randrange(4) == 0 else 3_000
        cut = rng.randrange(len(data) + 1) if rng.randrange(3) == 0 else len(data)
        quick, plain = FrameReader(most), FrameReader(most)
        first = quick.texts(data[:cut])
        taken += len(first)
        assert outcome(quick, first, [b"", data[cut:]]) == outcome(plain, [], [data])
    assert taken > 1_000 or frames._texts is None


def test_what_is_held_comes_before_what_is_pushed() -> None:
    data = sent(frames.TEXT, b"<presence/>")
    reader = FrameReader(100)
    assert pulled(reader, [data[:5]]) == []
    assert reader.texts(data[5:] + data) == []
    assert pulled(reader, [b""]) == [(frames.TEXT, b"<presence/>")] * 2


BROKEN = {
    "not masked": ws.frame(ws.TEXT, b"hello", mask=False),
    "not masked and short": b"\x88\x00",
    "reserved bit": ws.frame(ws.TEXT, b"x", rsv=4),
    "another": ws.frame(ws.TEXT, b"x", rsv=1),
    "opcode 3": ws.frame(3, b"x"),
    "opcode 11": ws.frame(11, b"x"),
    "ping in pieces": ws.frame(ws.PING, b"x", fin=False),
    "long ping": ws.frame(ws.PING, b"x" * 126),
    "long close": ws.frame(ws.CLOSE, b"\x03\xe8" + b"x" * 124),
    "short length in two bytes": b"\x81\xfe\x00\x05mask12345",
    "short length in eight bytes": b"\x81\xff" + (65_535).to_bytes(8, "big") + b"mask",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_protocol_is_refused_at_its_header(data: bytes) -> None:
    with pytest.raises(FrameError):
        pulled(FrameReader(1_000_000), [data[:14]])
    assert FrameReader(1_000_000).texts(data) == []


@pytest.mark.parametrize("size", [101, 65_536, 1 << 31, (1 << 63) - 1, (1 << 64) - 1])
def test_a_frame_that_is_too_long_is_not_waited_for(size: int) -> None:
    head = frames.header(frames.TEXT, size)
    head = bytes([head[0], head[1] | 0x80]) + head[2:]
    with pytest.raises(PeerViolation):
        pulled(FrameReader(100), [head])
    assert FrameReader(100).texts(head + b"mask" + b"x" * 200) == []


def test_the_longest_frame_that_is_allowed_passes_and_the_limit_can_be_raised() -> None:
    reader = FrameReader(100)
    assert len(pulled(reader, [sent(frames.TEXT, b"x" * 100)])) == 1
    reader.max_bytes = 200
    assert len(pulled(reader, [sent(frames.TEXT, b"x" * 200)])) == 1
    text = sent(frames.TEXT, b"x" * 200)
    assert reader.texts(text) == [b"x" * 200] or pulled(reader, [b""]) == [(frames.TEXT, b"x" * 200)]


@pytest.mark.parametrize(
    "flood",
    [ws.frame(ws.PONG), ws.frame(ws.CONTINUATION, b"", fin=False), None],
    ids=["pongs", "empty pieces", "one long frame"],
)
def test_frames_take_linear_time_however_many_or_long(flood: bytes | None) -> None:
    def cpu_of(count: int) -> float:
        data = flood * count if flood else sent(frames.TEXT, b"x" * 16 * count)
        begun = time.thread_time()
        pulled(FrameReader(1_000_000_000), pieces(data, 1000 if flood else 16))
        return time.thread_time() - begun

    def best(count: int) -> float:
        return min(cpu_of(count) for _ in range(5))

    # Eight times as much: 8 when linear, 64 when quadratic.
    assert best(16_000) < 40 * best(2_000)


@pytest.mark.parametrize(
    ("payload", "is_sound"),
    [
        (b"", True),
        (b"\x03\xe8", True),
        (b"\x0f\xa0bye \xe2\x82\xac", True),
        (b"\x03", False),
        (b"\x03\xed", False),  # 1005, which no frame may carry
        (b"\x00\x00", False),
        (b"\x27\x10", False),
        (b"\x03\xe8\xff", False),
    ],
)
def test_the_close_of_a_peer_is_judged(payload: bytes, is_sound: bool) -> None:
    assert frames.is_sound_closing(payload) is is_sound


def test_the_key_is_answered_as_in_the_rfcs_example() -> None:
    assert frames.acceptance("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("key", ["", "short", "A" * 24, "dGhlIHNhbXBsZSBub25jZQ", "ä" * 24, "AAAA AAAA"])
def test_a_key_that_is_none_is_not_answered(key: str) -> None:
    assert frames.acceptance(key) is None


# The handshake


GOOD = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "mqtt, xmpp",
}


def head_of(fields: Iterable[str], line: str = "GET /xmpp-websocket HTTP/1.1") -> bytes:
    return "\r\n".join([line, *fields]).encode("latin-1")


def lines_of(changes: dict[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in {**GOOD, **changes}.items() if value]


def answered(head: bytes, may_open: Callable[[str | None], bool] = lambda origin: True) -> bool:
    return answer_to(head, may_open) is not None


def test_a_handshake_is_answered_with_the_protocol_and_nothing_else() -> None:
    answer = answer_to(head_of(lines_of({})), lambda origin: True)
    assert answer is not None
    assert sorted(answer.decode().split("\r\n")) == [
        "",
        "",
        "Connection: Upgrade",
        "HTTP/1.1 101 Switching Protocols",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: xmpp",
        "Upgrade: websocket",
    ]


def test_the_origin_is_asked_about() -> None:
    asked: list[str | None] = []

    def refuse(origin: str | None) -> bool:
        asked.append(origin)
        return False

    assert not answered(head_of(lines_of({})), refuse)
    assert not answered(head_of(lines_of({"Origin": "https://evil.example"})), refuse)
    assert asked == [None, "https://evil.example"]


@pytest.mark.parametrize(
    "odd",
    [
        ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
        ["Sec-WebSocket-Version: 8"],
        ["Upgrade: h2c"],
        ["Origin: https://a.example", "Origin: https://b.example"],
        ["Host: elsewhere.example"],
        ["Content-Length: 0"],
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding : chunked"],
        [" Transfer-Encoding: chunked"],
        ["X: a", "\tfolded"],
        ["no colon"],
        [": no name"],
        ["X: a\nTransfer-Encoding: chunked"],
        ["X: a\rb"],
        ["X: \0"],
        [""],
    ],
    ids=repr,
)
def test_a_head_that_could_be_understood_in_two_ways_is_not_answered(odd: list[str]) -> None:
    lines = lines_of({})
    for place in (0, len(lines)):
        assert not answered(head_of([*lines[:place], *odd, *lines[place:]]))


@pytest.mark.parametrize(
    "line",
    [
        "GET /xmpp-websocket/ HTTP/1.1",
        "GET /XMPP-websocket HTTP/1.1",
        "GET /%78mpp-websocket HTTP/1.1",
        "GET //xmpp-websocket HTTP/1.1",
        "GET https://localhost/xmpp-websocket HTTP/1.1",
        "GET /xmpp-websocket HTTP/1.0",
        "GET /xmpp-websocket HTTP/2.0",
        "GET  /xmpp-websocket HTTP/1.1",
        "GET\t/xmpp-websocket HTTP/1.1",
        "get /xmpp-websocket HTTP/1.1",
        "POST /xmpp-websocket HTTP/1.1",
        "GET /xmpp-websocket",
        "",
    ],
)
def test_only_the_one_address_is_a_websocket(line: str) -> None:
    assert not answered(head_of(lines_of({}), line))


@pytest.mark.parametrize(
    "changes",
    [
        {"Connection": "keep-alive"},
        {"Connection": "upgraded"},
        {"Upgrade": "websocket, h2c"},
        {"Sec-WebSocket-Protocol": "xmppp"},
        {"Sec-WebSocket-Protocol": ""},
        {"Sec-WebSocket-Version": ""},
    ],
    ids=str,
)
def test_a_client_that_does_not_speak_this_is_not_answered(changes: dict[str, str]) -> None:
    assert not answered(head_of(lines_of(changes)))


def test_lists_may_stand_in_several_lines() -> None:
    lines = lines_of({"Sec-WebSocket-Protocol": "", "Connection": ""})
    more = ["Sec-WebSocket-Protocol: mqtt", "Connection: keep-alive", "Connection: Upgrade"]
    for order in itertools.permutations([*more, "Sec-WebSocket-Protocol: xmpp"]):
        assert answered(head_of([*lines, *order]))
