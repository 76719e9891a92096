"""Group commit: what is promised of batches, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.group_commit import MOST_ENTRIES, MOST_WAITING, Batch, GroupCommit, Overloaded

TABLE = "CREATE TABLE said (n INTEGER PRIMARY KEY)"
SIZE = 100


def on_sqlite(connection: Any, numbers: list[int]) -> None:
    connection.executemany("INSERT INTO said (n) VALUES (?)", [(n,) for n in numbers])


async def on_postgresql(connection: Any, numbers: list[int]) -> None:
    await connection.executemany("INSERT INTO said (n) VALUES ($1)", [(n,) for n in numbers])


@pytest.fixture
async def commits(store: Store) -> AsyncIterator[GroupCommit[int]]:
    async with store.write() as connection:
        await connection.execute(sa.text("DROP TABLE IF EXISTS said"))
        await connection.execute(sa.text(TABLE))
    writer = store.group_commit(on_sqlite, on_postgresql)
    yield writer
    await writer.close()


async def said(store: Store) -> list[int]:
    async with store.read() as connection:
        return list((await connection.execute(sa.text("SELECT n FROM said ORDER BY n"))).scalars())


async def test_calls_come_in_order_when_all_is_on_the_disk(store: Store, commits: GroupCommit[int]) -> None:
    order: list[int] = []
    for n in range(1000):
        commits.add(n, SIZE).after(order.append, n)
    assert order == []
    await commits.settled()
    assert order == list(range(1000)) == await said(store)
    assert (commits.waiting, commits.committed, commits.failed) == (0, 1000, 0)
    assert commits.batches >= 1000 / MOST_ENTRIES


async def test_what_is_left_behind_a_batch_comes_behind_its_entries(commits: GroupCommit[int]) -> None:
    order: list[str] = []
    batch = commits.add(1, SIZE)
    batch.after(order.append, "its own")
    batch.after(lambda: batch.after(order.append, "left while it was settled"))
    batch.after(order.append, "behind it")
    await commits.settled()
    assert order == ["its own", "behind it", "left while it was settled"]
    batch.after(order.append, "too late to wait")
    assert order[-1] == "too late to wait"


async def test_a_call_that_fails_costs_the_others_nothing(
    commits: GroupCommit[int], caplog: pytest.LogCaptureFixture
) -> None:
    order: list[int] = []
    batch = commits.add(1, SIZE)
    batch.after(lambda: 1 // 0)
    batch.after(order.append, 1)
    await commits.settled()
    assert order == [1]
    assert "ZeroDivisionError" in caplog.text


async def test_a_batch_with_a_fault_fails_alone(store: Store, commits: GroupCommit[int]) -> None:
    commits.add(1, SIZE)
    await commits.settled()
    bad = commits.add(1, SIZE)  # a second row with this key
    also = commits.add(2, SIZE)
    await commits.settled()
    assert bad.error is not None
    assert also is bad, "they were written together, so neither was kept"
    good = commits.add(3, SIZE)
    await commits.settled()
    assert good.error is None
    assert await said(store) == [1, 3]
    assert (commits.committed, commits.failed) == (2, 2)


class Away:
    """A backend whose database is away until it is told otherwise."""

    def __init__(self) -> None:
        self.is_away = True
        self.written: list[int] = []
        self.tries = 0

    async def write(self, entries: list[int]) -> None:
        self.tries += 1
        if self.is_away:
            raise OSError("no space left on device")
        self.written += entries

    async def look_after(self, *, is_quiet: bool) -> bool:
        assert self.written, "nothing to look after"
        return False

    async def probe(self) -> None:
        await self.write([])

    async def close(self) -> None:
        self.written.append(-1)


async def test_a_database_that_comes_back_gets_everything_in_order() -> None:
    backend = Away()
    commits: GroupCommit[int] = GroupCommit(backend)
    first = commits.add(1, SIZE)
    await asyncio.sleep(0.05)
    assert commits.is_away
    assert not first.is_settled
    commits.add(2, SIZE)
    backend.is_away = False
    await commits.settled()
    assert not commits.is_away
    assert first.error is None
    assert backend.written == [1, 2]
    assert backend.tries == 3
    await commits.close()
    assert backend.written == [1, 2, -1]


async def test_whoever_waited_long_enough_is_told() -> None:
    backend = Away()
    commits: GroupCommit[int] = GroupCommit(backend, patience_s=0.0)
    told: list[Batch[int]] = []
    batch = commits.add(1, SIZE)
    batch.after(lambda: told.append(batch))
    while not told:
        await asyncio.sleep(0.01)
    assert isinstance(batch.error, OSError)
    assert (commits.failed, commits.waiting) == (1, 0)


async def test_when_nobody_writes_any_more_it_asks_by_itself_whether_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rainbow_xmpp.store.group_commit.QUIET_S", 0.01)
    backend = Away()
    commits: GroupCommit[int] = GroupCommit(backend, patience_s=0.0)
    commits.add(1, SIZE)
    while backend.tries < 3:
        await asyncio.sleep(0.01)
    assert commits.is_away
    backend.is_away = False
    async with asyncio.timeout(5):
        while commits.is_away:
            await asyncio.sleep(0.01)
    assert (commits.failed, commits.waiting, backend.written) == (1, 0, [])
    backend.written.append(0)
    await commits.close()


async def test_asking_writes_to_the_disk_and_changes_nothing(store: Store, commits: GroupCommit[int]) -> None:
    commits.add(1, SIZE)
    await commits.settled()
    before = await written_to(store)
    await commits._backend.probe()
    assert await written_to(store) > before
    assert await said(store) == [1]


async def written_to(store: Store) -> int:
    """Where the log of what is written ends."""
    if store.dialect == "sqlite":
        return Path(f"{store._database.url.database}-wal").stat().st_size
    async with store.read() as connection:
        where = sa.text("SELECT pg_current_wal_insert_lsn() - '0/0'")
        return int((await connection.execute(where)).scalar_one())


async def test_no_more_waits_than_may_wait() -> None:
    backend = Away()
    commits: GroupCommit[int] = GroupCommit(backend)
    for n in range(MOST_WAITING):
        commits.add(n, SIZE)
    with pytest.raises(Overloaded) as refused:
        commits.add(-2, SIZE)
    assert refused.value.condition is Condition.RESOURCE_CONSTRAINT
    commits.add(MOST_WAITING, SIZE, anyway=True)  # what follows from one that was taken
    backend.is_away = False
    await commits.settled()
    assert backend.written == list(range(MOST_WAITING + 1))
    commits.add(0, SIZE)
    await commits.close()


async def test_bytes_that_wait_are_bounded_too() -> None:
    commits: GroupCommit[int] = GroupCommit(Away(), patience_s=0.0)
    commits.add(1, 2**26)
    with pytest.raises(Overloaded):
        commits.add(2, 1)
    await commits.settled()


async def test_a_lonely_entry_does_not_wait_for_company() -> None:
    backend = Away()
    backend.is_away = False
    commits: GroupCommit[int] = GroupCommit(backend)
    for n in range(3):
        batch = commits.add(n, SIZE)
        turns = 0
        while not batch.is_settled:
            await asyncio.sleep(0)
            turns += 1
        assert turns < 10
        await commits.settled()
    await commits.close()


async def test_other_writers_get_their_turn_while_it_is_busy(store: Store, commits: GroupCommit[int]) -> None:
    for n in range(2000):
        commits.add(n, SIZE)
    await asyncio.sleep(0)
    async with store.write() as connection:
        await connection.execute(sa.text("SELECT 1"))
        assert commits.waiting > 0, "it had its turn between two batches"
    await commits.settled()
