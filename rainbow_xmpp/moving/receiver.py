"""The region that somebody goes to: takes the parts, compares them, and makes the account out of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import assert_never

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.border import Border
from rainbow_xmpp.company.record import BadRecord, unpack_company
from rainbow_xmpp.company.regions import Regions, WrongRegion
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.moving import words
from rainbow_xmpp.moving.kinds import (
    OWNER,
    Digest,
    Kind,
    Person,
    carried_kinds,
    person,
    require_declared,
    totals,
)
from rainbow_xmpp.moving.words import Answer, Begin, Compare, Drop, Home, Part, Take
from rainbow_xmpp.observe.audit import AuditLog
from rainbow_xmpp.observe.audit import Kind as AuditKind
from rainbow_xmpp.store import Store, changes, tables
from rainbow_xmpp.store.carried import Keys, Row
from rainbow_xmpp.store.companies import company_row
from rainbow_xmpp.store.moves import Move, Step, Totals
from rainbow_xmpp.store.values import ChangeKind, Company

log = logging.getLogger(__name__)

_BOX = "moves"
"""What parts are sealed in until they are somebody."""


class No(RainbowError):
    """This move cannot go on; the other region is told why."""


class Receiver:
    """Serves `moving` on the border."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        audit: AuditLog,
        regions: Regions,
        border: Border,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        """`changed` brings what was written into effect on this server."""
        self._store = store
        self._keys = keys
        self._audit = audit
        self._regions = regions
        self._border = border
        self._changed = changed

    async def start(self) -> None:
        """Take people in from now on."""
        await self._border.serve(words.SERVICE, self.answer)

    async def answer(self, origin: str, request: bytes) -> bytes:
        """One request of a region; see `words`."""
        try:
            return words.encode(await self._answer(origin, words.words(request)))
        except (No, WrongRegion, BadRecord) as no:
            log.warning("somebody from %s is not taken in: %s", origin, no)
            return words.encode(Answer(False, str(no)))
        except sa.exc.IntegrityError:  # somebody was made here meanwhile
            return words.encode(Answer(False, "a name or address of theirs was given to somebody here"))

    async def _answer(self, origin: str, said: words.Words) -> Answer:
        match said:
            case Begin():
                return await self._begin(origin, said)
            case Part():
                await self._arriving(origin, said.move)
                box = self._keys.box_for(_BOX)
                sealed = box.seal(said.rows, _place(said.move, said.kind, said.number))
                await self._store.moves.keep_part(said.move, said.kind, said.number, sealed)
                return Answer(True)
            case Compare():
                return await self._compare(origin, said)
            case Take():
                return await self._take(origin, said)
            case Drop():
                return await self._drop(origin, said)
            case Home():
                return await self._be_home(origin, unpack_company(said.company))
        assert_never(said)

    # -- before anybody lives here ---------------------------------------------------------------------

    async def _begin(self, origin: str, said: Begin) -> Answer:
        known = await self._store.moves.by_id(said.move)
        if known is not None and known.step is Step.ARRIVED and known.origin == origin:
            return Answer(True, is_there=True)
        company = await self._company(origin, said.company)
        self._regions.for_new_person(company)
        await self._judge_tables(said.columns)
        await self._judge_names(said)
        at = int(self._store.now())
        move = Move(
            said.move,
            "",
            company.id,
            said.account_id,
            origin,
            self._border.here,
            Step.ARRIVING,
            f"region:{origin}",
            "",
            at,
            at,
            0,
            {},
            {},
            "",
        )
        async with self._store.write() as connection:
            await self._store.moves.drop_parts(said.move, connection)
            await self._store.moves.insert(connection, move)
        return Answer(True)

    async def _company(self, origin: str, packed: bytes) -> Company:
        """The company as it is known here, or else as the region says, which must be one of its own. Raises No."""
        said = unpack_company(packed)
        if said.is_public:
            found = await self._store.companies.by_name(said.name)  # each region has a row of its own for it
        else:
            found = await self._store.companies.by_id(said.id)
        company = found or said
        if not company.is_public and origin not in (company.region, *company.settings.regions):
            raise No(f"{company.name} is not at home in {origin}")
        other = None if found else await self._store.companies.by_name(company.name)
        if other is not None:
            raise No(f"another company is called {company.name} here: rename one of them")
        return company

    async def _judge_tables(self, columns: Mapping[str, list[str]]) -> None:
        async with self._store.read() as connection:
            await require_declared(connection)
        here = {kind.name: list(kind.columns) for kind in carried_kinds()}
        for name, theirs in columns.items():
            if name not in here:
                raise No(
                    f"there are no {name} here: the plugin is missing, or this region has an older version"
                )
            if here[name] != theirs:
                raise No(f"{name} has other columns here: bring both regions to one version")

    async def _judge_names(self, said: Begin) -> None:
        if await self._store.accounts.by_id(said.account_id) is not None:
            raise No("there is an account with this id here")
        for name in (said.localpart, *said.emails):
            if await self._store.accounts.for_login(name) is not None:
                raise No("a name or address of theirs belongs to somebody here")

    async def _arriving(self, origin: str, move_id: str) -> Move:
        move = await self._store.moves.by_id(move_id)
        if move is None or move.origin != origin or move.step is not Step.ARRIVING:
            raise No("nothing of this move is here: begin it again")
        return move

    async def _compare(self, origin: str, said: Compare) -> Answer:
        move = await self._arriving(origin, said.move)
        found: dict[str, tuple[int, str]] = {}
        async with self._store.read(snapshot=True) as connection:
            for kind in carried_kinds():
                digest = Digest()
                async for rows in self._parts(connection, move, kind):
                    for row in rows:
                        digest.add(row)
                if digest.rows:
                    found[kind.name] = digest.total
        _require_same(said.totals, found)
        return Answer(True)

    async def _parts(
        self, connection: AsyncConnection, move: Move, kind: Kind
    ) -> AsyncIterator[list[list[object]]]:
        box, moves = self._keys.box_for(_BOX), self._store.moves
        for expected, number in enumerate(await moves.part_numbers(connection, move.id, kind.name)):
            if number != expected:
                raise No(f"a part of {kind.name} is missing")
            sealed = await moves.part(connection, move.id, kind.name, number)
            plain = box.open(sealed, _place(move.id, kind.name, number))
            if plain is None:
                raise No("the parts are sealed under a key that is not here any more: begin it again")
            yield words.rows(plain)

    async def _drop(self, origin: str, said: Drop) -> Answer:
        move = await self._store.moves.by_id(said.move)
        if move is not None and move.origin == origin and move.step is Step.ARRIVING:
            await self._store.moves.drop_parts(move.id)
            await self._store.moves.advance(move, Step.FAILED, trouble="they stay where they were")
        return Answer(True)

    # -- from now on they live here --------------------------------------------------------------------

    async def _take(self, origin: str, said: Take) -> Answer:
        known = await self._store.moves.by_id(said.move)
        if known is not None and known.step is Step.ARRIVED and known.origin == origin:
            return Answer(True, is_there=True)
        move = await self._arriving(origin, said.move)
        company = await self._company(origin, said.company)
        self._regions.for_new_person(company)
        rows = sum(count for count, _ in said.totals.values())
        async with (
            self._audit.with_write(
                AuditKind.USER_ARRIVED,
                company_id=company.id,
                actor="system",
                target=move.account_id,
                origin=origin,
                move=move.id,
                rows=rows,
            ),
            self._store.write() as connection,
        ):
            await _have_company(connection, company)
            renamed = await self._write(connection, move, company.id)
            who = await person(connection, company.id, move.account_id)
            found = await totals(connection, who, self._keys, carried_kinds(), renamed)
            _require_same(said.totals, found)
            await self._welcome(connection, who)
            await self._store.moves.drop_parts(move.id, connection)
            await self._store.moves.advance(
                move,
                Step.ARRIVED,
                connection=connection,
                kind=ChangeKind.ACCOUNT_ARRIVED,
                totals=said.totals,
                rows=rows,
            )
        if renamed:
            log.warning(
                "%d messages of %s have other ids here: nodes of all regions need different numbers",
                len(renamed),
                move.account_id,
            )
        await self._changed()
        return Answer(True)

    async def _write(
        self, connection: AsyncConnection, move: Move, company_id: str
    ) -> Mapping[object, object]:
        here = self._border.here
        whose: Row = {"company_id": company_id, "owner_id": move.account_id, "region": here}
        who: Person | None = None
        renamed: dict[object, object] = {}
        for kind in carried_kinds():
            if kind.by and who is None:
                who = await person(connection, company_id, move.account_id)
            belongs = whose
            if kind.is_users:
                belongs = {"company_id": company_id, "region": here}
            async for part in self._parts(connection, move, kind):
                if kind.by:
                    assert who is not None, "owners are written before what is theirs"
                    belongs = {OWNER: _the_one(who.numbers[kind.by], kind)}
                made = [kind.staying(values, belongs, self._keys) for values in part]
                if kind.carried.put is not None:
                    renamed |= await kind.carried.put(connection, made)
                    continue
                if kind.by and renamed and "key" in kind.columns:
                    made = [{**row, "key": renamed.get(row["key"], row["key"])} for row in made]
                await connection.execute(sa.insert(kind.table), made)
        return renamed

    async def _welcome(self, connection: AsyncConnection, who: Person) -> None:
        """Somebody who had gone from here before is not gone any more."""
        statement = sa.select(tables.users.c.localpart).where(tables.users.c.id == who.account_id)
        localpart = (await connection.execute(statement)).scalar_one()
        await self._store.moves.is_back(connection, localpart)

    async def _be_home(self, origin: str, company: Company) -> Answer:
        """A company is at home elsewhere, perhaps here. That is believed to the region that was its home so far."""
        known = await self._store.companies.by_id(company.id)
        if known is not None and known.region == company.region:
            return Answer(True, is_there=True)
        if company.is_public or (known is not None and known.region != origin):
            raise No(f"{company.name} is not at home in {origin}")
        self._regions.home_for(company.region, company.settings.regions)
        async with (
            self._audit.with_write(
                AuditKind.COMPANY_ARRIVED,
                company_id=company.id,
                actor="system",
                target=company.id,
                origin=origin,
                to=company.region,
            ),
            self._store.write() as connection,
        ):
            await _have_company(connection, company)
            await move_home(connection, company, company.region, int(self._store.now()))
        await self._changed()
        return Answer(True)


