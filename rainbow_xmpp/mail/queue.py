"""Letters that wait, as rows: each is somebody's for a while, and goes when it was sent or is too late.

At least once: whoever dies between the mail server's yes and the row's end lets the letter be sent again, under the
same Message-ID, by which mail servers and people know that it is the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp import ids
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.mail.letter import Letter
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import mail_queue

_q = mail_queue.c
LEASE_S = 300
"""Whoever took a letter and dies holds it up for so long; sending one takes less."""
FIRST_WAIT_S = 5
LONGEST_WAIT_S = 15 * 60
GROWTH = 2


class MailFull(RainbowError):
    """So many letters wait that no more are taken."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that is ours to send until `until`."""

    id: str
    letter: Letter = field(repr=False)
    attempts: int
    until: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits: letters, since when the oldest does, and when the next is due (Unix time; 0 when none does)."""

    letters: int
    oldest_at: int
    next_at: int


class MailQueue:
    """`now` of every method is Unix time in whole seconds."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._box = sealer.box_for("mail")

    async def add(
        self, letter: Letter, now: int, *, most: int, connection: AsyncConnection | None = None
    ) -> str:
        """Let a letter wait; its id. It is durable when this returns, or with the caller's transaction.

        Raises MailFull.
        """
        if connection is not None:
            return await self._add(connection, letter, now, most)
        async with self._store.write() as own:
            return await self._add(own, letter, now, most)

    async def _add(self, connection: AsyncConnection, letter: Letter, now: int, most: int) -> str:
        counting = sa.select(sa.func.count()).select_from(mail_queue)
        if (await connection.execute(counting)).scalar_one() >= most:
            raise MailFull(f"{most} letters wait already")
        letter_id = ids.new_id()
        content = json.dumps({"to": letter.to, "facts": dict(letter.facts)}).encode()
        row = {
            "id": letter_id,
            "company_id": letter.company_id,
            "region": letter.region,
            "template": letter.template,
            "language": letter.language,
            "sealed": self._box.seal(content, letter_id),
            "created_at": now,
            "expires_at": int(letter.expires_at),
            "next_at": now,
            "attempts": 0,
            "outcome": "",
        }
        await connection.execute(sa.insert(mail_queue), row)
        return letter_id

    async def take(self, now: int, most: int) -> list[Waiting]:
        """The next letters, oldest first; they are ours for a while. One that cannot be opened is dropped."""
        due = (
            sa.select(_q.id)
            .where(_q.next_at <= now, _q.expires_at > now)
            .order_by(_q.next_at, _q.id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        until = now + LEASE_S
        async with self._store.write() as connection:
            found = list((await connection.execute(due)).scalars())
            if not found:
                return []
            taking = sa.update(mail_queue).where(_q.id.in_(found)).values(next_at=until).returning(mail_queue)
            rows = (await connection.execute(taking)).mappings().all()
        return [waiting for row in rows if (waiting := await self._opened(row, until)) is not None]

    async def renew(self, waiting: Waiting, now: int) -> Waiting | None:
        """The same, ours for as long again; None when it is too late by now, or another one's.

        Asked right before a letter is sent: those before it may have taken long.
        """
        ours = (_q.id == waiting.id, _q.next_at == waiting.until, _q.expires_at > now)
        until = now + LEASE_S
        async with self._store.write() as connection:
            renewed = await connection.execute(sa.update(mail_queue).where(*ours).values(next_at=until))
        return replace(waiting, until=until) if renewed.rowcount else None

    async def give_back(self, letters: Sequence[Waiting], now: int) -> None:
        """They were not tried: whoever comes next may take them at once."""
        async with self._store.write() as connection:
            for waiting in letters:
                ours = (_q.id == waiting.id, _q.next_at == waiting.until)
                await connection.execute(sa.update(mail_queue).where(*ours).values(next_at=now))

    async def _opened(self, row: sa.RowMapping, until: int) -> Waiting | None:
        plain = self._box.open(row["sealed"], row["id"])
        if plain is None:
            await self._forget([row["id"]])
            return None
        content = json.loads(plain)
        letter = Letter(
            template=row["template"],
            to=content["to"],
            expires_at=row["expires_at"],
            language=row["language"],
            facts=content["facts"],
            company_id=row["company_id"],
            region=row["region"],
        )
        return Waiting(row["id"], letter, row["attempts"], until)

    async def sent(self, waiting: Waiting) -> None:
        """It is with the mail server, or will never be: nothing of it is kept."""
        await self._forget([waiting.id])

    async def failed(self, waiting: Waiting, now: int, outcome: str) -> None:
        """Not this time: again later, if we are still the one who has it."""
        wait_s = min(FIRST_WAIT_S * GROWTH ** min(waiting.attempts, 20), LONGEST_WAIT_S)
        ours = (_q.id == waiting.id, _q.next_at == waiting.until)
        values = {"attempts": waiting.attempts + 1, "next_at": now + wait_s, "outcome": outcome[:64]}
        async with self._store.write() as connection:
            await connection.execute(sa.update(mail_queue).where(*ours).values(**values))

    async def expire(self, now: int) -> int:
        """Drop what is too late; how many were."""
        async with self._store.write() as connection:
            dropped = await connection.execute(sa.delete(mail_queue).where(_q.expires_at <= now))
        return dropped.rowcount

    async def depth(self) -> Depth:
        """How much waits."""
        statement = sa.select(sa.func.count(), sa.func.min(_q.created_at), sa.func.min(_q.next_at))
        async with self._store.read() as connection:
            count, oldest, next_ = (await connection.execute(statement.select_from(mail_queue))).one()
        return Depth(int(count), int(oldest or 0), int(next_ or 0))

    async def _forget(self, letter_ids: Sequence[str]) -> None:
        async with self._store.write() as connection:
            await connection.execute(sa.delete(mail_queue).where(_q.id.in_(letter_ids)))
