"""`user import`: thousands of people from a CSV file, all of them or nobody.

Everything that can be wrong is looked for first, since hashing the passwords is the slow part. That is done
in as many threads as there are cores: PBKDF2 lets go of the interpreter lock.
"""

import asyncio
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.policy import PasswordPolicy, weakness
from rainbow_xmpp.cli.console import Failed
from rainbow_xmpp.cli.passwords import derived, sealer_of
from rainbow_xmpp.cli.recording import audit_log
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.config import Config
from rainbow_xmpp.ids import new_localpart
from rainbow_xmpp.observe.audit import Kind, cli_actor
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import ImportRefused
from rainbow_xmpp.store.joined import Work, joining
from rainbow_xmpp.store.names import company_key
from rainbow_xmpp.store.values import Conflict, ConflictField, NewAccount

HEADER = ("email", "company", "localpart", "password")


@dataclass(frozen=True, slots=True)
class Row:
    """One person in the file; `line` (from 1) is where the row begins."""

    line: int
    email: str
    company: str
    localpart: str
    password: str


@dataclass(frozen=True, slots=True, order=True)
class RowError:
    """Why a row cannot be imported."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many were imported; with any error, nobody was."""

    imported: int
    errors: tuple[RowError, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For programs."""
        errors = [{"line": error.line, "reason": error.reason} for error in self.errors]
        return {"imported": self.imported, "errors": errors}


async def import_people(store: Store, config: Config, file: Path) -> ImportReport:
    """Import the file in one transaction. Raises Failed when it is not such a file at all."""
    rows, errors = read_rows(file)
    policy = PasswordPolicy(config.auth.password)
    for row in rows:
        if problems := policy.problems(row.password, (row.email, row.localpart, row.company)):
            errors.append(RowError(row.line, weakness(problems)))
    accounts = [_account(row) for row in rows]
    errors += _row_errors(rows, await store.accounts.conflicts(accounts))
    errors += await _too_many(store, config, rows)
    homes, misplaced = await _homes(store, config, rows)
    if errors or misplaced:
        return ImportReport(0, tuple(sorted(errors + misplaced)))
    accounts = [replace(new, region=homes[company_key(new.company)]) for new in accounts]
    try:
        ready = [each async for each in _with_credentials(config, rows, accounts)]
        async with _recorded(store, config, rows):
            with joining(_still_has_room(store, config, rows)):
                await store.accounts.add_many(ready)
    except NotAllowed as full:  # the same, and now there is no room for all of these
        return ImportReport(0, tuple(await _too_many(store, config, rows)) or (RowError(1, str(full)),))
    except ImportRefused as refused:  # somebody else added people meanwhile
        return ImportReport(0, tuple(_row_errors(rows, refused.conflicts)))
    return ImportReport(len(accounts))


async def _too_many(store: Store, config: Config, rows: Sequence[Row]) -> list[RowError]:
    """Companies whose service level has no room for all of theirs, each at its first row."""
    levels = ServiceLevels(config.service_levels)
    found = []
    for row, more in _companies_in(rows):
        company = await store.companies.by_name(row.company)
        if company is not None:
            try:
                levels.room_for(company, await store.accounts.count(company.id), more)
            except NotAllowed as full:
                found.append(RowError(row.line, f"{full}; the file has {more} more"))
    return found


async def _homes(store: Store, config: Config, rows: Sequence[Row]) -> tuple[dict[str, str], list[RowError]]:
    """The region of each company's new people, and the companies whose people may not live here."""
    regions = Regions.of(config)
    homes, errors = {}, []
    for row, _ in _companies_in(rows):
        company = await store.companies.by_name(row.company)
        if company is not None:
            try:
                homes[company_key(row.company)] = regions.for_new_person(company)
            except NotAllowed as misplaced:
                errors.append(RowError(row.line, str(misplaced)))
    return homes, errors


def _still_has_room(store: Store, config: Config, rows: Sequence[Row]) -> Work:
    """The same, within the transaction that adds them: others may have been added while passwords were hashed."""
    levels = ServiceLevels(config.service_levels)

    async def check(connection: AsyncConnection) -> None:
        for row, more in _companies_in(rows):
            company = await store.companies.by_name(row.company)
            if company is not None:
                others = await store.accounts.count_within(connection, company.id) - more
                levels.room_for(company, others, more)

    return check


def _companies_in(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """The first row of each company, and how many it has."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(company_key(row.company), row)
    people = Counter(company_key(row.company) for row in rows)
    return [(row, people[key]) for key, row in first.items()]


@asynccontextmanager
async def _recorded(store: Store, config: Config, rows: Sequence[Row]) -> AsyncIterator[None]:
    """One record for each company, with what is written within; who came stands in the accounts."""
    log = audit_log(store, config)
    people = Counter(company_key(row.company) for row in rows)
    async with AsyncExitStack() as records:
        for key, count in people.items():
            company = await store.companies.by_name(key)
            id = company.id if company is not None else ""
            recorded = log.with_write(
                Kind.USERS_IMPORTED, company_id=id, actor=cli_actor(), target=id, people=count
            )
            await records.enter_async_context(recorded)
        yield


def read_rows(file: Path) -> tuple[list[Row], list[RowError]]:
    """The rows of the file, and those that are none. Raises Failed when the file or its header is wrong."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Failed(f"{file}: is not UTF-8 text; save it as UTF-8 and try again") from None
    except OSError as error:
        raise Failed(f"{file}: cannot be read: {error.strerror}") from None
    rows: list[Row] = []
    errors: list[RowError] = []
    try:
        _read_into(rows, errors, csv.reader(io.StringIO(text, newline=""), strict=True), file)
    except csv.Error as error:
        raise Failed(f"{file}: is not CSV: {error}") from None
    if not rows and not errors:
        raise Failed(f"{file}: holds nobody")
    return rows, errors


def _read_into(rows: list[Row], errors: list[RowError], reader: "_Reader", file: Path) -> None:
    header = [name.strip().lower() for name in next(iter(reader), [])]
    if sorted(header) != sorted(HEADER):
        raise Failed(f"{file}:1: the first line must be {','.join(HEADER)}")
    line = reader.line_num + 1
    for fields in reader:
        if len(fields) == len(header):
            named = dict(zip(header, fields, strict=True))
            texts = {name: value if name == "password" else value.strip() for name, value in named.items()}
            rows.append(Row(line, **texts))
        elif fields:  # an empty line is no row
            errors.append(RowError(line, f"has {len(fields)} fields instead of {len(header)}"))
        line = reader.line_num + 1


class _Reader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...


def _account(row: Row) -> NewAccount:
    return NewAccount(company=row.company, email=row.email, localpart=row.localpart or new_localpart())


def _row_errors(rows: Sequence[Row], conflicts: Iterable[Conflict]) -> list[RowError]:
    """The store's conflicts with line numbers; a row that repeats an earlier one is told which."""
    first = {field: _first_lines(rows, field) for field in (ConflictField.EMAIL, ConflictField.LOCALPART)}
    errors = []
    for conflict in conflicts:
        row = rows[conflict.index]
        reason = conflict.reason
        if conflict.field in first:
            earlier = first[conflict.field][getattr(row, conflict.field).casefold()]
            if earlier != row.line:
                reason = f'the {conflict.field} "{getattr(row, conflict.field)}" is already in line {earlier}'
        errors.append(RowError(row.line, reason))
    return errors


def _first_lines(rows: Sequence[Row], field: ConflictField) -> dict[str, int]:
    lines: dict[str, int] = {}
    for row in rows:
        lines.setdefault(getattr(row, field).casefold(), row.line)
    return lines


async def _with_credentials(
    config: Config, rows: Sequence[Row], accounts: Sequence[NewAccount]
) -> AsyncIterator[NewAccount]:
    """The accounts with their passwords' sealed keys."""
    loop = asyncio.get_running_loop()
    sealer = sealer_of(config)
    pool = ThreadPoolExecutor(os.cpu_count(), "import")
    try:
        with _progress(len(rows)) as one_done:
            hashed = [loop.run_in_executor(pool, derived, config, row.password) for row in rows]
            for account, verifier in zip(accounts, hashed, strict=True):
                key_id, sealed = sealer.seal(await verifier, account.id)
                one_done()
                yield replace(account, key_id=key_id, sealed=sealed)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr when that is a terminal; call what it gives for each that is done."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Hashing passwords", total=total)
        yield lambda: bar.advance(task)
