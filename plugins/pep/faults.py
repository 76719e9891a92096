"""What goes wrong with publish-subscribe, as stanza errors with its own conditions (XEP-0060, the error cases)."""

from __future__ import annotations

from rainbow_xmpp.plugin import Condition, ErrorType, StanzaError
from rainbow_xmpp.xml import names


def fault(condition: Condition, specific: str, text: str = "", *, feature: str = "") -> StanzaError:
    """An error with one of the conditions of `pubsub#errors` beside the defined one."""
    return StanzaError(condition, text, specific=f"{{{names.PUBSUB_ERRORS}}}{specific}", feature=feature)


def not_found() -> StanzaError:
    """No such node, or no such item."""
    return StanzaError(Condition.ITEM_NOT_FOUND)


def not_yours() -> StanzaError:
    """Nobody changes what is another account's (XEP-0163 §3.2: one publisher for each node)."""
    return StanzaError(Condition.FORBIDDEN)


def unsupported(action: str) -> StanzaError:
    """Something that is not done here; it is named as a feature of §10."""
    feature = {"options": "subscription-options", "default": "retrieve-default-sub"}.get(action, action)
    return fault(Condition.FEATURE_NOT_IMPLEMENTED, "unsupported", feature=feature)


def node_required() -> StanzaError:
    return fault(Condition.BAD_REQUEST, "nodeid-required")


def item_required() -> StanzaError:
    return fault(Condition.BAD_REQUEST, "item-required")


def payload_required() -> StanzaError:
    return fault(Condition.BAD_REQUEST, "payload-required")


def invalid_payload() -> StanzaError:
    return fault(Condition.BAD_REQUEST, "invalid-payload")


def payload_too_big(most: int) -> StanzaError:
    return fault(Condition.NOT_ACCEPTABLE, "payload-too-big", f"an item has at most {most} bytes")


def precondition_not_met() -> StanzaError:
    return fault(Condition.CONFLICT, "precondition-not-met")


def presence_required() -> StanzaError:
    return fault(Condition.NOT_AUTHORIZED, "presence-subscription-required")


def not_in_roster_group() -> StanzaError:
    return fault(Condition.NOT_AUTHORIZED, "not-in-roster-group")


def closed_node() -> StanzaError:
    return fault(Condition.NOT_ALLOWED, "closed-node")


def full(text: str) -> StanzaError:
    """The account has as much as it may have."""
    return StanzaError(Condition.RESOURCE_CONSTRAINT, text, type=ErrorType.WAIT)


def invalid_jid() -> StanzaError:
    """Nobody subscribes somebody else (§6.1.3.1)."""
    return fault(Condition.BAD_REQUEST, "invalid-jid")


def not_subscribed() -> StanzaError:
    return StanzaError(
        Condition.UNEXPECTED_REQUEST,
        type=ErrorType.CANCEL,
        specific=f"{{{names.PUBSUB_ERRORS}}}not-subscribed",
    )


def too_many_subscriptions() -> StanzaError:
    return fault(Condition.POLICY_VIOLATION, "too-many-subscriptions")
