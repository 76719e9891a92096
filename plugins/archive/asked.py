"""What a client asks of its history (XEP-0313 §4): read, checked, and turned into ranges of keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from rainbow_xmpp.plugin import JID, Condition, Element, Form, StanzaError, form_field
from rainbow_xmpp.plugins.archive.numbers import EPOCH_MS, RECEIVED, SPARE_BITS
from rainbow_xmpp.stanza.rsm import PageRequest
from rainbow_xmpp.xml import names

QUERY = f"{{{names.MAM}}}query"
FULLTEXT = f"{{{names.FULLTEXT}}}fulltext"

MOST_IDS = 250
"""So many messages may be asked for by their ids at once."""
_MOST_QUERY_ID = 256
_MOST_WORDS = 500
_GREATEST_KEY = 2**63 - 1
_X = f"{{{names.DATA_FORM}}}x"
_FIELD = f"{{{names.DATA_FORM}}}field"
_FLIP = f"{{{names.MAM}}}flip-page"
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Filters(Form, form_type=names.MAM):
    """The form of a query (§4.1)."""

    with_: JID | None = form_field(var="with", default=None)
    start: datetime | None = form_field(default=None)
    end: datetime | None = form_field(default=None)
    before_id: str = form_field(var="before-id", default="")
    after_id: str = form_field(var="after-id", default="")
    ids: tuple[str, ...] = form_field(default=(), most=MOST_IDS)
    words: str = form_field(var=FULLTEXT, default="", max_len=_MOST_WORDS)


_KNOWN = frozenset(("FORM_TYPE", *(field.var for field in Filters.fields())))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages of somebody's log."""

    least: int = 0
    """Keys from this one."""
    greatest: int = _GREATEST_KEY
    """Keys up to this one."""
    with_: JID | None = None
    """Talks with this person; with one of their devices, if there is a resource."""
    ids: tuple[int, ...] | None = None
    """Only these numbers."""
    words: str = ""
    """Only what has all of these words in it (XEP-0431)."""

    def within(self, least: int, greatest: int = _GREATEST_KEY) -> Wanted:
        """The same, and only within these keys."""
        return Wanted(max(self.least, least), min(self.greatest, greatest), self.with_, self.ids, self.words)


@dataclass(frozen=True, slots=True)
class Asked:
    """`<query/>` as a client sent it."""

    query_id: str
    wanted: Wanted
    """Whatever page it is of."""
    page: PageRequest
    references: tuple[int, ...]
    """Numbers that must stand in the log, or nothing is answered (§4.1.3, §4.3.2)."""
    is_flipped: bool

    @classmethod
    def from_xml(cls, query: Element, *, has_words: bool) -> Self:
        """Raises StanzaError: for what is not understood, and for ids that cannot be ours. `has_words`: words can
        be searched for."""
        query_id = query.get("queryid", "")
        if len(query_id) > _MOST_QUERY_ID or query.get("node"):
            raise StanzaError(Condition.BAD_REQUEST)
        filters, page = _filters(query, has_words), PageRequest.inside(query)
        ids = tuple(map(number_in, filters.ids))
        bounds = [text for text in (filters.before_id, filters.after_id, page.before, page.after) if text]
        wanted = Wanted(
            max(_first_key(filters.start), _behind(filters.after_id)),
            min(_last_key(filters.end), _in_front_of(filters.before_id)),
            filters.with_,
            ids or None,
            filters.words,
        )
        return cls(
            query_id,
            wanted,
            page,
            (*ids, *map(number_in, bounds)),
            query.find(_FLIP) is not None,
        )

    @property
    def wanted_here(self) -> Wanted:
        """What may stand on the page."""
        return self.wanted.within(_behind(self.page.after or ""), _in_front_of(self.page.before or ""))

    @property
    def is_from_the_start(self) -> bool:
        """Nothing stands in front of the page."""
        return self.page.after is None and self.page.before is None


def number_in(text: str) -> int:
    """The number that an id of ours tells. Raises StanzaError (item-not-found) for others."""
    if text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 19:
        number = int(text)
        if number * 2 < _GREATEST_KEY:
            return number
    raise StanzaError(Condition.ITEM_NOT_FOUND)


def _filters(query: Element, has_words: bool) -> Filters:
    form = query.find(_X)
    if form is None:
        return Filters()
    asked = {field.get("var", "") for field in form.iterfind(_FIELD)}
    if not asked <= (_KNOWN if has_words else _KNOWN - {FULLTEXT}):
        raise StanzaError(Condition.FEATURE_NOT_IMPLEMENTED, "a field of this form is not known")
    return Filters.from_xml(form)


def _behind(text: str) -> int:
    return (number_in(text) << 1 | RECEIVED) + 1 if text else 0


def _in_front_of(text: str) -> int:
    return (number_in(text) << 1) - 1 if text else _GREATEST_KEY


def _first_key(start: datetime | None) -> int:
    """Messages are dated to the millisecond: the first one that is not before."""
    return 0 if start is None else _key_at(-(-_microseconds(start) // 1000))


def _last_key(end: datetime | None) -> int:
    return _GREATEST_KEY if end is None else _key_at(_microseconds(end) // 1000 + 1) - 1


def _microseconds(at: datetime) -> int:
    since = at - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _key_at(ms: int) -> int:
    return min(max(0, (ms - EPOCH_MS) << SPARE_BITS << 1), _GREATEST_KEY)
