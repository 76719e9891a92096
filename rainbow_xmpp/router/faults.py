"""What the sender of a stanza is told when it is we who failed, and what the log is."""

import logging

from rainbow_xmpp.errors import Condition, ErrorType, StanzaError
from rainbow_xmpp.store.outage import is_outage

log = logging.getLogger(__name__)


def excuse(what: str, error: Exception, *, plugin: str = "") -> StanzaError:
    """The error for a `what` (such as "message") that could not be handled. An outage may pass (type "wait").

    `plugin` is whose handler failed, where that is known.
    """
    if is_outage(error):
        log.warning(
            "a %s could not be handled: the database does not answer (%s)", what, type(error).__name__
        )
        return StanzaError(Condition.RESOURCE_CONSTRAINT)
    log.error("a %s could not be handled", what, exc_info=error, extra={"plugin": plugin} if plugin else None)
    return StanzaError(Condition.INTERNAL_SERVER_ERROR)


def being_moved() -> StanzaError:
    """The answer for whoever wants to change something of an account that is on its way to another region."""
    return StanzaError(
        Condition.RESOURCE_CONSTRAINT,
        "this account is being moved to another region; try again later",
        type=ErrorType.WAIT,
    )
