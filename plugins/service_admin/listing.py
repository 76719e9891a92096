"""People as a table, for administrators who look for somebody: addresses alone say little where they are random."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rainbow_xmpp.plugin import JID, Account, CommandAnswer, Form, Note, Services, Severity, form_field
from rainbow_xmpp.plugins.service_admin.scope import PAGE

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
    """Those of this company whose name, e-mail or address contains the text."""
    wanted = search.strip().casefold()
    rows: list[Row] = []
    async for account, emails in _people(services, company_id):
        if wanted not in " ".join((account.name, *emails, account.localpart)).casefold():
            continue
        if len(rows) == MOST:
            shown = Row.table(sorted(rows, key=_order))
            return shown, Note(f"There are more than these {MOST}: say whom you look for", Severity.WARN)
        rows.append(_row(services, account, emails))
    return Row.table(sorted(rows, key=_order))


async def _people(services: Services, company_id: str) -> AsyncIterator[tuple[Account, tuple[str, ...]]]:
    """Everybody with their e-mail addresses, a page at a time: a large company is nobody else's delay."""
    accounts, last = services.store.accounts, ""
    while page := await accounts.page(company_id, after=last, most=PAGE):
        emails = await accounts.emails_of(company_id, [account.id for account in page])
        for account in page:
            yield account, emails.get(account.id, ())
        last = page[-1].id


def _order(row: Row) -> tuple[str, str]:
    return row.name.casefold(), row.email


def _row(services: Services, account: Account, emails: tuple[str, ...]) -> Row:
    is_online = bool(services.sessions_of(account))
    return Row(
        name=account.name,
        email=", ".join(emails),
        jid=JID(account.localpart, services.domain),
        role=str(account.role),
        state="disabled" if account.disabled else "online" if is_online else "",
    )
