"""One list of rooms for new clients and old ones (XEP-0402, XEP-0048, XEP-0049)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from weakref import WeakValueDictionary

from rainbow_xmpp.plugin import (
    Account,
    Context,
    DiscoInfo,
    Element,
    PersonalEventing,
    Plugin,
    PluginOptions,
    PrivateElement,
    Published,
    Services,
    StanzaError,
    TakenBack,
    disco_info,
    on,
)
from rainbow_xmpp.plugins.bookmarks.formats import (
    LEGACY_ITEM,
    LEGACY_NODE,
    NODE,
    STORAGE,
    Bookmark,
    listed_in,
    others_in,
    storage_of,
)
from rainbow_xmpp.xml import NO_LIMITS, parse, serialise

_PRIVATE = {"access_model": "whitelist", "persist_items": "true", "send_last_published_item": "never"}
_NEW = _PRIVATE | {"max_items": "max"}


class Bookmarks(
    Plugin,
    PrivateElement,
    name="bookmarks",
    implements={"XEP-0048": "1.2, rooms; the rest is kept in private XML", "XEP-0402": "1.2.0"},
):
    """Keeps the lists alike that clients publish, room by room or as a whole, and that they store in private XML."""

    TAG = STORAGE

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changing: set[str] = set()
        """Accounts whose list is just being changed by us; the old list is written when that is done."""
        self._mirrored: dict[str, bytes] = {}
        """What is just being written to the old node, by account."""

    @disco_info(to="account")
    def announce(self, ctx: Context, node: str) -> DiscoInfo | None:
        """§5.3 of XEP-0402."""
        eventing = self.services.offered(PersonalEventing, ctx.target)
        return None if eventing is None else DiscoInfo.of(features=[f"{NODE}#compat", f"{NODE}#compat-pep"])

    # -- private XML -------------------------------------------------------------------------------------------

    async def read_private(self, account: Account, kept: Element | None) -> Element:
        """The published rooms, and what else is kept."""
        if not await self._is_private(account):
            return kept if kept is not None else Element(STORAGE)
        rooms = (listed_in(kept) if kept is not None else {}) | await self._rooms(account)
        return storage_of(rooms, others_in(kept))

    async def write_private(self, account: Account, element: Element) -> Element:
        """Rooms are published, one by one; the rest is to be kept."""
        if not await self._is_private(account):
            return element
        await self._change(account, listed_in(element))
        return storage_of({}, others_in(element))

    # -- what is published -----------------------------------------------------------------------------------------

    @on(Published)
    async def published(self, event: Published) -> None:
        """A room was published, or a whole list in the old format."""
        owner, payload = event.owner, event.item.payload
        if event.node == NODE and owner.id not in self._changing:
            await self._mirror(owner)
        elif event.node == LEGACY_NODE and payload and payload != self._mirrored.get(owner.id):
            storage = parse(payload, limits=NO_LIMITS)
            if storage.tag == STORAGE and await self._is_private(owner):
                await self._change(owner, listed_in(storage))

    @on(TakenBack)
    async def taken_back(self, event: TakenBack) -> None:
        """A room was taken out of the list. The old list alone says nothing when it goes."""
        if event.node == NODE and event.owner.id not in self._changing:
            await self._mirror(event.owner)

    # -- the list --------------------------------------------------------------------------------------------------

    def _eventing(self, account: Account) -> PersonalEventing | None:
        return self.services.offered(PersonalEventing, account)

    async def _is_private(self, account: Account) -> bool:
        """Nobody else sees the node: a list that was private is not put where others read it."""
        eventing = self._eventing(account)
        return eventing is not None and await eventing.access_model(account, NODE) in ("", "whitelist")

    async def _rooms(self, account: Account) -> dict[str, Bookmark]:
        """The published rooms, by address."""
        eventing = self._eventing(account)
        items = [] if eventing is None else await eventing.items(account, NODE)
        found = ((item.id, Bookmark.of_item(item.payload)) for item in items if item.payload)
        return {room: bookmark for room, bookmark in found if bookmark is not None}

    async def _change(self, account: Account, wanted: Mapping[str, Bookmark]) -> None:
        """The list shall be this: what differs is published or taken back (XEP-0402 §5.3.2). Raises StanzaError."""
        eventing = self._eventing(account)
        if eventing is None:
            return
        async with self._turn(account):
            self._changing.add(account.id)
            try:
                before = await self._rooms(account)
                for room, bookmark in wanted.items():
                    if before.get(room) != bookmark:
                        item = bookmark.to_item(before.get(room))
                        await eventing.publish(account, NODE, room, item, **_NEW)
                for room in before.keys() - wanted.keys():
                    await eventing.retract(account, NODE, room)
            finally:
                self._changing.discard(account.id)
        await self._mirror(account)

    async def _mirror(self, account: Account) -> None:
        """Write the list in the old format too, for clients that publish it as a whole."""
        eventing = self._eventing(account)
        if eventing is None or not await self._is_private(account):
            return
        async with self._turn(account):
            if await eventing.access_model(account, LEGACY_NODE) not in ("", "whitelist"):
                return
            last = await eventing.last(account, LEGACY_NODE)
            before = parse(last.payload, limits=NO_LIMITS) if last is not None and last.payload else None
            storage = storage_of(await self._rooms(account), others_in(before))
            payload = self._mirrored[account.id] = serialise(storage)
            try:
                if last is None or payload != last.payload:
                    await eventing.publish(account, LEGACY_NODE, LEGACY_ITEM, storage, **_PRIVATE)
            except StanzaError:  # too large: no list at all is better than one that lacks something
                await eventing.retract(account, LEGACY_NODE, LEGACY_ITEM)
            finally:
                del self._mirrored[account.id]

    def _turn(self, account: Account) -> asyncio.Lock:
        return self._turns.setdefault(account.id, asyncio.Lock())
