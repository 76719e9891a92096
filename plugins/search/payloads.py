"""Searches as XMPP clients ask for them (XEP-0055): with a data form, and with the fields of old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import SubElement

from rainbow_xmpp.plugin import JID, Account, Element, Form, form_field
from rainbow_xmpp.xml import names

QUERY = f"{{{names.SEARCH}}}query"
_FORM = f"{{{names.DATA_FORM}}}x"
INSTRUCTIONS = "A name or the beginnings of its words, an e-mail address as a whole, or a company."
_MAX = 200


class Search(Form, form_type=names.SEARCH, title="Find people", instructions=INSTRUCTIONS):
    """What can be asked. What the specification calls first, last and nick are words of one name here."""

    nick: str = form_field("Name", default="", max_len=_MAX)
    first: str = form_field("Given name", default="", max_len=_MAX)
    last: str = form_field("Family name", default="", max_len=_MAX)
    email: str = form_field("E-mail address", default="", max_len=_MAX + 54)
    company: str = form_field("Company", default="", max_len=_MAX, var="x-company")

    @property
    def name(self) -> str:
        return f"{self.first} {self.last} {self.nick}".strip()


class Row(Form, form_type=names.SEARCH):
    """Somebody who was found."""

    jid: JID = form_field("Address (JID)")
    nick: str = form_field("Name")
    company: str = form_field("Company", var="x-company")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and whether by a form: the answer looks like the question (§3)."""

    search: Search
    by_form: bool

    @classmethod
    def from_xml(cls, query: Element) -> Asked:
        """Raises FormError."""
        form = query.find(_FORM)
        if form is not None:
            return cls(Search.from_xml(form), True)
        given = {
            field: (query.findtext(f"{{{names.SEARCH}}}{field}") or "")[: _MAX + 54]
            for field in ("nick", "first", "last", "email")
        }
        return cls(Search(**given), False)

    def answer(self, found: Iterable[Account], domain: str) -> Element:
        """`<query/>` with those who were found, whoever they are."""
        query = Element(QUERY)
        if self.by_form:
            query.append(_table(found, domain))
        else:
            query.extend(self._item(account, domain) for account in found)
        return query

    def _item(self, account: Account, domain: str) -> Element:
        """§2, example 4. An e-mail address is told to who knew it only."""
        item = Element(f"{{{names.SEARCH}}}item", {"jid": f"{account.localpart}@{domain}"})
        first, _, last = account.name.rpartition(" ")
        values = {
            "first": first or last,
            "last": last if first else "",
            "nick": account.name,
            "email": self.search.email.strip(),
        }
        for field, value in values.items():
            SubElement(item, f"{{{names.SEARCH}}}{field}").text = value or None
        return item


def _table(found: Iterable[Account], domain: str) -> Element:
    """§3, example 8: a table that says of which form it is."""
    table = Row.table(
        Row(jid=JID(account.localpart, domain), nick=account.name, company=account.company.name)
        for account in found
    )
    kind = Element(f"{{{names.DATA_FORM}}}field", {"type": "hidden", "var": "FORM_TYPE"})
    SubElement(kind, f"{{{names.DATA_FORM}}}value").text = names.SEARCH
    table.insert(0, kind)
    return table


def question() -> Element:
    """What can be searched for (§2, example 2; §3, example 6)."""
    query = Element(QUERY)
    SubElement(query, f"{{{names.SEARCH}}}instructions").text = INSTRUCTIONS
    for field in ("first", "last", "nick", "email"):
        SubElement(query, f"{{{names.SEARCH}}}{field}")
    query.append(Search.blank().to_xml())
    return query
