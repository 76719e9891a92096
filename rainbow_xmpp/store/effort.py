"""What some work costs the database, told to whoever has to spend as much where there is less to do."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from enum import Enum

from sqlalchemy.ext.asyncio import AsyncConnection


class Part(Enum):
    """A transaction of a contact request that is handed over."""

    AGREEMENT = "agreement"
    ROSTER = "roster"


_spent: ContextVar[set[Part] | None] = ContextVar("what this task has written", default=None)


@contextmanager
def measured() -> Iterator[set[Part]]:
    """The parts that this task has written by the end."""
    spent: set[Part] = set()
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


def spend(part: Part) -> None:
    """Called by a store in the transaction that writes this."""
    spent = _spent.get()
    if spent is not None:
        spent.add(part)


@asynccontextmanager
async def taken_back(connection: AsyncConnection) -> AsyncIterator[None]:
    """Let what is written within cost what it costs, and be undone at the end."""
    nested = await connection.begin_nested()
    try:
        yield
    finally:
        await nested.rollback()
