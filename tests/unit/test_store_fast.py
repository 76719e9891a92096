"""FAST's tokens in both databases."""

import asyncio
from dataclasses import replace

import pytest

from rainbow_xmpp.plugins.fast.store import USED_AGAIN_S, FastTokens, Slot, Token
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Account, ChangeKind, NewAccount
from rainbow_xmpp.stream import UserAgent

PHONE = UserAgent("d4565fa7-4d72-4749-b3d3-740edbf87770", "Testing", "a phone")
NOW = 1_800_000_000


@pytest.fixture
async def alice(store: Store) -> Account:
    await store.companies.add("Acme")
    return await store.accounts.add(NewAccount(company="Acme", email="alice@acme.example", localpart="alice"))


async def put(store: Store, account: Account, sealed: bytes, agent: UserAgent = PHONE, most: int = 5) -> None:
    await FastTokens(store).put(account, agent, sealed, expires_at=NOW + 900_000, proven_at=NOW, most=most)


async def found(store: Store, account: Account, agent: UserAgent = PHONE) -> dict[Slot, Token]:
    return dict(await FastTokens(store).of_agent(account.company.id, account.id, agent.id))


async def test_a_token_is_kept_used_and_moves_to_its_place(store: Store, alice: Account) -> None:
    kept = FastTokens(store)
    await put(store, alice, b"one")
    new = (await found(store, alice))[Slot.NEW]
    assert (new.sealed, new.epoch, new.used_at, new.count) == (b"one", alice.epoch, 0, 0)
    assert await kept.use(alice, new, None, NOW, is_last=False)
    current = (await found(store, alice))[Slot.CURRENT]
    assert (current.sealed, current.used_at, current.issued_at) == (b"one", NOW, new.issued_at)
    await put(store, alice, b"two")
    await put(store, alice, b"three")
    both = await found(store, alice)
    assert {slot: token.sealed for slot, token in both.items()} == {Slot.CURRENT: b"one", Slot.NEW: b"three"}
    assert await kept.use(alice, both[Slot.CURRENT], 7, NOW + USED_AGAIN_S, is_last=False)
    assert (await found(store, alice))[Slot.CURRENT].count == 7
    assert await kept.use(alice, both[Slot.NEW], 1, NOW, is_last=False)
    assert {slot: token.sealed for slot, token in (await found(store, alice)).items()} == {
        Slot.CURRENT: b"three"
    }
    assert not await kept.use(alice, both[Slot.CURRENT], 8, NOW, is_last=False)


async def test_of_those_who_come_at_once_each_count_lets_one_in(store: Store, alice: Account) -> None:
    kept = FastTokens(store)
    await put(store, alice, b"one")
    token = (await found(store, alice))[Slot.NEW]
    results = await asyncio.gather(*(kept.use(alice, token, 3, NOW, is_last=False) for _ in range(6)))
    assert sorted(results) == [False] * 5 + [True]
    await put(store, alice, b"two")
    token = (await found(store, alice))[Slot.NEW]
    results = await asyncio.gather(*(kept.use(alice, token, None, NOW, is_last=False) for _ in range(6)))
    assert results == [True] * 6
    assert [*(await found(store, alice))] == [Slot.CURRENT]


async def test_the_last_use_takes_all_of_the_client_along(store: Store, alice: Account) -> None:
    await put(store, alice, b"one")
    token = (await found(store, alice))[Slot.NEW]
    assert await FastTokens(store).use(alice, token, None, NOW, is_last=True)
    assert await found(store, alice) == {}
    assert not await FastTokens(store).forget(alice, PHONE.id)


async def test_clients_are_listed_bounded_and_forgotten(store: Store, alice: Account) -> None:
    kept = FastTokens(store)
    for number in range(4):
        agent = replace(PHONE, id=f"{number}{PHONE.id[1:]}")
        await put(store, alice, b"one", agent, most=3)
        (token,) = (await found(store, alice, agent)).values()
        assert await kept.use(alice, token, None, NOW + 10_000_000_000 + number, is_last=False)
    listed = await kept.clients(alice, NOW)
    assert [client.agent[0] for client in listed] == ["1", "2", "3"]
    assert (listed[0].software, listed[0].device) == ("Testing", "a phone")
    assert await kept.clients(replace(alice, epoch=alice.epoch + 1), NOW) == []
    assert await kept.forget_dead(NOW) == 0
    await store.accounts.bump_epoch(alice.company.id, alice.id)
    assert await kept.forget_dead(NOW) == 3


async def test_nothing_is_kept_for_who_is_gone(store: Store, alice: Account) -> None:
    with pytest.raises(NotFound):
        await put(store, replace(alice, id="0" * 24), b"one")


async def test_servers_hear_of_a_login_that_ends_and_of_no_other(store: Store, alice: Account) -> None:
    tokens = store.refresh_tokens
    first, other = await tokens.begin(alice, 900), await tokens.begin(alice, 900)
    seen = await store.changes.latest_id()
    await tokens.rotate(first.text, 900)
    await tokens.rotate("unknown", 900)
    assert await store.changes.after(seen) == []
    await tokens.rotate(first.text, 900)  # a second time
    assert (await tokens.is_alive(first.family), await tokens.is_alive(other.family)) == (False, True)
    (change,) = await store.changes.after(seen)
    assert (change.kind, change.account_id) == (ChangeKind.LOGIN_ENDED, alice.id)
    await tokens.end_family(first.family)
    assert len(await store.changes.after(seen)) == 1
