"""Looking through what a region keeps: files of any kind, folders, and databases row by row.

A database is looked at twice: as the rows it has, which tells whose they are, and as the bytes of its files, which may
hold more than its rows (free pages, journals, an index of words).
"""

from __future__ import annotations

import base64
import binascii
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa

from rainbow_xmpp.residency.canaries import Canaries, Canary
from rainbow_xmpp.residency.finder import Finder, Hit

_SQLITE = b"SQLite format 3\0"
_SQLITE_BESIDE = ("-wal", "-shm", "-journal")
_ROWS_AT_ONCE = 500
_BETWEEN = b"\x1f\x00\x1f"
"""Between the values of a row: no text goes over it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A text of one region, found in another."""

    place: str
    """The file, or the table."""
    offset: int
    """In the file, or in the row."""
    written: str
    """How: plain, base64, …; "in a stream" before it when it was compressed."""
    of_region: str
    planted_as: str
    """Table and column that it was planted in."""
    excuse: str = ""
    """Why it may be there; "" = it may not."""


@dataclass(slots=True)
class Search:
    """What was looked through, and what was found. `known` are the canaries of all other regions."""

    known: Sequence[Canaries]
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    searched: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)
    """What could not be looked through, with the reason: nothing is known of it."""
    finder: Finder = field(init=False)
    _own_copies: dict[str, set[str]] = field(default_factory=dict)
    """Texts that somebody in a database may have, by the database's file."""

    def __post_init__(self) -> None:
        texts = [each.tag for each in self.known]
        ids = [id_ for each in self.known for id_ in each.accounts]
        hashes = {
            f"{each.region}:{of}": bytes.fromhex(digest)
            for each in self.known
            for of, digest in each.hashes.items()
        }
        self.finder = Finder.of([*texts, *ids], hashes)

    @property
    def unexcused(self) -> list[Finding]:
        """What must not be there."""
        return [finding for finding in self.findings if not finding.excuse]

    # -- files ---------------------------------------------------------------------------------------------

    def path(self, path: Path) -> None:
        """A file, or everything below a folder. Databases of SQLite are looked at row by row, too."""
        self.searched.append(str(path))
        for file in _files(path, self.unsearched):
            try:
                self._file(file)
            except OSError as error:
                self.unsearched.append(f"{file}: {error.strerror}")
            except sqlite3.Error as error:
                self.unsearched.append(f"{file}: {error}")

    def bytes_of(self, name: str, data: bytes) -> None:
        """Something that was captured, such as what crossed a border."""
        self.files += 1
        for hit in self.finder.in_bytes(data):
            self._found(name, hit)

    def _file(self, path: Path) -> None:
        self.files += 1
        with path.open("rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
        if is_database:
            self._sqlite(path)
        database = _database_of(path)
        with path.open("rb") as file:
            for hit in self.finder.in_file(file):
                self._found(str(path), hit, bytes_of=database)

    # -- databases -----------------------------------------------------------------------------------------

    def _sqlite(self, path: Path) -> None:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            connection.text_factory = bytes
            names = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
            owners = _Owners(self._numbers_of(connection))
            for (name,) in connection.execute(names).fetchall():
                table = name.decode()
                cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # its own name
                columns = [each[0] for each in cursor.description]
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    for row in rows:
                        self._row(str(path), table, columns, row, owners)
        finally:
            connection.close()

    def _numbers_of(self, connection: sqlite3.Connection) -> dict[int, str]:
        try:
            rows = connection.execute("SELECT number, owner_id FROM archive_owners").fetchall()
        except sqlite3.Error:  # it is another database
            return {}
        return {number: owner.decode() for number, owner in rows}

    async def postgresql(self, url: str) -> None:
        """Every row of every table of a database, whose files another machine may have."""
        parsed = sa.make_url(url)
        self.searched.append(parsed.render_as_string(hide_password=True))
        connection = await asyncpg.connect(
            parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        try:
            tables = await connection.fetch(
                "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            owners = _Owners(await _numbers_in(connection))
            for (table,) in tables:
                async for columns, row in _rows(connection, table):
                    self._row(parsed.database or "", table.removeprefix("public."), columns, row, owners)
        finally:
            await connection.close()

    def _row(
        self, database: str, table: str, columns: Sequence[str], row: Sequence[Any], owners: _Owners
    ) -> None:
        self.rows += 1
        data = _BETWEEN.join(_as_bytes(value) for value in row if value is not None)
        for hit in self.finder.in_bytes(data):
            self._found(f"{database} {table}", hit, owner=owners.of(table, columns, row), database=database)

    # -- what it means -------------------------------------------------------------------------------------

    def _found(
        self, place: str, hit: Hit, *, owner: str = "", database: str = "", bytes_of: str = ""
    ) -> None:
        region, canary = self._which(hit)
        excuse = ""
        if canary is not None and owner in canary.may_be_with:
            excuse = "the own copy of somebody it was said to"
            self._own_copies.setdefault(database, set()).add(canary.text)
        elif canary is not None and canary.text in self._own_copies.get(bytes_of, ()):
            excuse = "the own copy of somebody it was said to, as bytes of the database"
        written = f"in a stream, {hit.needle.what}" if hit.inside else hit.needle.what
        planted_as = canary.place if canary is not None else hit.needle.of
        self.findings.append(Finding(place, hit.offset, written, region, planted_as, excuse))

    def _which(self, hit: Hit) -> tuple[str, Canary | None]:
        for each in self.known:
            if hit.needle.of == each.tag:
                return each.region, each.which(each.tag + _readable(hit))
            if hit.needle.of in each.accounts:
                return each.region, each.of_account
            if hit.needle.of.startswith(f"{each.region}:"):
                return each.region, None
        return "", None


class _Owners:
    """Whose a row is."""

    def __init__(self, by_number: dict[int, str]) -> None:
        self._by_number = by_number

    def of(self, table: str, columns: Sequence[str], row: Sequence[Any]) -> str:
        """The account; "" where the table does not say."""
        values = dict(zip(columns, row, strict=True))
        if (owner := values.get("owner_id")) is not None:
            return owner.decode() if isinstance(owner, bytes) else str(owner)
        number = values.get("owner")
        return self._by_number.get(number, "") if isinstance(number, int) else ""


def _readable(hit: Hit) -> str:
    """The number behind a tag, as far as it can be read from how it is written."""
    behind = hit.behind
    match hit.needle.what:
        case "utf-16" | "utf-32":
            return behind.replace(b"\0", b"")[:4].decode("ascii", "replace")
        case "hex":
            try:
                return binascii.unhexlify(behind[:8]).decode("ascii", "replace")
            except binascii.Error:
                return ""
        case "base64":
            return _behind_base64(hit)
    return behind[:4].decode("ascii", "replace")


def _behind_base64(hit: Hit) -> str:
    """Groups of four letters begin up to three letters before the text ends."""
    for before in range(4):
        letters = (hit.needle.data[len(hit.needle.data) - before :] + hit.behind).translate(
            bytes.maketrans(b"-_", b"+/")
        )
        try:
            text = base64.b64decode(letters[: len(letters) // 4 * 4]).decode("ascii", "replace")
        except (binascii.Error, ValueError):
            continue
        for cut in range(4):
            if hit.needle.of.endswith(text[:cut]) and text[cut : cut + 4].isdigit():
                return text[cut : cut + 4]
    return ""


def _files(path: Path, unsearched: list[str]) -> Iterator[Path]:
    """Regular files, each once; what a link leads to is looked at where it is."""
    if not path.exists():
        unsearched.append(f"{path}: does not exist")
        return
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path, onerror=lambda error: unsearched.append(str(error))):
        for name in sorted(names, key=lambda name: (name.endswith(_SQLITE_BESIDE), name)):
            file = Path(folder) / name
            if stat.S_ISREG(file.lstat().st_mode):
                yield file


def _database_of(path: Path) -> str:
    """The database that a file belongs to: itself, or the one whose journal it is."""
    text = str(path)
    for ending in _SQLITE_BESIDE:
        text = text.removesuffix(ending)
    return text


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return str(value).encode(errors="replace")


async def _rows(connection: Any, table: str) -> AsyncIterator[tuple[Sequence[str], Sequence[Any]]]:
    async with connection.transaction(readonly=True):
        async for record in connection.cursor(f"SELECT * FROM {table}"):  # noqa: S608  # quoted by the database
            yield list(record.keys()), list(record.values())


async def _numbers_in(connection: Any) -> dict[int, str]:
    try:
        rows: Iterable[Any] = await connection.fetch("SELECT number, owner_id FROM archive_owners")
    except asyncpg.UndefinedTableError:
        return {}
    return {row[0]: row[1] for row in rows}
