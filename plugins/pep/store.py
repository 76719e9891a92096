"""Nodes and their items, in the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.pep.node_config import NodeConfig
from rainbow_xmpp.plugins.pep.values import Affiliation, Item, Node, Shelf
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.keys import among, key_list, owner_list, owners
from rainbow_xmpp.store.tables import people_table, roster_items, users
from rainbow_xmpp.store.upsert import upsert
from rainbow_xmpp.store.values import Account

MOST_ID_BYTES = 1023
"""Of a node's or an item's name."""
LAST_IN_MEMORY_BYTES = 4096
"""Larger items are read when they are needed."""

NOBODY: frozenset[str] = frozenset()

nodes = people_table(
    "pep_nodes",
    sa.Column("node", sa.String(MOST_ID_BYTES), nullable=False),
    sa.Column(
        "config", sa.Text(), nullable=False, info={"like": '{"title": "{}"}'}
    ),  # what differs from the defaults, as JSON
    sa.Column(
        "affiliations", sa.Text(), nullable=False, info={"like": '{"{}@example": "member"}'}
    ),  # bare JID to affiliation, as JSON; empty: nobody
    sa.Column("last_item", sa.String(MOST_ID_BYTES)),
    sa.Column("last_us", sa.BigInteger(), nullable=False),  # the latest publication, kept or not
    sa.Column("subscribers", sa.Text(), nullable=False, server_default=""),  # JIDs, as JSON; empty: nobody
    key=("node",),
)
items = people_table(
    "pep_items",
    sa.Column("node", sa.String(MOST_ID_BYTES), nullable=False),
    sa.Column("item", sa.String(MOST_ID_BYTES), nullable=False),
    sa.Column("published_us", sa.BigInteger(), nullable=False),
    sa.Column("size", sa.Integer(), nullable=False),  # of the payload, in bytes
    sa.Column("payload", sa.LargeBinary(), nullable=False),
    key=("node", "item"),
)

_n, _i, _u, _r = nodes.c, items.c, users.c, roster_items.c
_COMPANY: sa.BindParameter[str] = sa.bindparam("company")
_OWNER: sa.BindParameter[str] = sa.bindparam("owner")
_NODE: sa.BindParameter[str] = sa.bindparam("of_node")
_OWN_NODES = sa.and_(_n.company_id == _COMPANY, _n.owner_id == _OWNER)
_OWN_ITEMS = sa.and_(_i.company_id == _COMPANY, _i.owner_id == _OWNER)
_ONE_NODE = sa.and_(_OWN_NODES, _n.node == _NODE)
_ITEMS_OF_NODE = sa.and_(_OWN_ITEMS, _i.node == _NODE)
_LAST_ITEM = sa.and_(
    _i.company_id == _n.company_id, _i.owner_id == _n.owner_id, _i.node == _n.node, _i.item == _n.last_item
)
_LAST_PAYLOAD = sa.case((_i.size <= LAST_IN_MEMORY_BYTES, _i.payload))
_NODE_COLUMNS = (
    _n.node,
    _n.config,
    _n.affiliations,
    _n.created_at,
    _n.subscribers,
    _i.item,
    _i.published_us,
    _LAST_PAYLOAD,
)
_WITH_LAST = nodes.outerjoin(items, _LAST_ITEM)

_ANY = sa.select(sa.literal(1)).select_from(nodes).limit(1)
# Writers of one account wait for each other on PostgreSQL; SQLite has one writer anyway.
_LOCK = sa.select(_u.region).where(_u.company_id == _COMPANY, _u.id == _OWNER).with_for_update(key_share=True)
_READ_NODE = sa.select(*_NODE_COLUMNS, _n.last_us).select_from(_WITH_LAST).where(_ONE_NODE)
_NEWEST = (
    sa.select(_i.item, _i.published_us, _i.payload).where(_ITEMS_OF_NODE).order_by(_i.published_us.desc())
)
_NEWEST_ID = sa.select(_i.item).where(_ITEMS_OF_NODE).order_by(_i.published_us.desc()).limit(1)
_TOO_MANY = (
    sa.select(_i.item).where(_ITEMS_OF_NODE).order_by(_i.published_us.desc()).offset(sa.bindparam("most"))
)
_THESE = _i.item.in_(sa.bindparam("ids", expanding=True))
_COUNT_NODES = sa.select(sa.func.count()).select_from(nodes).where(_OWN_NODES)
_BYTES_OF_OTHERS = sa.select(sa.func.coalesce(sa.func.sum(_i.size), 0)).where(
    _OWN_ITEMS, sa.not_(sa.and_(_i.node == _NODE, _i.item == sa.bindparam("of_item")))
)


@dataclass(slots=True)
class Change:
    """What one transaction does to an account's nodes."""

    _connection: AsyncConnection
    _dialect: str
    _row: dict[str, object]
    _now: float
    _last_us: int = 0
    """When something was published last to the node that was read last."""

    @property
    def _whose(self) -> dict[str, object]:
        return {"company": self._row["company_id"], "owner": self._row["owner_id"]}

    async def node(self, name: str) -> Node | None:
        """The node as it is."""
        found = await self._connection.execute(_READ_NODE, self._whose | {"of_node": name})
        row = found.one_or_none()
        self._last_us = 0 if row is None else row[-1]
        return None if row is None else _node(row)

    async def count(self) -> int:
        """How many nodes there are."""
        return int((await self._connection.execute(_COUNT_NODES, self._whose)).scalar_one())

    async def put_node(self, name: str, config: NodeConfig, affiliations: Mapping[str, Affiliation]) -> None:
        """Make the node, or configure it."""
        kept = json.dumps(affiliations, ensure_ascii=False, sort_keys=True) if affiliations else ""
        row = self._row | {
            "node": name,
            "config": config.as_text(),
            "affiliations": kept,
            "last_item": None,
            "last_us": 0,
            "subscribers": "",
        }
        await self._connection.execute(upsert(self._dialect, nodes, ("config", "affiliations")), row)

    async def put_subscribers(self, node: str, subscribers: Iterable[str]) -> None:
        """These subscribed by asking for it, and nobody else."""
        kept = json.dumps(sorted(subscribers), ensure_ascii=False) if subscribers else ""
        asked = self._whose | {"of_node": node}
        await self._connection.execute(sa.update(nodes).where(_ONE_NODE).values(subscribers=kept), asked)

    async def bytes_beside(self, node: str, item: str) -> int:
        """The size of all payloads of the account but for this item's."""
        asked = self._whose | {"of_node": node, "of_item": item}
        return int((await self._connection.execute(_BYTES_OF_OTHERS, asked)).scalar_one())

    def stamped(self, item_id: str, payload: bytes) -> Item:
        """An item that is published now, to the node that was read last."""
        return Item(item_id, max(int(self._now * 1_000_000), self._last_us + 1), payload)

    async def put_item(self, node: str, item: Item, *, most: int) -> None:
        """Keep an item, in place of one of the same id; the oldest go when there are more than `most`."""
        row = self._row | {"node": node, "item": item.id, "published_us": item.published_us}
        columns = ("published_us", "size", "payload")
        await self._connection.execute(
            upsert(self._dialect, items, columns), row | {"size": len(item.payload), "payload": item.payload}
        )
        await self.drop_beyond(node, most)
        values = {"last_item": item.id, "last_us": item.published_us}
        await self._connection.execute(
            sa.update(nodes).where(_ONE_NODE).values(**values), self._whose | {"of_node": node}
        )

    async def drop_beyond(self, node: str, most: int) -> None:
        """Let the oldest items go when there are more than `most`."""
        asked = self._whose | {"of_node": node}
        found = await self._connection.execute(_TOO_MANY, asked | {"most": most})
        too_many = list(found.scalars())
        if too_many:
            await self._connection.execute(
                sa.delete(items).where(_ITEMS_OF_NODE, _THESE), asked | {"ids": too_many}
            )

    async def drop_item(self, node: str, item_id: str) -> bool:
        """Take back an item; False when there is none of this id."""
        asked = self._whose | {"of_node": node}
        gone = await self._connection.execute(
            sa.delete(items).where(_ITEMS_OF_NODE, _THESE), asked | {"ids": [item_id]}
        )
        if not gone.rowcount:
            return False
        newest = (await self._connection.execute(_NEWEST_ID, asked)).scalar_one_or_none()
        await self._connection.execute(sa.update(nodes).where(_ONE_NODE).values(last_item=newest), asked)
        return True

    async def purge(self, node: str) -> None:
        """Take back every item."""
        asked = self._whose | {"of_node": node}
        await self._connection.execute(sa.delete(items).where(_ITEMS_OF_NODE), asked)
        await self._connection.execute(sa.update(nodes).where(_ONE_NODE).values(last_item=None), asked)

    async def drop_node(self, node: str) -> None:
        """Remove the node with its items."""
        asked = self._whose | {"of_node": node}
        await self._connection.execute(sa.delete(items).where(_ITEMS_OF_NODE), asked)
        await self._connection.execute(sa.delete(nodes).where(_ONE_NODE), asked)