async def move_home(connection: AsyncConnection, company: Company, region: str, at: int) -> None:
    """The company is at home in this region from now on."""
    c = tables.companies.c
    await connection.execute(sa.update(tables.companies).where(c.id == company.id).values(region=region))
    await changes.record(connection, at, ChangeKind.COMPANY_CHANGED, company.id, [None])


async def _have_company(connection: AsyncConnection, company: Company) -> None:
    """A company that is not known here becomes so."""
    c = tables.companies.c
    if (await connection.execute(sa.select(c.id).where(c.id == company.id))).first() is not None:
        return
    await connection.execute(sa.insert(tables.companies), company_row(company))


def _require_same(told: Totals, found: Totals) -> None:
    """Raises No where tables differ, naming them."""
    differing = sorted(
        name for name in {*told, *found} if tuple(told.get(name, ())) != tuple(found.get(name, ()))
    )
    if differing:
        raise No(f"what arrived differs from what was sent: {', '.join(differing)}")


def _the_one(numbers: object, kind: Kind) -> int:
    assert isinstance(numbers, list)
    if len(numbers) != 1:
        raise No(f"{kind.name} has rows of nobody")
    return int(numbers[0])


def _place(move_id: str, kind: str, number: int) -> str:
    return f"{move_id} {kind} {number}"
