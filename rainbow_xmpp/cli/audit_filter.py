"""Which records of the audit log a command is about."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.audit import Wanted

_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class _Moment(click.ParamType[int]):
    """`2026-11-23`, `2026-11-23T16:00` (UTC unless it says otherwise) or an age such as `36h`: ms since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if age := re.fullmatch(r"(\d{1,9})([smhdw])", value):
            return int((time.time() - int(age[1]) * _AGES[age[2]]) * 1000)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'"{value}" is no time; write 2026-11-23, 2026-11-23T16:00 or an age: 30m, 36h, 7d')
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


_OPTIONS = (
    click.option("--company", metavar="NAME", help="Concerning this company."),
    click.option("--actor", metavar="WHO", help="Done by this id, address, localpart, cli:USER or system."),
    click.option("--target", metavar="WHO", help="Done to this id, e-mail address or localpart."),
    click.option("--kind", help="Of this kind, or, with a dot at the end, of all that begin so: user."),
    click.option("--since", type=_Moment(), help="From this time on: 2026-11-23, 2026-11-23T16:00, 36h, 7d."),
    click.option("--until", type=_Moment(), help="Before this time."),
)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `wanted` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


async def wanted(
    store: "Store", company: str | None, actor: str | None, target: str | None, **others: Any
) -> "Wanted":
    """What was asked for, with ids for names. A company that is not there ends the command."""
    from rainbow_xmpp.cli.company_named import company_named
    from rainbow_xmpp.store.audit import Wanted

    return Wanted(
        company_id=(await company_named(store, company)).id if company else None,
        actor=await _id_of(store, actor),
        target=await _id_of(store, target),
        **others,
    )


async def _id_of(store: "Store", who: str | None) -> str | None:
    """The id of the account called so; what is no account's name is an id already."""
    if who is None or ":" in who or who == "system":
        return who
    record = await store.accounts.for_login(who)
    return record.account.id if record else who
