"""The audit log: what may be recorded, and what is noticed when somebody changes it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.observe.audit import AuditLog, Kind, chain_keys
from rainbow_xmpp.store import Store, tables
from rainbow_xmpp.store.audit import Checked, Wanted, _row
from rainbow_xmpp.store.audit_chain import ChainKeys, chained
from rainbow_xmpp.store.audit_check import Damage
from rainbow_xmpp.store.errors import AlreadyExists

KEY, OTHER_KEY = bytes(32), bytes([1]) * 32
ACME, GLOBEX = "a" * 24, "b" * 24


class Clock:
    """Unix time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def log_on(store: Store, key: bytes = KEY, *old: bytes, clock: Clock | None = None) -> AuditLog:
    return AuditLog(store.audit, chain_keys(Sealer(key, old)), node="one", now=clock or Clock())


@pytest.fixture
async def log(store: Store) -> AsyncIterator[AuditLog]:
    made = log_on(store)
    yield made
    await made.close()


async def fill(log: AuditLog, records: int) -> None:
    for number in range(records):
        await log.record(
            Kind.USER_ADDED, company_id=ACME, actor="cli:root", target=f"{number:024x}", number=number
        )


async def checked(store: Store, key: bytes = KEY, *old: bytes) -> Checked:
    return await store.audit.check(chain_keys(Sealer(key, old)))


async def rows_of(store: Store, query: sa.Select[Any]) -> list[dict[str, Any]]:
    async with store.read() as connection:
        return [row._asdict() for row in await connection.execute(query)]


async def run(store: Store, statement: sa.Executable) -> None:
    async with store.write() as connection:
        await connection.execute(statement)


async def test_records_come_back_as_they_were_written(store: Store, log: AuditLog) -> None:
    await log.record(
        Kind.USER_DISABLED, company_id=ACME, actor="c" * 24, target="d" * 24, reason="left", by_hand=True
    )
    (record,) = await store.audit.last(Wanted(), 10)
    entry = record.entry
    assert (entry.kind, entry.company_id, entry.actor, entry.target) == (
        "user.disabled",
        ACME,
        "c" * 24,
        "d" * 24,
    )
    assert (entry.reason, record.facts, entry.node, record.id) == ("left", {"by_hand": True}, "one", 1)


async def test_a_chain_that_nobody_touched_is_unbroken(store: Store, log: AuditLog) -> None:
    await fill(log, 20)
    result = await checked(store)
    assert (result.broken, result.records, result.unjudged) == (None, 20, 0)


async def test_an_empty_log_is_unbroken(store: Store) -> None:
    assert (await checked(store)).broken is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", 1),
        ("kind", "user.removed"),
        ("company_id", GLOBEX),
        ("actor", "system"),
        ("target", "e" * 24),
        ("reason", "none"),
        ("facts", '{"number":99}'),
        ("node", "two"),
        ("previous", "0" * 64),
        ("hash", "1" * 64),
    ],
)
async def test_a_changed_field_is_noticed_at_its_record(
    store: Store, log: AuditLog, column: str, value: object
) -> None:
    await fill(log, 5)
    await run(store, sa.update(tables.audit).where(tables.audit.c.id == 3).values({column: value}))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (3, Damage.CHANGED)


@pytest.mark.parametrize("column", ["signature"])
async def test_a_changed_signature_is_noticed(store: Store, log: AuditLog, column: str) -> None:
    await fill(log, 5)
    await run(store, sa.update(tables.audit).where(tables.audit.c.id == 3).values({column: "2" * 64}))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (3, Damage.INSERTED)


async def test_deleted_records_are_missing(store: Store, log: AuditLog) -> None:
    await fill(log, 6)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id.in_([3, 4])))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (3, Damage.MISSING)
    assert broken.text == "records 3 to 4 are missing"


async def test_a_beginning_that_was_cut_off_is_missing(store: Store, log: AuditLog) -> None:
    await fill(log, 6)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id < 3))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (1, Damage.MISSING)


async def test_an_end_that_was_cut_off_is_noticed(store: Store, log: AuditLog) -> None:
    await fill(log, 6)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id > 4))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (4, Damage.TRUNCATED)
    assert "2 more were written" in broken.text


async def test_a_cut_off_end_stays_a_gap_when_writing_goes_on(store: Store, log: AuditLog) -> None:
    await fill(log, 6)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id > 4))
    await fill(log, 2)
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (5, Damage.MISSING)


async def test_a_head_mark_that_was_set_back_by_hand_is_noticed(store: Store, log: AuditLog) -> None:
    await fill(log, 6)
    (fourth,) = await store.audit.last(Wanted(until=None, target=f"{3:024x}"), 1)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id > 4))
    await run(store, sa.update(tables.audit_marks).values(id=4, hash=fourth.hash))
    broken = (await checked(store)).broken
    assert broken is not None
    assert broken.damage is Damage.CHANGED
    assert "mark" in broken.text


