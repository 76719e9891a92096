"""What other plugins add to the answers of service discovery."""

from collections.abc import Iterable

import pytest

from rainbow_xmpp.plugin import (
    JID,
    Condition,
    Context,
    DiscoInfo,
    DiscoItem,
    DiscoItems,
    Element,
    Identity,
    Plugin,
    StanzaError,
    disco_info,
    disco_items,
)
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.testing import Client, TestServer, condition_of

FORM = Element("{jabber:x:data}x", {"type": "result"})


class Shop(Plugin, name="shop"):
    """Adds to everything there is."""

    @disco_info()
    def of_server(self, ctx: Context, node: str) -> DiscoInfo:
        return DiscoInfo.of([Identity("store", "berkeley")], ["urn:example:shop"], [FORM])

    @disco_info(to="account")
    async def of_account(self, ctx: Context, node: str) -> DiscoInfo:
        return DiscoInfo.of(features=[f"urn:example:of:{ctx.target.localpart}"])

    @disco_info(node="goods")
    def of_goods(self, ctx: Context, node: str) -> DiscoInfo:
        return DiscoInfo.of([Identity("hierarchy", "branch")], node=node)

    @disco_info(node=None)
    def of_one(self, ctx: Context, node: str) -> DiscoInfo | None:
        if node == "goods/secret":
            raise StanzaError(Condition.FORBIDDEN)
        return DiscoInfo.of([Identity("hierarchy", "leaf", node)]) if node.startswith("goods/") else None

    @disco_items()
    async def on_the_shelf(self, ctx: Context, node: str) -> Iterable[DiscoItem]:
        return [DiscoItem(JID.parse(self.services.domain), "goods", "Goods")]

    @disco_items(node="goods")
    def goods(self, ctx: Context, node: str) -> Iterable[DiscoItem]:
        return [DiscoItem(JID.parse(self.services.domain), f"goods/{name}") for name in ("tea", "milk")]


@pytest.fixture
async def server():
    async with TestServer({Disco: Disco.Options(), Shop: Shop.Options(companies=("acme",))}) as running:
        yield running


async def info(asker: Client, to: str, node: str = "") -> DiscoInfo | Condition | None:
    answer = await asker.ask("get", DiscoInfo(node), to=to)
    return condition_of(answer) or DiscoInfo.from_xml(answer[0])


async def items(asker: Client, to: str, node: str = "") -> list[str] | Condition | None:
    answer = await asker.ask("get", DiscoItems(node), to=to)
    return condition_of(answer) or [item.node for item in DiscoItems.from_xml(answer[0]).items]


async def test_what_is_said_of_the_server_is_added_to(server):
    ann = await server.login("ann@acme")
    told = await info(ann, server.domain)
    assert [identity.category for identity in told.identities] == ["server", "store"]
    assert {"urn:example:shop", "jabber:iq:roster"} <= told.names
    assert [form.tag for form in told.extra] == [FORM.tag]
    assert await items(ann, server.domain) == ["goods"]


async def test_what_is_said_of_an_account_is_of_that_account(server):
    ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
    assert "urn:example:of:bob" in (await info(ann, bob.bare)).names
    assert "urn:example:of:ann" in (await info(ann, "")).names
    assert await items(ann, bob.bare) == []


async def test_nodes_are_those_that_somebody_knows(server):
    ann = await server.login("ann@acme")
    goods = await info(ann, server.domain, "goods")
    assert (goods.node, [i.type for i in goods.identities], goods.names) == ("goods", ["branch"], frozenset())
    tea = await info(ann, server.domain, "goods/tea")
    assert (tea.node, tea.identities[0].name) == ("goods/tea", "goods/tea")
    assert await info(ann, server.domain, "goods/secret") is Condition.FORBIDDEN
    assert await info(ann, server.domain, "other") is Condition.ITEM_NOT_FOUND
    assert await info(ann, ann.bare, "goods") is Condition.ITEM_NOT_FOUND
    assert await items(ann, server.domain, "goods") == ["goods/tea", "goods/milk"]
    assert await items(ann, server.domain, "goods/tea") is Condition.ITEM_NOT_FOUND


async def test_people_whom_the_plugin_does_not_serve_hear_nothing_of_it(server):
    gus = await server.login("gus@globex")
    assert "urn:example:shop" not in (await info(gus, server.domain)).names
    assert await items(gus, server.domain) == []
    assert await info(gus, server.domain, "goods") is Condition.ITEM_NOT_FOUND
    assert await items(gus, server.domain, "goods") is Condition.ITEM_NOT_FOUND
