"""`db upgrade`: create the database or bring it up to date; `db reseal`: move to a new sealing key."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.auth.reseal import reseal_all
from rainbow_xmpp.auth.seal import SealError
from rainbow_xmpp.cli.console import Failed, note
from rainbow_xmpp.cli.context import (
    Invocation,
    pass_invocation,
    plugin_folders,
    refusals_explained,
    shown_url,
)
from rainbow_xmpp.cli.passwords import sealer_of
from rainbow_xmpp.config import Config
from rainbow_xmpp.observe.audit import Kind

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.migrate import SchemaState


@click.group()
def db() -> None:
    """The database."""


@db.command()
@pass_invocation
def upgrade(invocation: Invocation) -> None:
    """Create the database or bring it up to date: all of it, or nothing when a step fails."""
    for line in upgraded(invocation.config()):
        click.echo(line)


@db.command()
@pass_invocation
def reseal(invocation: Invocation) -> None:
    """Seal all credentials under auth.sealing_key, so that auth.old_sealing_keys can go.

    May run beside the server, be stopped and started again.
    """
    config = invocation.config()
    sealer = sealer_of(config)

    async def work(store: "Store") -> int:
        from rainbow_xmpp.cli.recording import audit_log, record

        moved = await reseal_all(store.credentials, sealer)
        await store.audit.sign_marks_anew(audit_log(store, config).keys)
        await record(store, config, Kind.CREDENTIALS_RESEALED, credentials=moved, key=sealer.key_id)
        return moved

    try:
        moved = invocation.with_store(config, work)
    except SealError as error:
        raise Failed(f"{error}; nobody lost anything, and what came before it is done") from None
    click.echo(f"{moved} credentials were sealed anew; all are under the key {sealer.key_id} now")


def upgraded(config: Config) -> list[str]:
    """Run the migrations that are left; says what was done, for an administrator."""
    with refusals_explained(config):
        before, after = asyncio.run(_upgrade(config))
    name = shown_url(config)
    steps = sorted(after.current - before.current)
    lines = [f"{name}: now at {', '.join(steps)}" if steps else f"{name}: up to date, nothing to do"]
    if not before.current and steps:
        lines = [f"{name}: created, at {', '.join(steps)}"]
    if after.unknown:
        lines.append(
            f"{name}: tables of plugins that are not here were left alone: {', '.join(sorted(after.unknown))}"
        )
    return lines


def create_if_empty(config: Config, how_to_add_people: str) -> None:
    """Before serving: make an SQLite database that is not there yet; any other is its owner's affair."""
    if is_empty_sqlite(config):
        for line in upgraded(config):
            note(line)
        note(f"It has no people yet. {how_to_add_people}")


def is_empty_sqlite(config: Config) -> bool:
    """Is it an SQLite file that does not exist or has no tables? Quick: no database library is loaded."""
    import sqlite3

    if config.storage.sqlite_path is None:
        return False
    path = Path(config.storage.sqlite_path)
    if not path.exists() or path.stat().st_size == 0:
        return True
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return bool(tables == 0)
        finally:
            connection.close()
    except sqlite3.Error as error:
        from rainbow_xmpp.store.room import lacks_room, no_room

        if lacks_room(error, path):
            raise Failed(no_room(path)) from error
        raise Failed(f"{path}: cannot be read as an SQLite database: {error}") from error


async def _upgrade(config: Config) -> "tuple[SchemaState, SchemaState]":
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store import upgrade as run_migrations

    folders = plugin_folders(config)
    store = await Store.open(config.storage.url, require_schema=False)
    try:
        before = await store.schema_state(folders)
    finally:
        await store.close()
    after = await run_migrations(config.storage.url, folders)
    if steps := after.current - before.current:
        await record_upgrade(config, len(steps))
    return before, after


async def record_upgrade(config: Config, steps: int) -> None:
    """Into the audit log, which the upgrade may just have made."""
    from rainbow_xmpp.cli.recording import record
    from rainbow_xmpp.store import Store

    store = await Store.open(config.storage.url, require_schema=False)
    try:
        await record(store, config, Kind.DATABASE_UPGRADED, migrations=steps)
    finally:
        await store.close()
