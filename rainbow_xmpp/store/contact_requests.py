"""Contact requests and invitations on their way to an address, of which nobody has looked yet whether it is taken."""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.values import Account

_r = tables.contact_requests.c


@dataclass(frozen=True, slots=True)
class ContactRequest:
    """What somebody asks of whoever has the address `to`, which stands as they wrote it.

    `stanza` is a subscription stanza; None for an invitation made in the API, with its `note`. `expires_at` is Unix
    time in seconds.
    """

    id: int
    company_id: str
    owner_id: str
    to: str
    stanza: bytes | None = None
    note: str = ""
    expires_at: int | None = None


class ContactRequests:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def put(
        self,
        connection: AsyncConnection,
        owner: Account,
        to: str,
        *,
        stanza: bytes | None = None,
        note: str = "",
        expires_at: int | None = None,
    ) -> ContactRequest:
        """Write one down in a transaction that somebody has begun."""
        row = await owned_by(connection, owner.company.id, owner.id, self._now())
        row |= {"to": to, "stanza": stanza, "note": note, "expires_at": expires_at}
        written = await connection.execute(sa.insert(tables.contact_requests).returning(_r.id), row)
        return ContactRequest(written.scalar_one(), owner.company.id, owner.id, to, stanza, note, expires_at)

    async def add(self, owner: Account, to: str, *, note: str, expires_at: int | None) -> ContactRequest:
        """Write down an invitation."""
        async with self._database.write() as connection:
            return await self.put(connection, owner, to, note=note, expires_at=expires_at)

    async def is_there(self, request: ContactRequest) -> bool:
        """Nobody has carried it yet, and its owner has not gone."""
        async with self._database.read() as connection:
            found = await connection.execute(sa.select(_r.id).where(_r.id == request.id))
            return found.first() is not None

    async def touch(self, connection: AsyncConnection, request: ContactRequest) -> None:
        """Write something that changes nothing, in a transaction that would have nothing to commit."""
        row = sa.update(tables.contact_requests).where(_r.id == request.id)
        await connection.execute(row.values(to=request.to))

    async def remove(self, request: ContactRequest) -> None:
        """It was carried."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.contact_requests).where(_r.id == request.id))

    async def left(self, *, most: int = 500) -> list[ContactRequest]:
        """The oldest ones that nobody has carried yet."""
        columns = _r.id, _r.company_id, _r.owner_id, _r.to, _r.stanza, _r.note, _r.expires_at
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(*columns).order_by(_r.id).limit(most))
            return [ContactRequest(*row) for row in rows]
