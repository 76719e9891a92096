"""What requests say (XEP-0060 §6 to §8), and answers to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rainbow_xmpp import ids
from rainbow_xmpp.plugin import JID, Condition, Element, StanzaError
from rainbow_xmpp.plugins.pep import faults
from rainbow_xmpp.plugins.pep.events import item_bytes
from rainbow_xmpp.plugins.pep.node_config import NodeConfig, options_of
from rainbow_xmpp.plugins.pep.store import MOST_ID_BYTES
from rainbow_xmpp.plugins.pep.values import Affiliation, Item, Node
from rainbow_xmpp.stanza.form_fields import FORM
from rainbow_xmpp.xml import escape_attr, names, serialise

PUBSUB, OWNER = f"{{{names.PUBSUB}}}pubsub", f"{{{names.PUBSUB_OWNER}}}pubsub"
ITEM = f"{{{names.PUBSUB}}}item"


def action_of(pubsub: Element) -> tuple[str, Element]:
    """What is asked for, and the element that says so. Raises StanzaError."""
    if not len(pubsub):
        raise StanzaError(Condition.BAD_REQUEST)
    first = pubsub[0]
    namespace, _, name = first.tag[1:].rpartition("}")
    return (name if f"{{{namespace}}}pubsub" == pubsub.tag else ""), first


def node_of(element: Element) -> str:
    """The node that is meant. Raises StanzaError."""
    node = element.get("node", "")
    if not node:
        raise faults.node_required()
    return _bounded(node, "node")


def published_in(publish: Element) -> tuple[str, bytes, bool]:
    """The item's id, which is made when there is none, its payload, and whether the id was made (§7.1.1)."""
    found = publish.findall(ITEM)
    if not found:
        raise faults.item_required()
    if len(found) > 1:
        raise StanzaError(Condition.BAD_REQUEST, "one item is published at a time")
    item = found[0]
    if len(item) > 1:
        raise faults.invalid_payload()
    item_id = item.get("id", "")
    payload = serialise(item[0]) if len(item) else b""
    return (_bounded(item_id, "item") or ids.new_stream_id()), payload, not item_id


def publish_options(pubsub: Element) -> Mapping[str, Any]:
    """The preconditions beside a publication (§7.1.5)."""
    options = pubsub.find(f"{{{names.PUBSUB}}}publish-options")
    if options is None:
        return {}
    form = options.find(FORM)
    if form is None:
        raise StanzaError(Condition.BAD_REQUEST, "publish-options have a form")
    return options_of(form)


def item_ids_in(element: Element) -> list[str]:
    """The ids of the items that are named."""
    return [_bounded(item.get("id", ""), "item") for item in element.findall(ITEM)]


def form_in(element: Element | None) -> Element | None:
    """The form inside of an element, when there is one."""
    return None if element is None else element.find(FORM)


def is_true(text: str | None) -> bool:
    return text in ("true", "1")


def most_in(items: Element) -> int | None:
    """`max_items` of a request (§6.5.7). Raises StanzaError."""
    text = items.get("max_items")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise StanzaError(Condition.BAD_REQUEST)
    return int(text)


def affiliations_in(element: Element) -> dict[str, Affiliation]:
    """Who is to become what (§8.9.2). Raises StanzaError."""
    wanted: dict[str, Affiliation] = {}
    for each in element.findall(f"{{{names.PUBSUB_OWNER}}}affiliation"):
        try:
            jid = str(JID.parse(each.get("jid", "")).bare)
        except ValueError:
            raise StanzaError(Condition.JID_MALFORMED) from None
        kind = each.get("affiliation")
        if kind is None:
            continue
        if kind not in (Affiliation.MEMBER, Affiliation.OUTCAST, Affiliation.NONE):
            raise StanzaError(Condition.NOT_ACCEPTABLE, f"nobody can be {kind} of somebody else's node")
        wanted[jid] = Affiliation(kind)
    return wanted


def subscriber_in(element: Element, asker: str) -> str:
    """The address that subscribes, which is the asker's (§6.1.3.1), or "" when it is somebody else's."""
    try:
        jid = JID.parse(element.get("jid", ""))
    except ValueError:
        raise faults.invalid_jid() from None
    return str(jid) if str(jid.bare) == asker else ""


