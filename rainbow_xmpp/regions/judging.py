"""What comes from another region, judged before anything is done with it.

A region proves who it is, and nothing else: one that was broken into may say anything, and must gain no more by it
than what its own people could do.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rainbow_xmpp.errors import PeerViolation, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.regions import agreeing
from rainbow_xmpp.regions.homes import Homes
from rainbow_xmpp.regions.parcels import Parcel
from rainbow_xmpp.router.iq import check_iq
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.xml import View, XmlLimits, names, scan

log = logging.getLogger(__name__)

_TYPES = {
    "message": frozenset(("", "chat", "error", "groupchat", "headline", "normal")),
    "presence": frozenset(
        ("", "unavailable", "error", "probe", "subscribe", "subscribed", "unsubscribe", "unsubscribed")
    ),
    "iq": frozenset(("get", "set", "result", "error")),
}
_OF_ACCOUNTS = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed"))
"""Presence that bare JIDs send (RFC 6121 §3.1.2)."""


class Taken(NamedTuple):
    """Who has a name, or an id, in this region: enabled or not."""

    by_localpart: Callable[[str], Awaitable[Account | None]]
    by_id: Callable[[str], Awaitable[Account | None]]


class Judge:
    """Whatever is wrong is logged with the region that said it, and is None."""

    def __init__(self, domain: str, homes: Homes, taken: Taken, limits: Callable[[], XmlLimits]) -> None:
        self._domain = domain
        self._homes = homes
        self._taken = taken
        self._limits = limits

    async def sender(self, origin: str, parcel: Parcel) -> Account | None:
        """Whoever is said to have sent it, if that can be: somebody of that region and of no other. Raises Away."""
        who = parcel.sender
        sender = self._homes.account_of(who, origin)
        is_one = (
            is_address(parcel.sender_jid) and _bare(parcel.sender_jid) == f"{who.localpart}@{self._domain}"
        )
        if sender is None or not is_one:
            self._log(origin, "sent something in the name of somebody who cannot be")
            return None
        known = self._homes.recall(who.localpart)
        if (known is None or (known.region, known.id) != (origin, who.id)) and (
            await self._is_of_here(origin, sender) or not await self._is_of_no_other(origin, known)
        ):
            self._log(origin, "sent something in the name of somebody who is not of it")
            return None
        self._homes.learn(sender)
        return sender

    async def _is_of_here(self, origin: str, sender: Account) -> bool:
        here = await self._taken.by_localpart(sender.localpart) or await self._taken.by_id(sender.id)
        return here is not None and await self._homes.went_to(sender.localpart) != origin

    async def _is_of_no_other(self, origin: str, known: Account | None) -> bool:
        if known is None or known.region == origin:
            return True
        self._homes.forget(known.localpart)  # they moved, or one of two regions claims what is not so
        found = await self._homes.find(known.localpart)
        return found is not None and found.region == origin

    def stanza(self, origin: str, parcel: Parcel) -> View | None:
        """A stanza, or what was agreed beside all stanzas: from its sender, and for whom the parcel is."""
        view = self.view(origin, parcel.stanza)
        if view is None:
            return None
        from_, to = view.attrs.get("from", ""), view.attrs.get("to", "")
        is_of_account = view.ns != names.CLIENT or (
            view.name == "presence" and view.attrs.get("type") in _OF_ACCOUNTS
        )
        is_addressed = is_address(parcel.to) and _normal(to) == parcel.to
        if from_ != parcel.sender_jid or not is_addressed or (is_of_account and "/" in from_):
            self._log(origin, "sent a stanza with addresses that are not its parcel's")
            return None
        return view

    def view(self, origin: str, data: bytes) -> View | None:
        """Anything of what regions say to each other; by itself, whoever it is from."""
        try:
            view = scan(data, limits=self._limits())
            if view.ns != names.CLIENT:
                return view if (view.ns, view.name) == (agreeing.NAMESPACE, agreeing.NAME) else None
            if view.name == "iq":
                check_iq(view)
        except (PeerViolation, StanzaError):
            self._log(origin, "sent something that is no stanza")
            return None
        if view.attrs.get("type", "") not in _TYPES.get(view.name, ()):
            self._log(origin, "sent a stanza of a type that there is not")
            return None
        return view

    def _log(self, origin: str, what: str) -> None:
        log.warning("the region %s %s", origin, what)


def is_address(text: str) -> bool:
    """A JID in normal form."""
    return bool(text) and _normal(text) == text


def _normal(text: str) -> str:
    try:
        return str(JID.parse(text))
    except ValueError:
        return ""


def _bare(text: str) -> str:
    return text.partition("/")[0]
