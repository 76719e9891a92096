"""Other people's programs are told who joins and leaves a company, and of its links (Standard Webhooks)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rainbow_xmpp.outside import Outside, problem_of_host
from rainbow_xmpp.plugin import (
    Changed,
    Mark,
    Plugin,
    PluginOptions,
    Services,
    Waker,
    every,
    marks_of,
    on,
    option,
)
from rainbow_xmpp.plugins.webhooks.courier import Courier
from rainbow_xmpp.plugins.webhooks.endpoints import WebhookEndpoints
from rainbow_xmpp.plugins.webhooks.queue import Queue
from rainbow_xmpp.plugins.webhooks.signing import Secrets
from rainbow_xmpp.plugins.webhooks.store import Hooks

DAY_S = 86_400


class Webhooks(
    Plugin,
    name="webhooks",
    audit={
        "webhooks.added": "a webhook was added",
        "webhooks.changed": "a webhook was changed, or got another secret",
        "webhooks.removed": "a webhook was removed",
        "webhooks.tested": "a test message was sent to a webhook",
        "webhooks.dead": "a message to a webhook was given up after a day",
    },
):
    """Signed calls from a durable queue: at least once, in order for each webhook, tried again for a day."""

    class Options(PluginOptions):
        allowed_hosts: tuple[str, ...] = option(
            (),
            'Hosts that may be called, such as ["hooks.example.com", "crm.example.com:8443"]. Empty = none.',
            reload="live",
        )
        hooks_per_company: int = option(10, "So many webhooks has a company.", ge=1, le=100, reload="live")
        at_once: int = option(8, "So many are called at the same time.", ge=1, le=200, reload="live")
        timeout_s: int = option(10, "How long one call may take.", ge=1, le=60, reload="live")
        keep_days: int = option(
            7, "For how long is shown what became of a message.", ge=1, le=365, reload="live"
        )

        def problems(self) -> Iterator[tuple[str, str]]:
            for host in self.allowed_hosts:
                if problem := problem_of_host(host):
                    yield "allowed_hosts", problem

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        secrets = Secrets(services.secret_for("webhooks"))
        self.queue = Queue(services.store)
        self.outside = Outside(agent="Rainbow-Webhooks")
        """How others are reached; tests put another one here."""
        self._waker = Waker(self._work, services.spawn)
        self._courier = Courier(
            services,
            self.queue,
            secrets,
            outside=lambda: self.outside,
            settings=lambda: self.options,
            wake=self._waker.wake,
        )
        self._endpoints = WebhookEndpoints(
            services, Hooks(services.store), secrets, lambda: self.options, self._waker.wake
        )

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints."""
        yield from super().marks()
        yield from marks_of(self._endpoints)

    async def start(self) -> None:
        await self.queue.begin()

    async def stop(self) -> None:
        await self.outside.close()

    @on(Changed)
    def changed(self, event: Changed) -> None:
        """Something was done, here or elsewhere: perhaps somebody wants to know."""
        self._waker.wake()

    @every(seconds=5)
    async def look(self) -> None:
        """What is to be tried again, and what a server that is no more left behind."""
        self._waker.wake()

    @every(hours=1)
    async def forget(self) -> None:
        """What ended long ago."""
        await self.queue.forget_before(int(self.services.now()) - self.options.keep_days * DAY_S)

    async def _work(self) -> None:
        await self.queue.collect()
        await self._courier.deliver()
