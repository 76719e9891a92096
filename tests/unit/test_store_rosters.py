"""Rosters: items, versions, what clients are told."""

import asyncio
from dataclasses import replace

import pytest

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.rosters import MAX_REMOVALS
from rainbow_xmpp.store.values import (
    Account,
    NewAccount,
    Roster,
    RosterChange,
    RosterItem,
    RosterRemoval,
    RosterUpdate,
    Subscription,
)

BOB = RosterItem(contact="bob@x", name="Bob")
HIDDEN = RosterItem(contact="eve@x", pending_in=True, request=b"<presence/>", listed=False)


@pytest.fixture
async def alice(store: Store) -> Account:
    return await store.accounts.add(NewAccount(company="Rainbow", email="alice@x.example"))


async def put(store: Store, owner: Account, item: RosterItem) -> RosterChange:
    return await store.rosters.apply(owner.company.id, owner.id, item.contact, lambda _: item)


async def remove(store: Store, owner: Account, contact: str) -> RosterChange:
    return await store.rosters.apply(owner.company.id, owner.id, contact, lambda _: None)


async def load(store: Store, owner: Account) -> Roster:
    return await store.rosters.load(owner.company.id, owner.id)


async def test_a_new_account_has_an_empty_roster(store: Store, alice: Account) -> None:
    assert await load(store, alice) == Roster(0, ())
    assert await store.rosters.since(alice.company.id, alice.id, 0) == []
    assert await store.rosters.load(alice.company.id, "0" * 24) == Roster(0, ())


async def test_an_item_is_kept_whole(store: Store, alice: Account) -> None:
    item = RosterItem(
        contact="bob@x",
        name="Bób \U0001f308",
        subscription=Subscription.FROM,
        ask=True,
        groups=("Früh", 'a "b", [c]'),
        approved=True,
        pending_in=True,
        request=b"\x00<presence/>\xff",
        listed=False,
    )
    change = await put(store, alice, item)
    assert change == RosterChange(None, item, 1)
    assert await load(store, alice) == Roster(1, (item,))
    assert await store.rosters.count(alice.company.id, alice.id) == 1


async def test_the_decision_sees_the_item_as_it_is(store: Store, alice: Account) -> None:
    await put(store, alice, BOB)
    seen: list[RosterItem | None] = []

    def decide(item: RosterItem | None) -> RosterItem | None:
        seen.append(item)
        return item

    change = await store.rosters.apply(alice.company.id, alice.id, "bob@x", decide)
    other = await store.rosters.apply(alice.company.id, alice.id, "carol@x", decide)
    assert seen == [BOB, None]
    assert (change.version, change.seen_by_clients, other.seen_by_clients) == (1, False, False)


async def test_a_decision_that_raises_changes_nothing(store: Store, alice: Account) -> None:
    await put(store, alice, BOB)

    def decide(_: RosterItem | None) -> RosterItem | None:
        raise ValueError

    with pytest.raises(ValueError):
        await store.rosters.apply(alice.company.id, alice.id, "bob@x", decide)
    assert await load(store, alice) == Roster(1, (BOB,))


async def test_a_request_alone_is_kept_but_not_shown(store: Store, alice: Account) -> None:
    change = await put(store, alice, HIDDEN)
    assert (change.version, change.seen_by_clients) == (0, False)
    roster = await load(store, alice)
    assert (roster.items, roster.visible, roster.version) == ((HIDDEN,), (), 0)
    assert await store.rosters.since(alice.company.id, alice.id, 0) == []
    assert not (await remove(store, alice, "eve@x")).seen_by_clients
    assert await load(store, alice) == Roster(0, ())


async def test_what_clients_cannot_see_does_not_raise_the_version(store: Store, alice: Account) -> None:
    await put(store, alice, BOB)
    change = await put(store, alice, replace(BOB, pending_in=True, request=b"<presence/>"))
    assert (change.version, change.seen_by_clients) == (1, False)
    reordered = replace(BOB, groups=("a", "b"))
    assert (await put(store, alice, reordered)).version == 2
    assert (await put(store, alice, replace(BOB, groups=("b", "a")))).version == 2
    assert (await load(store, alice)).items[0].groups == ("b", "a")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Robert"},
        {"subscription": Subscription.TO},
        {"ask": True},
        {"groups": ("g",)},
        {"approved": True},
    ],
    ids=str,
)
async def test_what_clients_see_raises_the_version(
    store: Store, alice: Account, change: dict[str, object]
) -> None:
    await put(store, alice, BOB)
    applied = await put(store, alice, replace(BOB, **change))  # type: ignore[arg-type]
    assert (applied.version, applied.seen_by_clients) == (2, True)


