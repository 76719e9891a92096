"""What an ad-hoc command (XEP-0050) is given to talk with, and what it may answer.

@command("urn:example:report", "Report a problem")
async def report(self, ctx: Context, dialog: Dialog) -> str:
    report = await dialog.ask(Report)
    await self._reports.add(ctx.sender, report)
    return "Thank you."
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from rainbow_xmpp.stanza.forms import Blank, Form
from rainbow_xmpp.xml import Element

F = TypeVar("F", bound=Form)


class Severity(StrEnum):
    """How serious a note is (XEP-0050 §4.3)."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Note:
    """Words to whoever runs the command. One of the severity ERROR says that it failed (§3.6)."""

    text: str
    severity: Severity = Severity.INFO


Part = str | Note | Form | Element
"""A text is a note; a form is shown with its answers; an element, such as `Form.table(…)`, as it is."""
CommandAnswer = Part | tuple[Part, ...] | None
"""What a command shows when it is done. StanzaError ends it with an error reply instead."""


class Dialog(Protocol):
    """The other side of a running command: somebody with a client that shows forms."""

    async def ask(self, form: type[F] | Blank[F], *, more: bool = False, note: str = "") -> F:
        """Show a form and wait for its answers; answers that do not fit are refused until they do.

        `more`: at least one other form will follow. Whoever is asked may go back to an earlier form: then the
        command is begun anew and given the earlier answers again. So it first asks for all it needs, and acts
        after its last question. When nobody answers, it is cancelled here.

        FormError, raised after a question, says that its answers do not fit after all: they are asked for anew.
        """
