"""Telling a database that is away from a fault of ours."""

import sqlite3

import asyncpg
import pytest
import sqlalchemy as sa

from rainbow_xmpp.store.outage import is_outage


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.DiskFullError("could not extend file"),
        asyncpg.PostgresIOError("could not read block 0"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
        sqlite3.OperationalError("database or disk is full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_by_itself_is_an_outage_however_it_is_wrapped(error: Exception) -> None:
    assert is_outage(error)
    wrapped = sa.exc.DBAPIError("SELECT 1", None, error)
    wrapped.__cause__ = error
    assert is_outage(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError(),
        asyncpg.UniqueViolationError("duplicate key"),
        asyncpg.UndefinedTableError("no such table"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        sqlite3.IntegrityError("UNIQUE constraint failed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_does_not_is_none(error: Exception | None) -> None:
    assert not is_outage(error)