class PersonalNodes:
    """Every account's nodes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        by_localpart = _WITH_LAST.join(users, sa.and_(_u.company_id == _n.company_id, _u.id == _n.owner_id))
        self._shelves = store.prepare(
            sa.select(_u.localpart, _u.id, *_NODE_COLUMNS)
            .select_from(by_localpart)
            .where(among(store.dialect, _u.localpart))
        )
        self._any = store.prepare(_ANY)
        asked = owners(store.dialect)
        about = sa.and_(
            _r.company_id == asked.c.company_id,
            _r.owner_id == asked.c.owner_id,
            _r.contact == sa.bindparam("contact"),
        )
        self._of_rosters = store.prepare(
            sa.select(asked.c.owner_id, _r.subscription, _r.groups).select_from(
                asked.join(roster_items, about)
            )
        )

    async def exist(self) -> bool:
        """Anybody has a node."""
        return bool(await self._store.fetch(self._any, {}))

    async def shelves(self, localparts: Sequence[str]) -> dict[str, Shelf]:
        """The nodes of the accounts of these names, of whatever company, since contacts are known by their addresses
        only; who may see them is asked afterwards. Who has none is missing."""
        found: dict[str, Shelf] = {}
        for localpart, owner_id, *row in await self._store.fetch(
            self._shelves, {"keys": key_list(self._store.dialect, localparts)}
        ):
            shelf = found.setdefault(localpart, Shelf(owner_id, {}))
            node = _node(row)
            assert isinstance(shelf.nodes, dict), "made here"
            shelf.nodes[node.name] = node
        return found

    async def items(self, owner: Account, node: str, *, most: int, ids: Sequence[str] = ()) -> list[Item]:
        """The newest items of a node, or those of these ids; the newest stands first."""
        statement = _NEWEST.where(_i.item.in_(list(ids))) if ids else _NEWEST
        asked = {"company": owner.company.id, "owner": owner.id, "of_node": node}
        async with self._store.read() as connection:
            return [
                Item(row[0], row[1], bytes(row[2]))
                for row in await connection.execute(statement.limit(most), asked)
            ]

    async def item_ids(self, owner: Account, node: str, *, most: int) -> list[str]:
        """The ids of the newest items of a node."""
        statement = sa.select(_i.item).where(_ITEMS_OF_NODE).order_by(_i.published_us.desc()).limit(most)
        asked = {"company": owner.company.id, "owner": owner.id, "of_node": node}
        async with self._store.read() as connection:
            return list((await connection.execute(statement, asked)).scalars())

    async def subscriptions_of(
        self, contact: str, whose: Sequence[tuple[str, str]]
    ) -> Mapping[str, frozenset[str]]:
        """In which of these (company id, account id) rosters an address sees the owner's presence, and its groups
        there, by account."""
        asked = {**owner_list(self._store.dialect, whose), "contact": contact}
        return {
            owner: frozenset(json.loads(groups) if groups else ())
            for owner, subscription, groups in await self._store.fetch(self._of_rosters, asked)
            if subscription in ("from", "both")
        }

    @asynccontextmanager
    async def change(self, owner: Account) -> AsyncIterator[Change]:
        """Change an account's nodes, all or nothing. Raises NotFound."""
        async with self._store.write() as connection:
            whose = {"company": owner.company.id, "owner": owner.id}
            region = (await connection.execute(_LOCK, whose)).scalar_one_or_none()
            if region is None:
                raise NotFound("account", owner.id)
            now = self._store.now()
            row: dict[str, object] = {
                "company_id": owner.company.id,
                "owner_id": owner.id,
                "region": region,
                "created_at": int(now),
            }
            yield Change(connection, self._store.dialect, row, now)


def _node(row: Sequence[object]) -> Node:
    """From `_NODE_COLUMNS`."""
    name, config, affiliations, created_at, subscribers, item, published_us, payload = row[:8]
    last = None
    if item is not None:
        assert isinstance(published_us, int)
        last = Item(
            str(item), published_us, bytes(payload) if isinstance(payload, bytes | memoryview) else b""
        )
    assert isinstance(created_at, int)
    return Node(
        str(name),
        NodeConfig.from_text(str(config)),
        _affiliations(str(affiliations)),
        created_at,
        frozenset(json.loads(str(subscribers))) if subscribers else NOBODY,
        last,
    )


def _affiliations(text: str) -> Mapping[str, Affiliation]:
    return {jid: Affiliation(each) for jid, each in json.loads(text).items()} if text else {}
