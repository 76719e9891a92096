"""`invite list`, `add`, `accept` and `end`: two people of different companies who agree to reach each other."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import company_named
from rainbow_xmpp.cli.console import Failed, json_option, print_json, print_rows, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.user_acts import person_called

if TYPE_CHECKING:
    from rainbow_xmpp.company.agreements import Agreements
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Account, Authorisation

    Act = Callable[[Agreements, Account, Account], Awaitable[Authorisation]]

COLUMNS = ("user", "contact", "state", "expires", "note")
MOST_DAYS = 36_500


def moment(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """A day, a time, or a number of days from now; as Unix time in seconds."""
    if text is None:
        return None
    now, days = datetime.now(UTC), text.removesuffix("d")
    if text.endswith("d") and days.isascii() and days.isdigit() and 0 < int(days[:9]) <= MOST_DAYS:
        return int((now + timedelta(days=int(days))).timestamp())
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f'"{text}" is no time; write 30d, 2027-01-31 or 2027-01-31T12:00:00Z'
        ) from None
    found = found if found.tzinfo is not None else found.astimezone()
    if found <= now:
        raise click.BadParameter(f'"{text}" is over')
    return int(found.timestamp())


@click.group()
def invite() -> None:
    """Invitations from person to person, across companies."""


@invite.command("list")
@click.argument("who", metavar="[USER]", required=False)
@click.option("--company", metavar="NAME", help="Only this company's people.")
@json_option
@pass_invocation
def list_(invocation: Invocation, who: str | None, company: str | None, as_json: bool) -> None:
    """List invitations and what came of them: of USER, of a company's people, or of everybody.

    invited: the user invited the contact, who has not answered. asked: the contact invited the user.
    """
    config = invocation.config()

    async def work(store: "Store") -> list[dict[str, object]]:
        if who:
            account = await person_called(store, config, who)
            halves = await store.authorisations.of(account.company.id, account.id)
        else:
            of = [await company_named(store, company)] if company else await store.companies.list()
            halves = [half for each in of for half in await store.authorisations.of_company(each.id)]
        return [await _row(store, config.domain, half) for half in halves]

    rows = invocation.with_store(config, work)
    print_rows(rows, COLUMNS, as_json=as_json, unbroken=("state", "expires"))


@invite.command()
@click.argument("inviter")
@click.argument("invitee")
@click.option("--note", default="", metavar="TEXT", help="What the invitee reads with it.")
@click.option(
    "--expires", callback=moment, metavar="TIME", help="When it ends: 30d, 2027-01-31. [default: never]"
)
@reason_option
@json_option
@pass_invocation
def add(
    invocation: Invocation,
    inviter: str,
    invitee: str,
    note: str,
    expires: int | None,
    reason: str,
    as_json: bool,
) -> None:
    """INVITER (e-mail address, JID or localpart) invites INVITEE, who has to accept."""

    async def act(agreements: "Agreements", one: "Account", other: "Account") -> "Authorisation":
        return await agreements.invite(
            one, other, note=note, expires_at=expires, actor=_actor(), reason=reason
        )

    _act(invocation, (inviter, invitee), act, as_json=as_json)


@invite.command()
@click.argument("invitee")
@click.argument("inviter")
@reason_option
@json_option
@pass_invocation
def accept(invocation: Invocation, invitee: str, inviter: str, reason: str, as_json: bool) -> None:
    """INVITEE accepts the invitation of INVITER."""

    async def act(agreements: "Agreements", one: "Account", other: "Account") -> "Authorisation":
        from rainbow_xmpp.store.errors import NotFound

        try:
            return await agreements.accept(one, other, actor=_actor(), reason=reason)
        except NotFound:
            raise Failed(f"{inviter} has not invited {invitee}, or not any more.") from None

    _act(invocation, (invitee, inviter), act, as_json=as_json)


@invite.command()
@click.argument("one")
@click.argument("other")
@reason_option
@json_option
@pass_invocation
def end(invocation: Invocation, one: str, other: str, reason: str, as_json: bool) -> None:
    """End what ONE and OTHER agreed on, decline or take back an invitation."""

    async def act(agreements: "Agreements", first: "Account", second: "Account") -> "Authorisation":
        from rainbow_xmpp.store.errors import NotFound

        try:
            return await agreements.end(first, second, actor=_actor(), reason=reason)
        except NotFound:
            raise Failed(f"{one} and {other} have agreed on nothing.") from None

    _act(invocation, (one, other), act, as_json=as_json, ended=True)


def _act(
    invocation: Invocation, both: tuple[str, str], act: "Act", *, as_json: bool, ended: bool = False
) -> None:
    config = invocation.config()

    async def work(store: "Store") -> dict[str, object]:
        from rainbow_xmpp.cli.recording import agreements

        one, other = [await person_called(store, config, who) for who in both]
        half = await act(agreements(store, config), one, other)
        return await _row(store, config.domain, half) | ({"state": "ended"} if ended else {})

    row = invocation.with_store(config, work)
    if as_json:
        print_json(row)
    else:
        click.echo(f"{row['user']} and {row['contact']}: {row['state']}.")


async def _row(store: "Store", domain: str, half: "Authorisation") -> dict[str, object]:
    """As its owner sees it: `invited` is who has invited the contact, `asked` who was invited by the contact."""
    owner = await store.accounts.by_id(half.owner_id)
    expires = "" if half.expires_at is None else f"{datetime.fromtimestamp(half.expires_at, UTC):%Y-%m-%d}"
    return {
        "user": half.owner_id if owner is None else f"{owner.localpart}@{domain}",
        "contact": half.contact_jid,
        "state": str(half.state),
        "expires": expires,
        "note": half.note,
    }


def _actor() -> str:
    from rainbow_xmpp.observe.audit import cli_actor

    return cli_actor()
