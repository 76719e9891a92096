"""The tables of the archive, on both databases: pages, clearing, and owners who are gone."""

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugin import JID
from rainbow_xmpp.plugins.archive import shelves, tables
from rainbow_xmpp.plugins.archive.asked import Wanted
from rainbow_xmpp.plugins.archive.entries import Entry, write_postgresql, write_sqlite
from rainbow_xmpp.plugins.archive.history import History
from rainbow_xmpp.plugins.archive.numbers import first_at, origin_of, peer_of
from rainbow_xmpp.plugins.archive.owners import Owner, Owners
from rainbow_xmpp.plugins.archive.ranges import containing
from rainbow_xmpp.plugins.archive.shelves import Shelves
from rainbow_xmpp.plugins.archive.tail import Tail
from rainbow_xmpp.plugins.archive.texts import Texts
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import metadata
from rainbow_xmpp.store.values import Account, NewAccount

ALL_TABLES = (
    tables.messages, tables.by_owner, tables.by_peer, tables.waiting, tables.retractions, tables.gone,
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "AT_ONCE", 2)
    monkeypatch.setattr(shelves, "ORIGINS_AT_ONCE", 2)


async def counts(store: Store) -> dict[str, int]:
    async with store.read() as connection:
        return {
            table.name.removeprefix("archive_"): (
                await connection.execute(sa.select(sa.func.count()).select_from(table))
            ).scalar_one()
            for table in ALL_TABLES
        }


async def owners_of(store: Store, *names: str) -> list[tuple[Account, Owner]]:
    owners = Owners(store, "rainbow.test")
    made = []
    for name in names:
        account = await store.accounts.add(
            NewAccount(company="Rainbow", email=f"{name}@b.example", localpart=name)
        )
        owner = await owners.find(account)
        assert owner is not None
        made.append((account, owner))
    return made


async def write(store: Store, said: list[tuple[int, Owner, Owner, str]], *, indexed: int) -> None:
    """Messages by their numbers; SQLite's index is written after so many."""
    for upkeep, some in ((Tail(), said[:indexed]), (None, said[indexed:])):
        commits = store.group_commit(write_sqlite, write_postgresql, upkeep=upkeep)
        for number, sender, recipient, body in some:
            data = (
                f"<message xmlns='jabber:client' from='{sender.number}@x/1' to='{recipient.number}@x'>"
                f"<body>{body} word 天空</body></message>"
            ).encode()
            entry = Entry(number, data, data)
            entry.account, entry.origin = sender.number, origin_of(sender.number, 1, body)
            entry.sender, entry.recipient = sender, recipient
            entry.peer, entry.writer = peer_of(f"{recipient.number}@x"), peer_of(f"{sender.number}@x")
            commits.add(entry, len(data))
        await commits.close()


