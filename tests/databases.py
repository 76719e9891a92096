"""The databases that store tests run on: both kinds, each test with one of its own that holds nobody."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rainbow_xmpp.store import Store, upgrade
from tests.postgres import Postgres, PostgresMissing, shared_postgres

# A database of PostgreSQL takes most of a second to make and some milliseconds to empty, so a migrated one is
# used again. What the migrations put into it lies in the schema "fresh".
_KEEP_FRESH = "CREATE SCHEMA fresh; CREATE TABLE fresh.companies AS TABLE public.companies"
_MAKE_FRESH = """
    SET session_replication_role = replica;
    DO $$ DECLARE name text; BEGIN
        FOR name IN
            SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic_version%'
        LOOP
            EXECUTE format('DELETE FROM %I', name);
        END LOOP;
        FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
            EXECUTE format('ALTER SEQUENCE %I RESTART', name);
        END LOOP;
    END $$;
    INSERT INTO public.companies TABLE fresh.companies;
"""


class Databases:
    """Makes databases, migrated or without tables, for the tests of one worker."""

    def __init__(self, shared: Path, own: Path) -> None:
        self._shared = shared
        self._own = own
        self._closing = ExitStack()
        self._postgres: Postgres | None = None
        self._sqlite_template: Path | None = None
        self._postgresql_to_reuse: list[str] = []

    def new(self, kind: str, *, migrated: bool = True) -> str:
        """The URL of a fresh database: kind "sqlite" or "postgresql". Raises PostgresMissing."""
        if kind == "sqlite":
            return self._new_sqlite(migrated)
        if self._postgres is None:
            self._postgres = self._closing.enter_context(shared_postgres(self._shared))
        return self._new_postgresql(self._postgres, migrated)

    @property
    def postgres(self) -> Postgres:
        """The PostgreSQL server of the databases made so far; there must be one."""
        assert self._postgres is not None
        return self._postgres

    def give_back(self, url: str, *, migrated: bool = True) -> None:
        """The test is done with it."""
        if self._postgres is None or url.startswith("sqlite"):
            return
        name = url.partition("?")[0].rpartition("/")[2]
        if migrated:
            self._postgresql_to_reuse.append(name)
        else:
            self._postgres.drop_database(name)

    def close(self) -> None:
        """No more databases from here."""
        self._closing.close()

    def _new_sqlite(self, migrated: bool) -> str:
        path = self._own / f"{uuid.uuid4().hex}.db"
        if migrated:
            if self._sqlite_template is None:
                template = self._own / "template.db"
                _migrate(f"sqlite+aiosqlite:///{template}")
                self._sqlite_template = template
            shutil.copy(self._sqlite_template, path)
        return f"sqlite+aiosqlite:///{path}"

    def _new_postgresql(self, postgres: Postgres, migrated: bool) -> str:
        if migrated and self._postgresql_to_reuse:
            name = self._postgresql_to_reuse.pop()
            postgres.run(_MAKE_FRESH, name)
            return postgres.url(name)
        name = f"test_{uuid.uuid4().hex}"
        postgres.create_database(name)
        if migrated:
            _migrate(postgres.url(name))
            postgres.run(_KEEP_FRESH, name)
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
    databases.give_back(url)


@pytest.fixture
def empty_database_url(databases: Databases, kind: str) -> Iterator[str]:
    """A fresh database without tables."""
    url = _make(databases, kind, migrated=False)
    yield url
    databases.give_back(url, migrated=False)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store on a fresh database."""
    opened = await Store.open(database_url, require_schema=False)  # it was just made
    yield opened
    await opened.close()


def _make(databases: Databases, kind: str, *, migrated: bool) -> str:
    try:
        return databases.new(kind, migrated=migrated)
    except PostgresMissing as missing:
        pytest.skip(str(missing))
