"""Telling a database that is away from a fault of ours."""

import sqlite3

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa

from rainbow_xmpp.store.errors import DatabaseUnreachable

_AWAY = (
    DatabaseUnreachable,
    OSError,
    TimeoutError,
    sqlite3.OperationalError,
    sa.exc.TimeoutError,  # no connection of the pool became free
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it stops, has crashed, or is starting up
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,  # its disk fails
    asyncpg.ReadOnlySQLTransactionError,  # it is the standby of another one that is gone
    asyncpg.TransactionRollbackError,  # given up in favour of another transaction
    asyncpg.ObjectNotInPrerequisiteStateError,  # not accepting connections
)


def is_outage(error: BaseException | None) -> bool:
    """The database is away, locked or overloaded: trying again later may help, a traceback does not.

    `error` is what a method of the store raised, in SQLAlchemy's wrappers or without them.
    """
    while error is not None:
        if isinstance(error, _AWAY):
            return True
        error = error.__cause__
    return False
