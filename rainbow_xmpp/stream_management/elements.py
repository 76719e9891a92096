"""The elements of XEP-0198, read and written."""

from __future__ import annotations

from collections.abc import Mapping

from rainbow_xmpp.errors import Condition, PeerViolation, StreamCondition
from rainbow_xmpp.stream import features
from rainbow_xmpp.xml import escape_attr, names

WRAP = 2**32
"""Where counters begin again (XEP-0198 §4)."""
FEATURE = features.SM
REQUEST = f"<r xmlns='{names.SM}'/>".encode()


class HandledTooMany(PeerViolation):
    """The peer says that it handled more than it was sent (XEP-0198 §6)."""

    def __init__(self, h: int, sent: int) -> None:
        text = f"You acknowledged {h} stanzas, but I only sent you {sent} so far."
        specific = f"{{{names.SM}}}handled-count-too-high"
        super().__init__(StreamCondition.UNDEFINED_CONDITION, text, specific=specific)
        self.attributes = {"h": str(h), "send-count": str(sent)}


def read_count(text: str | None) -> int | None:
    """xs:unsignedInt; None for what is none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    count = int(text)
    return count if count < WRAP else None


def wants_resumption(attrs: Mapping[str, str]) -> bool:
    """Of `<enable/>`: xs:boolean."""
    return attrs.get("resume", "") in ("true", "1")


def acknowledgement(handled: int) -> bytes:
    return f"<a xmlns='{names.SM}' h='{handled % WRAP}'/>".encode()


def enabled(resume_id: str, max_s: int, location: str) -> bytes:
    """`resume_id` is "" where the session cannot be resumed."""
    if not resume_id:
        return f"<enabled xmlns='{names.SM}'/>".encode()
    where = f" location='{escape_attr(location)}'" if location else ""
    return f"<enabled xmlns='{names.SM}' id='{resume_id}' resume='true' max='{max_s}'{where}/>".encode()


def resumed(resume_id: str, handled: int) -> bytes:
    return f"<resumed xmlns='{names.SM}' previd='{resume_id}' h='{handled % WRAP}'/>".encode()


def failed(condition: Condition, handled: int | None = None) -> bytes:
    """`handled`: so many stanzas of the session that cannot be resumed were handled (XEP-0198 §5)."""
    count = "" if handled is None else f" h='{handled % WRAP}'"
    return f"<failed xmlns='{names.SM}'{count}><{condition} xmlns='{names.STANZAS}'/></failed>".encode()
