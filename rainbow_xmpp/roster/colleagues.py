"""A roster together with the circle its owner belongs to: what clients see, and nothing of it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rainbow_xmpp.session import Home
from rainbow_xmpp.session.circle import Circle
from rainbow_xmpp.store.values import RosterItem, Subscription


def all_items(home: Home, own: Iterable[RosterItem]) -> Iterator[RosterItem]:
    """The owner's items, and everybody of the circle; both at once where somebody is both."""
    circle = home.circle
    if circle is None:
        yield from (item for item in own if item.visible)
        return
    kept = {item.contact: item for item in own}
    for bare, name in circle.members.items():
        if bare != home.bare:
            yield colleague(circle, bare, name, kept.pop(bare, None))
    yield from (item for item in kept.values() if item.visible)


def seen_item(home: Home, contact: str, own: RosterItem | None) -> RosterItem | None:
    """One contact as the owner's clients see it; None when it is not in the roster."""
    circle = home.circle
    name = None if circle is None or contact == home.bare else circle.members.get(contact)
    if circle is not None and name is not None:
        return colleague(circle, contact, name, own)
    return own if own is not None and own.visible else None


def colleague(circle: Circle, bare: str, name: str, own: RosterItem | None) -> RosterItem:
    """Somebody of the circle: the owner's own name and groups for them count, the subscription is the circle's."""
    if own is None:
        return RosterItem(contact=bare, name=name, groups=(circle.group,), subscription=Subscription.BOTH)
    groups = own.groups if circle.group in own.groups else (*own.groups, circle.group)
    return replace(
        own, name=own.name or name, groups=groups, subscription=Subscription.BOTH, ask=False, pending_in=False
    )


def version_of(home: Home, own: int) -> str:
    """The roster version that clients are told (RFC 6121 §2.6): the owner's part and the circle's."""
    return str(own) if home.circle is None else f"{own}.{home.circle.version}"


def own_version(home: Home, told: str | None) -> int | None:
    """The owner's part of a version a client knows, when the circle is still the one of then; or else None."""
    own, _, circle = (told or "").partition(".")
    if not (own.isascii() and own.isdigit() and len(own) < 16):
        return None
    return int(own) if circle == (home.circle.version if home.circle is not None else "") else None
