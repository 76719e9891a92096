"""`link list`, `ask`, `confirm` and `end`: companies whose people reach each other."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import company_named
from rainbow_xmpp.cli.console import Failed, json_option, print_json, print_rows, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from rainbow_xmpp.company.agreements import Agreements
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Company, CompanyLink

    Act = Callable[[Agreements, Company, Company, CompanyLink | None], Awaitable[CompanyLink]]

COLUMNS = ("company", "other", "state", "asked")


@click.group()
def link() -> None:
    """Links: companies whose people may reach each other."""


@link.command("list")
@click.option("--company", metavar="NAME", help="Only this company's.")
@json_option
@pass_invocation
def list_(invocation: Invocation, company: str | None, as_json: bool) -> None:
    """List links, and questions for one that were not answered."""

    async def work(store: "Store") -> list[dict[str, object]]:
        names = {each.id: each.name for each in await store.companies.list()}
        of = [(await company_named(store, company)).id] if company else list(names)
        found = {each.id: each for id in of for each in await store.links.of_company(id)}
        return [_row(each, names) for each in found.values()]

    rows = invocation.with_store(invocation.config(), work)
    print_rows(rows, COLUMNS, as_json=as_json, unbroken=("state", "asked"))


@link.command()
@click.argument("company")
@click.argument("other")
@reason_option
@json_option
@pass_invocation
def ask(invocation: Invocation, company: str, other: str, reason: str, as_json: bool) -> None:
    """COMPANY asks OTHER for a link, which OTHER has to confirm."""

    async def act(
        agreements: "Agreements", one: "Company", two: "Company", known: "CompanyLink | None"
    ) -> "CompanyLink":
        from rainbow_xmpp.observe.audit import cli_actor

        if known is not None:
            what = "is linked to" if known.is_confirmed else "and"
            end = "." if known.is_confirmed else " have an open question; link list shows who asked."
            raise Failed(f"{one.name} {what} {two.name}{end}")
        return await agreements.ask_link(one, two, actor=cli_actor(), reason=reason)

    _act(invocation, company, other, act, "asked {other} for a link", as_json=as_json)


@link.command()
@click.argument("company")
@click.argument("other")
@reason_option
@json_option
@pass_invocation
def confirm(invocation: Invocation, company: str, other: str, reason: str, as_json: bool) -> None:
    """COMPANY confirms the link that OTHER asked for."""

    async def act(
        agreements: "Agreements", one: "Company", two: "Company", known: "CompanyLink | None"
    ) -> "CompanyLink":
        from rainbow_xmpp.observe.audit import cli_actor

        if known is None or known.is_confirmed or known.other_id != one.id:
            raise Failed(f"{two.name} has not asked {one.name} for a link, or it was answered.")
        return await agreements.confirm_link(one, known.id, actor=cli_actor(), reason=reason)

    _act(invocation, company, other, act, "is linked to {other}", as_json=as_json)


@link.command()
@click.argument("company")
@click.argument("other")
@reason_option
@json_option
@pass_invocation
def end(invocation: Invocation, company: str, other: str, reason: str, as_json: bool) -> None:
    """COMPANY ends its link with OTHER, or refuses or takes back the question."""

    async def act(
        agreements: "Agreements", one: "Company", two: "Company", known: "CompanyLink | None"
    ) -> "CompanyLink":
        from rainbow_xmpp.observe.audit import cli_actor

        if known is None:
            raise Failed(f"{one.name} and {two.name} have no link.")
        return await agreements.end_link(one, known.id, actor=cli_actor(), reason=reason)

    _act(invocation, company, other, act, "has no link with {other} any more", as_json=as_json)


def _act(invocation: Invocation, company: str, other: str, act: "Act", said: str, *, as_json: bool) -> None:
    config = invocation.config()

    async def work(store: "Store") -> "tuple[CompanyLink, Company, Company]":
        from rainbow_xmpp.cli.recording import agreements

        one, two = await company_named(store, company), await company_named(store, other)
        links = await store.links.of_company(one.id)
        known = next((each for each in links if two.id in (each.company_id, each.other_id)), None)
        return await act(agreements(store, config), one, two, known), one, two

    made, one, two = invocation.with_store(config, work)
    if as_json:
        print_json(_row(made, {one.id: one.name, two.id: two.name}))
    else:
        click.echo(f"{one.name} {said.format(other=two.name)}.")


def _row(link: "CompanyLink", names: dict[str, str]) -> dict[str, object]:
    return {
        "company": names.get(link.company_id, link.company_id),
        "other": names.get(link.other_id, link.other_id),
        "state": "confirmed" if link.is_confirmed else "asked",
        "asked": datetime.fromtimestamp(link.created_at, UTC).strftime("%Y-%m-%d"),
        "id": link.id,
    }
