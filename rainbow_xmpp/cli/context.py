"""What every command may ask for: the configuration and the open store."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rainbow_xmpp.config import Config, Draft, load, read
from rainbow_xmpp.errors import RainbowError

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store

T = TypeVar("T")

DEFAULT_CONFIG = "conf/rainbow.toml"


class KeepsNothing(RainbowError):
    """This server has no database."""


class Invocation:
    """One call of the command line: which configuration file, which environment."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ

    def config(self) -> Config:
        """The checked configuration; its problems end the command."""
        return load(self.file, self.environ)

    def whole_config(self) -> Config:
        """The same, judged by the plugins as well, so that all problems are told at once."""
        from rainbow_xmpp.plugin.select import plugin_problems

        return load(self.file, self.environ, plugin_problems)

    def draft(self) -> Draft:
        """The configuration as written, while files it names may still be missing."""
        return read(self.file, self.environ)

    def config_to_look_at(self) -> Config:
        """The same for commands that only show what is configured: nothing is opened with the keys.

        Those of a server that was not set up yet have no files; they are taken for ones that nobody has.
        """
        draft = self.draft()
        for dotted, instead in (
            ("auth.sealing_key", secrets.token_hex(32)),
            ("auth.token_key", ""),
            ("plugins.webrtc_relay.secret", ""),
            ("border.key", ""),
            ("border.old_key", ""),
            ("cluster.password", secrets.token_hex(32)),
        ):
            file = draft.file_named_by(dotted)
            if file is not None and not file.exists():
                draft.put(dotted, instead)
        return draft.config()

    def with_store(self, config: Config, work: "Callable[[Store], Awaitable[T]]") -> T:
        """What `work` returns, given the open store. A database that is out of date ends the command."""
        if config.is_edge:
            raise KeepsNothing(
                f"{config.home_region} is an edge, which keeps no data: do this in another region"
            )
        with refusals_explained(config):
            return asyncio.run(_with_store(config, work))

    def command_line(self) -> str:
        """The command as this process was called, with its configuration, so that hints can be copied."""
        called = Path(sys.argv[0])
        if called.name != "rainbow-xmpp":
            program = f"{Path(sys.executable).name} -m rainbow_xmpp"
        elif called.is_absolute() and called.is_relative_to(Path.cwd()):
            program = str(called.relative_to(Path.cwd()))
        else:
            program = str(called)
        return program if str(self.file) == DEFAULT_CONFIG else f"{program} --config {self.file}"

    def how_to_add_people(self) -> str:
        """For a server that nobody can log in to."""
        command = self.command_line()
        return f"Add them: {command} company add NAME, {command} user add EMAIL --company NAME --generate"


pass_invocation = click.make_pass_decorator(Invocation)


def plugin_folders(config: Config) -> list[Path]:
    """The configured folders of plugins."""
    return [Path(path) for path in config.plugin_paths]


def shown_url(config: Config) -> str:
    """The database's name without a password."""
    if config.storage.sqlite_path is not None:
        return config.storage.sqlite_path
    from sqlalchemy import make_url

    return make_url(config.storage.url).render_as_string(hide_password=True)


@contextmanager
def refusals_explained(config: Config) -> Iterator[None]:
    """What the database refuses (a full disk, missing rights) becomes a StoreError with its words."""
    from sqlalchemy.exc import DBAPIError

    from rainbow_xmpp.store.errors import StoreError

    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"{shown_url(config)}: {error.orig}") from error


async def _with_store(config: Config, work: "Callable[[Store], Awaitable[T]]") -> T:
    from rainbow_xmpp.store import Store

    store = await Store.open(config.storage.url, plugin_paths=plugin_folders(config))
    try:
        return await work(store)
    finally:
        await store.close()
