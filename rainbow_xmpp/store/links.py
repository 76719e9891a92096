"""Links between companies: one side asks, the other confirms, either ends it."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import AlreadyExists, NotFound
from rainbow_xmpp.store.values import ChangeKind, CompanyLink

_l = tables.company_links.c
_COLUMNS = (_l.id, _l.company_id, _l.other_id, _l.created_at, _l.confirmed_at)
_CONFIRMED = sa.select(_l.company_id, _l.other_id).where(_l.confirmed_at.is_not(None))


class Links:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._confirmed = database.prepare(_CONFIRMED)

    async def ask(self, company_id: str, other_id: str, *, id: str = "") -> CompanyLink:
        """Ask another company for a link. Raises AlreadyExists when there is one, or a question, either way.

        `id` is drawn here unless it is given.
        """
        link = CompanyLink(id or new_id(), company_id, other_id, int(self._now()), None)
        async with self._database.write() as connection:
            if await _between(connection, company_id, other_id) is not None:
                raise AlreadyExists("link", other_id)
            await connection.execute(
                sa.insert(tables.company_links),
                {
                    "id": link.id,
                    "company_id": company_id,
                    "other_id": other_id,
                    "created_at": link.created_at,
                    "confirmed_at": None,
                },
            )
            await self._tell(connection, company_id, other_id)
        return link

    async def confirm(self, company_id: str, link_id: str) -> CompanyLink:
        """The company that was asked agrees. Raises NotFound when nobody asked it."""
        at = int(self._now())
        async with self._database.write() as connection:
            asked = (_l.id == link_id, _l.other_id == company_id, _l.confirmed_at.is_(None))
            done = await connection.execute(
                sa.update(tables.company_links).where(*asked).values(confirmed_at=at)
            )
            if done.rowcount == 0:
                raise NotFound("link", link_id)
            row = (await connection.execute(sa.select(*_COLUMNS).where(_l.id == link_id))).one()
            link = CompanyLink(*row)
            await self._tell(connection, link.company_id, link.other_id)
        return link

    async def end(self, company_id: str, link_id: str) -> CompanyLink:
        """Either company ends a link, or takes back or refuses a question. Raises NotFound."""
        async with self._database.write() as connection:
            theirs = sa.or_(_l.company_id == company_id, _l.other_id == company_id)
            found = await connection.execute(sa.select(*_COLUMNS).where(_l.id == link_id, theirs))
            row = found.one_or_none()
            if row is None:
                raise NotFound("link", link_id)
            await connection.execute(sa.delete(tables.company_links).where(_l.id == link_id))
            link = CompanyLink(*row)
            await self._tell(connection, link.company_id, link.other_id)
        return link

    async def of_company(self, company_id: str) -> list[CompanyLink]:
        """A company's links and open questions, oldest first."""
        theirs = sa.or_(_l.company_id == company_id, _l.other_id == company_id)
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(*_COLUMNS).where(theirs).order_by(_l.created_at, _l.id))
            return [CompanyLink(*row) for row in rows]

    async def confirmed(self) -> dict[str, frozenset[str]]:
        """For each linked company those it is linked to."""
        found: dict[str, set[str]] = {}
        for one, other in await self._database.fetch(self._confirmed, {}):
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
        return {company: frozenset(others) for company, others in found.items()}

    async def _tell(self, connection: AsyncConnection, *company_ids: str) -> None:
        at = int(self._now())
        for company_id in company_ids:
            await changes.record(connection, at, ChangeKind.LINKS_CHANGED, company_id, [None])


async def _between(connection: AsyncConnection, one: str, other: str) -> CompanyLink | None:
    either = sa.or_(
        sa.and_(_l.company_id == one, _l.other_id == other),
        sa.and_(_l.company_id == other, _l.other_id == one),
    )
    row = (await connection.execute(sa.select(*_COLUMNS).where(either))).one_or_none()
    return None if row is None else CompanyLink(*row)
