"""`setup`: what a first run needs, made where it is missing. `make run` calls it every time."""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.console import can_ask, note
from rainbow_xmpp.cli.context import Invocation, pass_invocation, plugin_folders, refusals_explained
from rainbow_xmpp.config import Config, Draft

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store

DEVELOPMENT = Path("dev")
DEMO = (
    ("alice@acme.example", "Acme", "alice"),
    ("bob@acme.example", "Acme", "bob"),
    ("carol@globex.example", "Globex", "carol"),
)


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody the setup made; `password` is the random one, to be shown once, or empty."""

    email: str
    address: str
    company: str
    password: str


@click.command()
@click.option("--serve", "and_serve", is_flag=True, help="Then serve, as run does.")
@pass_invocation
def setup(invocation: Invocation, and_serve: bool) -> None:
    """Make what a first run needs and is missing; what is there stays.

    A certificate authority, a certificate, keys and the relay's secret are made where the configuration names files in
    dev/. The SQLite database is created. When nobody is in it, a first person is offered; without a terminal,
    or with RAINBOW_DEMO=1, three people in two companies are added.
    """
    draft = invocation.draft()
    for line in _make_files(draft):
        click.echo(line)
    config = draft.config()
    with refusals_explained(config):
        people = asyncio.run(_prepare_database(invocation, config))
    _show(invocation, config, people)
    if and_serve:
        from rainbow_xmpp.cli.run import serve

        serve(invocation, config)


def _is_for_development(path: Path) -> bool:
    """Only files in dev/ are made here: a path an administrator chose is the administrator's to fill."""
    return not path.is_absolute() and path.parts[:1] == DEVELOPMENT.parts and ".." not in path.parts


def _make_files(draft: Draft) -> Iterator[str]:
    """Make the files that are missing; says which."""
    yield from _make_sealing_key(draft)
    yield from _make_token_key(draft)
    yield from _make_relay_secret(draft)
    yield from _make_certificate(draft)


def _make_sealing_key(draft: Draft) -> list[str]:
    from rainbow_xmpp.auth.seal import new_key

    return _make_key(draft, "auth.sealing_key", new_key, "a new key that seals stored credentials")


def _make_token_key(draft: Draft) -> list[str]:
    from rainbow_xmpp.auth.tokens import new_signing_key

    return _make_key(draft, "auth.token_key", new_signing_key, "a new key that signs the tokens of the API")


def _make_relay_secret(draft: Draft) -> list[str]:
    return _make_key(
        draft,
        "plugins.webrtc_relay.secret",
        lambda: secrets.token_urlsafe(32),
        "a new secret of the relay for calls",
    )


def _make_key(draft: Draft, setting: str, new: Callable[[], str], what: str) -> list[str]:
    path = draft.file_named_by(setting)
    if path is None or path.exists() or not _is_for_development(path):
        return []
    from rainbow_xmpp.cli.devcert import write_private

    write_private(path, new().rstrip().encode() + b"\n")
    return [f"{path}: {what}"]


def _make_certificate(draft: Draft) -> list[str]:
    certificate = Path(draft.text("tls.certificate", "dev/cert.pem"))
    key = Path(draft.text("tls.key", "dev/key.pem"))
    if not (_is_for_development(certificate) and _is_for_development(key)):
        return []
    from rainbow_xmpp.cli.devcert import DevelopmentFiles, ensure_certificate

    domain = draft.text("domain", "localhost")
    return ensure_certificate(DevelopmentFiles.beside(certificate, key), [domain], datetime.now(UTC))


async def _prepare_database(invocation: Invocation, config: Config) -> list[NewPerson]:
    """Bring an SQLite database up to date and, when nobody is in it, add people."""
    from rainbow_xmpp.cli.recording import record
    from rainbow_xmpp.observe.audit import Kind
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store import upgrade as run_migrations

    folders = plugin_folders(config)
    store = await Store.open(config.storage.url, require_schema=False)
    try:
        state = await store.schema_state(folders)
        if config.storage.sqlite_path is not None and not state.up_to_date:
            after = await run_migrations(config.storage.url, folders)
            await record(store, config, Kind.DATABASE_UPGRADED, migrations=len(after.current - state.current))
            made = "brought up to date" if state.current else "created"
            click.echo(f"{config.storage.sqlite_path}: {made}")
        else:
            state.require()
        if await _has_people(store):
            return []
        return await _first_people(invocation, store, config)
    finally:
        await store.close()


