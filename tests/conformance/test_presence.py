"""Presence: who sees whom come, change and go (RFC 6121 §4)."""

import asyncio
import socket

import pytest

from tests.conformance import websocket_frames as ws
from tests.conformance.rosters import bare, befriend, presence_from
from tests.conformance.wire import TcpWire, Wire, WssWire, child
from tests.doors import Door
from tests.strict_server import STRICT


async def friends(door: Door) -> tuple[Wire, Wire]:
    """Two people who see each other."""
    ann, bob = await door.log_in(), await door.log_in()
    await befriend(ann, bob)
    return ann, bob


# Priorities (§4.7.2.3)


@pytest.mark.parametrize("priority", ["-128", "127", " 5 ", "+1", "0"])
async def test_a_priority_is_a_small_number(door: Door, priority: str) -> None:
    wire = await door.log_in(presence="")
    await wire.send(f"<presence><priority>{priority}</priority></presence>")
    assert await presence_from(wire, wire.jid) is not None


@pytest.mark.parametrize("priority", ["128", "-129", "high", "1.5", "0x1", "1_0", "٣", "9" * 5000])
async def test_another_priority_is_a_bad_request(door: Door, priority: str) -> None:
    wire = await door.log_in(presence="")
    await wire.send(f"<presence id='p'><priority>{priority}</priority></presence>")
    error = await wire.expect("presence[@id='p'][@type='error']")
    assert child(error, "error/stanzas:bad-request") is not None
    await wire.send("<message id='m'><body>to myself</body></message>")
    await wire.expect_none("message")  # it has not become available


# Going (§4.5), however


async def end_stream(wire: Wire) -> None:
    await wire.close()


async def reset(wire: Wire) -> None:
    wire.abort()


async def end_tls(wire: Wire) -> None:
    """Ends TLS in due form, without a word in XMPP."""
    wire.writer.close()


async def end_tcp(wire: Wire) -> None:
    """Ends TCP below TLS, as a process that is killed does."""
    raw: socket.socket = wire.writer.get_extra_info("socket")
    raw.shutdown(socket.SHUT_WR)


async def break_tls(wire: Wire) -> None:
    """Sends what is no TLS record."""
    raw: socket.socket = wire.writer.get_extra_info("socket")
    socket.socket(fileno=socket.dup(raw.fileno())).send(b"this is no TLS record at all" * 3)


async def break_stream(wire: Wire) -> None:
    await wire.send_bytes(b"<message><unclosed></message>")


async def stop_reading_then_vanish(wire: Wire) -> None:
    await wire.send_bytes(b"<presence")
    wire.abort()


@pytest.mark.parametrize(
    "way", [end_stream, reset, end_tls, end_tcp, break_tls, break_stream, stop_reading_then_vanish]
)
async def test_contacts_and_other_devices_see_a_resource_go(door: Door, way: object) -> None:
    person = door.server.new_person()
    ann, other, bob = await door.log_in(person), await door.log_in(person), await door.log_in()
    await befriend(ann, bob)
    await way(ann)  # type: ignore[operator]
    gone = await presence_from(bob, ann.jid, "unavailable")
    assert gone.get("to") == bare(bob)
    assert await presence_from(other, ann.jid, "unavailable") is not None
    await bob.send(f"<iq type='get' id='x' to='{ann.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert await bob.expect("iq[@id='x'][@type='error']") is not None


@pytest.mark.parametrize("opcode", [ws.CLOSE, ws.BINARY])
async def test_contacts_see_a_websocket_go(wss: Door, opcode: int) -> None:
    ann, bob = await friends(wss)
    assert isinstance(ann, WssWire)
    await ann.send_frame(opcode, b"\x03\xe9")
    assert await presence_from(bob, ann.jid, "unavailable") is not None


async def test_who_went_is_not_there_while_the_connection_is_still_closing(door: Door) -> None:
    """A message that comes after the stream's end is not lost in the connection: it is kept, or refused."""
    person = door.server.new_person()
    ann, bob = await door.log_in(person), await door.log_in()
    if isinstance(ann, WssWire):
        ann.answers_closing = False
    await ann.send_close()  # and reads nothing, so that the connection stays
    await bob.send(f"<iq type='get' id='before' to='{person.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
    async with asyncio.timeout(1):
        while True:
            await bob.send(f"<message to='{ann.jid}' id='m' type='normal'><body>too late?</body></message>")
            await bob.settle()
            if bob.pop("message[@id='m'][@type='error']") is not None:
                break
    assert not ann.ended


@STRICT
async def test_a_client_that_does_not_answer_is_gone_after_a_while(strict_door: Door) -> None:
    door = strict_door
    dead, alive, white = await door.log_in(), await door.log_in(), await door.log_in()
    if isinstance(dead, WssWire):
        dead.answers_pings = False

    async def live(wire: Wire) -> None:
        while True:
            element = await wire.recv(30)
            if element.get("type") == "get":
                await wire.send(f"<iq type='result' to='localhost' id='{element.get('id')}'/>")

    async def keep_alive(wire: Wire) -> None:
        while True:
            await asyncio.sleep(1)
            if isinstance(wire, TcpWire):
                await wire.send_bytes(b" ")
            elif isinstance(wire, WssWire):
                await wire.send_frame(ws.PONG)

    helpers = [asyncio.create_task(live(alive)), asyncio.create_task(keep_alive(white))]
    try:
        await dead.expect_stream_error("connection-timeout", 15)
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
    for wire in (alive, white):
        await wire.settle()


# To some only (§4.6)


@pytest.mark.parametrize("way", [end_stream, reset, break_stream])
@pytest.mark.parametrize("to", ["bare", "full"])
async def test_who_got_directed_presence_sees_its_end(door: Door, to: str, way: object) -> None:
    ann, bob, cem = await door.log_in(), await door.log_in(), await door.log_in()
    await ann.send(f"<presence to='{bob.jid if to == 'full' else bare(bob)}'/>")
    await presence_from(bob, ann.jid)
    await way(ann)  # type: ignore[operator]
    assert await presence_from(bob, ann.jid, "unavailable") is not None
    await bob.expect_none("presence")
    await cem.expect_none("presence")
