"""Work that joins the transaction somebody else makes: both are committed, or neither."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy.ext.asyncio import AsyncConnection

Work = Callable[[AsyncConnection], Awaitable[None]]


class Joining:
    """Some work that waits for a transaction."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.is_done = False
        """It has joined one."""


_waiting: ContextVar[tuple[Joining, ...]] = ContextVar("joining the next transaction", default=())


@contextmanager
def joining(work: Work) -> Iterator[Joining]:
    """Let this be the last step of the first transaction that this task makes within the `with`."""
    joins = Joining(work)
    token = _waiting.set((*_waiting.get(), joins))
    try:
        yield joins
    finally:
        _waiting.reset(token)


async def join(connection: AsyncConnection) -> None:
    """Called by the transaction before its commit."""
    for joins in _waiting.get():
        if not joins.is_done:
            joins.is_done = True
            await joins.work(connection)
