"""Bringing a database to the schema of this software: Alembic without its command line.

The core's migrations lie in `store/migrations`, a plugin's in its own `migrations` folder as a branch of its
own (`branch_labels=("plugin_<name>",)`, `depends_on` the core). A plugin whose folder was deleted leaves its
tables and its version row behind; neither stands in the way of later upgrades.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext, RevisionStep
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import SchemaOutdated
from rainbow_xmpp.store.tables import metadata

_UPGRADE_LOCK = 0x7261696E_626F7721
"""PostgreSQL's advisory lock that lets one node upgrade at a time."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which revisions the database has and which this software wants; `unknown` are of deleted plugins."""

    current: frozenset[str]
    wanted: frozenset[str]
    unknown: frozenset[str]

    @property
    def up_to_date(self) -> bool:
        """Nothing is left to be run."""
        return self.wanted <= self.current

    def require(self) -> None:
        """Raises SchemaOutdated when migrations are left to be run."""
        if self.up_to_date:
            return
        if not self.current:
            raise SchemaOutdated("the database is empty")
        missing = ", ".join(sorted(self.wanted - self.current))
        raise SchemaOutdated(f"the database lacks {missing}")


def migration_folders(plugin_paths: Iterable[Path] = ()) -> list[Path]:
    """The core's folder of migrations, those of the plugins shipped, those of the plugins in `plugin_paths`.

    A plugin path is a plugin's folder or a folder of plugins.
    """
    package = Path(__file__).parents[1]
    folders = [package / "store" / "migrations"]
    for path in [package / "plugins", *plugin_paths]:
        candidates = [path / "migrations", *sorted(path.glob("*/migrations"))]
        folders += [folder for folder in candidates if folder.is_dir()]
    return folders


async def upgrade(url: str, plugin_paths: Iterable[Path] = ()) -> SchemaState:
    """Create or bring up to date the database at `url`: everything, or, when a migration fails, nothing."""
    script = _script(plugin_paths)
    database = Database(url)
    try:
        await database.check()
        async with database.write() as connection:
            return await connection.run_sync(_upgrade, script)
    finally:
        await database.close()


async def schema_state(database: Database, plugin_paths: Iterable[Path] = ()) -> SchemaState:
    """Compare the database with the migrations of this software."""
    script = _script(plugin_paths)
    async with database.read() as connection:
        return await connection.run_sync(lambda sync: _state(MigrationContext.configure(sync), script))


def _script(plugin_paths: Iterable[Path]) -> ScriptDirectory:
    folders = [str(folder) for folder in migration_folders(plugin_paths)]
    return ScriptDirectory(folders[0], version_locations=folders)


def _state(context: MigrationContext, script: ScriptDirectory) -> SchemaState:
    current = frozenset(context.get_current_heads())
    known = frozenset(revision for revision in current if _is_known(script, revision))
    return SchemaState(current=known, wanted=frozenset(script.get_heads()), unknown=current - known)


def _is_known(script: ScriptDirectory, revision: str) -> bool:
    try:
        return script.get_revision(revision) is not None
    except CommandError:
        return False


def _upgrade(connection: sa.Connection, script: ScriptDirectory) -> SchemaState:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))

    def steps(heads: tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        known = tuple(head for head in heads if _is_known(script, head))
        return script._upgrade_revs("heads", known)  # type: ignore[arg-type]  # Alembic's own commands pass tuples

    context = MigrationContext.configure(connection, opts={"fn": steps, "target_metadata": metadata})
    with Operations.context(context):
        context.run_migrations()
    return _state(context, script)
