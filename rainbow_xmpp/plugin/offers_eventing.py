"""What accounts publish and who they say they are, as interfaces: conversions between old and new formats use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.router.events import Event
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.xml import Element


class PublishedItem(NamedTuple):
    """Something that an account has published."""

    id: str
    payload: bytes
    """One element; empty when the item has none."""


class PersonalEventing(Offer):
    """The nodes of every account (XEP-0163). Owners' own: who else may look is not asked here."""

    async def publish(
        self, owner: Account, node: str, item_id: str, payload: Element, **options: str
    ) -> None:
        """Publish as the owner; subscribers are told. Raises StanzaError.

        `options` are publish-options, `access_model="open"` for `pubsub#access_model`; they count for a new node only.
        """
        raise NotImplementedError

    async def retract(self, owner: Account, node: str, item_id: str) -> bool:
        """Take an item back; subscribers are told. False when there is none."""
        raise NotImplementedError

    async def items(
        self, owner: Account, node: str, *, ids: Sequence[str] = (), most: int | None = None
    ) -> list[PublishedItem]:
        """The newest items, or those of these ids, the oldest first; none where there is no such node."""
        raise NotImplementedError

    async def last(self, owner: Account, node: str) -> PublishedItem | None:
        """What was published last, from memory where possible."""
        raise NotImplementedError

    async def access_model(self, owner: Account, node: str) -> str:
        """Who may see the node, such as "open"; "" when there is none."""
        raise NotImplementedError


class VCards(Offer):
    """Everybody's vCard in the old format (XEP-0054)."""

    async def vcard_of(self, account: Account) -> Element | None:
        """The vCard; None when there is none."""
        raise NotImplementedError

    async def keep_vcard(self, account: Account, vcard: Element) -> bool:
        """Keep this in place of the one before; nobody is told. False when it is too large."""
        raise NotImplementedError


class PrivateElement(Offer):
    """One element of private XML (XEP-0049) that is kept elsewhere."""

    TAG: str = ""
    """`{namespace}name`."""

    async def read_private(self, account: Account, kept: Element | None) -> Element:
        """The element as it is now; `kept` is what private XML has of it."""
        raise NotImplementedError

    async def write_private(self, account: Account, element: Element) -> Element:
        """It shall be this; returns what private XML is to keep of it. Raises StanzaError."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Published(Event):
    """An account published something; its subscribers have been told."""

    owner: Account
    node: str
    item: PublishedItem = field(repr=False)

    @property
    def account(self) -> Account:
        return self.owner


@dataclass(frozen=True, slots=True)
class TakenBack(Event):
    """An account took something back; `item_ids` are empty when everything of a node is gone."""

    owner: Account
    node: str
    item_ids: tuple[str, ...]

    @property
    def account(self) -> Account:
        return self.owner


@dataclass(frozen=True, slots=True)
class VCardChanged(Event):
    """Somebody's client wrote the vCard."""

    owner: Account
    vcard: Element = field(repr=False)

    @property
    def account(self) -> Account:
        return self.owner