def ended_in(element: Element) -> list[str]:
    """Whose subscriptions an owner ends (§8.8.2). Raises StanzaError; nobody can be subscribed by others."""
    ended = []
    for each in element.findall(f"{{{names.PUBSUB_OWNER}}}subscription"):
        if each.get("subscription", "none") != "none":
            raise StanzaError(Condition.NOT_ACCEPTABLE, "an owner can only end subscriptions")
        if each.get("subscription"):
            ended.append(each.get("jid", ""))
    return ended


# -- answers -------------------------------------------------------------------------------------------------


def items_answer(node: str, items: Iterable[Item]) -> bytes:
    """§6.5.3."""
    return _in_pubsub(names.PUBSUB, "items", node, b"".join(map(item_bytes, items)))


def published_answer(node: str, item_id: str) -> bytes:
    """§7.1.2, with the id of the item that was published."""
    return _in_pubsub(names.PUBSUB, "publish", node, f"<item id='{escape_attr(item_id)}'/>".encode())


def created_answer(node: str) -> bytes:
    return _in_pubsub(names.PUBSUB, "create", node, b"")


def configuration_answer(node: str, config: NodeConfig) -> bytes:
    """§8.2.2: the form with what is now."""
    return _in_pubsub(
        names.PUBSUB_OWNER, "configure", node, serialise(NodeConfig.blank().filled(config).to_xml())
    )


def default_answer(config: NodeConfig) -> bytes:
    """§8.3.3."""
    return _in_pubsub(
        names.PUBSUB_OWNER, "default", "", serialise(NodeConfig.blank().filled(config).to_xml())
    )


def affiliations_answer(owner: str, node: Node) -> bytes:
    """§8.9.1, for the owner."""
    everybody = {owner: Affiliation.OWNER, **node.affiliations}
    inside = "".join(
        f"<affiliation jid='{escape_attr(jid)}' affiliation='{each}'/>" for jid, each in everybody.items()
    )
    return _in_pubsub(names.PUBSUB_OWNER, "affiliations", node.name, inside.encode())


def own_affiliations_answer(of_nodes: Mapping[str, Affiliation]) -> bytes:
    """§5.7, for whoever asks what they are to nodes."""
    inside = "".join(
        f"<affiliation node='{escape_attr(node)}' affiliation='{each}'/>" for node, each in of_nodes.items()
    )
    return _in_pubsub(names.PUBSUB, "affiliations", "", inside.encode())


def subscription_answer(node: str, jid: str, state: str) -> bytes:
    """§6.1.2, §6.2.2."""
    inside = f"<subscription node='{escape_attr(node)}' jid='{escape_attr(jid)}' subscription='{state}'/>"
    return f"<pubsub xmlns='{names.PUBSUB}'>{inside}</pubsub>".encode()


def subscriptions_answer(found: Iterable[tuple[str, str]]) -> bytes:
    """§5.6: nodes and the addresses that subscribed to them."""
    inside = "".join(
        f"<subscription node='{escape_attr(node)}' jid='{escape_attr(jid)}' subscription='subscribed'/>"
        for node, jid in found
    )
    return _in_pubsub(names.PUBSUB, "subscriptions", "", inside.encode())


def subscribers_answer(node: Node) -> bytes:
    """§8.8.1, for the owner."""
    inside = "".join(
        f"<subscription jid='{escape_attr(jid)}' subscription='subscribed'/>"
        for jid in sorted(node.subscribers)
    )
    return _in_pubsub(names.PUBSUB_OWNER, "subscriptions", node.name, inside.encode())


def _in_pubsub(namespace: str, name: str, node: str, inside: bytes) -> bytes:
    attribute = f" node='{escape_attr(node)}'" if node else ""
    head = f"<pubsub xmlns='{namespace}'><{name}{attribute}"
    if not inside:
        return f"{head}/></pubsub>".encode()
    return f"{head}>".encode() + inside + f"</{name}></pubsub>".encode()


def _bounded(name: str, what: str) -> str:
    if len(name.encode()) > MOST_ID_BYTES:
        raise StanzaError(Condition.NOT_ACCEPTABLE, f"the name of a {what} has at most {MOST_ID_BYTES} bytes")
    return name
