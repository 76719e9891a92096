"""Sessions over a stop and a start of the server (XEP-0198 §5)."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from tests.conformance.rosters import befriend
from tests.conformance.test_stream_management import SM, Phone, acknowledged, say
from tests.conformance.wire import Wire
from tests.doors import Door
from tests.process import RainbowServer


async def cut(server: RainbowServer, *wires: Wire, kill: bool = False) -> None:
    """Stop the server and start it again; what it said last has been read."""
    if kill:
        server.process.kill()
        server.process.wait()
    else:
        server.stop()
    for wire in wires:
        await wire.wait_end()
    server.start()


async def test_a_stop_and_a_start_lose_nothing(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        wss, tls = Door(server, "wss", stack), Door(server, "tls", stack)
        person = server.new_person()
        ann, kim, bob = await Phone.on(wss), await Phone.on(tls), await tls.log_in(person)
        await befriend(ann.wire, bob)
        await say(bob, ann.wire.jid, "1", "2")
        said = await ann.bodies(2)
        ann.h = stanzas(ann.wire, "<enabled")
        await say(bob, ann.wire.jid, "3")
        kim.wire.abort()  # has no connection when the server stops
        await say(bob, kim.wire.jid, "4")
        handled = await acknowledged(ann.wire)
        await cut(server, ann.wire, bob)
        assert ann.wire.pop("stream:error/streams:system-shutdown") is not None
        resumed = await ann.again()
        assert resumed.tag == f"{{{SM}}}resumed"
        assert resumed.get("h") == str(handled)
        before = ann.h
        assert [*said, *await ann.bodies(1)] == ["1", "2", "3"]
        assert await ann.wire.expect(f"presence[@from='{bob.jid}'][@type='unavailable']") is not None
        assert (await kim.again()).tag == f"{{{SM}}}resumed"
        assert await kim.bodies(1) == ["4"]
        # It is online to others and to itself, as before.
        cem = await tls.log_in()
        await say(cem, ann.wire.jid, "5")
        assert await ann.bodies(1) == ["5"]
        back = await tls.log_in(person)
        assert await back.expect(f"presence[@from='{ann.wire.jid}']") is not None
        assert await ann.wire.expect(f"presence[@from='{back.jid}']") is not None
        # And a second time.
        await say(cem, kim.wire.jid, "6")
        await kim.bodies(1)
        ann.h = before + stanzas(ann.wire, "<resumed")
        await cut(server, ann.wire, kim.wire)
        assert (await ann.again()).tag == f"{{{SM}}}resumed"
        assert (await kim.again()).tag == f"{{{SM}}}resumed"
    server.assert_no_fault()


async def test_a_server_that_was_killed_knows_no_session(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        phone = await Phone.on(Door(server, "tls", stack))
        await cut(server, phone.wire, kill=True)
        assert (await phone.again()).tag == f"{{{SM}}}failed"
        await phone.wire.bind()
        await phone.wire.settle()


async def test_a_forced_logout_meanwhile_leaves_nothing_to_resume(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        door = Door(server, "tls", stack)
        phone, bob = await Phone.on(door), await door.log_in()
        await say(bob, phone.wire.jid, "kept all the same")
        server.stop()
        server.cli("user", "kick", phone.person.localpart)
        server.start()
        assert (await phone.again()).tag == f"{{{SM}}}failed"
        await phone.wire.bind()
        await phone.wire.send("<presence/>")
        assert await phone.bodies(1) == ["kept all the same"]


def stanzas(wire: Wire, since: str) -> int:
    """How many have arrived since this element did."""
    data = bytes(wire.received).rpartition(since.encode())[2]
    return sum(data.count(b"<" + name) for name in (b"message", b"presence", b"iq"))