async def _has_people(store: "Store") -> bool:
    for company in await store.companies.list():
        if await store.accounts.list(company.id):
            return True
    return False


async def _first_people(invocation: Invocation, store: "Store", config: Config) -> list[NewPerson]:
    if invocation.environ.get("RAINBOW_DEMO") == "1" or not can_ask():
        return [await _add(store, config, email, company, localpart) for email, company, localpart in DEMO]
    if not click.confirm("Nobody is in the database yet. Add a first company and person now?", default=True):
        click.echo(f"Nobody can log in then. {invocation.how_to_add_people()}")
        return []
    company = click.prompt("Name of the company", default="Acme").strip()
    email = click.prompt("E-mail address of the person", value_proc=_email)
    return [await _add(store, config, email, company, None, _ask_password(config, email, company))]


def _email(text: str) -> str:
    from rainbow_xmpp.store.errors import InvalidAddress
    from rainbow_xmpp.store.names import normalise_email

    try:
        return normalise_email(text)
    except InvalidAddress as error:
        raise click.BadParameter(str(error)) from None


def _ask_password(config: Config, email: str, company: str) -> str | None:
    """Typed twice, asked again until the policy accepts it; None when a random one is wanted."""
    from rainbow_xmpp.auth.policy import PasswordPolicy, weakness

    policy = PasswordPolicy(config.auth.password)
    while True:
        password: str = click.prompt(
            "Password (empty for a random one)", default="", show_default=False, hide_input=True
        )
        if not password:
            return None
        if problems := policy.problems(password, (email, company)):
            note(weakness(problems))
        elif password != click.prompt("The same again", hide_input=True):
            note("These were not the same.")
        else:
            return password


async def _add(
    store: "Store",
    config: Config,
    email: str,
    company: str,
    localpart: str | None,
    password: str | None = None,
) -> NewPerson:
    from rainbow_xmpp.cli.company import add_company
    from rainbow_xmpp.cli.user import add_person

    if await store.companies.by_name(company) is None:
        await add_company(store, config, company, service_level=_level_for_trying(config))
    added = await add_person(store, config, email, company, localpart, "user", password or "")
    account = added.account
    return NewPerson(email, f"{account.localpart}@{config.domain}", account.company.name, added.password)


def _level_for_trying(config: Config) -> str:
    """One with minutes for calls, where the configuration has the shipped one."""
    from rainbow_xmpp.store.values import DEFAULT_SERVICE_LEVEL

    return "business" if "business" in config.service_levels else DEFAULT_SERVICE_LEVEL


def _show(invocation: Invocation, config: Config, people: list[NewPerson]) -> None:
    """Who was added, where clients connect, and one line for trying it out."""
    program = invocation.command_line()
    if people:
        click.echo("\nAdded, so that somebody can log in:\n")
        for line in _aligned([(each.email, each.address, each.company, each.password) for each in people]):
            click.echo(f"  {line}")
    if any(each.password for each in people):
        click.echo("\nPasswords are shown only now. To set a new one:")
        click.echo(f"  {program} user passwd {people[0].email} --generate")
    host = config.public_url.removeprefix("https://")
    port = "" if ":" in host else ":443"
    click.echo(f"\n  Browser      {config.public_url}")
    click.echo(f"  WebSocket    {config.websocket_url}")
    click.echo(f"  Direct TLS   {host}{port}")
    if (DEVELOPMENT / "ca.pem").exists() and _is_for_development(Path(config.tls.certificate)):
        click.echo(f"  Trust        {DEVELOPMENT / 'ca.pem'} (clients must accept this authority)")
    user = people[0].email if people else "EMAIL"
    click.echo(f"\nTry it from another terminal:\n  {program} probe {config.websocket_url} --user {user}\n")


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of even width, so that they read well in a log too."""
    table = [
        ("E-MAIL", "ADDRESS", "COMPANY", "PASSWORD"),
        *(tuple(cell or "as typed" for cell in row) for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