async def test_a_head_mark_that_is_gone_is_noticed(store: Store, log: AuditLog) -> None:
    await fill(log, 3)
    await run(store, sa.delete(tables.audit_marks))
    broken = (await checked(store)).broken
    assert broken is not None
    assert broken.damage is Damage.TRUNCATED


async def test_an_empty_table_under_a_head_mark_is_truncated(store: Store, log: AuditLog) -> None:
    await fill(log, 3)
    await run(store, sa.delete(tables.audit))
    broken = (await checked(store)).broken
    assert broken is not None
    assert broken.damage is Damage.TRUNCATED


async def test_a_record_hashed_by_somebody_without_the_key_is_inserted(store: Store, log: AuditLog) -> None:
    await fill(log, 3)
    (third,) = await store.audit.last(Wanted(), 1)
    forged = chained(replace(third.entry, kind="user.removed"), 4, third.hash, log_on(store, OTHER_KEY).keys)
    await run(store, sa.insert(tables.audit).values(_row(forged) | {"key_id": log.keys.current}))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (4, Damage.INSERTED)


async def test_records_put_into_another_order_are_noticed(store: Store, log: AuditLog) -> None:
    await fill(log, 5)
    id = tables.audit.c.id
    for old, new in ((2, -1), (3, 2), (-1, 3)):
        await run(store, sa.update(tables.audit).where(id == old).values(id=new))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (2, Damage.CHANGED)


async def test_a_record_of_another_branch_does_not_follow(store: Store, log: AuditLog) -> None:
    """Somebody with a copy of the database sets its end back, lets a server write, and brings a record back."""
    await fill(log, 2)
    marks = await rows_of(store, sa.select(tables.audit_marks))
    await fill(log, 1)
    kept = await rows_of(store, sa.select(tables.audit).where(tables.audit.c.id == 3))
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id == 3))
    await run(store, sa.update(tables.audit_marks).values(marks[0]))
    await fill(log, 2)
    assert (await checked(store)).broken is None
    await run(store, sa.update(tables.audit).where(tables.audit.c.id == 3).values(kept[0]))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (4, Damage.REPLACED)


@pytest.mark.parametrize("what_to_do_to_the_mark", ["remove", "set back"])
async def test_an_end_that_was_cut_off_does_not_become_sound_by_being_written_on(
    store: Store, log: AuditLog, caplog: pytest.LogCaptureFixture, what_to_do_to_the_mark: str
) -> None:
    await fill(log, 6)
    (third,) = await store.audit.last(Wanted(target=f"{2:024x}"), 1)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id > 3))
    if what_to_do_to_the_mark == "remove":
        await run(store, sa.delete(tables.audit_marks))
    else:
        await run(store, sa.update(tables.audit_marks).values(id=3, hash=third.hash))
    await fill(log, 2)
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (4, Damage.REPLACED)
    assert "could not be trusted" in broken.text
    assert caplog.text.count("the audit log was tampered with") == 1


async def test_what_an_old_key_signed_is_judged_while_the_key_is_known(store: Store, log: AuditLog) -> None:
    await fill(log, 3)
    await fill(log_on(store, OTHER_KEY, KEY), 3)
    result = await checked(store, OTHER_KEY, KEY)
    assert (result.broken, result.unjudged) == (None, 0)


