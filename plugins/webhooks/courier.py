"""Delivers what waits: to each hook in order, to several hooks at once, again after a failure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.outside import NotAllowedUrl, NotReached, Outside, judge_url, wait_s
from rainbow_xmpp.plugin import Services
from rainbow_xmpp.plugins.webhooks.queue import Queue, State, Waiting
from rainbow_xmpp.plugins.webhooks.signing import Secrets, signed_headers

LEASE_S = 180
"""A server that is killed holds a hook up for so long; a call takes less."""
FIRST_WAIT_S = 10
LONGEST_WAIT_S = 2 * 3600
TURN = 50
"""So many messages go to one hook before others that wait have their turn."""
GIVE_UP_S = 24 * 3600
"""From the event on."""


class Settings(Protocol):
    """What an operator decides."""

    @property
    def allowed_hosts(self) -> Collection[str]: ...
    @property
    def timeout_s(self) -> int: ...
    @property
    def at_once(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Result:
    """How a call went: a status, or in a word why there is none."""

    is_ok: bool
    outcome: str


class Courier:
    """`outside` and `settings` are asked for each call, since both may change."""

    def __init__(
        self,
        services: Services,
        queue: Queue,
        secrets: Secrets,
        *,
        outside: Callable[[], Outside],
        settings: Callable[[], Settings],
        wake: Callable[[], None],
    ) -> None:
        """`wake` asks for another `deliver`."""
        self._services = services
        self._queue = queue
        self._secrets = secrets
        self._outside = outside
        self._settings = settings
        self._wake = wake
        self._is_crowded = False
        self._under_way: set[str] = set()

    async def deliver(self) -> None:
        """Begin with everything that is due, as far as there is room; a slow one holds no other up."""
        due = [hook_id for hook_id in await self._queue.due(self._now()) if hook_id not in self._under_way]
        room = max(0, self._settings().at_once - len(self._under_way))
        self._is_crowded = len(due) > room
        for hook_id in due[:room]:
            self._under_way.add(hook_id)
            self._services.spawn(self._deliver_to(hook_id))

    async def _deliver_to(self, hook_id: str) -> None:
        """What waits for one hook, until something has to wait longer or it is the others' turn."""
        try:
            now = self._now()
            if not await self._queue.claim(hook_id, now, until=now + LEASE_S):
                return
            is_done = False
            for _ in range(TURN):
                waiting = await self._queue.next(hook_id)
                is_done = waiting is None or waiting.next_at > self._now()
                if waiting is None or is_done or not await self._attempt(waiting):
                    is_done = True
                    break
                await self._queue.extend(hook_id, until=self._now() + LEASE_S)
            await self._queue.extend(hook_id, until=0)
        finally:
            self._under_way.discard(hook_id)
        if self._is_crowded or not is_done:
            self._wake()

    async def _attempt(self, waiting: Waiting) -> bool:
        """Call once, and write down how it went; False when it has to be tried again."""
        result = await self._call(waiting)
        now, counters = self._now(), self._services.counters
        if result.is_ok:
            counters.webhooks_delivered += 1
            await self._queue.attempted(waiting, result.outcome, state=State.DELIVERED, at=now)
            return True
        counters.webhooks_failed += 1
        again_at = now + wait_s(waiting.attempts, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
        if again_at <= waiting.created_at + GIVE_UP_S:
            await self._queue.attempted(waiting, result.outcome, state=State.WAITING, at=again_at)
            return False
        counters.webhooks_dead += 1
        await self._queue.attempted(waiting, result.outcome, state=State.DEAD, at=now)
        await self._services.audit(
            "webhooks.dead",
            company_id=waiting.company_id,
            actor="system",
            target=waiting.hook_id,
            message=waiting.message_id,
            attempts=waiting.attempts + 1,
            outcome=result.outcome,
        )
        return True

    async def _call(self, waiting: Waiting) -> Result:
        settings = self._settings()
        secret = self._secrets.open(waiting.secret, waiting.hook_id)
        if secret is None:
            return Result(False, "secret-lost")
        try:
            url = judge_url(waiting.url, settings.allowed_hosts)
            body = waiting.body.encode()
            headers = signed_headers(secret, waiting.message_id, self._now(), body)
            headers["Content-Type"] = "application/json"
            answer = await self._outside().post(url, body, headers, timeout_s=settings.timeout_s)
        except NotAllowedUrl:
            return Result(False, "host-not-allowed")
        except NotReached as error:
            return Result(False, str(error))
        return Result(200 <= answer.status < 300, str(answer.status))

    def _now(self) -> int:
        return int(self._services.now())
