"""How messages get into SQLite's indexes of the archive: in small steps, and no reader ever notices."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugin import JID
from rainbow_xmpp.plugins.archive import tables, tail
from rainbow_xmpp.plugins.archive.asked import Wanted
from rainbow_xmpp.plugins.archive.entries import Entry, Mark, write_postgresql, write_sqlite
from rainbow_xmpp.plugins.archive.history import History
from rainbow_xmpp.plugins.archive.numbers import peer_of
from rainbow_xmpp.plugins.archive.owners import Owner
from rainbow_xmpp.plugins.archive.shelves import Shelves
from rainbow_xmpp.plugins.archive.tail import Tail
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.group_commit import GroupCommit

PEOPLE = [Owner(number, b"") for number in range(1, 8)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ROUND", 40), ("STEP", 17), ("LOAD", 30)):
        monkeypatch.setattr(tail, name, value)


@pytest.fixture
def kind() -> str:
    """PostgreSQL enters each batch at once."""
    return "sqlite"


def said(number: int) -> Entry:
    """The message with this number: the first of these people talks to each of the others in turn."""
    first, other = PEOPLE[0], PEOPLE[1 + number % (len(PEOPLE) - 1)]
    sender, recipient = (first, other) if number % 2 else (other, first)
    data = f"<message from='{sender.number}@x' to='{recipient.number}@x'><body>.</body></message>".encode()
    entry = Entry(number, data, data)
    entry.sender, entry.recipient = sender, recipient
    entry.peer, entry.writer = peer_of(f"{recipient.number}@x"), peer_of(f"{sender.number}@x")
    return entry


async def numbers(history: History, owner: Owner, with_: Owner | None = None) -> list[int]:
    wanted = Wanted() if with_ is None else Wanted(with_=JID.parse(f"{with_.number}@x"))
    found = await history.page(owner.number, "x", wanted, 10_000)
    assert await history.number(owner.number, "x", wanted) in (None, *range(len(found.messages), 10_000))
    return [message.number for message in found.messages]


async def keys_in(store: Store, table: sa.Table) -> list[int]:
    async with store.read() as connection:
        return list((await connection.execute(sa.select(table.c.key).order_by(table.c.key))).scalars())


async def assert_all_is_entered(store: Store) -> None:
    kept = await keys_in(store, tables.messages)
    assert await keys_in(store, tables.by_owner) == kept == await keys_in(store, tables.by_peer)
    assert await keys_in(store, tables.indexed) == kept[-1:]


def writer(store: Store, upkeep: Tail) -> GroupCommit[Entry | Mark]:
    return store.group_commit(write_sqlite, write_postgresql, upkeep=upkeep)


async def test_readers_see_each_message_once_while_rounds_run(store: Store) -> None:
    commits, history = writer(store, Tail()), History(store)
    settled, looks, boundaries = 0, 0, set[int]()

    async def write() -> None:
        nonlocal settled
        for number in range(1, 2001):
            batch = commits.add(said(number), 100)
            while number % 5 == 0 and not batch.is_settled:
                await asyncio.sleep(0.001)
            settled = commits.committed
            if len(boundaries) > 3 and looks > 20 and number % 5 == 0:
                break

    writing = asyncio.create_task(write())
    while not writing.done():
        at_least = settled
        seen = await numbers(history, PEOPLE[0])
        assert seen == list(range(1, len(seen) + 1)), "none is missing, none is there twice"
        assert len(seen) >= at_least
        of_one = await numbers(history, PEOPLE[0], PEOPLE[1])
        assert of_one == list(range(6, 6 * len(of_one) + 1, 6))
        assert len(of_one) >= at_least // 6
        boundaries.update(await keys_in(store, tables.indexed))
        looks += 1
    await writing
    assert looks > 20
    assert len(boundaries) > 3, "several rounds came to an end meanwhile"
    await commits.close()
    assert await numbers(history, PEOPLE[0]) == list(range(1, commits.committed + 1))
    await assert_all_is_entered(store)


@pytest.fixture
def file(store: Store, database_url: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(Path(database_url.partition(":///")[2]), isolation_level=None)
    yield connection
    connection.close()


def step(connection: sqlite3.Connection, upkeep: Tail) -> None:
    connection.execute("BEGIN IMMEDIATE")
    upkeep.step(connection)
    connection.execute("COMMIT")


def write(connection: sqlite3.Connection, upkeep: Tail, first: int, last: int) -> None:
    entries: list[Entry | Mark] = [said(number) for number in range(first, last)]
    connection.execute("BEGIN IMMEDIATE")
    write_sqlite(connection, entries)
    connection.execute("COMMIT")
    upkeep.committed(entries)


async def test_a_crash_after_any_step_costs_nothing(store: Store, file: sqlite3.Connection) -> None:
    """Whatever a process had in mind is forgotten: a new one finds what is left, more than it reads at once."""
    history = History(store)
    last = 1
    for steps in range(16):
        upkeep = Tail()
        write(file, upkeep, last, last + 23)
        last += 23
        for _ in range(steps):
            if upkeep.is_due(is_quiet=True):
                step(file, upkeep)
        assert await numbers(history, PEOPLE[0]) == list(range(1, last))
    upkeep = Tail()
    while upkeep.is_due(is_quiet=True):
        step(file, upkeep)
        assert await numbers(history, PEOPLE[0]) == list(range(1, last))
    await assert_all_is_entered(store)


async def test_a_step_that_failed_is_done_again(store: Store, file: sqlite3.Connection) -> None:
    upkeep = Tail()
    step(file, upkeep)
    write(file, upkeep, 1, 41)
    for steps in range(4):
        for _ in range(steps):
            step(file, upkeep)
        file.execute("BEGIN IMMEDIATE")
        upkeep.step(file)
        file.execute("ROLLBACK")
        upkeep.lost()
    while upkeep.is_due(is_quiet=True):
        step(file, upkeep)
    await assert_all_is_entered(store)


async def test_another_writer_of_the_file_is_noticed(store: Store, file: sqlite3.Connection) -> None:
    ours, theirs = Tail(), Tail()
    step(file, ours)
    write(file, ours, 1, 10)
    write(file, theirs, 10, 20)
    while ours.is_due(is_quiet=True):
        step(file, ours)
    assert await numbers(History(store), PEOPLE[0]) == list(range(1, 20))


@pytest.mark.parametrize("steps", range(7))
async def test_what_is_deleted_meanwhile_is_not_entered(
    store: Store, file: sqlite3.Connection, steps: int
) -> None:
    upkeep = Tail()
    step(file, upkeep)
    write(file, upkeep, 1, 25)
    for _ in range(steps):
        step(file, upkeep)
    shelf = Shelves(store, upkeep)
    while rows := await shelf.some_of(PEOPLE[3].number):
        await shelf.take_out(rows)
    write(file, upkeep, 25, 27)
    while upkeep.is_due(is_quiet=True):
        step(file, upkeep)
    assert len(await keys_in(store, tables.messages)) == 52 - 4
    await assert_all_is_entered(store)
