"""People as a table, for administrators who look for somebody: addresses alone say little where they are random."""

from __future__ import annotations

from rainbow_xmpp.plugin import JID, CommandAnswer, Form, Note, Services, Severity, form_field
from rainbow_xmpp.store.values import Member

MOST = 200
"""So many are shown."""


class Wanted(Form, title="People"):
    """Whom to look for."""

    search: str = form_field(
        "Name or address contains", default="", max_len=200, desc="Left empty, everybody."
    )


class WantedSomewhere(Wanted):
    """What an operator is asked."""

    company: str = form_field("Company", default="", var="x-company", desc="Left empty, your own.")


class Row(Form):
    """One of them."""

    name: str = form_field("Name")
    email: str = form_field("E-mail")
    jid: JID = form_field("Address (JID)")
    role: str = form_field("Role")
    state: str = form_field("State")


async def people_table(services: Services, company_id: str, search: str) -> CommandAnswer:
    """Those of this company whose name, e-mail or address contains the text, oldest account first."""
    wanted = search.strip().casefold()
    found = [
        member for member in await services.store.accounts.list(company_id) if wanted in _text_of(member)
    ]
    table = Row.table(_row(services, member) for member in found[:MOST])
    if len(found) <= MOST:
        return table
    return table, Note(f"{MOST} of {len(found)} are shown", Severity.WARN)


def _text_of(member: Member) -> str:
    return " ".join((member.account.name, *member.emails, member.account.localpart)).casefold()


def _row(services: Services, member: Member) -> Row:
    account = member.account
    is_online = bool(services.sessions_of(account))
    return Row(
        name=account.name,
        email=", ".join(member.emails),
        jid=JID(account.localpart, services.domain),
        role=str(account.role),
        state="disabled" if account.disabled else "online" if is_online else "",
    )
