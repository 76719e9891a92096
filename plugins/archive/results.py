"""How a page of a history is told (XEP-0313 §4.2, §4.3, §5): results, their end, the form, the metadata."""

from __future__ import annotations

from datetime import UTC, datetime

from rainbow_xmpp.plugins.archive.asked import FULLTEXT
from rainbow_xmpp.plugins.archive.history import Found
from rainbow_xmpp.plugins.archive.log import Logged
from rainbow_xmpp.plugins.archive.numbers import EPOCH_MS, SPARE_BITS
from rainbow_xmpp.stanza.rsm import page_told
from rainbow_xmpp.xml import escape_attr, names


class Results:
    """Writes the messages of one page."""

    def __init__(self, query_id: str, *, bare: str, full: str) -> None:
        """For this session, from this person's archive."""
        asked = f" queryid='{escape_attr(query_id)}'" if query_id else ""
        self._head = (
            f"<message xmlns='{names.CLIENT}' from='{escape_attr(bare)}' to='{escape_attr(full)}'>"
            f"<result xmlns='{names.MAM}'{asked} id='"
        ).encode()

    def of(self, message: Logged) -> bytes:
        """The message that has this one in it (XEP-0297)."""
        return (
            b"%b%d'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='%b'/>%b%b"
            % (
                self._head,
                message.number,
                stamp_of(message.number).encode(),
                message.stanza,
                b"</forwarded></result></message>",
            )
        )


def stamp_of(number: int) -> str:
    """When a message was kept, to the millisecond: what a client asks for by this stamp is this message."""
    seconds, ms = divmod((number >> SPARE_BITS) + EPOCH_MS, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def end_of(found: Found, *, is_whole: bool) -> bytes:
    """`<fin/>`: which page it was. `is_whole`: with nothing in front of it, so that the place is known."""
    numbers = [str(message.number) for message in found.messages]
    index = 0 if is_whole and numbers else None
    count = len(numbers) if is_whole and found.is_complete else None
    told = page_told(numbers[0], numbers[-1], index=index, count=count) if numbers else page_told(count=count)
    return _fin(told, is_complete=found.is_complete)


def counted(count: int | None) -> bytes:
    """`<fin/>` for a page that was to be empty."""
    return _fin(page_told(count=count), is_complete=not count and count is not None)


def metadata(first: int | None, last: int | None) -> bytes:
    """`<metadata/>` (§5): the first and the last message, by their numbers; None for an empty archive."""
    ends = "".join(
        f"<{name} id='{number}' timestamp='{stamp_of(number)}'/>"
        for name, number in (("start", first), ("end", last))
        if number is not None
    )
    return f"<metadata xmlns='{names.MAM}'>{ends}</metadata>".encode()


def form(*, has_words: bool) -> bytes:
    """The fields of a query (§4.1.5)."""
    validate = f"<validate xmlns='{names.DATA_FORM_VALIDATE}' datatype='xs:string'><open/></validate>"
    fields = [
        f"<field type='hidden' var='FORM_TYPE'><value>{names.MAM}</value></field>",
        "<field type='jid-single' var='with'/>",
        *(f"<field type='text-single' var='{var}'/>" for var in ("start", "end", "before-id", "after-id")),
        f"<field type='list-multi' var='ids'>{validate}</field>",
    ]
    if has_words:
        fields.append(f"<field type='text-single' var='{FULLTEXT}'/>")
    inside = f"<x xmlns='{names.DATA_FORM}' type='form'>{''.join(fields)}</x>"
    return f"<query xmlns='{names.MAM}'>{inside}</query>".encode()


def _fin(told: bytes, *, is_complete: bool) -> bytes:
    complete = b" complete='true'" if is_complete else b""
    return b"<fin xmlns='urn:xmpp:mam:2'%b>%b</fin>" % (complete, told)
