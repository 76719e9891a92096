"""Bringing a database to the schema of this software: Alembic without its command line.

The core's migrations lie in `store/migrations`, a plugin's in its own `migrations` folder. Each folder is a
history of its own with a version table of its own, the core's first: a plugin whose folder was deleted leaves
tables behind that stand in nobody's way, and finds them again when it comes back.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from rainbow_xmpp.store.announced import announced_migrations
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import SchemaOutdated, SchemaTooNew, StoreError
from rainbow_xmpp.store.tables import metadata

_UPGRADE_LOCK = 0x7261696E_626F7721
"""PostgreSQL's advisory lock that lets one node upgrade at a time."""


_VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which revisions the database is at and which this software wants.

    `newer`: the database's revisions that this software is too old for. `unknown`: those of plugins that are
    not here.
    """

    current: frozenset[str]
    wanted: frozenset[str]
    newer: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def up_to_date(self) -> bool:
        """Nothing is left to be run."""
        return self.wanted <= self.current

    def require(self) -> None:
        """Raises SchemaOutdated when migrations are left to be run, SchemaTooNew the other way round."""
        if self.newer:
            raise SchemaTooNew(self.newer)
        if self.up_to_date:
            return
        if not self.current:
            raise SchemaOutdated("the database is empty")
        missing = ", ".join(sorted(self.wanted - self.current))
        raise SchemaOutdated(f"the database lacks {missing}")


def migration_folders(plugin_paths: Iterable[Path] = ()) -> list[Path]:
    """The core's folder of migrations, then those of plugins: shipped, in `plugin_paths`, of installed packages.

    A plugin path is a plugin's folder or a folder of plugins.
    """
    package = Path(__file__).parents[1]
    folders = [package / "store" / "migrations"]
    for path in [package / "plugins", *plugin_paths]:
        candidates = [path / "migrations", *sorted(path.glob("*/migrations"))]
        folders += [folder for folder in candidates if folder.is_dir()]
    folders += announced_migrations()
    return list({folder.resolve(): folder for folder in folders}.values())


async def upgrade(url: str, plugin_paths: Iterable[Path] = ()) -> SchemaState:
    """Create or bring up to date the database at `url`: everything, or, when a migration fails, nothing.

    Raises SchemaTooNew and DatabaseUnreachable.
    """
    histories = _histories(plugin_paths)
    database = Database(url)
    try:
        await database.check()
        async with database.write() as connection:
            return await connection.run_sync(_upgrade, histories)
    finally:
        await database.close()


async def schema_state(database: Database, plugin_paths: Iterable[Path] = ()) -> SchemaState:
    """Compare the database with the migrations of this software."""
    histories = _histories(plugin_paths)
    async with database.read() as connection:
        return await connection.run_sync(_state, histories)


def _histories(plugin_paths: Iterable[Path]) -> dict[str, ScriptDirectory]:
    """What there is to run, by the name of its version table, in the order to run it."""
    core, *plugins = migration_folders(plugin_paths)
    scripts = {_VERSION_TABLE: ScriptDirectory(str(core), version_locations=[str(core)])}
    for folder in plugins:
        name = re.sub(r"\W", "_", folder.parent.name.lower())
        table = f"{_VERSION_TABLE}_{name}"
        if table in scripts:
            raise StoreError(f"two plugins have migrations as {name}: {scripts[table].dir}, {folder}")
        scripts[table] = ScriptDirectory(str(folder), version_locations=[str(folder)])
    return scripts


def _state(connection: sa.Connection, histories: Mapping[str, ScriptDirectory]) -> SchemaState:
    current: set[str] = set()
    newer: set[str] = set()
    unknown: set[str] = set()
    for table in sa.inspect(connection).get_table_names():
        if not table.startswith(_VERSION_TABLE):
            continue
        versions = sa.table(table, sa.column("version_num", sa.String()))
        revisions: Iterable[str] = connection.execute(sa.select(versions.c.version_num)).scalars()
        for revision in revisions:
            if table not in histories:
                unknown.add(revision)
            elif _is_known(histories[table], revision):
                current.add(revision)
            else:
                newer.add(revision)
    wanted = frozenset(head for script in histories.values() for head in script.get_heads())
    return SchemaState(frozenset(current), wanted, frozenset(newer), frozenset(unknown))


def _is_known(script: ScriptDirectory, revision: str) -> bool:
    try:
        return script.get_revision(revision) is not None
    except CommandError:
        return False


def _upgrade(connection: sa.Connection, histories: Mapping[str, ScriptDirectory]) -> SchemaState:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
    before = _state(connection, histories)
    if before.newer:
        raise SchemaTooNew(before.newer)
    for table, script in histories.items():
        context = MigrationContext.configure(
            connection,
            opts={
                "fn": lambda heads, _context, script=script: script._upgrade_revs("heads", heads),
                "version_table": table,
                "target_metadata": metadata,  # for its naming convention
            },
        )
        with Operations.context(context):
            context.run_migrations()
    return _state(connection, histories)
