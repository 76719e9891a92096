"""The queue of webhooks, on both databases: every event once, whoever reads the changes and whenever it dies."""

import asyncio
import json

import pytest

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.plugins.webhooks import queue as module
from rainbow_xmpp.plugins.webhooks.events import Kind
from rainbow_xmpp.plugins.webhooks.queue import Queue, State, Waiting
from rainbow_xmpp.plugins.webhooks.store import Hook, Hooks
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Company, NewAccount


async def hook_of(store: Store, company: Company, *events: Kind) -> Hook:
    hook = Hook(new_id(), company.id, "https://hooks.example/", events, b"sealed", True, int(store.now()))
    assert await Hooks(store).add(hook, most=5)
    return hook


async def people(store: Store, company: str, count: int) -> list[str]:
    new = [NewAccount(company=company, email=f"{new_id()}@x.example") for _ in range(count)]
    return [account.id for account in await store.accounts.add_many(new)]


async def emptied(queue: Queue, hook: Hook) -> list[Waiting]:
    """Everything that waits for a hook, in its order; it counts as delivered."""
    found = []
    while (waiting := await queue.next(hook.id)) is not None:
        found.append(waiting)
        await queue.attempted(waiting, "200", state=State.DELIVERED, at=1)
    return found


def user_ids(found: list[Waiting]) -> list[str]:
    return [json.loads(waiting.body)["data"]["user_id"] for waiting in found]


async def test_every_change_waits_once_though_several_servers_read_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 7)
    acme = await store.companies.add("Acme")
    queues = [Queue(store) for _ in range(3)]
    await asyncio.gather(*(queue.begin() for queue in queues))
    hook = await hook_of(store, acme)
    ids = await people(store, "Acme", 30)
    await asyncio.gather(*(queue.collect() for queue in queues))
    found = await emptied(queues[0], hook)
    assert user_ids(found) == ids
    assert len({waiting.message_id for waiting in found}) == 30


async def test_a_server_that_dies_while_it_reads_leaves_nothing_half_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await store.companies.add("Acme")
    queue = Queue(store)
    await queue.begin()
    hook = await hook_of(store, acme)
    ids = await people(store, "Acme", 3)
    real = module._told

    async def dying(*args: object) -> list[dict[str, object]]:
        rows = await real(*args)  # type: ignore[arg-type]
        rows[-1] = {**rows[-1], "kind": None}  # the last insert fails
        return rows

    monkeypatch.setattr(module, "_told", dying)
    with pytest.raises(Exception, match=r"(?i)null"):
        await queue.collect()
    assert await queue.next(hook.id) is None
    monkeypatch.setattr(module, "_told", real)
    await Queue(store).collect()
    assert user_ids(await emptied(queue, hook)) == ids


async def test_what_happened_before_there_was_a_queue_is_no_news(store: Store) -> None:
    acme = await store.companies.add("Acme")
    await people(store, "Acme", 2)
    hook = await hook_of(store, acme)
    queue = Queue(store)
    await queue.begin()
    await queue.collect()
    assert await emptied(queue, hook) == []
    (new,) = await people(store, "Acme", 1)
    await queue.begin()  # another start
    await queue.collect()
    assert user_ids(await emptied(queue, hook)) == [new]


async def test_one_server_at_a_time_delivers_to_a_hook(store: Store) -> None:
    acme = await store.companies.add("Acme")
    queue = Queue(store)
    await queue.begin()
    hook = await hook_of(store, acme)
    await people(store, "Acme", 1)
    await queue.collect()
    now = int(store.now())
    assert await queue.due(now + 1) == [hook.id]
    claims = await asyncio.gather(*(queue.claim(hook.id, now, until=now + 60) for _ in range(5)))
    assert sorted(claims) == [False] * 4 + [True]
    assert await queue.due(now + 1) == []
    assert await queue.due(now + 61) == [hook.id]
    await queue.extend(hook.id, until=0)
    waiting = await queue.next(hook.id)
    assert waiting is not None
    await queue.attempted(waiting, "503", state=State.WAITING, at=now + 600)
    assert await queue.due(now + 599) == []
    assert await queue.due(now + 600) == [hook.id]


async def test_links_are_told_once_each_way(store: Store) -> None:
    acme, globex = await store.companies.add("Acme"), await store.companies.add("Globex")
    queue = Queue(store)
    await queue.begin()
    hook = await hook_of(store, acme, Kind.LINK_MADE, Kind.LINK_REVOKED)
    link = await store.links.ask(acme.id, globex.id)
    await queue.collect()
    await store.links.confirm(globex.id, link.id)
    await queue.collect()
    await store.links.end(acme.id, link.id)
    await people(store, "Acme", 1)
    await queue.collect()
    assert [waiting.kind for waiting in await emptied(queue, hook)] == ["link.made", "link.revoked"]


async def test_a_hook_is_its_companys_only(store: Store) -> None:
    acme, globex = await store.companies.add("Acme"), await store.companies.add("Globex")
    hooks, hook = Hooks(store), await hook_of(store, acme)
    for refused in (
        hooks.get(globex.id, hook.id),
        hooks.change(globex.id, hook.id, enabled=False),
        hooks.remove(globex.id, hook.id),
        hooks.enqueue(globex.id, hook.id, Kind.TEST, "{}"),
        hooks.deliveries(globex.id, hook.id, most=5),
    ):
        with pytest.raises(NotFound):
            await refused
    assert (await hooks.get(acme.id, hook.id)).enabled is True
    await hooks.enqueue(acme.id, hook.id, Kind.TEST, "{}")
    await hooks.remove(acme.id, hook.id)
    assert await hooks.of_company(acme.id) == []
    assert await Queue(store).next(hook.id) is None


async def test_what_ended_is_forgotten_and_what_waits_is_kept(store: Store) -> None:
    acme = await store.companies.add("Acme")
    queue, hooks, hook = Queue(store), Hooks(store), await hook_of(store, acme)
    for _ in range(2):
        await hooks.enqueue(acme.id, hook.id, Kind.TEST, "{}")
    waiting = await queue.next(hook.id)
    assert waiting is not None
    await queue.attempted(waiting, "500", state=State.DEAD, at=100)
    await queue.forget_before(101)
    (left,) = await hooks.deliveries(acme.id, hook.id, most=5)
    assert left.state is State.WAITING