@pytest.mark.parametrize("indexed", [0, 3, 6])
async def test_logs_are_read_and_cleared(store: Store, indexed: int) -> None:
    (a, ann), (_, bob) = await owners_of(store, "ann", "bob")
    base = first_at(1_800_000_000)
    said = [(base + n, *((ann, bob) if n % 2 else (bob, ann)), str(n)) for n in range(7)]
    await write(store, said, indexed=indexed)
    history, shelf = History(store), Shelves(store)

    async def bodies(owner: Owner, wanted: Wanted, size: int, *, is_backward: bool = False) -> str:
        found = await history.page(owner.number, "x", wanted, size, is_backward=is_backward)
        return "".join(message.stanza.partition(b"<body>")[2][:1].decode() for message in found.messages)

    assert await bodies(ann, Wanted(), 10) == "0123456"
    assert await bodies(bob, Wanted(), 3, is_backward=True) == "456"
    middle = Wanted(least=(base + 2) * 2, greatest=(base + 4) * 2 + 1)
    assert await bodies(ann, middle, 2) == "23"
    assert await bodies(ann, middle, 2, is_backward=True) == "34"
    with_bob = Wanted(with_=JID.parse(f"{bob.number}@x"))
    assert await bodies(ann, with_bob, 10) == "0123456"
    assert await history.number(ann.number, "x", with_bob) == 7
    assert await history.number(bob.number, "x", middle) == 3
    assert await history.has_all(ann.number, [base, base + 6], least=0)
    assert not await history.has_all(ann.number, [base, base + 7], least=0)
    assert not await history.has_all(ann.number, [base], least=(base + 1) * 2)

    mentions = store.prepare(containing(store.dialect, 4))
    for words, found in ((b">3 word", [3]), (b">1 word", []), (b"word", [5, 4, 3, 2]), (b"nothing", [])):
        parameters = {"owner": ann.number, "peer": peer_of(f"{bob.number}@x"), "words": words}
        rows = await store.fetch(mentions, parameters | {"least": 0, "greatest": (base + 5) * 2 + 1})
        assert [(row[0] >> 1) - base for row in rows] == found
    texts = Texts(store)
    while await texts.enter_some(base + 5):
        pass
    assert await texts.known() == base + 4
    for words, peer, found in (
        ("word", None, "01234"),
        ("WORD 3", None, "3"),
        ("wor", None, ""),
        ("天空 4", None, "4"),
        ("天", None, "01234"),
        ("空天", None, ""),
        ("word", peer_of(f"{bob.number}@x"), "01234"),
        ("word", 5, ""),
    ):
        for is_backward in (False, True):
            rows = await texts.find(ann.number, peer, Wanted(words=words), 3, is_backward=is_backward)
            expected = found[::-1][:3] if is_backward else found[:3]
            assert [row.number - base for row in rows] == [int(one) for one in expected]
    assert await bodies(ann, Wanted(words="word"), 10) == "0123456"
    assert await bodies(ann, Wanted(words="word"), 3, is_backward=True) == "456"

    await store.accounts.remove(a.company.id, a.id)
    assert await shelf.gone() == [ann.number]
    while rows := await shelf.some_of(ann.number):
        await shelf.take_out(rows)
    await shelf.forget_gone([ann.number])
    assert await bodies(ann, Wanted(), 10) == ""
    assert await bodies(bob, Wanted(), 10) == "0123456"
    left = await counts(store)
    assert (left["messages"], left["gone"], left["waiting"]) == (7, 0, 0)

    after: int | None = -1
    while after is not None:
        after = await shelf.forget_origins(after, base + 5)
    async with store.read() as connection:
        numbers = (await connection.execute(sa.select(tables.origins.c.number))).scalars()
        assert list(numbers) == [base + 6]  # what is old is gone, and what is nobody's


async def test_nothing_of_a_removed_owner_is_left_in_any_table(store: Store) -> None:
    """Whatever says that its rows are an owner's by number is emptied by the jobs, and only of that owner."""
    (a, ann), (_, bob) = await owners_of(store, "ann", "bob")
    theirs = [table for table in metadata.sorted_tables if table.info.get("people_by")]
    assert {table.name for table in theirs} == {
        *(table.name for table in ALL_TABLES),
        "archive_origins",
    }
    async with store.write() as connection:
        for place, owner in enumerate((ann.number, bob.number), 1):
            for table in theirs:
                if table is not tables.gone:
                    row = {column.name: b"<a/>" if column.name == "stanza" else place for column in table.c}
                    await connection.execute(sa.insert(table), row | {"owner": owner})
    await store.accounts.remove(a.company.id, a.id)
    shelf = Shelves(store)
    while rows := await shelf.some_of(ann.number):
        await shelf.take_out(rows)
    await shelf.forget_gone(await shelf.gone())
    after: int | None = -1
    while after is not None:
        after = await shelf.forget_origins(after, 0)
    async with store.read() as connection:
        for table in theirs:
            owners = (await connection.execute(sa.select(table.c.owner))).scalars()
            assert (table.name, list(owners)) == (table.name, [] if table is tables.gone else [bob.number])
