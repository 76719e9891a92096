"""The database is locked by somebody, or away: nobody is thrown out, and what cannot be kept is not delivered."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

import aiohttp
import pytest

from rainbow_xmpp.store.group_commit import PATIENCE_S
from tests.conformance.rosters import befriend, get_roster, set_item
from tests.conformance.wire import SaslFailure, Wire, child
from tests.databases import Databases
from tests.doors import Door
from tests.postgres import PostgresMissing
from tests.process import RainbowServer

LOCKED_S = 3.0


@contextmanager
def locked(server: RainbowServer) -> Iterator[None]:
    """Another process writes and does not come to an end."""
    connection = sqlite3.connect(server.database_file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def readiness(server: RainbowServer) -> int:
    """The status of /readyz."""
    tls = server.endpoint.tls_context(())
    url = f"https://localhost:{server.endpoint.port}/readyz"
    async with aiohttp.ClientSession() as http, http.get(url, ssl=tls) as answer:
        return answer.status


async def until_readiness(server: RainbowServer, status: int, timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while await readiness(server) != status:
            await asyncio.sleep(0.2)


async def chat(one: Wire, other: Wire, rounds: int = 20, *, is_kept: bool = False) -> None:
    hint = "" if is_kept else "<no-store xmlns='urn:xmpp:hints'/>"
    for number in range(rounds):
        await one.send(f"<message to='{other.jid}' id='c{number}'><body>{number}</body>{hint}</message>")
        await other.expect(f"message[@id='c{number}']", 20)
        one, other = other, one


async def test_a_lock_on_the_database_stops_nobody_who_is_online(door: Door) -> None:
    server = door.server
    assert isinstance(server, RainbowServer)
    ann, bob, cem = await door.log_in(), await door.log_in(), await door.log_in()
    late = server.new_person()  # making people writes, which the lock would stop
    await befriend(ann, bob)
    began = time.monotonic()
    with locked(server):
        await cem.send(
            "<iq type='set' id='w1'><query xmlns='jabber:iq:roster'><item jid='x@localhost'/></query></iq>"
        )
        await cem.send(f"<message to='{ann.jid}' id='w2'><body>after the roster</body></message>")
        while time.monotonic() - began < LOCKED_S:
            await chat(ann, bob)
            assert await readiness(server) == 200
            await asyncio.sleep(0.1)
        assert (await door.log_in(late)).jid  # reading is not locked
        assert cem.pop("iq[@id='w1']") is None
        assert ann.pop("message[@id='w2']") is None  # what one client says stays in order
        await bob.send(f"<message to='{ann.jid}' id='k1'><body>to be kept</body></message>")
        await asyncio.sleep(0.3)
        assert ann.pop("message[@id='k1']") is None  # nobody is shown what may be lost yet
    assert (await cem.expect("iq[@id='w1']")).get("type") == "result"
    assert await ann.expect("message[@id='w2']") is not None
    assert await ann.expect("message[@id='k1']") is not None
    assert list(await get_roster(cem)) == ["x@localhost"]


async def test_who_loses_the_connection_while_the_database_is_locked_is_gone_all_the_same(
    door: Door,
) -> None:
    server = door.server
    assert isinstance(server, RainbowServer)
    ann, bob = await door.log_in(), await door.log_in()
    await befriend(ann, bob)
    with locked(server):
        await ann.send(
            "<iq type='set' id='w1'><query xmlns='jabber:iq:roster'><item jid='x@localhost'/></query></iq>"
        )
        await ann.send("<presence><show>away</show></presence>")
        await asyncio.sleep(0.3)
        ann.abort()
        await asyncio.sleep(0.3)
        await bob.send(f"<iq type='get' id='p' to='{ann.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
        assert await bob.expect("iq[@id='p'][@type='error']") is not None
    assert await bob.expect(f"presence[@from='{ann.jid}'][@type='unavailable']") is not None
    await bob.expect_none("presence")


async def test_a_database_that_is_away_comes_back(
    start_server: Callable[..., RainbowServer], databases: Databases
) -> None:
    """PostgreSQL ends all connections and takes no new ones; later it does again."""
    try:
        url = databases.new("postgresql", migrated=False)
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    server = start_server(storage_url=url)
    person, late = server.new_person(), server.new_person()
    name = url.partition("?")[0].rpartition("/")[2]
    async with AsyncExitStack() as stack:
        door = Door(server, "wss", stack)
        ann, bob = await door.log_in(person), await door.log_in()
        await befriend(ann, bob)
        assert await readiness(server) == 200
        databases.postgres.run(
            f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false;'
            f" SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        try:
            await until_readiness(server, 503)
            await chat(ann, bob)
            await bob.send(f"<message to='{ann.jid}' id='k1'><body>to be kept</body></message>")
            answer = await set_item(ann, "<item jid='x@localhost'/>")
            assert answer.get("type") == "error"
            wire = await door.opened()
            with pytest.raises(SaslFailure, match="temporary-auth-failure"):
                await wire.authenticate(late.localpart, late.password)
            refused = await bob.expect("message[@id='k1'][@type='error']", 2 * PATIENCE_S)
            assert child(refused, "error").get("type") == "wait"
            assert ann.pop("message[@id='k1']") is None  # whoever is told that it failed was told the truth
        finally:
            databases.postgres.run(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await until_readiness(server, 200)
        assert (await set_item(ann, "<item jid='x@localhost'/>")).get("type") == "result"
        await wire.authenticate(late.localpart, late.password)
        await chat(ann, await door.log_in(), is_kept=True)
    server.stop()
    databases.give_back(url, migrated=False)
