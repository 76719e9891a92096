"""What service discovery says of a node (XEP-0060 §5.4)."""

from __future__ import annotations

from datetime import UTC, datetime

from rainbow_xmpp.plugin import JID, Element, Form, form_field
from rainbow_xmpp.plugins.pep.values import Node
from rainbow_xmpp.xml import names


class NodeMetadata(Form, form_type=f"{names.PUBSUB}#meta-data"):
    """The form of XEP-0060 §16.4.3."""

    node_title: str = form_field("Title", default="", var="pubsub#title")
    description: str = form_field("Description", default="", var="pubsub#description")
    creator: JID | None = form_field("Who made it", default=None, var="pubsub#creator")
    created: datetime | None = form_field("When it was made", default=None, var="pubsub#creation_date")
    access_model: str = form_field("Who may see it", default="", var="pubsub#access_model")
    publish_model: str = form_field("Who may publish", default="", var="pubsub#publish_model")
    max_items: str = form_field("How many items are kept", default="", var="pubsub#max_items")
    owner: tuple[JID, ...] = form_field("Owners", default=(), var="pubsub#owner")


def metadata_of(node: Node, owner: str) -> Element:
    """The form for one of an account's nodes."""
    config, jid = node.config, JID.parse(owner)
    return NodeMetadata(
        node_title=config.node_title,
        description=config.description,
        creator=jid,
        created=datetime.fromtimestamp(node.created_at, UTC),
        access_model=config.access_model,
        publish_model=config.publish_model,
        max_items=config.max_items,
        owner=(jid,),
    ).to_result()
