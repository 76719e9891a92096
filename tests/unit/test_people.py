import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rainbow_xmpp.auth.credentials import check_password
from rainbow_xmpp.auth.people import People
from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.config import Auth
from rainbow_xmpp.config.levels import SHIPPED_LEVELS
from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.observe.audit import AuditLog, chain_keys
from rainbow_xmpp.plugin import AccountRemoved, Plugin, on
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.audit import Wanted
from rainbow_xmpp.store.errors import AlreadyExists
from rainbow_xmpp.store.values import Account, NewAccount
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.database import fresh_database

SEALER = Sealer(b"k" * 32)
GOOD = "Sunny&kazoo7"


class Changes:
    def __init__(self) -> None:
        self.heard = 0

    async def __call__(self) -> None:
        self.heard += 1


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(await fresh_database(tmp_path), require_schema=False)
    await made.companies.add("Acme")
    yield made
    await made.close()


@pytest.fixture
def people(store: Store, changes: Changes) -> People:
    audit = AuditLog(store.audit, chain_keys(SEALER))
    return People(
        store,
        audit,
        SEALER,
        Auth(scram_iterations=4096),
        ServiceLevels(SHIPPED_LEVELS),
        Regions({}),
        hashing=asyncio.to_thread,
        changed=changes,
    )


def ann() -> NewAccount:
    return NewAccount(company="Acme", email="ann@acme.example", localpart="ann")


async def has_password(store: Store, account: Account, password: str) -> bool:
    record = await store.accounts.for_login(account.localpart)
    assert record is not None and record.sealed is not None and record.key_id is not None
    return check_password(SEALER.open(record.key_id, record.sealed, account.id), password)


async def recorded(store: Store) -> list[tuple[str, str, str]]:
    entries = [record.entry for record in await store.audit.last(Wanted(), 50)]
    return [(entry.kind, entry.actor, entry.target) for entry in entries]


async def test_who_is_added_without_a_password_gets_one_that_is_shown_once(people: People, store: Store):
    added = await people.add(ann(), actor="cli:root")
    assert await has_password(store, added.account, added.password)
    assert added.password not in repr(added)


async def test_who_brings_a_password_is_shown_none(people: People, store: Store, changes: Changes):
    added = await people.add(ann(), GOOD, actor="cli:root")
    assert (added.password, changes.heard) == ("", 1)
    assert await has_password(store, added.account, GOOD)


@pytest.mark.parametrize("weak", ["short", "Acme&Acme123", "Ann4ann4ann!acme"])
async def test_a_weak_password_adds_and_changes_nothing(people: People, store: Store, weak: str):
    with pytest.raises(WeakPassword) as refused:
        await people.add(ann(), weak, actor="cli:root")
    assert str(refused.value).startswith("The password ")
    assert await store.accounts.by_localpart("ann") is None
    account = (await people.add(ann(), GOOD, actor="cli:root")).account
    with pytest.raises(WeakPassword):
        await people.set_password(account, weak, actor="cli:root")
    assert await has_password(store, account, GOOD)


async def test_what_is_taken_is_named(people: People):
    await people.add(ann(), actor="cli:root")
    with pytest.raises(AlreadyExists):
        await people.add(ann(), actor="cli:root")


async def test_a_new_password_replaces_the_old_one(people: People, store: Store):
    account = (await people.add(ann(), GOOD, actor="cli:root")).account
    made = await people.set_password(account, actor="cli:root")
    assert made
    assert await has_password(store, account, made)


async def test_everything_is_recorded_with_who_did_it_to_whom(people: People, store: Store, changes: Changes):
    account = (await people.add(ann(), GOOD, actor="cli:root")).account
    await people.disable(account, actor="admin")
    await people.enable(account, actor="admin")
    await people.end_sessions(account, actor="admin")
    await people.set_password(account, actor="cli:root")
    await people.remove(account, actor="admin")
    assert await recorded(store) == (
        [
            ("user.added", "cli:root", account.id),
            ("user.disabled", "admin", account.id),
            ("user.enabled", "admin", account.id),
            ("user.sessions_ended", "admin", account.id),
            ("user.password_changed", "cli:root", account.id),
            ("user.removed", "admin", account.id),
        ]
    )
    assert changes.heard == 6


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("disable", (StreamCondition.NOT_AUTHORIZED, "this account was disabled")),
        ("remove", (StreamCondition.NOT_AUTHORIZED, "this account was removed")),
        ("end_sessions", (StreamCondition.POLICY_VIOLATION, "an administrator ended this session")),
        ("set_password", (StreamCondition.RESET, "the password was changed")),
    ],
)
async def test_what_is_done_on_a_running_server_is_in_effect_at_once(act, told):
    async with TestServer() as server:
        bob, other = await server.login("bob@acme"), await server.login("eve@acme")
        await getattr(server.node.people, act)(bob.account, actor="cli:root")
        assert bob.wire.violation is not None
        assert (bob.wire.violation.condition, bob.wire.violation.text) == told
        assert other.wire.violation is None


async def test_a_session_that_begins_after_the_others_were_ended_stays():
    class Removals(Plugin, name="removals"):
        seen = 0

        @on(AccountRemoved)
        def removed(self, event: AccountRemoved) -> None:
            self.seen += 1

    async with TestServer([Removals]) as server:
        bob = await server.login("bob@acme")
        await server.node.people.end_sessions(bob.account, actor="cli:root")
        again = await server.login("bob@acme")
        await server.node.watch.poll()
        assert (again.wire.violation, server.plugin(Removals).seen) == (None, 0)


async def test_a_plugin_records_the_kinds_it_declares_and_no_others():
    class Nudge(Plugin, name="nudge", audit={"nudge.refused": "a nudge was refused"}):
        """Declares a kind of audit record."""

    async with TestServer([Nudge]) as server:
        services = server.plugin(Nudge).services
        await services.audit("nudge.refused", company_id="c" * 24, actor="a" * 24, times=3)
        with pytest.raises(Exception, match="was not declared"):
            await services.audit("nudge.other", company_id="", actor="a" * 24)
        await server.node.plugins.stop()
        with pytest.raises(Exception, match="was not declared"):
            await services.audit("nudge.refused", company_id="", actor="a" * 24)
