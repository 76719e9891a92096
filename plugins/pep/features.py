"""What accounts can do (XEP-0060 §10)."""

from rainbow_xmpp.xml import names

_FEATURES = (
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "auto-create",
    "auto-subscribe",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "filtered-notifications",
    "instant-nodes",
    "item-ids",
    "last-published",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "presence-notifications",
    "pubsub-on-a-jid",
    "publish",
    "publish-options",
    "purge-nodes",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-items",
    "retrieve-subscriptions",
    "subscribe",
)

FEATURES = (names.PUBSUB, *(f"{names.PUBSUB}#{feature}" for feature in _FEATURES))
"""As service discovery names them."""
