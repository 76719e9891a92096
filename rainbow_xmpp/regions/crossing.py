"""What may cross between the regions of two people, and what is told of a message that may not."""

from __future__ import annotations

from rainbow_xmpp.store.values import Account, Crossing
from rainbow_xmpp.xml import Element, View, names, serialise

_STRICTNESS = (Crossing.DELIVER, Crossing.NOTIFY, Crossing.REFUSE)


def crossing_between(one: Account, other: Account) -> Crossing:
    """As the stricter of their companies says."""
    return max(one.company.settings.cross_region, other.company.settings.cross_region, key=_STRICTNESS.index)


def notice(message: View, region: str) -> bytes | None:
    """What crosses in place of a message that stays in its sender's region; None for one that says nothing."""
    if not message.has("body"):
        return None
    head = message.element()
    told = Element(head.tag, dict(head.attrib))
    body = Element(f"{{{names.CLIENT}}}body")
    body.text = f"You have a message in the region {region}. It does not leave it."
    told.append(body)
    return serialise(told)
