"""What two people of different regions agree on beside all stanzas: by the API, or by an administrator."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from rainbow_xmpp.company.access import Action
from rainbow_xmpp.company.agreements import Agreements, Crossing, Deed, NotAllowed
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.xml import Element, View, serialise

NAMESPACE = "urn:rainbow:regions:0"
NAME = "agreement"
_UNIX_TIME = re.compile(r"[0-9]{1,12}").fullmatch


def written(crossing: Crossing, from_: str, to: str) -> bytes:
    """`<agreement xmlns='urn:rainbow:regions:0' deed='invite' expires='…' from='…' to='…'>note</agreement>`."""
    element = Element(f"{{{NAMESPACE}}}{NAME}", {"deed": crossing.deed.value, "from": from_, "to": to})
    if crossing.expires_at is not None:
        element.set("expires", str(crossing.expires_at))
    element.text = crossing.note or None
    return serialise(element)


class Agreeing:
    """Does the same in the region of the other one; what is not allowed there is not done."""

    def __init__(
        self,
        agreements: Agreements,
        may: Callable[[Action, Account, Account], Awaitable[bool]],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._agreements = agreements
        self._may = may
        self._changed = changed

    async def take(self, sender: Account, recipient: Account, view: View) -> None:
        """What was `written` in the sender's region."""
        element = view.element()
        expires = element.get("expires", "")
        until = int(expires) if _UNIX_TIME(expires) else None
        try:
            match element.get("deed"):
                case Deed.INVITE:
                    if not await self._may(Action.INVITE, sender, recipient):
                        return
                    await self._agreements.invite(
                        sender,
                        recipient,
                        note=element.text or "",
                        expires_at=until,
                        actor=sender.id,
                    )
                case Deed.ACCEPT:
                    if not await self._may(Action.INVITE, sender, recipient):
                        return
                    await self._agreements.accept(sender, recipient, actor=sender.id)
                case Deed.END:
                    await self._agreements.end(sender, recipient, actor=sender.id)
        except (NotAllowed, NotFound):
            return  # it was ended, or forbidden, meanwhile
        await self._changed()
