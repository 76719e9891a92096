"""Tells devices what is due, by the push services of their browsers; again after a failure (RFC 8030)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from rainbow_xmpp.outside import NotAllowedUrl, NotReached, Outside, judge_url, wait_s
from rainbow_xmpp.plugin import Services, Session
from rainbow_xmpp.plugins.push.envelope import Notification, Signer, request_for
from rainbow_xmpp.plugins.push.queue import Queue
from rainbow_xmpp.plugins.push.reach import Reach
from rainbow_xmpp.plugins.push.sealing import Seals
from rainbow_xmpp.plugins.push.values import Due, Key, Shows, Urgency

log = logging.getLogger(__name__)

LEASE_S = 120
"""A server that is killed holds a device up for so long; a call takes less."""
FIRST_WAIT_S = 10
LONGEST_WAIT_S = 2 * 3600
GONE = (404, 410)
"""RFC 8030 §7.3: nobody has this subscription any more."""
LATER = (429, 503)
"""Too much, or not now; how long to wait may stand beside it."""


class Settings(Protocol):
    """What an operator decides."""

    @property
    def push_services(self) -> Collection[str]: ...
    @property
    def timeout_s(self) -> int: ...
    @property
    def at_once(self) -> int: ...
    @property
    def pause_s(self) -> int: ...
    @property
    def may_show(self) -> Shows: ...


class Courier:
    """`outside` and `settings` are asked for each call, since both may change."""

    def __init__(
        self,
        services: Services,
        queue: Queue,
        seals: Seals,
        reach: Reach,
        *,
        outside: Callable[[], Outside],
        settings: Callable[[], Settings],
        sessions: Callable[[str], Sequence[Session]],
        gone: Callable[[Key], Awaitable[None]],
        seen: Callable[[Key], Awaitable[None]],
        due: Callable[[int], None],
    ) -> None:
        """`sessions` are those of a localpart that get messages, `gone` forgets a subscription, `seen` what its device
        is to be told; `due` is told when there is more to do."""
        self._services = services
        self._queue = queue
        self._seals = seals
        self._reach = reach
        self._outside = outside
        self._settings = settings
        self._sessions = sessions
        self._gone = gone
        self._seen = seen
        self._due = due
        self._under_way: set[Key] = set()
        self._is_crowded = False

    async def deliver(self, signer: Signer) -> None:
        """Begin with what is due, as far as there is room; a slow push service holds no other up."""
        room = max(0, self._settings().at_once - len(self._under_way))
        found = await self._queue.due(self._now(), most=room + len(self._under_way))
        begun = [due for due in found if due.registered.key not in self._under_way][:room]
        self._is_crowded = len(begun) == room
        for due in begun:
            self._under_way.add(due.registered.key)
            self._services.spawn(self._deliver(due, signer))

    async def _deliver(self, due: Due, signer: Signer) -> None:
        key, now = due.registered.key, self._now()
        try:
            if self._reach.has_everything(due.registered, self._sessions(due.localpart)):
                self._services.counters.push_needless += 1
                await self._seen(key)
            elif await self._queue.claim(due, now, until=now + LEASE_S):
                again_at = await self._tell(due, signer)
                if again_at is not None:
                    self._due(again_at)
            else:  # there is more to be told meanwhile, or another server does it
                self._due(now + 1)
        finally:
            self._under_way.discard(key)
            if self._is_crowded:
                self._due(now)

    async def _tell(self, due: Due, signer: Signer) -> int | None:
        """Tell one device; when there is more to do, if there is."""
        now, counters = self._now(), self._services.counters
        notification = self._notification(due, now)
        if notification is None:
            counters.push_expired += 1
            return await self._queue.told(due, now, pause_s=self._settings().pause_s)
        status, retry_after_s = await self._post(due, notification, signer)
        if 200 <= status < 300:
            counters.push_sent += 1
            return await self._queue.told(due, self._now(), pause_s=self._settings().pause_s)
        if status in GONE:
            counters.push_gone += 1
            await self._gone(due.registered.key)
            return None
        counters.push_failed += 1
        wait = wait_s(due.attempts, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
        if status in LATER:
            wait = max(wait, retry_after_s or 0)
        again_at = self._now() + wait
        if again_at >= max(due.expires_at, due.call_until) and 400 <= status < 500 and status not in LATER:
            # It has been refused all the time: XEP-0357 §7.1, "a sufficient number of errors … in a row".
            counters.push_gone += 1
            await self._gone(due.registered.key)
            return None
        await self._queue.again(due, again_at)
        return again_at

    def _notification(self, due: Due, now: int) -> Notification | None:
        """None: nothing of it is worth telling any more."""
        key, shows = due.registered.key, due.registered.shows.at_most(self._settings().may_show)
        last = self._seals.open_last(key, due.last_message)
        if last is not None and shows is not Shows.BODY:
            last = None if shows is Shows.COUNT else last.without_body()
        if due.call_until > now:
            return Notification(key.node, Urgency.CALL, due.unseen, due.call_until - now, last)
        if due.expires_at > now:
            return Notification(key.node, Urgency.MESSAGE, due.unseen, due.expires_at - now, last)
        return None

    async def _post(self, due: Due, notification: Notification, signer: Signer) -> tuple[int, int | None]:
        """The status, and what is asked to be waited for; 0 when there was no answer."""
        settings = self._settings()
        target = self._seals.open_target(due.registered.key.node, due.target)
        if target is None:  # sealed under a key that nobody has any more
            return GONE[0], None
        try:
            judge_url(target.endpoint, settings.push_services)
            request = request_for(notification, target, signer, self._services.now())
            answer = await self._outside().post(
                request.url, request.body, request.headers, timeout_s=settings.timeout_s
            )
        except NotAllowedUrl:  # any more; a list that is wrong for a while takes nobody's registration
            return 0, None
        except NotReached as error:
            log.info(
                "a push service was not reached: %s", error, extra={"account": due.registered.key.owner_id}
            )
            return 0, None
        return answer.status, answer.retry_after_s

    def _now(self) -> int:
        return int(self._services.now())
