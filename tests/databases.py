"""The databases that store tests run on: both kinds, each test with one of its own, migrated and empty."""

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rainbow_xmpp.store import Store, upgrade
from tests.postgres import Postgres, PostgresMissing, shared_postgres


class Databases:
    """Makes databases, by copying one that was migrated once for each worker."""

    def __init__(self, shared: Path, own: Path) -> None:
        self._shared = shared
        self._own = own
        self._closing = ExitStack()
        self._postgres: Postgres | None = None
        self._template = f"template_{uuid.uuid4().hex}"
        self._sqlite_template: Path | None = None
        self._postgres_is_migrated = False

    def new(self, kind: str, *, migrated: bool = True) -> str:
        """The URL of a fresh database: kind "sqlite" or "postgresql"."""
        return self._new_sqlite(migrated) if kind == "sqlite" else self._new_postgresql(migrated)

    def drop(self, url: str) -> None:
        """Remove what `new` made, so that a run of many tests stays small."""
        if self._postgres is not None and url.startswith("postgresql"):
            self._postgres.drop_database(url.partition("?")[0].rpartition("/")[2])

    def close(self) -> None:
        """No more databases from here."""
        self._closing.close()

    def _new_sqlite(self, migrated: bool) -> str:
        path = self._own / f"{uuid.uuid4().hex}.db"
        if migrated:
            if self._sqlite_template is None:
                self._sqlite_template = self._own / "template.db"
                _migrate(f"sqlite+aiosqlite:///{self._sqlite_template}")
                with sqlite3.connect(self._sqlite_template) as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.close()
            shutil.copy(self._sqlite_template, path)
        return f"sqlite+aiosqlite:///{path}"

    def _new_postgresql(self, migrated: bool) -> str:
        if self._postgres is None:
            self._postgres = self._closing.enter_context(shared_postgres(self._shared))
        postgres, name = self._postgres, f"test_{uuid.uuid4().hex}"
        if migrated and not self._postgres_is_migrated:
            postgres.create_database(self._template)
            _migrate(postgres.url(self._template))
            self._postgres_is_migrated = True
        postgres.create_database(name, self._template if migrated else "template0")
        return postgres.url(name)


def _migrate(url: str) -> None:
    asyncio.run(upgrade(url))


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Makes databases for the tests of this worker."""
    base = tmp_path_factory.getbasetemp()
    # Under xdist the workers' own folders lie side by side in one that they have in common.
    shared = base.parent if base.name.startswith("popen-") else base
    made = Databases(shared, tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database a test runs on: every test runs on both."""
    return str(request.param)


@pytest.fixture
def database_url(databases: Databases, kind: str) -> Iterator[str]:
    """A fresh database with all tables."""
    url = _make(databases, kind, migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: Databases, kind: str) -> Iterator[str]:
    """A fresh database without tables."""
    url = _make(databases, kind, migrated=False)
    yield url
    databases.drop(url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store on a fresh database."""
    opened = await Store.open(database_url)
    yield opened
    await opened.close()


def _make(databases: Databases, kind: str, *, migrated: bool) -> str:
    try:
        return databases.new(kind, migrated=migrated)
    except PostgresMissing as missing:
        pytest.skip(str(missing))
