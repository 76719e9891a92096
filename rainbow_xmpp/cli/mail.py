"""`mail list` and `mail show`: the letters in the folder of a first run, and how many wait."""

import email
import mailbox
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.console import Failed, json_option, note, print_json, print_rows
from rainbow_xmpp.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from rainbow_xmpp.config import Config
    from rainbow_xmpp.mail.queue import Depth
    from rainbow_xmpp.store import Store

COLUMNS = ("id", "date", "to", "subject")


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter in the folder."""

    id: str
    at: float
    message: EmailMessage

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        return "" if part is None else str(part.get_content())

    def as_row(self) -> dict[str, object]:
        return {
            "id": self.id,
            "date": str(self.message["Date"]),
            "to": str(self.message["To"]),
            "subject": str(self.message["Subject"]),
        }


@click.group()
def mail() -> None:
    """Letters to people: with transport = "maildir" they are in a folder of this machine."""


@mail.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the letters in the folder, newest first, and say on stderr how many wait to be sent."""
    config = invocation.config()
    letters = [] if config.mail.transport != "maildir" else _letters(config)
    print_rows([kept.as_row() for kept in letters], COLUMNS, as_json=as_json, unbroken=("id",))
    depth = invocation.with_store(config, _depth(config))
    if depth.letters:
        oldest_s = max(0, int(time.time()) - depth.oldest_at)
        note(f"{depth.letters} wait to be sent, the oldest for {oldest_s} s.")
    if config.mail.transport != "maildir":
        note(f"Letters go to {config.mail.host}:{config.mail.port}; none are kept here.")


@mail.command()
@click.argument("letter", metavar="ID|latest")
@json_option
@pass_invocation
def show(invocation: Invocation, letter: str, as_json: bool) -> None:
    """Show a letter of the folder: by the id that `mail list` shows, or the latest."""
    config = invocation.config()
    if config.mail.transport != "maildir":
        raise Failed('Letters are kept only with mail.transport = "maildir".')
    letters = _letters(config)
    found = next((kept for kept in letters if letter in ("latest", kept.id)), None)
    if found is None:
        raise Failed(f"There is no letter {letter} in {config.mail.folder}.")
    if as_json:
        print_json({**found.as_row(), "text": found.text})
        return
    for name in ("From", "To", "Date", "Subject"):
        click.echo(f"{name}: {found.message[name]}")
    click.echo(f"\n{found.text}", nl=False)


def _letters(config: "Config") -> "list[Kept]":
    return sorted(_read(Path(config.mail.folder)), key=lambda kept: (kept.at, kept.id), reverse=True)


def _read(folder: Path) -> Iterator[Kept]:
    if not folder.is_dir():
        return
    box = mailbox.Maildir(folder, create=False)
    for key in box.keys():  # noqa: SIM118  # iterating it reads every letter
        message = email.message_from_bytes(box.get_bytes(key), policy=default)
        assert isinstance(message, EmailMessage)
        identity = str(message["Message-ID"] or key).strip("<>").partition("@")[0]
        date = message["Date"]
        yield Kept(identity, date.datetime.timestamp() if date is not None else 0.0, message)


def _depth(config: "Config") -> "Callable[[Store], Awaitable[Depth]]":
    from rainbow_xmpp.cli.passwords import sealer_of
    from rainbow_xmpp.mail.queue import MailQueue

    async def ask(store: "Store") -> "Depth":
        return await MailQueue(store, sealer_of(config)).depth()

    return ask
