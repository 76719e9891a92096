"""What a running server and commands beside it leave in one audit log."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

from rainbow_xmpp.observe.control import ask
from tests.conformance.wire import SaslFailure
from tests.doors import Door
from tests.process import RainbowServer


async def test_a_servers_life_is_in_the_log_and_the_chain_holds(
    start_server: Callable[..., RainbowServer],
) -> None:
    """Whoever logs in stands there by id only."""
    server = start_server({"audit": {"logins": True}, "limits": {"login_failures_per_account_per_minute": 1}})
    person = await asyncio.to_thread(server.new_person)
    async with AsyncExitStack() as stack:
        door = Door(server, "tls", stack)
        await door.log_in(person)
        for _ in range(4):
            wire = await door.opened()
            try:
                await wire.authenticate(person.localpart, "wrong")
            except SaslFailure:
                pass
        await asyncio.gather(
            *(asyncio.to_thread(server.cli, "company", "add", f"Company {number}") for number in range(3)),
            *(door.log_in(server.new_person()) for _ in range(5)),
        )
    await asyncio.to_thread(ask, server.run_folder, "reload")
    await asyncio.to_thread(server.stop)
    exported = server.cli("audit", "export")
    records = [json.loads(line) for line in exported.splitlines()]
    found = [record["kind"] for record in records]
    assert found.count("server.started") == found.count("server.stopped") == 1
    assert found.count("login.ok") == 6
    assert found.count("company.added") == 2 + 3
    assert found.count("login.throttled") == 1
    assert found.count("config.reloaded") == 1
    assert found.index("server.started") < found.index("login.ok") < found.index("server.stopped")
    assert json.loads(server.cli("audit", "verify", "--json"))["ok"] is True
    for personal in (person.localpart, person.email, person.password, "127.0.0.1"):
        assert personal not in exported
    login = records[found.index("login.ok")]
    assert login["actor"] == login["target"]
    assert login["facts"] == {"mechanism": "SCRAM-SHA-256"}