async def test_without_the_old_key_its_records_are_held_by_their_hashes(store: Store, log: AuditLog) -> None:
    await fill(log, 3)
    await fill(log_on(store, OTHER_KEY, KEY), 3)
    result = await checked(store, OTHER_KEY)
    assert (result.broken, result.unjudged) == (None, 3)
    await run(store, sa.update(tables.audit).where(tables.audit.c.id == 2).values(actor="system"))
    broken = (await checked(store, OTHER_KEY)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (2, Damage.CHANGED)


async def test_a_log_written_anew_under_a_key_of_somebodys_own_is_not_sound(store: Store) -> None:
    await fill(log_on(store, OTHER_KEY), 5)
    broken = (await checked(store)).broken
    assert broken is not None
    assert broken.damage is Damage.UNSIGNED
    assert "which is not configured" in broken.text


async def test_a_beginning_cut_off_under_a_key_of_somebodys_own_is_not_sound(
    store: Store, log: AuditLog
) -> None:
    await fill(log, 5)
    await store.audit.prune(2**62, log_on(store, OTHER_KEY).keys, most=3)
    broken = (await checked(store)).broken
    assert broken is not None
    assert broken.damage is Damage.UNSIGNED


async def test_marks_signed_anew_need_the_old_key_no_more(store: Store, log: AuditLog) -> None:
    await fill(log, 5)
    await store.audit.prune(2**62, log.keys, most=2)
    both = log_on(store, OTHER_KEY, KEY)
    assert (await checked(store, OTHER_KEY)).broken is not None
    await store.audit.sign_marks_anew(both.keys)
    result = await checked(store, OTHER_KEY)
    assert (result.broken, result.unjudged) == (None, 3)


async def test_a_mark_that_nobody_signed_is_not_made_good(store: Store, log: AuditLog) -> None:
    await fill(log, 5)
    await run(store, sa.update(tables.audit_marks).values(id=4))
    await store.audit.sign_marks_anew(log_on(store, OTHER_KEY, KEY).keys)
    broken = (await checked(store, KEY)).broken
    assert broken is not None
    assert broken.damage is Damage.CHANGED


async def test_many_writers_make_one_chain(database_url: str) -> None:
    stores = [await Store.open(database_url) for _ in range(4)]
    logs = [log_on(each) for each in stores]
    try:
        await asyncio.gather(*(fill(each, 25) for each in logs for _ in range(4)))
        result = await checked(stores[0])
        assert (result.broken, result.records) == (None, 400)
    finally:
        for each in stores:
            await each.close()


async def test_a_burst_shares_transactions(store: Store, log: AuditLog) -> None:
    appended = []
    append = store.audit.append

    async def counted(entries: Any, keys: Any) -> bool:
        appended.append(len(entries))
        return await append(entries, keys)

    store.audit.append = counted  # type: ignore[method-assign]
    await asyncio.gather(*(log.record(Kind.USER_ADDED, company_id=ACME, actor="system") for _ in range(1000)))
    assert sum(appended) == 1000
    assert len(appended) <= 4
    assert log.written == 1000


async def test_pruning_keeps_the_rest_verifiable(store: Store) -> None:
    clock = Clock()
    log = log_on(store, clock=clock)
    await fill(log, 10)
    clock.now += 40 * 86_400
    await fill(log, 5)
    assert await log.prune(30) == 10
    result = await checked(store)
    assert (result.broken, result.records) == (None, 6)  # and the record of the pruning
    assert (await store.audit.last(Wanted(), 1))[0].entry.kind == Kind.AUDIT_PRUNED


async def test_pruning_finds_nothing_twice_and_leaves_the_newest(store: Store) -> None:
    clock = Clock()
    log = log_on(store, clock=clock)
    assert await log.prune(30) == 0
    await fill(log, 3)
    clock.now += 40 * 86_400
    assert await log.prune(30) == 2
    assert await log.prune(30) == 1  # what was the newest before the pruning was recorded
    assert await log.prune(30) == 0
    assert (await checked(store)).broken is None


async def test_dropping_more_than_was_pruned_is_noticed(store: Store) -> None:
    clock = Clock()
    log = log_on(store, clock=clock)
    await fill(log, 10)
    clock.now += 40 * 86_400
    await fill(log, 5)
    await log.prune(30)
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id == 11))
    broken = (await checked(store)).broken
    assert broken is not None
    assert (broken.id, broken.damage) == (11, Damage.MISSING)


async def test_a_mark_of_pruning_that_somebody_wrote_is_noticed(store: Store, log: AuditLog) -> None:
    await fill(log, 5)
    async with store.read() as connection:
        hash = await connection.scalar(sa.select(tables.audit.c.hash).where(tables.audit.c.id == 2))
    forged = {"name": "pruned", "id": 2, "hash": hash, "key_id": log.keys.current, "signature": "3" * 64}
    await run(store, sa.insert(tables.audit_marks).values(forged))
    await run(store, sa.delete(tables.audit).where(tables.audit.c.id <= 2))
    broken = (await checked(store)).broken
    assert broken is not None
    assert broken.text == "the mark of the log's beginning was not written by a server"


async def test_reading_keeps_to_what_was_asked_for(store: Store, log: AuditLog) -> None:
    await log.record(Kind.USER_ADDED, company_id=ACME, actor="cli:root", target="c" * 24)
    await log.record(Kind.USER_REMOVED, company_id=ACME, actor="system", target="c" * 24)
    await log.record(Kind.USER_ADDED, company_id=GLOBEX, actor="cli:root", target="d" * 24)
    await log.record(Kind.SERVER_STARTED, company_id="", actor="system")

    async def ids(**wanted: Any) -> list[int]:
        found = [record.id async for record in store.audit.each(Wanted(**wanted))]
        assert found == [record.id for record in await store.audit.last(Wanted(**wanted), 10)]
        return found

    assert await ids(company_id=ACME) == [1, 2]
    assert await ids(actor="cli:root") == [1, 3]
    assert await ids(target="c" * 24) == [1, 2]
    assert await ids(kind="user.added") == [1, 3]
    assert await ids(kind="user.") == [1, 2, 3]
    assert await ids(after=2) == [3, 4]
    second = (await store.audit.last(Wanted(), 10))[1].entry.at
    assert await ids(since=second) == [2, 3, 4]
    assert await ids(until=second) == [1]


