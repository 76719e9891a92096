"""The store of the plugin pep: nodes and items, on both databases."""

import asyncio

import pytest

from rainbow_xmpp.plugins.pep.node_config import DEFAULT, AccessModel, NodeConfig
from rainbow_xmpp.plugins.pep.store import LAST_IN_MEMORY_BYTES, PersonalNodes
from rainbow_xmpp.plugins.pep.values import Affiliation
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Account, NewAccount, RosterItem, Subscription


@pytest.fixture
async def alice(store: Store) -> Account:
    return await store.accounts.add(NewAccount(company="Rainbow", email="alice@x.example", localpart="alice"))


async def put(
    kept: PersonalNodes, owner: Account, node: str, *ids: str, most: int = 10, size: int = 1
) -> None:
    async with kept.change(owner) as change:
        if await change.node(node) is None:
            await change.put_node(node, DEFAULT, {})
            await change.node(node)
    for item_id in ids:
        async with kept.change(owner) as change:
            await change.node(node)
            await change.put_item(node, change.stamped(item_id, b"x" * size), most=most)


async def test_items_stand_in_the_order_of_their_publication(store: Store, alice: Account) -> None:
    kept = PersonalNodes(store)
    assert not await kept.exist()
    await put(kept, alice, "n", "a", "b", "c", "a", most=2)
    assert await kept.exist()
    assert [item.id for item in await kept.items(alice, "n", most=9)] == ["a", "c"]
    assert [item.id for item in await kept.items(alice, "n", most=9, ids=["c", "b"])] == ["c"]
    assert await kept.item_ids(alice, "n", most=1) == ["a"]
    shelf = (await kept.shelves(["alice", "nobody"]))["alice"]
    assert (shelf.owner_id, shelf.nodes["n"].last.id, shelf.nodes["n"].last.payload) == (alice.id, "a", b"x")
    async with kept.change(alice) as change:
        assert await change.drop_item("n", "a")
        assert not await change.drop_item("n", "a")
        assert (await change.node("n")).last.id == "c"
        await change.purge("n")
        assert (await change.node("n")).last is None
        await change.drop_node("n")
        assert await change.node("n") is None
    assert await kept.shelves(["alice"]) == {}


async def test_what_a_node_is_configured_as_comes_back(store: Store, alice: Account) -> None:
    kept = PersonalNodes(store)
    config = NodeConfig(
        node_title="é",
        access_model=AccessModel.ROSTER,
        roster_groups_allowed=("Freunde & Co", "b"),
        max_items="max",
    )
    whom = {"bob@x.example": Affiliation.MEMBER, "eve@x.example": Affiliation.OUTCAST}
    async with kept.change(alice) as change:
        await change.put_node("n", config, whom)
        await change.put_subscribers("n", ["b@x.example", "a@x.example/é"])
    node = (await kept.shelves(["alice"]))["alice"].nodes["n"]
    assert (node.config, node.affiliations) == (config, whom)
    assert node.subscribers == {"b@x.example", "a@x.example/é"}
    async with kept.change(alice) as change:
        await change.put_node("n", DEFAULT, {})
    node = (await kept.shelves(["alice"]))["alice"].nodes["n"]
    assert (node.config, node.affiliations) == (DEFAULT, {})


async def test_what_is_large_is_not_brought_into_memory(store: Store, alice: Account) -> None:
    kept = PersonalNodes(store)
    await put(kept, alice, "n", "big", size=LAST_IN_MEMORY_BYTES + 1)
    last = (await kept.shelves(["alice"]))["alice"].nodes["n"].last
    assert (last.id, last.payload) == ("big", b"")
    async with kept.change(alice) as change:
        assert await change.bytes_beside("n", "other") == LAST_IN_MEMORY_BYTES + 1
        assert await change.bytes_beside("n", "big") == 0


async def test_writers_of_one_account_wait_for_each_other(store: Store, alice: Account) -> None:
    kept = PersonalNodes(store)
    await put(kept, alice, "n")
    await asyncio.gather(*(put(kept, alice, "n", f"i{number}", most=100) for number in range(20)))
    found = await kept.items(alice, "n", most=100)
    assert len({item.published_us for item in found}) == len(found) == 20
    assert (await kept.shelves(["alice"]))["alice"].nodes["n"].last == found[0]


async def test_nothing_is_kept_for_nobody_and_everything_goes_with_its_owner(
    store: Store, alice: Account
) -> None:
    kept = PersonalNodes(store)
    await put(kept, alice, "n", "a")
    await store.accounts.remove(alice.company.id, alice.id)
    assert not await kept.exist()
    assert await kept.items(alice, "n", most=9) == []
    with pytest.raises(NotFound):
        await put(kept, alice, "n", "b")


async def test_whose_presence_an_address_sees_is_one_question(store: Store, alice: Account) -> None:
    other = await store.accounts.add(NewAccount(company="Rainbow", email="o@x.example", localpart="other"))
    for owner, subscription in ((alice, Subscription.FROM), (other, Subscription.TO)):
        item = RosterItem(contact="bob@x.example", subscription=subscription, groups=("a", "b"))
        await store.rosters.apply(owner.company.id, owner.id, item.contact, lambda _, item=item: item)
    whose = [(account.company.id, account.id) for account in (alice, other)]
    found = await PersonalNodes(store).subscriptions_of("bob@x.example", whose)
    assert found == {alice.id: frozenset(("a", "b"))}
