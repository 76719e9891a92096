"""What is announced, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rainbow_xmpp.plugin import Element
from rainbow_xmpp.xml import names

EVERYBODY = ""
"""The scope of an operator; that of a company's administrator is the company's id."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text, and perhaps what it is about."""

    body: str
    subject: str = ""

    def elements(self) -> tuple[Element, ...]:
        """What stands in the message beside the body."""
        if not self.subject:
            return ()
        subject = Element(f"{{{names.CLIENT}}}subject")
        subject.text = self.subject
        return (subject,)


class Kind(StrEnum):
    """What is shown when somebody comes online."""

    MOTD = "motd"
    """To everybody, once (XEP-0133 §4.24)."""
    WELCOME = "welcome"
    """To people whose account is younger than it, at their first login (§4.27)."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A text that waits for people. `since` is the Unix time (seconds) from which it counts."""

    kind: Kind
    company_id: str
    """Whose people it is for; `EVERYBODY`."""
    id: str
    since: int
    words: Words
