"""Where plugins are hooked in: every registry takes an owner and gives back what undoes the entry."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.observe.audit import AuditLog
from rainbow_xmpp.observe.timings import PluginFigures
from rainbow_xmpp.plugin.marks import Mark
from rainbow_xmpp.router.early import EarlyRegistry
from rainbow_xmpp.router.events import Events
from rainbow_xmpp.router.iq import IqRegistry
from rainbow_xmpp.router.listeners import PresenceListeners, ServerMessages
from rainbow_xmpp.router.nonzas import Nonzas
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session.inline import InlineRegistry
from rainbow_xmpp.session.tasks import TaskRegistry
from rainbow_xmpp.store.outage import is_outage

log = logging.getLogger(__name__)

M = TypeVar("M")
Undo = Callable[[], None]


class Job(NamedTuple):
    """What a plugin does at intervals; `every_s` is asked each time, since it may be a live option."""

    owner: str
    name: str
    every_s: Callable[[], float]
    work: Callable[[], Awaitable[None]]

    async def run(self) -> None:
        """One run; a failure is logged, and the next time comes all the same."""
        try:
            await self.work()
        except Exception as error:
            told, by = (self.name, type(error).__name__), {"plugin": self.owner}
            if is_outage(error):
                log.warning(
                    "the job %s waits for its next time: the database does not answer (%s)", *told, extra=by
                )
            else:
                log.exception("the job %s failed; it runs again at its next time", self.name, extra=by)

    async def repeat(self) -> None:
        # Servers that start together shall not all work at the same moment.
        await asyncio.sleep(self.every_s() * random.uniform(0.1, 1.0))
        while True:
            await self.run()
            await asyncio.sleep(self.every_s())


class Jobs:
    """The jobs of all plugins: one task for each."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(self._tasks.values())

    def add(
        self, owner: str, name: str, every_s: Callable[[], float], work: Callable[[], Awaitable[None]]
    ) -> Undo:
        """Run this whenever so many seconds have passed; the first time after a part of them."""
        job = Job(owner, name, every_s, work)
        task = asyncio.get_running_loop().create_task(job.repeat(), name=f"job {owner}.{name}")
        self._tasks[task] = job

        def undo() -> None:
            self._tasks.pop(task, None)
            task.cancel()

        return undo

    def owners(self) -> set[str]:
        return {job.owner for job in self}


RouteHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A path of the HTTPS side that a plugin answers."""

    owner: str
    method: str
    path: str
    handler: RouteHandler


RouteTable = Callable[[], Iterable[Route]]


class Routes:
    """The paths of all plugins; read when the server begins to listen."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], Route] = {}
        self._tables: dict[str, RouteTable] = {}

    def __iter__(self) -> Iterator[Route]:
        yield from self._routes.values()
        for table in self._tables.values():
            yield from table()

    def add(self, owner: str, method: str, path: str, handler: RouteHandler) -> Undo:
        key = (method, path)
        if key in self._routes:
            raise LocalMisuse(
                f"plugin {owner}: {method} {path} is answered by {self._routes[key].owner} already"
            )
        self._routes[key] = Route(owner, method, path, handler)
        return lambda: _drop(self._routes, key)

    def add_table(self, owner: str, table: RouteTable) -> Undo:
        """Paths that are known only when they are asked for."""
        self._tables[owner] = table
        return lambda: _drop(self._tables, owner)

    def owners(self) -> set[str]:
        return {route.owner for route in self._routes.values()} | set(self._tables)


class Contributions:
    """Marks that the core makes nothing of: one plugin declares them for another, such as ad-hoc commands."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, Mark, Callable[..., Any]]] = []

    def add(self, owner: str, mark: Mark, handler: Callable[..., Any]) -> Undo:
        entry = (owner, mark, handler)
        self._entries.append(entry)
        return lambda: self._entries.remove(entry)

    def of(self, kind: type[M]) -> Iterator[tuple[str, M, Callable[..., Any]]]:
        """Owner, mark and handler of each entry of this kind."""
        for owner, mark, handler in self._entries:
            if isinstance(mark, kind):
                yield owner, mark, handler

    def owners(self) -> set[str]:
        return {owner for owner, _, _ in self._entries}


@dataclass(frozen=True, slots=True)
class Registries:
    """All of them."""

    pipeline: Pipeline
    iqs: IqRegistry
    events: Events
    presence: PresenceListeners
    server_messages: ServerMessages
    audit: AuditLog
    inline: InlineRegistry = field(default_factory=InlineRegistry)
    early: EarlyRegistry = field(default_factory=EarlyRegistry)
    nonzas: Nonzas = field(default_factory=Nonzas)
    tasks: TaskRegistry = field(default_factory=TaskRegistry)
    jobs: Jobs = field(default_factory=Jobs)
    routes: Routes = field(default_factory=Routes)
    contributions: Contributions = field(default_factory=Contributions)
    figures: PluginFigures = field(default_factory=PluginFigures)
    """How plugins' handlers do; for the metrics."""

    def holds(self, owner: str) -> list[str]:
        """Where something of this owner is registered."""
        everywhere = {
            "stages": self.pipeline.owners(),
            "requests": self.iqs.owners(),
            "events": self.events.owners(),
            "presence": self.presence.owners(),
            "messages to the server": self.server_messages.owners(),
            "nonzas": self.nonzas.owners(),
            "logins": self.inline.owners() | self.tasks.owners(),
            "requests before login": self.early.owners(),
            "jobs": self.jobs.owners(),
            "routes": self.routes.owners(),
            "contributions": self.contributions.owners(),
            "audit": self.audit.owners(),
        }
        return [name for name, owners in everywhere.items() if owner in owners]


def _drop(entries: dict[Any, Any], key: object) -> None:
    entries.pop(key, None)
