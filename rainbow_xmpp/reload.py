"""SIGHUP: the configuration is read again, judged as a whole, and taken as a whole or not at all (DESIGN §9).

Keys that are declared `reload="live"` count at once, the others at the next start. The certificate is read again
each time, since its files change without a word in the configuration.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rainbow_xmpp.auth.seal import InvalidSealingKey, Sealer
from rainbow_xmpp.config import Config, ConfigProblems
from rainbow_xmpp.config.changes import Changes, changes, contradictions, merged
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.observe.audit import Kind
from rainbow_xmpp.observe.log import set_up_log
from rainbow_xmpp.plugin.base import PluginOptions
from rainbow_xmpp.plugin.select import select_plugins
from rainbow_xmpp.transport.tls import TlsFileError, server_context

if TYPE_CHECKING:
    from rainbow_xmpp.server import Server

log = logging.getLogger(__name__)


class Refused(Exception):
    """The configuration cannot be taken; `problems` are all that is wrong, in an administrator's words."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration in which nothing is wrong, the plugins' options by name included."""

    config: Config
    options: Mapping[str, PluginOptions]


def judged(reread: Callable[[], Config]) -> Wanted:
    """Read everything and judge everything, as a start would. Raises Refused; waits for files, so call it aside."""
    try:
        config = reread()
        options = {cls.name: found for cls, found in select_plugins(config).items()}
    except ConfigProblems as wrong:
        raise Refused(tuple(map(str, wrong.problems))) from None
    except RainbowError as error:  # a plugin that cannot be loaded
        raise Refused((str(error),)) from None
    problems: list[str] = []
    try:
        server_context(config.tls.certificate, config.tls.key)
    except TlsFileError as error:
        problems.append(str(error))
    try:
        Sealer.from_text(
            config.auth.sealing_key.reveal(), [key.reveal() for key in config.auth.old_sealing_keys]
        )
    except InvalidSealingKey as error:
        problems.append(str(error))
    if problems:
        raise Refused(tuple(problems))
    return Wanted(config, options)


class Reloader:
    """Reloads a running server when it is asked to: by SIGHUP, or by a command on its control socket."""

    def __init__(self, server: Server, reread: Callable[[], Config]) -> None:
        self._server = server
        self._reread = reread
        self._one_at_a_time = asyncio.Lock()

    async def run(self, hung_up: asyncio.Event) -> None:
        """Reload at each SIGHUP, until cancelled. What comes during a reload is done after it, once."""
        while True:
            await hung_up.wait()
            hung_up.clear()
            try:
                await self.reload()
            except Refused:
                pass  # the log has it
            except Exception:  # the server goes on as it is
                log.exception("the configuration could not be reloaded")

    async def asked(self, _: object) -> Mapping[str, tuple[str, ...]]:
        """What a command is told: names of keys and problems in words, never a key's value."""
        try:
            found = await self.reload()
        except Refused as refused:
            return {"applied": (), "restart": (), "problems": refused.problems}
        return {"applied": found.live, "restart": found.restart, "problems": ()}

    async def reload(self) -> Changes:
        """Take what is written now. Raises Refused, which has been logged, when nothing of it was taken."""
        trail = self._server.node.trail
        async with self._one_at_a_time:
            try:
                found = self._take(await asyncio.to_thread(judged, self._reread))
            except Refused as refused:
                for problem in refused.problems:
                    log.error("the configuration was not taken, everything stays as it was: %s", problem)
                await trail.note(Kind.CONFIG_REFUSED, problems=len(refused.problems))
                raise
            _log(found)
            await trail.note(
                Kind.CONFIG_RELOADED, applied=", ".join(found.live), restart=", ".join(found.restart)
            )
            return found

    def _take(self, wanted: Wanted) -> Changes:
        """All that can fail comes first."""
        server = self._server
        running = server.config
        found = changes(running, wanted.config) + self._plugin_changes(wanted.options)
        config = merged(running, wanted.config)
        problems = [f"{key} {text}" for key, text in self._contradictions(config, wanted.options)]
        if problems:
            raise Refused(tuple(problems))
        try:
            is_renewed = server.take_certificate(config.tls)
        except TlsFileError as error:
            raise Refused((str(error),)) from error
        server.use(config)
        server.reconfigure_plugins(wanted.options)
        if is_renewed:
            server.renew_certificate_of_relay()
        if config.log != running.log:
            set_up_log(config.log.level, config.log.format)
        if is_renewed and "tls.certificate" not in found.live:
            found += Changes(live=("tls.certificate",))
        return found

    def _plugin_changes(self, wanted: Mapping[str, PluginOptions]) -> Changes:
        running = {plugin.name: plugin.options for plugin in self._server.node.plugins}
        started_or_stopped = tuple(f"plugins.{name}.enabled" for name in sorted(set(running) ^ set(wanted)))
        found = Changes(restart=started_or_stopped)
        for name in sorted(set(running) & set(wanted)):
            found += changes(running[name], wanted[name], f"plugins.{name}.")
        return found

    def _contradictions(
        self, config: Config, wanted: Mapping[str, PluginOptions]
    ) -> Iterator[tuple[str, str]]:
        """What live keys say against keys that wait for a restart."""
        yield from contradictions(config)
        for plugin in self._server.node.plugins:
            if plugin.name in wanted:
                options = merged(plugin.options, wanted[plugin.name])
                yield from contradictions(options, f"plugins.{plugin.name}.")


def _log(found: Changes) -> None:
    if found.live:
        log.info("the configuration was read again; in effect now: %s", ", ".join(found.live))
    if found.restart:
        log.warning("the configuration was read again; a restart is needed for: %s", ", ".join(found.restart))
    if not found:
        log.info("the configuration was read again; nothing has changed")
