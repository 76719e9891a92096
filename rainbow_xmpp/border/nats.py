"""The border over the NATS servers of a region, which hand on to those of other regions what is for them.

Subjects are `xr.<region>.<service>`, and `xr.<region>.r.` for answers, so that two rules are all the permission that a
region needs. Nothing is stored (core NATS), everything is sealed, and a lost request is the asker's to repeat.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from prometheus_client.core import Metric

from rainbow_xmpp.border import (
    ANSWER_S,
    EDGE_SERVICE,
    MOST_BYTES,
    SERVICE_NAME,
    Refused,
    Serve,
    TooLarge,
    Unreachable,
    is_for_edges,
)
from rainbow_xmpp.border.figures import BorderFigures
from rainbow_xmpp.border.seal import NotForUs, Outcome, Request, Seals
from rainbow_xmpp.bus.nats import connect, in_effect
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import LocalMisuse

log = logging.getLogger(__name__)

MOST_AT_ONCE = 256
"""So many requests are answered at the same time; more wait."""
MOST_WAITING = 10_000
"""So many may wait, of each service; what comes on top of them is lost, and its asker hears nothing."""
LONGEST_S = 120.0
"""So long an answer may be worked on: whoever asked has given up by then, and others wait for the place."""
GOODBYE_S = 5.0
"""So long answers under way may take when the border is closed."""
QUIET_S = 0.5
"""A region that let a request wait in vain and said nothing else meanwhile is asked this often until it answers."""
LOOK = "look"
"""Every server answers this: that there is somebody."""
LOOK_FOR_EDGES = f"{EDGE_SERVICE}.look"
"""The same, which edges may ask for. The other one they may not; `check bus` finds out whether they can."""
_QUEUE = "nodes"


class NatsBorder:
    """Open it with `NatsBorder.open`."""

    def __init__(
        self,
        client: Client,
        seals: Seals,
        *,
        others: Sequence[str],
        edges: Iterable[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` is the clock that is compared with the others': Unix time in seconds."""
        self._client = client
        self._seals = seals
        self._edges = frozenset(edges)
        self._now = now
        self.others = others
        self._figures = BorderFigures(seals.here, seals.regions)
        self._quiet: dict[str, float] = {}
        """Regions that do not answer, and when the next question to each is worth its time."""
        self._heard: dict[str, float] = {}
        self._serving: dict[str, Subscription] = {}
        self._at_once = asyncio.Semaphore(MOST_AT_ONCE)
        self._answering: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, config: Config, *, answers_looks: bool = True) -> Self:
        """With a configuration that has [border], [cluster] and regions. Raises RainbowError for administrators.

        Whoever serves nothing else answers no looks: it would be taken for a server of the region.
        """
        here = config.home_region
        seals = seals_of(config)
        client = await connect(
            config.cluster, f"rainbow-border-{config.cluster.number}", inbox=f"xr.{here}.r"
        )
        border = cls(
            client,
            seals,
            others=[name for name, each in config.regions.items() if each.kind.keeps_data and name != here],
            edges=[name for name, each in config.regions.items() if not each.kind.keeps_data],
        )
        if answers_looks:
            for service in (LOOK, LOOK_FOR_EDGES):
                await border.serve(service, _seen)
        return border

    @property
    def here(self) -> str:
        return self._seals.here

    @property
    def regions(self) -> Sequence[str]:
        """All other regions, and edges."""
        return self._seals.regions

    @property
    def is_edge(self) -> bool:
        """This is an edge's end."""
        return self.here in self._edges

    def may_ask(self, region: str) -> bool:
        """Edges have nothing to ask of each other, and the border lets nothing of it through."""
        return not (self.is_edge and region in self._edges)

    def ahead_s(self, region: str) -> float:
        """So far the clock here was ahead of the region's when its last answer came, the way of that included."""
        return self._figures.ahead_s.get(region, 0.0)

    @property
    def is_connected(self) -> bool:
        """The region's NATS servers can be reached; those of others may be all the same, or not."""
        return self._client.is_connected

    async def ask(self, region: str, service: str, request: bytes, *, within_s: float = ANSWER_S) -> bytes:
        _require_name(service)
        if region not in self._seals.regions:
            raise Unreachable(f"there is no way to {region}")
        if len(request) > MOST_BYTES:
            self._figures.asked(region, "refused")
            raise TooLarge(f"{len(request)} bytes for {region}, {MOST_BYTES} at most")
        began = time.perf_counter()
        try:
            answer = await self._ask(region, service, request, within_s)
        except Unreachable:
            self._figures.asked(region, "unreachable")
            raise
        except Refused:
            self._figures.asked(region, "refused")
            raise
        self._figures.asked(region, "answered", time.perf_counter() - began)
        return answer

    async def _ask(self, region: str, service: str, request: bytes, within_s: float) -> bytes:
        if not self._client.is_connected:
            raise Unreachable("no NATS server of this region answers")
        began = time.monotonic()
        if (again_at := self._quiet.get(region)) is not None:
            if began < again_at:
                raise Unreachable(f"{region} has not answered just now")
            self._quiet[region] = began + QUIET_S
        sealed, opens = self._seals.seal(region, service, request, self._now())
        try:
            message = await self._client.request(f"xr.{region}.{service}", sealed, timeout=within_s)
            answer = opens.open(message.data)
        except NatsTimeout:
            if self._heard.get(region, 0.0) < began:
                self._quiet[region] = time.monotonic() + QUIET_S
            raise Unreachable(f"{region} did not answer in {within_s:g} s") from None
        except NoRespondersError:
            raise Unreachable(f"nobody in {region} serves {service} at the moment") from None
        except NotForUs:  # whoever carries it may say anything, so this proves nothing
            raise Unreachable(f"{region} did not understand, or it was not {region} that answered") from None
        except (NatsError, OSError) as error:
            raise Unreachable(f"{region} did not answer: {str(error) or type(error).__name__}") from None
        self._heard[region] = time.monotonic()
        self._quiet.pop(region, None)
        ahead_s = self._now() - answer.at
        self._figures.skew(region, ahead_s)
        if answer.outcome is Outcome.STALE:
            log.warning(
                "%s takes nothing from here: the clock here is %+.0f s from the one there", region, ahead_s
            )
            raise Unreachable(f"the clock here is {ahead_s:+.0f} s from that of {region}")
        if answer.outcome is Outcome.REFUSED:
            raise Refused(region)
        return answer.body

    async def serve(self, service: str, handler: Serve) -> None:
        _require_name(service)
        if service in self._serving:
            raise LocalMisuse(f"{service} is served already")

        async def take(message: Msg) -> None:
            await self._at_once.acquire()
            task = asyncio.create_task(self._answer(message, service, handler))
            self._answering.add(task)
            task.add_done_callback(self._answered)

        self._serving[service] = await self._client.subscribe(
            f"xr.{self.here}.{service}", queue=_QUEUE, cb=take, pending_msgs_limit=MOST_WAITING
        )
        await in_effect(self._client)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._at_once.release()
        self._answering.discard(task)

    async def _answer(self, message: Msg, service: str, handler: Serve) -> None:
        try:
            request = self._seals.open(service, message.data, self._now())
        except NotForUs as error:
            log.warning("%s: %s", service, error)
            self._figures.not_for_us += 1
            await _reply(message.respond(b""))
            return
        outcome, body = await self._outcome(request, service, handler)
        self._figures.served(request.origin, outcome.name.lower())
        await _reply(message.respond(request.answer.seal(outcome, body, self._now())))

    async def _outcome(self, request: Request, service: str, handler: Serve) -> tuple[Outcome, bytes]:
        if not request.is_fresh:
            log.warning("a request of %s is too old, or its clock or this one is wrong", request.origin)
            return Outcome.STALE, b""
        if request.origin in self._edges and not is_for_edges(service):
            log.warning("the edge %s asked for %s, which is not for edges", request.origin, service)
            return Outcome.REFUSED, b""
        deadline = asyncio.timeout(LONGEST_S)
        try:
            async with deadline:
                answer = await handler(request.origin, request.body)
        except Refused:
            return Outcome.REFUSED, b""
        except Exception:  # one request costs the others nothing
            late = f", which took more than {LONGEST_S:.0f} s" if deadline.expired() else ""
            log.exception("%s could not be served to %s%s", service, request.origin, late)
            return Outcome.REFUSED, b""
        if len(answer) > MOST_BYTES:
            log.error("an answer of %s has %d bytes, %d at most", service, len(answer), MOST_BYTES)
            return Outcome.REFUSED, b""
        return Outcome.ANSWERED, answer

    async def close(self) -> None:
        for serving in self._serving.values():
            await _reply(serving.unsubscribe())
        if self._answering:
            _, late = await asyncio.wait(self._answering, timeout=GOODBYE_S)
            for task in late:
                task.cancel()
        try:
            await self._client.drain()
        except (NatsError, OSError):  # it is gone already
            await self._client.close()

    def metrics(self) -> Iterable[Metric]:
        """For the exposition."""
        return self._figures.metrics()


async def _seen(origin: str, request: bytes) -> bytes:
    return b""


def seals_of(config: Config) -> Seals:
    """The keys of the region of this configuration and of the others. Raises InvalidRegionKey."""
    keys = {name: each.keys for name, each in config.regions.items() if each.key}
    return Seals(config.home_region, config.border.keys, keys)


def _require_name(service: str) -> None:
    if not re.fullmatch(SERVICE_NAME, service):
        raise LocalMisuse(f"{service!r} is no name for a service")


async def _reply(saying: Awaitable[object]) -> None:
    """What cannot be said since the connection is lost, nobody hears."""
    try:
        await saying
    except (NatsError, OSError) as error:
        log.debug("nothing can be said at the border: %s", type(error).__name__)
