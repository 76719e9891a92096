"""The WebSocket below the stream: handshake, frames, fragments and its end (RFC 6455, RFC 7395 §3.1, §3.2)."""

import asyncio
import zlib

import pytest

from tests.conformance import websocket_frames as ws
from tests.conformance.wire import WssWire, connect
from tests.doors import Door
from tests.process import ChatServer


def websocket(wire: object) -> WssWire:
    assert isinstance(wire, WssWire)
    return wire


# The handshake


@pytest.mark.parametrize("spoken", ["", "soap", "XMPP", "xmppp, mqtt"])
async def test_a_client_that_does_not_speak_xmpp_gets_no_websocket(server: ChatServer, spoken: str) -> None:
    with pytest.raises(ws.UpgradeRefused) as caught:
        await connect(server.endpoint, headers={"Sec-WebSocket-Protocol": spoken})
    assert 400 <= caught.value.status < 500


@pytest.mark.parametrize("spoken", ["xmpp", "mqtt, xmpp"])
async def test_the_subprotocol_is_confirmed(server: ChatServer, spoken: str) -> None:
    reader, writer = await asyncio.open_connection(
        server.endpoint.host,
        server.endpoint.port,
        ssl=server.endpoint.tls_context(("http/1.1",)),
        server_hostname=server.endpoint.domain,
    )
    headers = {"Host": "localhost", "Sec-WebSocket-Protocol": spoken}
    answer = await ws.upgrade(reader, writer, server.endpoint.path, headers)
    writer.transport.abort()
    assert answer["sec-websocket-protocol"] == "xmpp"
    assert "server" not in answer
    assert "sec-websocket-extensions" not in answer  # no compression


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:{port}", "https://localhost", "https://localhost:{port}.evil.example",
     "https://evil.example/https://localhost:{port}", "file://"],
)  # fmt: skip
async def test_a_page_of_a_foreign_origin_gets_no_websocket(server: ChatServer, origin: str) -> None:
    with pytest.raises(ws.UpgradeRefused) as caught:
        await connect(server.endpoint, headers={"Origin": origin.format(port=server.endpoint.port)})
    assert caught.value.status == 403


@pytest.mark.parametrize("origin", ["", "https://localhost:{port}", "https://LOCALHOST:{port}"])
async def test_our_own_pages_and_clients_that_are_no_browsers_get_one(
    server: ChatServer, origin: str
) -> None:
    headers = {"Origin": origin.format(port=server.endpoint.port)}
    async with await connect(server.endpoint, headers=headers) as wire:
        assert await wire.open() is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": ""},
        {"Connection": "close"},
        {"Upgrade": "h2c"},
    ],
    ids=str,
)
async def test_a_broken_handshake_is_refused(server: ChatServer, headers: dict[str, str]) -> None:
    with pytest.raises(ws.UpgradeRefused) as caught:
        await connect(server.endpoint, headers=headers)
    assert 400 <= caught.value.status < 500


# Frames


async def test_a_stanza_may_come_in_fragments_with_pings_between(wss: Door) -> None:
    ann, bob = websocket(await wss.log_in()), await wss.log_in()
    stanza = (
        f"<message xmlns='jabber:client' to='{bob.jid}'><body>in ä lot of pieces</body></message>".encode()
    )
    pieces = [stanza[start : start + 9] for start in range(0, len(stanza), 9)]
    for number, piece in enumerate(pieces):
        await ann.send_frame(ws.CONTINUATION if number else ws.TEXT, piece, fin=number == len(pieces) - 1)
        await ann.send_frame(ws.PING, b"between")
    assert await bob.expect("message[body='in ä lot of pieces']") is not None


async def test_a_whole_login_may_come_in_fragments(wss: Door) -> None:
    wire = websocket(await wss.connect())

    async def in_two(data: bytes) -> None:
        await wire.send_frame(ws.TEXT, data[:5], fin=False)
        await wire.send_frame(ws.CONTINUATION, data[5:])

    wire.send_bytes = in_two  # type: ignore[method-assign]
    person = wss.server.new_person()
    assert await wire.login(person.localpart, person.password)


@pytest.mark.parametrize("how_far", ["connect", "opened", "log_in"])
async def test_a_ping_is_answered_with_its_own_payload(wss: Door, how_far: str) -> None:
    wire = websocket(await getattr(wss, how_far)())
    await wire.send_frame(ws.PING, b"are you there?")
    pongs: list[bytes] = []
    while not pongs:
        data = await asyncio.wait_for(wire.reader.read(4096), 5)
        assert data
        pongs += [payload for opcode, payload in wire.frames.feed(data) if opcode == ws.PONG]
    assert pongs == [b"are you there?"]


async def test_a_pong_that_nobody_asked_for_is_ignored(wss: Door) -> None:
    wire = websocket(await wss.log_in())
    await wire.send_frame(ws.PONG, b"hello")
    await wire.settle()
    assert not wire.inbox


@pytest.mark.parametrize("how_far", ["connect", "log_in"])
async def test_binary_frames_are_refused(wss: Door, how_far: str) -> None:
    wire = websocket(await getattr(wss, how_far)())
    await wire.send_frame(ws.BINARY, b"<presence xmlns='jabber:client'/>")
    await wire.expect_stream_error("policy-violation")


async def test_a_continuation_of_nothing_is_refused(wss: Door) -> None:
    wire = websocket(await wss.log_in())
    await wire.send_frame(ws.CONTINUATION, b"<presence xmlns='jabber:client'/>")
    await wire.expect_stream_error("policy-violation")


async def test_a_new_message_inside_another_is_refused(wss: Door) -> None:
    wire = websocket(await wss.log_in())
    await wire.send_frame(ws.TEXT, b"<presence ", fin=False)
    await wire.send_frame(ws.TEXT, b"<presence xmlns='jabber:client'/>")
    await wire.expect_stream_error("policy-violation")


@pytest.mark.parametrize(
    "broken",
    [
        ws.frame(ws.TEXT, b"<presence xmlns='jabber:client'/>", mask=False),
        ws.frame(ws.TEXT, zlib.compress(b"<presence xmlns='jabber:client'/>", wbits=-15), rsv=4),
        ws.frame(3, b"reserved"),
        ws.frame(11, b"reserved"),
        ws.frame(ws.PING, b"x" * 126),
        ws.frame(ws.PING, b"x", fin=False),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask",
    ],
    ids=["unmasked", "compressed", "opcode 3", "opcode 11", "long ping", "ping in pieces", "endless"],
)
@pytest.mark.parametrize("how_far", ["connect", "log_in"])
async def test_a_broken_frame_ends_the_connection(wss: Door, how_far: str, broken: bytes) -> None:
    wire = websocket(await getattr(wss, how_far)())
    wire.writer.write(broken)
    await wire.wait_end()
    assert wire.ended


# The end


async def test_a_close_frame_alone_ends_the_session(wss: Door) -> None:
    person = wss.server.new_person()
    left, gone = await wss.log_in(person), websocket(await wss.log_in(person))
    await gone.send_frame(ws.CLOSE, (1001).to_bytes(2, "big"))
    await gone.wait_end()
    assert gone.close_code is not None
    assert await left.expect(f"presence[@from='{gone.jid}'][@type='unavailable']") is not None
