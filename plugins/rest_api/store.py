"""Answers that were given to requests with an `Idempotency-Key`, so that a repetition gets the same.

An answer may hold what is shown once, such as the secret of a webhook, so it is sealed: under a secret of the
server's and the client's own key, of which the database has neither.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum, auto

import sqlalchemy as sa

from rainbow_xmpp.auth.box import Lock
from rainbow_xmpp.plugin import Account
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.carried import Carried
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table

repeats = people_table(
    "api_repeats",
    sa.Column("key", sa.String(64), nullable=False),  # a hash of the endpoint and the client's key
    sa.Column("request", sa.String(64), nullable=False),  # a hash of the body
    sa.Column("status", sa.Integer(), nullable=False),  # 0 while it is being answered
    sa.Column("answer", sa.LargeBinary(), nullable=False),
    key=("key",),
    carried=Carried(stays="answers for requests that come again within minutes"),
)
_r = repeats.c


@dataclass(frozen=True, slots=True)
class RepeatKey:
    """A client's key for one endpoint."""

    given: str
    kept: str
    """The hash that the database has."""

    @classmethod
    def of(cls, endpoint: str, key: str) -> RepeatKey:
        return cls(key, hashlib.sha256(f"{endpoint}\n{key}".encode()).hexdigest())


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

    def __init__(self, store: Store, secret: bytes) -> None:
        self._store = store
        self._secret = secret

    async def begin(self, owner: Account, key: RepeatKey, request: bytes) -> Given | Seen | None:
        """None for a new key, which is remembered from now on; or what is known of it."""
        digest = hashlib.sha256(request).hexdigest()
        async with self._store.write() as connection:
            statement = sa.select(_r.request, _r.status, _r.answer).where(*_of(owner, key.kept))
            row = (await connection.execute(statement)).one_or_none()
            if row is not None:
                if row[0] != digest:
                    return Seen.ANOTHER_REQUEST
                return Given(row[1], self._opened(key, bytes(row[2]))) if row[1] else Seen.UNDER_WAY
            new = await owned_by(connection, owner.company.id, owner.id, self._store.now())
            new |= {"key": key.kept, "request": digest, "status": 0, "answer": b""}
            await connection.execute(sa.insert(repeats), new)
        return None

    async def answered(self, owner: Account, key: RepeatKey, status: int, answer: bytes) -> None:
        """The answer that repetitions get."""
        sealed = self._sealed(key, answer)
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(repeats).where(*_of(owner, key.kept)).values(status=status, answer=sealed)
            )

    async def forget(self, owner: Account, key: RepeatKey) -> None:
        """It failed by our fault: a repetition is a new try."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(repeats).where(*_of(owner, key.kept)))

    async def forget_before(self, at: int) -> None:
        """Drop what is older than this Unix time (seconds)."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(repeats).where(_r.created_at < at))

    def _sealed(self, key: RepeatKey, answer: bytes) -> bytes:
        return self._lock(key).seal(answer, key.kept)

    def _opened(self, key: RepeatKey, sealed: bytes) -> bytes:
        answer = self._lock(key).open(sealed, key.kept)
        assert answer is not None, "an answer that is kept was altered"
        return answer

    def _lock(self, key: RepeatKey) -> Lock:
        return Lock(hmac.digest(self._secret, key.given.encode(), "sha256"))


def _of(owner: Account, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_r.company_id == owner.company.id, _r.owner_id == owner.id, _r.key == key)