async def test_a_kind_that_was_not_declared_is_our_mistake(log: AuditLog) -> None:
    with pytest.raises(LocalMisuse, match=r"nudge\.sent"):
        await log.record("nudge.sent", company_id=ACME, actor="system")


async def test_plugins_declare_kinds_and_take_them_back(store: Store, log: AuditLog) -> None:
    take_back = log.declare("nudge", ["nudge.sent"])
    await log.record("nudge.sent", company_id=ACME, actor="system")
    with pytest.raises(LocalMisuse, match="belongs to nudge"):
        log.declare("other", ["nudge.sent"])
    take_back()
    with pytest.raises(LocalMisuse):
        await log.record("nudge.sent", company_id=ACME, actor="system")


@pytest.mark.parametrize("kind", ["user.added", "sent", "Nudge.Sent", "nudge..sent", "n." + "x" * 80])
def test_plugins_cannot_declare_kinds_of_the_core_or_of_no_form(log: AuditLog, kind: str) -> None:
    with pytest.raises(LocalMisuse):
        log.declare("nudge", [kind])


@pytest.mark.parametrize(
    "given",
    [
        {"actor": "alice@acme.example"},
        {"actor": ""},
        {"target": "alice@acme.example"},
        {"who": "alice@acme.example"},
        {"where": "192.0.2.7"},
        {"where": "2001:db8::7"},
        {"long": "x" * 201},
        {"list": ["a"]},
        {f"fact{number}": number for number in range(17)},
    ],
    ids=str,
)
async def test_addresses_and_heaps_do_not_stand_in_a_record(
    store: Store, log: AuditLog, given: dict[str, Any]
) -> None:
    with pytest.raises(LocalMisuse):
        await log.record(Kind.USER_ADDED, **{"company_id": ACME, "actor": "system", **given})
    assert await store.audit.last(Wanted(), 1) == []


async def test_a_change_and_its_record_are_kept_together_or_not_at_all(store: Store, log: AuditLog) -> None:
    acme = await store.companies.add("Acme")
    gone = {"company_id": acme.id, "actor": "system", "target": acme.id}
    with pytest.raises(AlreadyExists):
        async with log.with_write(Kind.COMPANY_ADDED, **gone):
            await store.companies.add("ACME")
    assert await store.audit.last(Wanted(), 1) == []

    async with log.with_write(Kind.COMPANY_ADDED, **gone), log.with_write(Kind.USER_ADDED, **gone):
        await store.companies.add("Globex")
        await store.companies.add("Initech")  # a second transaction takes nothing along
    kinds = [record.entry.kind for record in await store.audit.last(Wanted(), 9)]
    assert kinds == [Kind.COMPANY_ADDED, Kind.USER_ADDED]
    assert log.written == 2


async def test_a_record_that_cannot_be_written_takes_its_change_back(store: Store, log: AuditLog) -> None:
    bad = AuditLog(store.audit, ChainKeys("unknown", {}))
    with pytest.raises(KeyError):
        async with bad.with_write(Kind.COMPANY_ADDED, company_id="", actor="system"):
            await store.companies.add("Acme")
    assert await store.companies.by_name("Acme") is None
    await store.companies.add("Acme")  # and nothing waits for the next transaction


async def test_where_nothing_was_written_the_record_is_written_all_the_same(
    store: Store, log: AuditLog
) -> None:
    async with log.with_write(Kind.USER_CHANGED, company_id=ACME, actor="system"):
        pass
    assert (await store.audit.last(Wanted(), 1))[0].entry.kind == Kind.USER_CHANGED


async def test_a_failed_write_reaches_who_asked_and_is_counted(
    store: Store, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(store.audit, "append", refuse)
    with pytest.raises(OSError, match="no space left"):
        await log.record(Kind.USER_ADDED, company_id=ACME, actor="system")
    assert (log.written, log.failed) == (0, 1)


def test_the_page_explains_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "admin" / "audit.md").read_text()
    assert [kind for kind in Kind if f"`{kind}`" not in page] == []


def test_facts_have_one_form() -> None:
    from rainbow_xmpp.store.audit_chain import canonical

    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'
    assert json.loads(canonical({"a": True})) == {"a": True}
