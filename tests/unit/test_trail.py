"""What a server puts into the audit log by itself."""

import asyncio

import pytest

from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.config import Audit
from rainbow_xmpp.observe.audit import AuditLog, Kind, chain_keys
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.observe.trail import Trail
from rainbow_xmpp.session.background import Background
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.audit import Wanted
from rainbow_xmpp.store.values import NewAccount


class Kept:
    """A trail on a store, and what it wrote."""

    def __init__(self, store: Store, config: Audit) -> None:
        self.store = store
        self.counters = Counters()
        self.background = Background()
        self.audit = AuditLog(store.audit, chain_keys(Sealer(bytes(32))))
        self.trail = Trail(self.audit, config, self.counters, self.background.spawn)

    async def kinds(self) -> list[str]:
        await self.background.idle()
        return [record.entry.kind for record in await self.store.audit.last(Wanted(), 100)]


async def test_start_and_stop_are_recorded(store: Store) -> None:
    kept = Kept(store, Audit())
    await kept.trail.server_started()
    await kept.trail.close()
    assert await kept.kinds() == [Kind.SERVER_STARTED, Kind.SERVER_STOPPED]


async def test_a_server_that_never_was_ready_did_not_stop_either(store: Store) -> None:
    kept = Kept(store, Audit())
    await kept.trail.close()
    assert await kept.kinds() == []


@pytest.mark.parametrize("logins", [True, False])
async def test_logins_are_recorded_where_the_configuration_says_so(store: Store, logins: bool) -> None:
    company = await store.companies.add("Acme")
    account = await store.accounts.add(NewAccount(company="Acme", email="alice@acme.example"))
    kept = Kept(store, Audit(logins=logins))
    kept.trail.logged_in(account, "PLAIN")
    assert await kept.kinds() == ([Kind.LOGIN_OK] if logins else [])
    if logins:
        (record,) = await store.audit.last(Wanted(), 1)
        assert (record.entry.company_id, record.entry.actor) == (company.id, account.id)
        assert record.facts == {"mechanism": "PLAIN"}


async def test_a_flood_of_refused_logins_is_one_record(store: Store) -> None:
    kept = Kept(store, Audit())
    await kept.trail.summarise()
    kept.counters.limit_login_attempts += 9_000
    kept.counters.limit_login_failures += 1_000
    await kept.trail.summarise()
    await kept.trail.summarise()
    (record,) = await store.audit.last(Wanted(), 10)
    assert (record.entry.kind, record.facts) == (Kind.LOGINS_THROTTLED, {"refused": 10_000})


async def test_while_the_database_is_away_the_log_says_what_is_missing(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(store.audit, "append", away)
    kept = Kept(store, Audit())
    await kept.trail.server_started()
    assert "not in the audit log, since the database is away: server.started" in caplog.text


async def test_a_stop_does_not_wait_for_a_database_that_hangs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    kept = Kept(store, Audit())
    await kept.trail.server_started()
    monkeypatch.setattr(store.audit, "append", hang)
    async with asyncio.timeout(10):
        await kept.trail.close()


async def test_old_records_go_where_the_configuration_says_so(store: Store) -> None:
    kept = Kept(store, Audit(keep_days=30))
    old = AuditLog(store.audit, kept.audit.keys, now=lambda: 1_000_000.0)
    for _ in range(3):
        await old.record(Kind.SERVER_STARTED, company_id="", actor="system")
    await kept.trail.server_started()
    kept.trail.tidy()
    assert await kept.kinds() == [Kind.SERVER_STARTED, Kind.AUDIT_PRUNED]
    assert (await store.audit.check(kept.audit.keys)).broken is None
