"""The server is told to stop, and starts again."""

import asyncio
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from tests.conformance.rosters import bare, befriend, get_roster, set_item, state
from tests.conformance.wire import Over, Wire
from tests.doors import Door
from tests.process import RainbowServer

SESSIONS = 50


async def everybody(server: RainbowServer, stack: AsyncExitStack) -> list[Wire]:
    """Half of them on WebSockets; some have not logged in yet."""
    ways: list[Over] = ["wss", "tls"]
    doors = [Door(server, way, stack) for way in ways]
    wires = [await doors[number % 2].log_in() for number in range(SESSIONS)]
    for door in doors:
        wires += [await door.opened(), await door.authenticated()]
    return wires


async def ended(process: "subprocess.Popen[bytes]", timeout_s: float = 30) -> int:
    """The exit code, once there is one; TimeoutError after that long."""
    async with asyncio.timeout(timeout_s):
        while (code := process.poll()) is None:
            await asyncio.sleep(0.02)
    return code


async def test_everybody_is_told_and_the_process_ends_in_time(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    pid_file = server.database_file.parent / "run.pid"
    assert pid_file.read_text().strip() == str(server.pid)
    async with AsyncExitStack() as stack:
        wires = await everybody(server, stack)
        process = server.process
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        await asyncio.gather(*(wire.expect_stream_error("system-shutdown") for wire in wires))
        assert all(wire.stream_closed for wire in wires)
        # Nobody had to hear that all the others go.
        assert not any(e.get("type") == "unavailable" for wire in wires for e in wire.inbox)
        assert await ended(process) == 0
        assert time.monotonic() - began < 25  # and not when everybody's patience is over
    assert not pid_file.exists()


async def test_clients_that_do_not_listen_do_not_delay_the_end(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        for wire in await everybody(server, stack):
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        process = server.process
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_nobody_gets_in_while_the_server_stops_and_all_is_there_after_a_restart(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    people = [server.new_person() for _ in range(2)]
    async with AsyncExitStack() as stack:
        door = Door(server, "wss", stack)
        ann, bob = await door.log_in(people[0]), await door.log_in(people[1])
        await befriend(ann, bob)
        await set_item(ann, "<item jid='cem@localhost' name='Cem'/>")
        server.stop()
    server.start()
    async with AsyncExitStack() as stack:
        door = Door(server, "tls", stack)
        ann = await door.log_in(people[0])
        bob = await door.log_in(people[1])
        assert await ann.expect(f"presence[@from='{bob.jid}']") is not None
        roster = await get_roster(ann)
        assert state(roster[bare(bob)]) == "both"
        assert roster["cem@localhost"].get("name") == "Cem"


async def test_an_interrupt_ends_it_likewise(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        wire = await Door(server, "wss", stack).log_in()
        process = server.process
        process.send_signal(signal.SIGINT)
        await wire.expect_stream_error("system-shutdown")
        assert await ended(process) == 0
    assert not re.search(r"Traceback|KeyboardInterrupt", server.log_text())


async def test_a_stanza_that_waits_for_the_database_is_finished_before_the_end(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    person = server.new_person()
    async with AsyncExitStack() as stack:
        wire = await Door(server, "tls", stack).log_in(person)
        for number in range(20):
            item = f"<item jid='c{number}@localhost'/>"
            await wire.send(
                f"<iq type='set' id='s{number}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
            )
        await wire.expect("iq[@id='s0']")
        server.stop()
        answered = 1 + sum(1 for e in wire.inbox if (e.get("id") or "").startswith("s"))
    server.start()
    async with AsyncExitStack() as stack:
        wire = await Door(server, "tls", stack).log_in(person)
        assert len(await get_roster(wire)) >= answered
