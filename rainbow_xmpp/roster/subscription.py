"""The states between two people and what moves them (RFC 6121 appendix A): tables, and a walk along them.

Pure: an item of a roster comes in, a decision goes out. None stands for a contact of whom nothing is kept,
which is the state "None".
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from rainbow_xmpp.store.values import RosterItem, Subscription

Kind = Literal["subscribe", "subscribed", "unsubscribe", "unsubscribed"]


class State(Enum):
    """The nine states (RFC 6121 A.1), each as subscription, "Pending Out", "Pending In"."""

    NONE = (Subscription.NONE, False, False)
    NONE_OUT = (Subscription.NONE, True, False)
    NONE_IN = (Subscription.NONE, False, True)
    NONE_OUT_IN = (Subscription.NONE, True, True)
    TO = (Subscription.TO, False, False)
    TO_IN = (Subscription.TO, False, True)
    FROM = (Subscription.FROM, False, False)
    FROM_OUT = (Subscription.FROM, True, False)
    BOTH = (Subscription.BOTH, False, False)


_CONTACT_GETS_IN = {
    State.NONE_IN: State.FROM,
    State.NONE_OUT_IN: State.FROM_OUT,
    State.TO_IN: State.BOTH,
}
_CONTACT_IS_OUT = {
    State.NONE_IN: State.NONE,
    State.NONE_OUT_IN: State.NONE_OUT,
    State.TO_IN: State.TO,
    State.FROM: State.NONE,
    State.FROM_OUT: State.NONE_OUT,
    State.BOTH: State.TO,
}
_WE_ARE_OUT = {
    State.NONE_OUT: State.NONE,
    State.NONE_OUT_IN: State.NONE_IN,
    State.TO: State.NONE,
    State.TO_IN: State.NONE_IN,
    State.FROM_OUT: State.FROM,
    State.BOTH: State.FROM,
}

OUTBOUND: Mapping[str, Mapping[State, State]] = {
    "subscribe": {
        State.NONE: State.NONE_OUT,
        State.NONE_IN: State.NONE_OUT_IN,
        State.FROM: State.FROM_OUT,
    },
    "unsubscribe": _WE_ARE_OUT,
    "subscribed": _CONTACT_GETS_IN,
    "unsubscribed": _CONTACT_IS_OUT,
}
"""What our user's stanza does (A.2); a state that is not listed stays as it is."""

INBOUND: Mapping[str, Mapping[State, State]] = {
    "subscribe": {
        State.NONE: State.NONE_IN,
        State.NONE_OUT: State.NONE_OUT_IN,
        State.TO: State.TO_IN,
    },
    "unsubscribe": _CONTACT_IS_OUT,
    "subscribed": {
        State.NONE_OUT: State.TO,
        State.NONE_OUT_IN: State.TO_IN,
        State.FROM_OUT: State.BOTH,
    },
    "unsubscribed": _WE_ARE_OUT,
}
"""What the contact's stanza does (A.3); a state that is not listed stays as it is."""

_ALWAYS_ROUTED = ("subscribe", "unsubscribe")
_SEES_US = (Subscription.FROM, Subscription.BOTH)
_WE_SEE = (Subscription.TO, Subscription.BOTH)


@dataclass(frozen=True, slots=True)
class Outbound:
    """What a stanza of our user does: the item afterwards, and whether the stanza goes on to the contact."""

    item: RosterItem | None
    route: bool


@dataclass(frozen=True, slots=True)
class Inbound:
    """What a contact's stanza does: the item afterwards, and whether our user is told.

    `auto_reply` is what the server answers on the user's behalf, or None.
    """

    item: RosterItem | None
    deliver: bool
    auto_reply: Kind | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """What the end of a roster item asks for: the item afterwards, and the stanzas to send in this order."""

    item: RosterItem | None
    send: tuple[Kind, ...]


def state_of(item: RosterItem | None) -> State:
    """The state of a contact with this item."""
    if item is None:
        return State.NONE
    pending_out = item.ask and item.subscription not in _WE_SEE
    pending_in = item.pending_in and item.subscription not in _SEES_US
    return State((item.subscription, pending_out, pending_in))


def outbound(item: RosterItem | None, kind: str, contact: str) -> Outbound:
    """Our user sends `kind` to `contact` (RFC 6121 A.2, §3.4 for approving what was not asked for)."""
    before = state_of(item)
    after = OUTBOUND[kind].get(before, before)
    route = after is not before or kind in _ALWAYS_ROUTED
    if kind == "subscribed" and not route:
        return Outbound(_pre_approved(item, contact, before), route=False)
    if kind == "unsubscribed" and item is not None and item.approved:
        item = replace(item, approved=False)  # ends a pre-approval too (§3.4.2)
    if kind in ("subscribe", "subscribed") and after is not before:
        item = replace(item or RosterItem(contact=contact), listed=True)  # §3.1.2, §3.1.5
    return Outbound(_in_state(item, after), route)


def inbound(item: RosterItem | None, kind: str, contact: str, stanza: bytes) -> Inbound:
    """`contact` sends `kind` to our user (RFC 6121 A.3); `stanza` is kept while a request waits (§3.1.3)."""
    before = state_of(item)
    after = INBOUND[kind].get(before, before)
    if kind == "subscribe":
        if before.value[0] in _SEES_US:
            return Inbound(item, deliver=False, auto_reply="subscribed")
        if item is not None and item.approved:
            asked = replace(item, pending_in=True)
            granted = _CONTACT_GETS_IN[state_of(asked)]
            return Inbound(_in_state(asked, granted), deliver=False, auto_reply="subscribed")
        if after is not before:
            item = item or RosterItem(contact=contact, listed=False)
            item = replace(item, request=stanza)
    is_change = after is not before
    auto_reply: Kind | None = "unsubscribed" if kind == "unsubscribe" and is_change else None  # A.3.2
    return Inbound(_in_state(item, after), is_change, auto_reply)


def removal(item: RosterItem) -> Removal:
    """Our user removes the contact from the roster (RFC 6121 §2.5.2).

    What is pending ends as well: our request is withdrawn, the contact's is denied.
    """
    state = state_of(item)
    send: list[Kind] = []
    if state in _WE_ARE_OUT:
        send.append("unsubscribe")
    if state in _CONTACT_IS_OUT:
        send.append("unsubscribed")
    return Removal(None, tuple(send))


def renamed(item: RosterItem, name: str, groups: tuple[str, ...]) -> RosterItem:
    """The item with what clients decide over (RFC 6121 §2.3, §2.4); it is in the roster from now on."""
    return replace(item, name=name, groups=groups, listed=True)


def _pre_approved(item: RosterItem | None, contact: str, state: State) -> RosterItem | None:
    """A "subscribed" that nobody asked for (RFC 6121 §3.4.2)."""
    if state.value[0] in _SEES_US:
        return item
    return replace(item or RosterItem(contact=contact), approved=True)


def _in_state(item: RosterItem | None, state: State) -> RosterItem | None:
    """The item moved to this state; None when nothing is left to be kept."""
    if item is None:
        return None
    subscription, ask, pending_in = state.value
    request = item.request if pending_in else None
    moved = replace(item, subscription=subscription, ask=ask, pending_in=pending_in, request=request)
    return moved if moved.visible or pending_in else None
