"""`<command/>` and what stands in it (XEP-0050 §4)."""

from __future__ import annotations

from enum import StrEnum

from rainbow_xmpp.plugin import (
    Condition,
    Payload,
    Severity,
    StanzaError,
    attr,
    child,
    child_text,
    children,
    text,
)
from rainbow_xmpp.xml import names

_LANG = f"{{{names.XML}}}lang"
MAX_NAME = 1024


class Action(StrEnum):
    """What is to be done with a running command (§4.1)."""

    EXECUTE = "execute"
    CANCEL = "cancel"
    PREV = "prev"
    NEXT = "next"
    COMPLETE = "complete"


class Status(StrEnum):
    """How far a command is."""

    EXECUTING = "executing"
    COMPLETED = "completed"
    CANCELED = "canceled"


class NoteElement(Payload, ns=names.COMMANDS, tag="note"):
    """Words beside the form (§4.3)."""

    type: Severity = attr(default=Severity.INFO)
    text: str = text(default="")


class Actions(Payload, ns=names.COMMANDS, tag="actions"):
    """What may be done next, and which of it is meant by "execute" (§4.2)."""

    execute: Action | None = attr(default=None)
    prev: bool = child_text(default=False)
    next: bool = child_text(default=False)
    complete: bool = child_text(default=False)


class Command(Payload, ns=names.COMMANDS, tag="command"):
    """A request to run a command, or the answer to one; forms stand in `extra`."""

    node: str = attr(max_len=MAX_NAME)
    sessionid: str = attr(default="", max_len=MAX_NAME)
    action: str = attr(default=str(Action.EXECUTE))
    status: str = attr(default="")
    """Ignored in requests (§4.1)."""
    lang: str = attr(default="", name=_LANG)
    actions: Actions | None = child(default=None)
    notes: tuple[NoteElement, ...] = children(default=())


def action_of(asked: Command) -> Action:
    """What is asked for. Raises StanzaError."""
    try:
        return Action(asked.action)
    except ValueError:
        raise refusal("malformed-action") from None


def refusal(specific: str, text: str = "", condition: Condition = Condition.BAD_REQUEST) -> StanzaError:
    """An error of a running command (§4.4)."""
    return StanzaError(condition, text, specific=f"{{{names.COMMANDS}}}{specific}")
