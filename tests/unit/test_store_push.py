"""What devices are to be told, on both databases: one server tells it, once, and nothing gets lost in between."""

import asyncio
from dataclasses import replace

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.push.queue import Queue, Told
from rainbow_xmpp.plugins.push.store import NewSubscription, Subscriptions
from rainbow_xmpp.plugins.push.values import CALL_S, Key, Origin, Shows
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import NewAccount

MESSAGE, CALL = Told(1, False, 3, b"sealed"), Told(0, True, 3)
WAITS = {"pause_s": 30, "keep_s": 3600}
NOW = 1_700_000_000


def new(node: str, account: Account, browser: str = "") -> NewSubscription:
    target_hash = (browser or node).encode().ljust(32)
    return NewSubscription(
        node, b"secret", b"target", target_hash, Shows.COUNT, Origin(account.epoch, "family")
    )


async def people(store: Store) -> tuple[Account, Account]:
    await store.companies.add("Acme")
    ann, bob = [
        await store.accounts.add(NewAccount(company="Acme", email=f"{name}@x.example"))
        for name in ("ann", "bob")
    ]
    return ann, bob


async def enabled(store: Store, account: Account, node: str, agent: str = "") -> Key:
    kept = Subscriptions(store)
    await kept.add(account, new(node, account), most=10)
    assert await kept.enable(account, node, b"secret", agent, Origin(account.epoch))
    return Key(account.company.id, account.id, node)


async def test_one_server_tells_a_device_once(store: Store) -> None:
    ann, _ = await people(store)
    key = await enabled(store, ann, "n1")
    queues = [Queue(store) for _ in range(3)]
    assert await queues[0].add({key: MESSAGE}, NOW, **WAITS) == NOW + 3
    assert await queues[0].due(NOW + 2, most=10) == []
    assert await queues[0].next_at(after=NOW) == NOW + 3
    (due,) = await queues[0].due(NOW + 3, most=10)
    assert (due.registered.key, due.unseen, due.last_message) == (key, 1, b"sealed")
    assert sum(await asyncio.gather(*(queue.claim(due, NOW + 3, until=NOW + 60) for queue in queues))) == 1
    assert await queues[1].due(NOW + 4, most=10) == []
    assert await queues[0].told(due, NOW + 4, pause_s=30) is None
    assert await queues[0].due(NOW + 9999, most=10) == []
    assert await queues[0].open() == {key}  # it has not been there
    await queues[0].seen([key])
    assert await queues[0].open() == set()


async def test_what_a_server_that_died_was_telling_another_one_tells(store: Store) -> None:
    ann, _ = await people(store)
    key = await enabled(store, ann, "n1")
    await Queue(store).add({key: MESSAGE}, NOW, **WAITS)
    (due,) = await Queue(store).due(NOW + 3, most=10)
    assert await Queue(store).claim(due, NOW + 3, until=NOW + 60)
    (again,) = await Queue(store).due(NOW + 60, most=10)
    assert again == due
    assert await Queue(store).claim(again, NOW + 60, until=NOW + 120)


async def test_what_comes_while_a_device_is_told_is_told_next(store: Store) -> None:
    ann, _ = await people(store)
    key, queue = await enabled(store, ann, "n1"), Queue(store)
    await queue.add({key: MESSAGE}, NOW, **WAITS)
    (due,) = await queue.due(NOW + 3, most=10)
    assert await queue.claim(due, NOW + 3, until=NOW + 60)
    await queue.add({key: MESSAGE}, NOW + 4, **WAITS)
    assert await queue.told(due, NOW + 5, pause_s=30) == NOW + 35
    assert await queue.due(NOW + 34, most=10) == []
    (due,) = await queue.due(NOW + 35, most=10)
    assert due.unseen == 2
    assert await queue.claim(due, NOW + 35, until=NOW + 90)
    await queue.add({key: CALL}, NOW + 36, **WAITS)
    assert await queue.told(due, NOW + 37, pause_s=30) == NOW + 37  # a call does not wait
    (due,) = await queue.due(NOW + 37, most=10)
    assert due.call_until == NOW + 36 + CALL_S
    assert not await queue.claim(replace(due, news=due.news - 1), NOW + 37, until=NOW + 90)


async def test_what_failed_keeps_its_time_whatever_comes(store: Store) -> None:
    ann, _ = await people(store)
    key, queue = await enabled(store, ann, "n1"), Queue(store)
    await queue.add({key: MESSAGE}, NOW, **WAITS)
    (due,) = await queue.due(NOW + 3, most=10)
    assert await queue.claim(due, NOW + 3, until=NOW + 60)
    await queue.again(due, NOW + 500)
    for told in (MESSAGE, CALL):
        assert await queue.add({key: told}, NOW + 10, **WAITS) == NOW + 500
    assert await queue.due(NOW + 499, most=10) == []
    (due,) = await queue.due(NOW + 500, most=10)
    assert (due.attempts, due.unseen) == (1, 2)


async def test_nothing_is_told_to_who_may_not_log_in_or_by_what_is_over(store: Store) -> None:
    ann, bob = await people(store)
    queue = Queue(store)
    keys = [await enabled(store, ann, "n1"), await enabled(store, bob, "n2")]
    await queue.add(dict.fromkeys(keys, MESSAGE), NOW, **WAITS)
    assert len(await queue.due(NOW + 3, most=10)) == 2
    await store.accounts.set_disabled(ann.company.id, ann.id, True)
    await Subscriptions(store).carry_over(keys[1], bob.epoch + 1)
    assert await queue.due(NOW + 3, most=10) == []
    assert await Subscriptions(store).drop_outdated() >= 1


async def test_of_a_person_so_many_are_kept_and_of_a_browser_one(store: Store) -> None:
    ann, bob = await people(store)
    kept = Subscriptions(store)
    for number in range(3):
        await kept.add(ann, new(f"n{number}", ann), most=2)
    assert len(await kept.of(ann)) == 2
    assert await kept.of(bob) == []
    taken = (await kept.of(ann))[0].node
    assert await kept.add(bob, new("b1", bob, taken), most=2) == {ann.id}
    assert len(await kept.of(ann)) == 1
    assert not await kept.enable(ann, "b1", b"secret", "", Origin(ann.epoch))
    assert not await kept.enable(bob, "b1", b"guessed", "", Origin(bob.epoch))
    assert not await kept.remove(ann, "b1")
    assert await kept.enable(bob, "b1", b"secret", "phone", Origin(bob.epoch))
    await kept.add(bob, new("b2", bob), most=2)
    assert await kept.enable(bob, "b2", b"secret", "phone", Origin(bob.epoch))
    assert [each.key.node for each in await kept.registered(bob.id)] == ["b2"]  # a client has one
    assert await kept.drop_of(bob.id, "phone") == 1
    assert [each.node for each in await kept.of(bob)] == ["b1"]


async def test_servers_that_start_at_once_agree_on_a_key(store: Store) -> None:
    found = await asyncio.gather(*(Subscriptions(store).key("k", bytes([n]) * 9) for n in range(3)))
    assert len(set(found)) == 1
    await Subscriptions(store).put_key("k", b"other")
    assert await Subscriptions(store).key("k", b"unused") == b"other"
