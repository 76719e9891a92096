"""What every command may ask for: the configuration and the open store."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rainbow_xmpp.config import Config, ConfigProblems, Draft, load, read

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store

T = TypeVar("T")

DEFAULT_CONFIG = "conf/rainbow.toml"


class Invocation:
    """One call of the command line: which configuration file, which environment."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ

    def config(self) -> Config:
        """The checked configuration; its problems end the command."""
        return load(self.file, self.environ)

    def draft(self) -> Draft:
        """The configuration as written, while files it names may still be missing."""
        return read(self.file, self.environ)

    def with_store(self, config: Config, work: "Callable[[Store], Awaitable[T]]") -> T:
        """What `work` returns, given the open store. A database that is out of date ends the command."""
        return asyncio.run(_with_store(config, work))

    def command_line(self) -> str:
        """How to call the command again with the same configuration, for hints."""
        return "rainbow-xmpp" if str(self.file) == DEFAULT_CONFIG else f"rainbow-xmpp --config {self.file}"


pass_invocation = click.make_pass_decorator(Invocation)

__all__ = ["DEFAULT_CONFIG", "ConfigProblems", "Invocation", "pass_invocation", "plugin_folders"]


def plugin_folders(config: Config) -> list[Path]:
    """The configured folders of plugins."""
    return [Path(path) for path in config.plugin_paths]


async def _with_store(config: Config, work: "Callable[[Store], Awaitable[T]]") -> T:
    from rainbow_xmpp.store import Store

    store = await Store.open(config.storage.url, plugin_paths=plugin_folders(config))
    try:
        return await work(store)
    finally:
        await store.close()
