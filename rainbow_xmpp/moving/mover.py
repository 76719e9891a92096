"""The region that somebody leaves: does one step of a move after the other, and writes each down before the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.border import Border, Refused, TooLarge, Unreachable
from rainbow_xmpp.company.record import pack_company
from rainbow_xmpp.company.regions import Regions, WrongRegion
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.moving import words
from rainbow_xmpp.moving.kinds import (
    Person,
    UnknownTables,
    carried_kinds,
    kinds,
    pack,
    person,
    require_declared,
    totals,
)
from rainbow_xmpp.moving.proof import leftovers
from rainbow_xmpp.moving.receiver import move_home
from rainbow_xmpp.moving.words import Answer, Begin, Compare, Drop, Home, Part, Take
from rainbow_xmpp.observe.audit import AuditLog
from rainbow_xmpp.observe.audit import Kind as AuditKind
from rainbow_xmpp.store import Store, tables
from rainbow_xmpp.store.carried import Keys, Unreadable
from rainbow_xmpp.store.errors import BeingMoved
from rainbow_xmpp.store.moves import FROZEN, Move, Step
from rainbow_xmpp.store.values import Account, ChangeKind, Company

log = logging.getLogger(__name__)

PART_BYTES = 192 * 1024
"""Rows of one part together, unless one alone is larger."""
PART_ROWS = 500
ANSWER_S = 30.0
"""So long the other region may take to compare, or to take somebody in."""
ROW_S = 0.002
"""And so long for each row."""
PATIENCE_S = 600
"""So long somebody stays frozen while the other region does not answer."""
LEASE_S = 120
"""A server that has not said anything of a move for so long is not at it any more."""
WORD_S = 30 * 86_400
"""So long it is known here where somebody went."""


_CAN_STAY = (Step.ASKED, Step.FROZEN, Step.SENT, Step.SWITCHING)
"""Later they live elsewhere."""


class CannotMove(RainbowError):
    """They stay where they are, for this reason."""


class Later(RainbowError):
    """Something has to pass first."""


class Mover:
    """`look` goes on with whatever there is to go on with; it is asked every few seconds."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        audit: AuditLog,
        regions: Regions,
        border: Border,
        changed: Callable[[], Awaitable[None]],
        *,
        spread_s: float = 2.0,
    ) -> None:
        """`changed` brings what was written into effect on this server; others need `spread_s` for it."""
        self._store = store
        self._moves = store.moves
        self._keys = keys
        self._audit = audit
        self._regions = regions
        self._border = border
        self._changed = changed
        self._spread_s = spread_s
        self._is_at_it = False
        self._thawed: set[str] = set()
        """Moves that begin anew, at the next look."""
        self._silent_since: dict[str, float] = {}
        """When the region that somebody is sent to did not answer any more, by the move."""
        self._steps: Mapping[Step, Callable[[Move], Awaitable[None]]] = {
            Step.ASKED: self._freeze,
            Step.FROZEN: self._send,
            Step.SENT: self._look_again,
            Step.SWITCHING: self._switch,
            Step.SWITCHED: self._delete,
            Step.DELETED: self._prove,
        }

    async def look(self) -> None:
        """Go on with every move that began here."""
        if self._is_at_it:
            return
        self._is_at_it = True
        self._thawed.clear()
        try:
            while await self._look_once():
                pass
        finally:
            self._is_at_it = False

    async def _look_once(self) -> bool:
        """Whether another look is worth it: the move of a company goes on with those of its people."""
        before = await self._moves.under_way()
        for move in before:
            is_ours = move.origin == self._border.here and move.id not in self._thawed
            if is_ours and await self._moves.take(move.id, LEASE_S):
                try:
                    await self._go_on(move)
                finally:
                    await self._moves.give_back(move.id)
        after = await self._moves.under_way()
        return [(move.id, move.step) for move in before] != [(move.id, move.step) for move in after]

    async def _go_on(self, move: Move) -> None:
        """As far as it goes now."""
        while not move.is_over:
            trouble = ""
            try:
                await (self._company(move) if move.is_companys else self._steps[move.step](move))
            except TooLarge:
                await self._give_up(move, "a row of theirs is larger than what crosses a border")
            except Later as reason:
                trouble = str(reason)
            except (Unreachable, Refused):
                trouble = f"the region {move.target} does not answer: it is asked again"
                await self._thaw_after_a_while(move, trouble)
            except (CannotMove, WrongRegion, Unreadable, UnknownTables) as reason:
                if move.step not in _CAN_STAY:
                    raise
                await self._give_up(move, str(reason))
            if trouble:
                await self._moves.note(move, trouble=trouble)
                return
            found = await self._moves.by_id(move.id)
            assert found is not None, "moves that are under way are not forgotten"
            move = found

    async def _thaw_after_a_while(self, move: Move, trouble: str) -> None:
        """Who cannot be sent at the moment does not stay frozen for that: it begins anew when the region answers."""
        if move.step not in (Step.FROZEN, Step.SENT):
            return
        now = self._store.now()
        if now - self._silent_since.setdefault(move.id, now) >= PATIENCE_S:
            del self._silent_since[move.id]
            self._thawed.add(move.id)
            await self._moves.advance(move, Step.ASKED, kind=ChangeKind.ACCOUNT_THAWED, trouble=trouble)
            await self._changed()

    # -- a person ------------------------------------------------------------------------------------------

    async def _freeze(self, move: Move) -> None:
        account = await self._account(move)
        self._regions.require_for_move(account.company, move.target)
        async with self._store.read() as connection:
            await require_declared(connection)
        # Nobody is frozen for a region that does not answer, or would not take them in.
        await self._ask(move, await self._beginning(move, account))
        await self._moves.advance(move, Step.FROZEN, kind=ChangeKind.ACCOUNT_FROZEN, trouble="")
        await self._changed()

    async def _send(self, move: Move) -> None:
        account = await self._account(move)
        await self._quiet(account)
        await self._ask(move, await self._beginning(move, account))
        found: dict[str, tuple[int, str]] = {}
        async with self._store.read(snapshot=True) as connection:
            who = await person(connection, account.company.id, account.id)
            found = await totals(connection, who, self._keys, carried_kinds())
            await self._send_rows(connection, move, who)
        await self._ask(move, Compare(move.id, found))
        self._silent_since.pop(move.id, None)
        await self._moves.advance(move, Step.SENT, totals=found, trouble="")

    async def _beginning(self, move: Move, account: Account) -> Begin:
        emails = await self._store.accounts.emails_of(account.company.id, [account.id])
        columns = {kind.name: list(kind.columns) for kind in carried_kinds()}
        async with self._store.read() as connection:
            who = await person(connection, account.company.id, account.id)
            present = {kind.name for kind in carried_kinds() if await kind.count(connection, who)}
        return Begin(
            move.id,
            pack_company(account.company),
            account.id,
            account.localpart,
            list(emails.get(account.id, ())),
            {name: names for name, names in columns.items() if name in present},
        )

    async def _quiet(self, account: Account) -> None:
        """Every server knows that they are frozen, and what was on its way to the disk is there. Raises Later."""
        await asyncio.sleep(self._spread_s)
        await self._store.committed()
        async with self._store.read() as connection:
            who = await person(connection, account.company.id, account.id)
            for kind in kinds():
                if kind.carried.must_be_over and (left := await kind.count(connection, who)):
                    raise Later(f"{left} rows of {kind.name} have to be done with first")

    async def _send_rows(self, connection: AsyncConnection, move: Move, who: Person) -> None:
        sent = 0
        for kind in carried_kinds():
            number, part, size = 0, list[list[object]](), 0
            async for row in kind.rows(connection, who):
                values = kind.crossing(row, self._keys)
                weight = len(pack(values))
                if part and (size + weight > PART_BYTES or len(part) >= PART_ROWS):
                    await self._ask(move, Part(move.id, kind.name, number, words.encode(part)))
                    sent += len(part)
                    await self._moves.note(move, rows=sent, for_s=LEASE_S)
                    number, part, size = number + 1, [], 0
                part.append(values)
                size += weight
            if part:
                await self._ask(move, Part(move.id, kind.name, number, words.encode(part)))
                sent += len(part)
        await self._moves.note(move, rows=sent, for_s=LEASE_S)

    async def _look_again(self, move: Move) -> None:
        """Nobody should have changed anything; if somebody did, it is sent again."""
        account = await self._account(move)
        async with self._store.read(snapshot=True) as connection:
            who = await person(connection, account.company.id, account.id)
            now = await totals(connection, who, self._keys, carried_kinds())
        if now != dict(move.totals):
            differing = [name for name in {*now, *move.totals} if now.get(name) != move.totals.get(name)]
            log.warning("%s changed while %s is moved: sent again", ", ".join(differing), account.id)
            await self._moves.advance(move, Step.FROZEN)
            return
        await self._moves.advance(move, Step.SWITCHING)

    async def _switch(self, move: Move) -> None:
        account = await self._account(move)
        await self._ask(move, Take(move.id, pack_company(account.company), dict(move.totals)))
        await self._moves.advance(move, Step.SWITCHED, trouble="")

    async def _delete(self, move: Move) -> None:
        account = await self._account(move)
        rows = sum(count for count, _ in move.totals.values())
        async with (
            self._audit.with_write(
                AuditKind.USER_MOVED,
                company_id=move.company_id,
                actor=move.actor,
                target=move.account_id,
                reason=move.reason,
                to=move.target,
                move=move.id,
                rows=rows,
            ),
            self._store.write() as connection,
        ):
            who = await person(connection, move.company_id, move.account_id)
            until = int(self._store.now()) + WORD_S
            await self._moves.leave_word(connection, account.localpart, move.target, until)
            await _delete_all(connection, who)
            await self._moves.advance(
                move,
                Step.DELETED,
                connection=connection,
                kind=ChangeKind.ACCOUNT_MOVED,
                remains=who.numbers,
            )
        await self._changed()

    async def _prove(self, move: Move) -> None:
        who = Person(move.company_id, move.account_id, move.remains)
        async with self._store.read(snapshot=True) as connection:
            left = await leftovers(connection, who)
        if left:
            told = ", ".join(f"{count} in {name}" for name, count in left.items())
            raise Later(f"rows are left to be deleted: {told}")
        async with self._audit.with_write(
            AuditKind.USER_LEFT_NOTHING,
            company_id=move.company_id,
            actor="system",
            target=move.account_id,
            move=move.id,
        ):
            await self._moves.advance(move, Step.DONE, trouble="")

    async def _account(self, move: Move) -> Account:
        account = await self._store.accounts.by_id(move.account_id)
        if account is None:
            raise CannotMove("the account is gone")
        return account

    # -- a company -----------------------------------------------------------------------------------------

    async def _company(self, move: Move) -> None:
        """Its people go one by one, each by a move of its own; when nobody is left, its home follows."""
        company = await self._store.companies.by_id(move.company_id)
        if company is None or company.is_public:
            raise CannotMove("there is no such company, or it is the one of those who belong to none")
        if company.region != self._border.here:
            raise CannotMove(f"{company.name} is at home in {company.region}: move it from there")
        self._regions.require_for_move(company, move.target)
        failed = set()
        for part in await self._moves.parts_of(move.id):
            if not part.is_over:
                raise Later("its people are on their way")
            if part.step is Step.FAILED:
                failed.add(part.account_id)
        left = [account.id for account in await self._everybody(company)]
        if stay := failed.intersection(left):
            raise CannotMove(f"{len(stay)} of its people could not be moved, and the others were")
        if left:
            for account_id in left:
                await self._ask_for(move, account_id)
            raise Later(f"{len(left)} people are to go")
        there = Home(pack_company(replace(company, region=move.target)))
        await self._ask(move, there)
        for other in self._border.others:
            if other != move.target:
                await self._tell(other, there)
        async with (
            self._audit.with_write(
                AuditKind.COMPANY_MOVED,
                company_id=company.id,
                actor=move.actor,
                target=company.id,
                reason=move.reason,
                to=move.target,
                move=move.id,
            ),
            self._store.write() as connection,
        ):
            await move_home(connection, company, move.target, int(self._store.now()))
            await self._moves.advance(move, Step.DONE, connection=connection, trouble="")
        await self._changed()

    async def _everybody(self, company: Company) -> list[Account]:
        found: list[Account] = []
        while some := await self._store.accounts.page(company.id, after=found[-1].id if found else ""):
            found += some
        return found

    async def _ask_for(self, move: Move, account_id: str) -> None:
        try:
            await self._moves.ask(
                move.company_id,
                account_id,
                move.origin,
                move.target,
                actor=move.actor,
                reason=move.reason,
                of_move=move.id,
            )
        except BeingMoved:  # by somebody else's wish: its end is waited for
            return

    # -- both ----------------------------------------------------------------------------------------------

    async def _ask(self, move: Move, said: words.Words) -> Answer:
        """Raises CannotMove with what the other region has against it."""
        rows = sum(count for count, _ in said.totals.values()) if isinstance(said, Compare | Take) else 0
        within_s = ANSWER_S + rows * ROW_S
        data = await self._border.ask(move.target, words.SERVICE, words.encode(said), within_s=within_s)
        answer = words.answer(data)
        if not answer.is_done:
            raise CannotMove(f"{move.target} says: {answer.why_not}")
        return answer

    async def _tell(self, region: str, said: words.Words) -> None:
        """A region that has no say in it. Raises Later while it does not answer."""
        try:
            await self._border.ask(region, words.SERVICE, words.encode(said), within_s=ANSWER_S)
        except (Unreachable, Refused):
            raise Later(f"the region {region} has to hear of it, and does not answer") from None

    async def _give_up(self, move: Move, reason: str) -> None:
        """They stay, and everything is as before."""
        kind = AuditKind.COMPANY_NOT_MOVED if move.is_companys else AuditKind.USER_NOT_MOVED
        thawed = ChangeKind.ACCOUNT_THAWED if move.step in FROZEN else None
        async with self._audit.with_write(
            kind,
            company_id=move.company_id,
            actor="system",
            target=move.account_id or move.company_id,
            reason=reason,
            to=move.target,
            move=move.id,
        ):
            await self._moves.advance(move, Step.FAILED, kind=thawed, trouble=reason)
        await self._changed()
        log.error("%s is not moved to %s: %s", move.account_id or move.company_id, move.target, reason)
        if move.step in FROZEN:
            try:
                await self._border.ask(move.target, words.SERVICE, words.encode(Drop(move.id)))
            except (Unreachable, Refused):  # it drops by itself what nobody followed
                return


async def _delete_all(connection: AsyncConnection, who: Person) -> None:
    """The account, and with it all it owns; then what names it without belonging to it."""
    users = tables.users.c
    await connection.execute(
        sa.delete(tables.users).where(users.company_id == who.company_id, users.id == who.account_id)
    )
    for table in tables.metadata.sorted_tables:
        if "account_id" in table.c and table not in (tables.moves, tables.changes):
            await connection.execute(sa.delete(table).where(table.c.account_id == who.account_id))
