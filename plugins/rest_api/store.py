"""Answers that were given to requests with an `Idempotency-Key`, so that a repetition gets the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, auto

import sqlalchemy as sa

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table

repeats = people_table(
    "api_repeats",
    sa.Column("key", sa.String(64), nullable=False),  # a hash of the endpoint and the client's key
    sa.Column("request", sa.String(64), nullable=False),  # a hash of the body
    sa.Column("status", sa.Integer(), nullable=False),  # 0 while it is being answered
    sa.Column("answer", sa.LargeBinary(), nullable=False),
    key=("key",),
)
_r = repeats.c


class Seen(Enum):
    """What a key that is not new means."""

    UNDER_WAY = auto()
    ANOTHER_REQUEST = auto()


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given before."""

    status: int
    answer: bytes


class Repeats:
    """One entry for each account, endpoint and key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, owner: Account, key: str, request: bytes) -> Given | Seen | None:
        """None for a new key, which is remembered from now on; or what is known of it."""
        digest = hashlib.sha256(request).hexdigest()
        async with self._store.write() as connection:
            statement = sa.select(_r.request, _r.status, _r.answer).where(*_of(owner, key))
            row = (await connection.execute(statement)).one_or_none()
            if row is not None:
                if row[0] != digest:
                    return Seen.ANOTHER_REQUEST
                return Given(row[1], bytes(row[2])) if row[1] else Seen.UNDER_WAY
            new = await owned_by(connection, owner.company.id, owner.id, self._store.now())
            new |= {"key": key, "request": digest, "status": 0, "answer": b""}
            await connection.execute(sa.insert(repeats), new)
        return None

    async def answered(self, owner: Account, key: str, status: int, answer: bytes) -> None:
        """The answer that repetitions get."""
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(repeats).where(*_of(owner, key)).values(status=status, answer=answer)
            )

    async def forget(self, owner: Account, key: str) -> None:
        """It failed by our fault: a repetition is a new try."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(repeats).where(*_of(owner, key)))

    async def forget_before(self, at: int) -> None:
        """Drop what is older than this Unix time (seconds)."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(repeats).where(_r.created_at < at))


def key_of(endpoint: str, key: str) -> str:
    """What a client's key is kept as."""
    return hashlib.sha256(f"{endpoint}\n{key}".encode()).hexdigest()


def _of(owner: Account, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_r.company_id == owner.company.id, _r.owner_id == owner.id, _r.key == key)
