"""The end of a crash run: what was acknowledged, what was shown, and what stands in the logs, held together."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa

from rainbow_xmpp.plugins.archive import tables
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.group_commit import PATIENCE_S
from rainbow_xmpp.xml import scan_again
from tests.faults.crash_client import SAID, CrashClient, taken_back_by
from tests.faults.crash_screen import Tally

DONE_S = 60.0
"""So long what is taken back may be there, an outage between included."""


class Kept(NamedTuple):
    """What stands in somebody's log as received."""

    sender: str
    number: int
    is_wiped: bool
    """It was taken back."""
    session: int
    """In which of its sessions the sender said it; 0 when that was taken back."""


Log = Mapping[int, Kept]
"""By stanza-id."""


@dataclass
class Report:
    """What was counted. The lists must be empty, and so must `happened.faults`."""

    troubles: Counter[str] = field(default_factory=Counter)
    """How often what was done to the server or to its database."""
    seconds: float = 0.0
    serving_s: dict[str, list[float]] = field(default_factory=dict)
    """From the end of each trouble until the server said that it serves, by its kind."""
    happened: Tally = field(default_factory=Tally)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    refused_and_kept: list[str] = field(default_factory=list)
    not_as_in_the_archive: list[str] = field(default_factory=list)
    overtaken: int = 0
    """Messages that were refused in an outage unheard, since their session was lost for good as well, and that were
    said again behind what had been accepted meanwhile. Only a client that asks for its history first could know."""
    refused_from_before: int = 0
    """Messages that were in the log, said again while it could not be read, and refused."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    is_readable: bool = True
    """The database could be read in all of them."""
    wrongly_taken_back: list[str] = field(default_factory=list)
    """Or not, though the one that takes it back was acknowledged."""
    taken_back: int = 0

    @property
    def violations(self) -> list[str]:
        """Whatever must not be, in words."""
        return [
            *self.lost, *self.twice, *self.out_of_order, *self.not_as_in_the_archive, *self.wrongly_taken_back,
            *self.happened.faults, *self.refused_and_kept, *self._gates_closed_in_vain,
        ]  # fmt: skip

    @property
    def _gates_closed_in_vain(self) -> list[str]:
        times = self.happened.refused_like_nobody
        return (
            [f"{times} times a gate stayed closed that could be asked"] if times and self.is_readable else []
        )

    @property
    def is_well(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        happened = self.happened
        troubles = ", ".join(f"{number} {kind}" for kind, number in sorted(self.troubles.items()))
        times = [f"{kind} {_times(seconds)}" for kind, seconds in sorted(self.serving_s.items())]
        return (
            f"{troubles} in {self.seconds:.0f} s; {happened.sent:,} messages said, "
            f"{happened.acknowledged:,} acknowledged, {happened.sent_again:,} said again, "
            f"{happened.refused:,} refused for a while; {happened.resumed:,} sessions resumed, "
            f"{happened.began_anew:,} begun, {happened.vanished:,} clients vanished, {happened.rested:,} rested, "
            f"{happened.caught_up:,} messages caught up with, {self.taken_back:,} taken back.\n"
            f"Serving again after (median, greatest, in s): {'; '.join(times)}; "
            f"clients back after a kill or a stop: {_times(happened.back_s)}, "
            f"after the loss of their connection: {_times(happened.away_s)}.\n"
            f"Acknowledged and lost: {len(self.lost)}. Shown twice: {len(self.twice)}. "
            f"Out of order: {len(self.out_of_order)}. Refused and kept: {len(self.refused_and_kept)}. "
            f"Other than in the archive: {len(self.not_as_in_the_archive)}. "
            f"Wrongly taken back, or not: {len(self.wrongly_taken_back)}. Other faults: {len(happened.faults)}.\n"
            f"Refused unheard and overtaken: {self.overtaken}. "
            f"In the log from before, which could not be read, and refused: {self.refused_from_before}. "
            f"Refused by gates that could not be asked: {happened.refused_like_nobody}."
        )


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return f"{sorted(seconds)[len(seconds) // 2]:.2f} {max(seconds):.2f}"


def judge(reader: CrashClient, log: Log, report: Report) -> None:
    """Hold what one application was shown against what its peer was told, and against the log."""
    name, writer, shown = reader.person.localpart, reader.peer, reader.screen.shown()
    said = [number for _, number in shown.values()]
    refused = writer.screen.refused.keys()
    report.lost += [
        f"{name} lacks {n} of its peer: {reader.screen.around(n - 1)}"
        for n in sorted(writer.acknowledged - set(said) - refused)
    ]
    kept = {each.number: each for each in log.values()}
    for n in sorted(refused & set(said)):
        heard_in = writer.screen.refused[n]
        if not report.is_readable and n in kept and kept[n].session < heard_in:
            report.refused_from_before += 1
            continue
        report.refused_and_kept.append(
            f"{name} was shown {n}, {_kept_as(n, log)}, of which its peer heard in session {heard_in} that it had "
            f"failed: {reader.screen.around(n)}"
        )
    report.twice += [f"{name} was shown {n} {times} times" for n, times in Counter(said).items() if times > 1]
    for earlier, later in itertools.pairwise(said):
        if later > earlier:
            continue
        if _is_overtaken(later, earlier, writer, kept, report):
            report.overtaken += 1
            continue
        report.out_of_order.append(
            f"{name} was shown {later}, {_kept_as(later, log)}, behind {earlier}, {_kept_as(earlier, log)}: "
            f"{reader.screen.around(later)}"
        )
    report.not_as_in_the_archive += [
        f"{name}, {stanza_id}: shown {shown.get(stanza_id)}, kept {log.get(stanza_id)}"
        for stanza_id in sorted(shown.keys() | log.keys())
        if stanza_id not in shown or stanza_id not in log or shown[stanza_id] != log[stanza_id][:2]
    ]
    _judge_retractions(reader, log, report)


def _is_overtaken(
    number: int, by: int, writer: CrashClient, kept: Mapping[int, Kept], report: Report
) -> bool:
    """Said first in an outage, and kept as it was said in a later session than what overtook it."""
    if number not in kept or by not in kept or kept[number].session <= kept[by].session:
        return False
    at = writer.said_at[number - 1]
    return any(began - PATIENCE_S < at < ended for began, ended in report.outages)


def _kept_as(number: int, log: Log) -> str:
    found = [(stanza_id, kept.session) for stanza_id, kept in log.items() if kept.number == number]
    return ", ".join(f"{stanza_id} (said in session {session})" for stanza_id, session in found) or "not kept"


def _judge_retractions(reader: CrashClient, log: Log, report: Report) -> None:
    """What is in the log and was taken back by something behind it is wiped out, and nothing else is."""
    ids = {kept.number: stanza_id for stanza_id, kept in log.items()}
    due = {gone for n in ids if (gone := taken_back_by(n)) in ids and ids[gone] < ids[n]}
    wiped = {kept.number for kept in log.values() if kept.is_wiped}
    report.taken_back += len(due)
    report.wrongly_taken_back += [
        f"{reader.person.localpart}: {n} is {'there' if n in due else 'gone'}" for n in sorted(due ^ wiped)
    ]


async def received(storage_url: str) -> dict[str, Log]:
    """What stands in everybody's log as received, by localpart."""
    statement = (
        sa.select(sa.column("localpart"), tables.messages.c.key, tables.messages.c.stanza)
        .select_from(
            tables.messages.join(tables.owners, tables.owners.c.number == tables.messages.c.owner).join(
                sa.table("users", sa.column("id"), sa.column("localpart")),
                sa.literal_column("users.id") == tables.owners.c.account_id,
            )
        )
        .where(tables.messages.c.key % 2 == 1)
    )
    store = await Store.open(storage_url)
    try:
        await _retracted(store)
        async with store.read() as connection:
            rows = list(await connection.execute(statement))
    finally:
        await store.close()
    found: dict[str, dict[int, Kept]] = {}
    for localpart, key, stanza in rows:
        view = scan_again(bytes(stanza))
        sender, number = view.attrs["from"].partition("/")[0], int(view.attrs["id"])
        said = view.child("said", SAID)
        session = 0 if said is None else int(view.child_element(said).get("session", "0"))
        found.setdefault(localpart, {})[key >> 1] = Kept(sender, number, not view.has("body"), session)
    return dict(found)


async def _retracted(store: Store) -> None:
    """Wait until nothing is left to be taken back, as far as the server comes to it."""
    left = sa.select(sa.func.count()).select_from(tables.retractions)
    with suppress(TimeoutError):
        async with asyncio.timeout(DONE_S):
            while True:
                async with store.read() as connection:
                    if not (await connection.execute(left)).scalar_one():
                        return
                await asyncio.sleep(0.2)
