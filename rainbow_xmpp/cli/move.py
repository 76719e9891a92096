"""`user move`, `company move` and `region moves`: to another region, done by the server that runs here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import company_named
from rainbow_xmpp.cli.console import (
    Failed,
    json_option,
    note,
    on_terminal,
    print_json,
    print_rows,
    reason_option,
)
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.user_acts import cli_actor, person_called
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.moves import Move
    from rainbow_xmpp.store.values import Company

COLUMNS = ("id", "what", "from", "to", "step", "rows", "trouble")
LOOK_EVERY_S = 0.5
_STEPS = {
    "asked": "waits for the server that runs here",
    "frozen": "is being sent; nothing of it changes meanwhile",
    "sent": "lies there, complete",
    "switching": "is taken over",
    "switched": "lives there",
    "deleted": "lives there; what is left here is being deleted",
    "done": "lives there, and nothing is left here",
    "failed": "stays here",
    "arriving": "is coming here",
    "arrived": "came here",
}

to_option = click.option("--to", "target", metavar="REGION", help="The region to live in.")
status_option = click.option("--status", is_flag=True, help="Only show how far it is.")
wait_option = click.option("--wait/--no-wait", default=True, help="Show how it goes until it is over.")


@click.command("move")
@click.argument("who", metavar="USER")
@to_option
@status_option
@wait_option
@reason_option
@json_option
@pass_invocation
def user_move(
    invocation: Invocation,
    who: str,
    target: str | None,
    status: bool,
    wait: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Move USER (an e-mail address or a localpart) with all that is theirs to another region.

    The server that runs here does it. Until it is done nothing of the account changes, and nobody logs in to it; what
    fails leaves everything as it was.
    """
    config = invocation.config()

    async def latest(store: "Store") -> "Move | None":
        return await store.moves.latest_of((await person_called(store, config, who)).id)

    async def ask(store: "Store") -> "Move":
        account = await person_called(store, config, who)
        return await _ask(store, config, account.company, account.id, target or "", reason)

    _move(invocation, config, latest if status else ask, target, status, wait, as_json)


@click.command("move")
@click.argument("name")
@to_option
@status_option
@wait_option
@reason_option
@json_option
@pass_invocation
def company_move(
    invocation: Invocation,
    name: str,
    target: str | None,
    status: bool,
    wait: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Move the company NAME to another region: its people here, one after the other, and then its home.

    The company must be allowed to use the region: company set NAME --allow-region REGION.
    """
    config = invocation.config()

    async def latest(store: "Store") -> "Move | None":
        return await store.moves.latest_of_company((await company_named(store, name)).id)

    async def ask(store: "Store") -> "Move":
        return await _ask(store, config, await company_named(store, name), "", target or "", reason)

    _move(invocation, config, latest if status else ask, target, status, wait, as_json)


@click.command("moves")
@json_option
@pass_invocation
def region_moves(invocation: Invocation, as_json: bool) -> None:
    """List who was, and is being, moved to another region or came from one; the newest first."""
    found = invocation.with_store(invocation.config(), lambda store: store.moves.all())
    print_rows([facts(move) for move in found], COLUMNS, as_json=as_json, unbroken=("id", "step"))


def facts(move: "Move") -> dict[str, object]:
    """What is shown of a move."""
    return {
        "id": move.id,
        "what": f"company {move.company_id}" if move.is_companys else move.account_id,
        "from": move.origin,
        "to": move.target,
        "step": str(move.step),
        "rows": move.rows,
        "trouble": move.trouble,
    }


def _move(
    invocation: Invocation,
    config: Config,
    begin: "Callable[[Store], Awaitable[Move | None]]",
    target: str | None,
    status: bool,
    wait: bool,
    as_json: bool,
) -> None:
    if not status and not target:
        raise click.UsageError("say where to, with --to REGION, or ask how far it is, with --status")

    async def work(store: "Store") -> "Move":
        move = await begin(store)
        if move is None:
            raise Failed("Nobody asked for that; region moves lists what was asked for.")
        if not status and wait:
            if not as_json:
                note(f"The move {move.id} goes on by itself if you stop looking (Ctrl-C).")
            move = await _until_over(store, move)
        return move

    from rainbow_xmpp.store.moves import Step

    move = invocation.with_store(config, work)
    if as_json:
        print_json(facts(move))
    else:
        click.echo(_told(move))
    if move.step is Step.FAILED and not status:
        raise Failed(f"It was not moved: {move.trouble}.")


async def _ask(
    store: "Store", config: Config, company: "Company", account_id: str, target: str, reason: str
) -> "Move":
    from rainbow_xmpp.cli.recording import audit_log
    from rainbow_xmpp.company.regions import Regions
    from rainbow_xmpp.observe.audit import Kind

    Regions.of(config).require_for_move(company, target)
    async with audit_log(store, config).with_write(
        Kind.USER_MOVING if account_id else Kind.COMPANY_MOVING,
        company_id=company.id,
        actor=cli_actor(),
        target=account_id or company.id,
        reason=reason,
        to=target,
    ):
        return await store.moves.ask(
            company.id, account_id, config.home_region, target, actor=cli_actor(), reason=reason
        )


async def _until_over(store: "Store", move: "Move") -> "Move":
    """Tell of each step, as it is taken."""
    told = ""
    while not move.is_over:
        if (news := _told(move)) != told and on_terminal():
            note(news)
        told = news
        await asyncio.sleep(LOOK_EVERY_S)
        move = await store.moves.by_id(move.id) or move
    return move


def _told(move: "Move") -> str:
    trouble = f": {move.trouble}" if move.trouble and not move.is_over else ""
    return f"{move.step} (to {move.target}, {move.rows} rows): {_STEPS[move.step]}{trouble}"
