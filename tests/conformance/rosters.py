"""What tests of rosters, subscriptions and presence say again and again."""

from xml.etree.ElementTree import Element

from tests.conformance.wire import NAMESPACES, Wire, child, matches

NS = NAMESPACES["roster"]


def bare(wire: Wire) -> str:
    """The bare JID of a resource."""
    return wire.jid.partition("/")[0]


async def get_roster(wire: Wire) -> dict[str, Element]:
    """Asks for the roster; the items by JID. From then on this resource is interested in changes."""
    answer = await wire.iq("get", f"<query xmlns='{NS}'/>")
    assert answer.get("type") == "result"
    return {item.get("jid", ""): item for item in child(answer, "roster:query")}


async def set_item(wire: Wire, item: str) -> Element:
    """Sends a roster set with this item and returns the answer."""
    return await wire.iq("set", f"<query xmlns='{NS}'>{item}</query>")


def is_push(element: Element) -> bool:
    """Whether this is a roster push."""
    return matches(element, "iq[@type='set']/roster:query")


def state(item: Element) -> str:
    """The subscription, with "+ask" behind it while a request is pending and "+approved" after a pre-approval."""
    ask = "+ask" if item.get("ask") == "subscribe" else ""
    approved = "+approved" if item.get("approved") == "true" else ""
    return f"{item.get('subscription')}{ask}{approved}"


async def presence_from(wire: Wire, jid: str, kind: str = "") -> Element:
    """The next presence of this type from this JID."""
    return await wire.expect(
        lambda e: e.tag == "{jabber:client}presence" and e.get("from") == jid and e.get("type", "") == kind
    )


async def say(wire: Wire, kind: str, to: str, content: str = "") -> None:
    """Sends presence of a type to somebody."""
    await wire.send(f"<presence type='{kind}' to='{to}'>{content}</presence>")


async def subscribe(viewer: Wire, to: Wire) -> None:
    """One person asks for another one's presence and gets it; both are available, and nothing is left unread."""
    await say(viewer, "subscribe", bare(to))
    await presence_from(to, bare(viewer), "subscribe")
    await say(to, "subscribed", bare(viewer))
    await presence_from(viewer, to.jid)
    await to.settle()
    await viewer.settle()
    viewer.inbox.clear()
    to.inbox.clear()


async def befriend(one: Wire, other: Wire) -> None:
    """Each sees the other's presence; see `subscribe`."""
    await get_roster(one)
    await get_roster(other)
    await subscribe(one, other)
    await subscribe(other, one)
