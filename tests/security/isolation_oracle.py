"""What somebody of the walk hears, judged by the table: whose content is it, and may they know of it?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rainbow_xmpp.company import Action
from rainbow_xmpp.testing import Client
from rainbow_xmpp.xml import View, scan_again
from tests.security.isolation_events import Leak
from tests.security.isolation_world import Human, World

_MARK = re.compile(rb"\b(word|call|room|invite|mood|card|name|private|firm)-(\d\d)(?:-(\d\d))?-x")
_FROM_WHOM = {
    "word": Action.MESSAGE,
    "call": Action.CALL,
    "room": Action.ROOM,
    "invite": Action.INVITE,
    "mood": Action.PRESENCE,
}
"""What whoever wrote it must have been allowed to do with whoever hears it."""
_HUMAN = re.compile(r"human(\d\d)x@")


class Oracle:
    """Raises `Leak`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._screens: dict[Client, set[Human]] = {}
        """Whom each client shows as available."""

    def hears(self, hearer: Human, stanzas: Iterable[bytes]) -> None:
        """Everything that came to somebody, the stanzas' content and senders."""
        for data in stanzas:
            try:
                self._content(hearer, data)
                self._sender(hearer, scan_again(data))
            except Leak as leak:
                raise Leak(f"{leak}; {self.portrait(hearer)} heard {data!r}") from None

    def look_at_screens(self) -> None:
        """Nobody is shown to somebody who must not see them any more."""
        for hearer in self._world.people:
            for human in self._screen(hearer):
                ends_soon = frozenset((human, hearer)) in self._world.over  # a job of every minute
                if ends_soon or human in hearer.blocked or self._world.may_be_stale(human, hearer):
                    continue
                if not self._world.may(Action.PRESENCE, human, hearer):
                    raise Leak(f"{self.portrait(hearer)} still sees {self.portrait(human)}")

    def _screen(self, hearer: Human) -> set[Human]:
        """Who comes anew sees nobody yet."""
        return set() if hearer.client is None else self._screens.setdefault(hearer.client, set())

    def has_left(self, hearer: Human, human: Human) -> None:
        """Who says that they go from somebody's sight need not hear of the other's end any more (RFC 6121 §4.6.3)."""
        self._screen(hearer).discard(human)

    def hears_text(self, hearer: Human, text: bytes) -> None:
        """An answer of the API; the note of an invitation is shown while there is the invitation, which a job of every
        minute takes out when its time is over."""
        agreements, over = self._world.agreements, self._world.over
        for kind, number, to in _MARK.findall(text):
            owner = None if kind == b"firm" else self._world.people[int(number)]
            pair = frozenset((hearer, owner))
            if kind == b"invite" and (pair in agreements or pair in over):
                continue
            self._mark(hearer, kind.decode(), int(number), to.decode())

    def portrait(self, human: Human) -> str:
        return f"{human.tag} ({human.firm.name}, {human.visibility})"

    # -- content -----------------------------------------------------------------------------------------

    def _content(self, hearer: Human, data: bytes) -> None:
        for kind, number, to in _MARK.findall(data):
            self._mark(hearer, kind.decode(), int(number), to.decode(), has_waited=b"urn:xmpp:delay" in data)

    def _mark(self, hearer: Human, kind: str, number: int, to: str, *, has_waited: bool = False) -> None:
        """Who blocked somebody after having written to them, or having asked them, has done so all the same."""
        world = self._world
        if kind == "firm":
            self.firm(hearer, number)
            return
        owner = world.people[number]
        if owner is hearer:
            return
        if to and to != hearer.tag:
            raise Leak(f"what {owner.tag} wrote to {to}")
        if action := _FROM_WHOM.get(kind):
            may = world.allows if has_waited or kind == "invite" else world.may
            if owner in hearer.blocked or not may(action, owner, hearer):
                raise Leak(f"{owner.tag} must not {action} {hearer.tag}")
        elif kind == "private" or not self._is_known(kind, hearer, owner):
            raise Leak(f"{hearer.tag} must not see the {kind} of {self.portrait(owner)}")

    def _is_known(self, kind: str, hearer: Human, owner: Human) -> bool:
        """Names stay in rosters where somebody is blocked; cards are shown to nobody whom their owner blocked."""
        is_found = self._world.allows(Action.PROFILE, hearer, owner)
        return is_found and (kind == "name" or hearer not in owner.blocked)

    def firm(self, hearer: Human, number: int) -> None:
        """A company's name is its people's, and everybody's who may find one of them."""
        firm = self._world.firms[number]
        people = [each for each in self._world.people if each.firm is firm]
        if not any(self._world.allows(Action.PROFILE, hearer, each) for each in people):
            raise Leak(f"{hearer.tag} must not know of {firm.name}")

    # -- senders -----------------------------------------------------------------------------------------

    def _sender(self, hearer: Human, view: View) -> None:
        found = _HUMAN.match(view.attrs.get("from", ""))
        sender = self._world.people[int(found.group(1))] if found else None
        if sender is None or sender is hearer:
            return
        world, pair = self._world, frozenset((sender, hearer))
        type_ = view.attrs.get("type", "")
        match view.name, type_:
            case "presence", "":
                allowed = world.may(Action.PRESENCE, sender, hearer)
                self._screen(hearer).add(sender)
            case "presence", "unavailable":
                allowed = pair in world.met
                self._screen(hearer).discard(sender)
            case "presence", "subscribe":
                allowed = world.allows(Action.INVITE, sender, hearer) and sender not in hearer.blocked
            case "presence", "subscribed" | "unsubscribe":
                allowed = pair in world.invited
            case "iq", "get" | "set":
                allowed = world.may(Action.MESSAGE, sender, hearer)
            case _:
                return  # refusals and answers, which are compared with those of nobody
        if not allowed:
            raise Leak(f"{view.name} {type_} from {self.portrait(sender)}")
