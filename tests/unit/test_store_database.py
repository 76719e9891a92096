"""Opening, migrating and sharing the database."""

import asyncio
import multiprocessing
import os
import stat
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rainbow_xmpp.plugins.offline import store as _offline  # noqa: F401  # declares its tables
from rainbow_xmpp.plugins.private_xml import store as _private_xml  # noqa: F401
from rainbow_xmpp.plugins.vcard_temp import store as _vcard_temp  # noqa: F401
from rainbow_xmpp.store import Store, upgrade
from rainbow_xmpp.store.errors import (
    DatabaseUnreachable,
    NotFound,
    SchemaOutdated,
    SchemaTooNew,
    StoreError,
)
from rainbow_xmpp.store.tables import metadata, people_tables, users
from rainbow_xmpp.store.values import PUBLIC_COMPANY, NewAccount, RosterItem, Visibility

MIGRATION = """
import sqlalchemy as sa
from alembic import op

from rainbow_xmpp.store.people import people_columns, people_constraints

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {body}
"""


def write_migration(plugin: Path, revision: str, body: str, down: str | None = None) -> None:
    folder = plugin / "migrations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{revision}.py").write_text(MIGRATION.format(revision=revision, down=down, body=body))


def table_names(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


async def test_an_empty_database_is_refused_with_the_command_that_helps(empty_database_url: str) -> None:
    with pytest.raises(SchemaOutdated, match="is empty: run rainbow-xmpp --config FILE db upgrade"):
        await Store.open(empty_database_url)
    store = await Store.open(empty_database_url, require_schema=False)
    state = await store.schema_state()
    assert (state.current, state.up_to_date) == (frozenset(), False)
    await store.close()


async def test_upgrading_makes_every_table_and_the_public_company(empty_database_url: str) -> None:
    state = await upgrade(empty_database_url)
    assert state.up_to_date
    assert {"core_0010", "offline_0001", "private_xml_0001", "vcard_temp_0001"} <= state.current
    store = await Store.open(empty_database_url)
    (company,) = await store.companies.list()
    assert (company.name, company.visibility) == (PUBLIC_COMPANY, Visibility.PUBLIC)
    await store.close()


async def test_upgrading_again_changes_nothing(database_url: str) -> None:
    store = await Store.open(database_url)
    before = await store.companies.list()
    assert (await upgrade(database_url)).up_to_date
    assert await store.companies.list() == before
    await store.close()


async def test_the_migrations_make_what_the_code_declares(store: Store) -> None:
    async with store.read() as connection:

        def differences(sync: sa.Connection) -> list[object]:
            options = {"include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
            return list(compare_metadata(MigrationContext.configure(sync, opts=options), metadata))

        assert await connection.run_sync(differences) == []


async def test_a_failing_migration_leaves_nothing_behind(empty_database_url: str, tmp_path: Path) -> None:
    write_migration(
        tmp_path / "bad", "bad_0001", 'op.create_table("half", sa.Column("id", sa.Integer())); 1 / 0'
    )
    with pytest.raises(ZeroDivisionError):
        await upgrade(empty_database_url, [tmp_path])
    store = await Store.open(empty_database_url, require_schema=False)
    async with store.read() as connection:
        assert await connection.run_sync(table_names) == set()
    await store.close()


async def test_a_plugin_outside_brings_its_tables_and_may_be_deleted(
    empty_database_url: str, tmp_path: Path
) -> None:
    body = 'op.create_table("notes", *people_columns(), *people_constraints("notes", ()))'
    write_migration(tmp_path / "notes", "notes_0001", body)
    assert "notes_0001" in (await upgrade(empty_database_url, [tmp_path])).current
    assert "notes_0001" in (await upgrade(empty_database_url, [tmp_path / "notes"])).current

    without = await upgrade(empty_database_url)
    assert without.up_to_date
    assert without.unknown == {"notes_0001"}
    store = await Store.open(empty_database_url)
    await store.close()

    write_migration(
        tmp_path / "notes",
        "notes_0002",
        'op.add_column("notes", sa.Column("text", sa.Text()))',
        "notes_0001",
    )
    with pytest.raises(SchemaOutdated, match="lacks notes_0002"):
        await Store.open(empty_database_url, plugin_paths=[tmp_path])
    assert "notes_0002" in (await upgrade(empty_database_url, [tmp_path])).current


async def test_a_database_of_a_newer_version_is_refused(empty_database_url: str, tmp_path: Path) -> None:
    write_migration(tmp_path / "notes", "notes_0001", "pass")
    write_migration(tmp_path / "notes", "notes_0002", "pass", "notes_0001")
    await upgrade(empty_database_url, [tmp_path])
    (tmp_path / "notes" / "migrations" / "notes_0002.py").unlink()
    with pytest.raises(SchemaTooNew, match="notes_0002"):
        await Store.open(empty_database_url, plugin_paths=[tmp_path])
    with pytest.raises(SchemaTooNew):
        await upgrade(empty_database_url, [tmp_path])


async def test_two_who_upgrade_at_the_same_time_both_succeed(empty_database_url: str) -> None:
    states = await asyncio.gather(upgrade(empty_database_url), upgrade(empty_database_url))
    assert all(state.up_to_date for state in states)


async def test_every_table_of_peoples_data_is_emptied_with_its_owner(store: Store) -> None:
    """Whatever is declared with people_table: the four columns, and gone with the account."""
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    whose = {
        "company_id": account.company.id,
        "owner_id": account.id,
        "region": account.region,
        "created_at": 1,
    }
    made_up = {sa.Text: "x", sa.String: "x", sa.LargeBinary: b"x", sa.Boolean: True, sa.Integer: 1}
    async with store.write() as connection:
        await connection.execute(sa.text("DELETE FROM emails"))
        for table in people_tables():
            row: dict[str, object] = dict(whose)
            for column in table.c:
                kind = next((made_up[k] for k in type(column.type).__mro__ if k in made_up), 1)
                row.setdefault(column.name, kind)
            await connection.execute(sa.insert(table), row)
    await store.accounts.remove(account.company.id, account.id)
    async with store.read() as connection:
        for table in people_tables():
            left = await connection.execute(sa.select(sa.func.count()).select_from(table))
            assert (table.name, left.scalar_one()) == (table.name, 0)
    assert len(people_tables()) >= 8


async def test_a_row_cannot_name_an_owner_of_another_company(store: Store) -> None:
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    other = await store.companies.add("Other")
    with pytest.raises(NotFound):
        await store.rosters.apply(other.id, account.id, "c@d", lambda _: RosterItem(contact="c@d"))
    with pytest.raises(sa.exc.IntegrityError):
        async with store.write() as connection:
            await connection.execute(
                sa.text(
                    "INSERT INTO vcards (company_id, owner_id, region, created_at, data)"
                    " VALUES (:company, :owner, 'r', 1, :data)"
                ),
                {"company": other.id, "owner": account.id, "data": b"x"},
            )


async def test_an_exception_inside_write_undoes_all_of_it(store: Store) -> None:
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    with pytest.raises(RuntimeError):
        async with store.write() as connection:
            await connection.execute(sa.delete(users))
            raise RuntimeError
    assert await store.accounts.by_id(account.id) == account


async def test_a_cancelled_writer_leaves_the_store_usable(store: Store) -> None:
    inside = asyncio.Event()

    async def write_for_ever() -> None:
        async with store.write() as connection:
            await connection.execute(sa.delete(users))
            inside.set()
            await asyncio.Event().wait()

    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    writing = asyncio.create_task(write_for_ever())
    await inside.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await store.accounts.bump_epoch(account.company.id, account.id)
    found = await store.accounts.by_id(account.id)
    assert found is not None
    assert found.epoch == 1


async def test_readers_do_not_wait_for_a_writer(store: Store) -> None:
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    async with store.write() as connection:
        await connection.execute(sa.update(users).values(epoch=99))
        async with asyncio.timeout(5):
            assert await store.accounts.by_id(account.id) == account


async def test_a_snapshot_does_not_see_later_writes(store: Store) -> None:
    count = sa.text("SELECT count(*) FROM companies")
    async with store.read(snapshot=True) as connection:
        before = (await connection.execute(count)).scalar_one()
        await store.companies.add("Later")
        assert (await connection.execute(count)).scalar_one() == before
    async with store.read() as connection:
        assert (await connection.execute(count)).scalar_one() == before + 1


async def test_a_plugins_store_fetches_with_constants_and_parameters_of_its_own(store: Store) -> None:
    await store.companies.add("Acme")
    companies = metadata.tables["companies"].c
    query = store.prepare(
        sa.select(companies.name, sa.literal("constant"), sa.bindparam("given", type_=sa.Text()))
        .where(companies.name != "Nobody", companies.name == sa.bindparam("name"))
        .limit(5)
    )
    rows = await store.fetch(query, {"name": "Acme", "given": "x"})
    assert [tuple(row) for row in rows] == [("Acme", "constant", "x")]
    assert len(await store.fetch(query, {"name": "Globex", "given": "x"})) == 0
    with pytest.raises(KeyError):
        await store.fetch(query, {"name": "Acme"})


async def test_a_query_that_fails_leaves_the_store_usable(store: Store) -> None:
    wrong = store.prepare(sa.select(sa.column("something")).select_from(sa.table("nowhere")))
    with pytest.raises(Exception, match="nowhere"):
        await store.fetch(wrong, {})
    assert await store.companies.by_name(PUBLIC_COMPANY) is not None


async def test_many_writers_at_once_all_succeed(store: Store) -> None:
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    bump = store.accounts.bump_epoch
    await asyncio.gather(*(bump(account.company.id, account.id) for _ in range(40)))
    found = await store.accounts.by_id(account.id)
    assert found is not None
    assert found.epoch == 40
    kinds = await store.changes.after(0)
    assert [change.id for change in kinds] == sorted(change.id for change in kinds)


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
async def test_lookups_go_on_after_postgresql_was_restarted(store: Store, database_url: str) -> None:
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    async with AsyncExitStack() as several:  # the pool keeps them all, and all of them will be lost
        for _ in range(4):
            await several.enter_async_context(store.read())
    parts = sa.make_url(database_url)
    other = await asyncpg.connect(host=parts.query["host"], user=parts.username, database=parts.database)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await other.close()
    found = await asyncio.gather(*(store.accounts.by_localpart(account.localpart) for _ in range(5)))
    assert found == [account] * 5


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_sqlite_is_durable_and_keeps_its_foreign_keys(database_url: str) -> None:
    store = await Store.open(database_url)
    for connecting in (store.read(), store.write()):
        async with connecting as connection:

            async def pragma(name: str, connection: object = connection) -> object:
                return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()  # type: ignore[attr-defined]

            assert await pragma("journal_mode") == "wal"
            assert await pragma("synchronous") == 2
            assert await pragma("foreign_keys") == 1
            assert await pragma("busy_timeout") == 10_000
    await store.close()


async def test_a_sqlite_database_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "rainbow.db"
    await upgrade(f"sqlite+aiosqlite:///{path}")
    store = await Store.open(f"sqlite+aiosqlite:///{path}")
    await store.companies.add("Acme")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert (file.name, stat.S_IMODE(file.stat().st_mode)) == (file.name, 0o600)
    await store.close()


def _hold_the_write_lock(url: str, held: object, release: object) -> None:
    async def hold() -> None:
        store = await Store.open(url)
        async with store.write() as connection:
            await connection.execute(sa.update(users).values(epoch=5))
            held.set()  # type: ignore[attr-defined]
            release.wait(20)  # type: ignore[attr-defined]
        await store.close()

    asyncio.run(hold())


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_a_writer_waits_for_one_in_another_process(database_url: str) -> None:
    store = await Store.open(database_url)
    account = await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example"))
    spawn = multiprocessing.get_context("spawn")
    held, release = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_hold_the_write_lock, args=(database_url, held, release))
    process.start()
    try:
        assert await asyncio.to_thread(held.wait, 120)
        writing = asyncio.create_task(store.accounts.bump_epoch(account.company.id, account.id))
        assert await store.accounts.by_id(account.id) == account
        assert not writing.done()
        release.set()
        await writing
    finally:
        release.set()
        await asyncio.to_thread(process.join, 20)
    found = await store.accounts.by_id(account.id)
    assert found is not None
    assert found.epoch == 6
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql+aiomysql://u:hunter2@h/d",
        "sqlite:///x.db",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
    ],
)
async def test_other_databases_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        await Store.open(url)
    assert "sqlite+aiosqlite:///" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg:u:hunter2@h/d",
        "postgresql+asyncpg://u:p@hunter2@h:x/d",
    ],
)
async def test_a_url_that_is_none_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be read; write postgresql") as caught:
        await Store.open(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://rainbow:hunter2@/chat?host={tmp_path}"
    with pytest.raises(DatabaseUnreachable) as caught:
        await Store.open(url)
    assert "cannot open postgresql+asyncpg://rainbow:***@/chat" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(DatabaseUnreachable, match=r"locked/x/rainbow\.db: Permission denied"):
        await upgrade(f"sqlite+aiosqlite:///{tmp_path}/locked/x/rainbow.db")


async def test_a_path_through_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnreachable, match=r"cannot open .*/file/rainbow\.db"):
        await upgrade(f"sqlite+aiosqlite:///{tmp_path}/file/rainbow.db")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rainbow.db"
    path.write_text("this is not a database, but long enough to be read as one" * 20)
    with pytest.raises(DatabaseUnreachable, match="file is not a database"):
        await upgrade(f"sqlite+aiosqlite:///{path}")