async def test_a_client_is_told_what_changed_since_its_version(store: Store, alice: Account) -> None:
    carol = RosterItem(contact="carol@x")
    await put(store, alice, BOB)  # 1
    await put(store, alice, carol)  # 2
    await put(store, alice, replace(BOB, name="Robert"))  # 3
    await remove(store, alice, "carol@x")  # 4
    await put(store, alice, RosterItem(contact="dave@x"))  # 5

    async def since(version: int) -> list[RosterUpdate | RosterRemoval] | None:
        return await store.rosters.since(alice.company.id, alice.id, version)

    robert = RosterUpdate(replace(BOB, name="Robert"), 3)
    dave = RosterUpdate(RosterItem(contact="dave@x"), 5)
    assert await since(5) == []
    assert await since(4) == [dave]
    assert await since(2) == [robert, RosterRemoval("carol@x", 4), dave]
    assert await since(0) == [robert, RosterRemoval("carol@x", 4), dave]
    assert await since(6) is None
    assert await since(-1) is None


async def test_a_contact_that_comes_back_is_no_removal_any_more(store: Store, alice: Account) -> None:
    await put(store, alice, BOB)
    await remove(store, alice, "bob@x")
    await put(store, alice, BOB)
    found = await store.rosters.since(alice.company.id, alice.id, 1)
    assert found == [RosterUpdate(BOB, 3)]


async def test_an_item_that_becomes_hidden_is_a_removal_to_clients(store: Store, alice: Account) -> None:
    await put(store, alice, BOB)
    change = await put(store, alice, RosterItem(contact="bob@x", pending_in=True, listed=False))
    assert (change.version, change.seen_by_clients) == (2, True)
    assert await store.rosters.since(alice.company.id, alice.id, 1) == [RosterRemoval("bob@x", 2)]


async def test_only_so_many_removals_are_remembered(store: Store, alice: Account) -> None:
    for n in range(MAX_REMOVALS + 2):
        await put(store, alice, RosterItem(contact=f"c{n}@x"))
        await remove(store, alice, f"c{n}@x")
    company, owner = alice.company.id, alice.id
    latest = (await load(store, alice)).version
    assert await store.rosters.since(company, owner, 0) is None
    assert await store.rosters.since(company, owner, 3) is None
    told = await store.rosters.since(company, owner, 4)
    assert told is not None
    assert len(told) == MAX_REMOVALS
    assert await store.rosters.since(company, owner, latest) == []


async def test_a_roster_belongs_to_its_company(store: Store, alice: Account) -> None:
    other = await store.companies.add("Other")
    await put(store, alice, BOB)
    mine, theirs = await asyncio.gather(
        store.rosters.load(alice.company.id, alice.id), store.rosters.load(other.id, alice.id)
    )
    assert (mine.items, theirs) == ((BOB,), Roster(0, ()))
    assert await store.rosters.since(other.id, alice.id, 0) == []
    assert await store.rosters.count(other.id, alice.id) == 0
    with pytest.raises(NotFound):
        await store.rosters.apply(other.id, alice.id, "bob@x", lambda _: None)


async def test_rosters_loaded_together_are_each_their_own(store: Store) -> None:
    owners = [
        await store.accounts.add(NewAccount(company="Rainbow", email=f"p{n}@x.example")) for n in range(20)
    ]
    for n, owner in enumerate(owners):
        for m in range(n % 4):
            await put(store, owner, RosterItem(contact=f"c{m}@x", name=f"{n}-{m}"))
    rosters = await asyncio.gather(*(load(store, owner) for owner in owners))
    assert [sorted(item.name for item in roster.items) for roster in rosters] == [
        [f"{n}-{m}" for m in range(n % 4)] for n in range(20)
    ]
    assert [roster.version for roster in rosters] == [n % 4 for n in range(20)]


async def test_writers_of_one_roster_do_not_lose_each_others_changes(store: Store, alice: Account) -> None:
    def add_group(name: str) -> object:
        def decide(item: RosterItem | None) -> RosterItem:
            item = item or BOB
            return replace(item, groups=(*item.groups, name))

        return store.rosters.apply(alice.company.id, alice.id, "bob@x", decide)

    await asyncio.gather(*(add_group(str(n)) for n in range(12)))  # type: ignore[arg-type]
    roster = await load(store, alice)
    assert sorted(roster.items[0].groups, key=int) == [str(n) for n in range(12)]
    assert roster.version == 12


async def test_leftovers_of_people_who_are_gone_are_found(store: Store, alice: Account) -> None:
    bob = await store.accounts.add(NewAccount(company="Rainbow", email="bob@x.example", localpart="bob"))
    for item in (
        RosterItem(contact="bob@x", subscription=Subscription.BOTH),
        RosterItem(contact="gone@x", subscription=Subscription.FROM),
        RosterItem(contact="asked@x", pending_in=True, request=b"<presence/>", listed=False),
        RosterItem(contact="note@x", name="Only a note"),
        RosterItem(contact="gone@elsewhere", subscription=Subscription.TO),
    ):
        await put(store, alice, item)
    left = {each.contact: each for each in await store.rosters.of_nobody("x")}
    assert set(left) == {"gone@x", "asked@x"}
    assert left["gone@x"][:3] == (alice.company.id, alice.id, alice.localpart)
    await store.accounts.remove(bob.company.id, bob.id)
    assert "bob@x" in {each.contact for each in await store.rosters.of_nobody("x")}
