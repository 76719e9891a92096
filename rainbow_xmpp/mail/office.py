"""Where letters are posted, and who carries them away."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from email.message import EmailMessage

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.config import Config
from rainbow_xmpp.mail.composer import Composer
from rainbow_xmpp.mail.letter import Letter, NotALetter
from rainbow_xmpp.mail.queue import LEASE_S, Depth, MailQueue, Waiting
from rainbow_xmpp.mail.transports import HandOver, NotSent, Transport, transport_of
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.store import Store

log = logging.getLogger(__name__)

AT_ONCE = 20
"""So many letters go with one connection."""
LONGEST_S = LEASE_S - 60
"""A letter that takes longer is given up for now, while it is still ours."""
LOOK_S = 30.0
"""So often is looked for letters that another process posted."""
STUCK_S = 300
"""A letter that waits for so long means that something is wrong."""


class Mail:
    """The queue and its carrier. `post` at any time; letters leave while `start`ed."""

    def __init__(self, config: Config, store: Store, sealer: Sealer, counters: Counters) -> None:
        self._store = store
        self._config = config.mail
        self._counters = counters
        self._composer = Composer(config.mail, config.domain, config.public_url)
        self.queue = MailQueue(store, sealer)
        self.transport: Transport = transport_of(config.mail)
        """How letters leave; tests put another one here."""
        self._wake = asyncio.Event()
        self._carrier: asyncio.Task[None] | None = None
        self._was_stuck = False

    async def post(self, letter: Letter, connection: AsyncConnection | None = None) -> str:
        """Let a letter wait to be sent; its id. Durable when this returns, or with the caller's transaction.

        It costs the same whoever is written to, and nothing is sent before it returns. Raises MailFull. Who posts
        within a transaction calls `hurry` after it.
        """
        most = self._config.most_waiting
        letter_id = await self.queue.add(letter, self._now(), most=most, connection=connection)
        self._counters.mail_queued += 1
        if connection is None:
            self.hurry()
        return letter_id

    def hurry(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def start(self) -> None:
        """Carry letters away from now on."""
        self._carrier = asyncio.get_running_loop().create_task(self._carry())

    async def stop(self) -> None:
        """What is under way may be sent again later."""
        if self._carrier is not None:
            self._carrier.cancel()
            with suppress(asyncio.CancelledError):
                await self._carrier
            self._carrier = None

    async def depth(self) -> Depth:
        """How much waits, for figures."""
        return await self.queue.depth()

    async def carry_once(self) -> int:
        """Send what is due; how many letters were tried."""
        now = self._now()
        self._counters.mail_expired += await self.queue.expire(now)
        taken = await self.queue.take(now, AT_ONCE)
        if taken:
            await self._send(deque(taken))
        return len(taken)

    async def _send(self, left: deque[Waiting]) -> None:
        """One after the other; each is done with before the next begins, and those that are left are given back."""
        try:
            async with self.transport.opened() as hand_over:
                while left and await self._sent_one(left.popleft(), hand_over):
                    pass
        finally:
            if left:
                await self.queue.give_back(left, self._now())

    async def _sent_one(self, waiting: Waiting, hand_over: HandOver) -> bool:
        """Whether the next one may go the same way."""
        ours = await self.queue.renew(waiting, self._now())
        if ours is None:
            return True
        message = await self._written(ours)
        if message is None:
            return True
        try:
            async with asyncio.timeout(LONGEST_S):
                result = await hand_over(message)
        except TimeoutError:
            result = NotSent("too-slow")
        await self._ended(ours, result)
        return result is None or result.outcome not in ("too-slow", "connection-lost")

    async def _written(self, waiting: Waiting) -> EmailMessage | None:
        try:
            return self._composer.message(waiting.letter, waiting.id, self._store.now())
        except NotALetter as error:
            log.error("a letter cannot be written: %s", error)
            await self._ended(waiting, NotSent("template-broken"))
            return None

    async def _ended(self, waiting: Waiting, result: NotSent | None) -> None:
        if result is None:
            self._counters.mail_sent += 1
            await self.queue.sent(waiting)
            return
        self._counters.mail_failed += 1
        if result.is_final:
            log.warning("letter %s (%s) is refused: %s", waiting.id, waiting.letter.template, result.outcome)
            await self.queue.sent(waiting)
            return
        log.warning("letter %s (%s) waits: %s", waiting.id, waiting.letter.template, result.outcome)
        await self.queue.failed(waiting, self._now(), result.outcome)

    async def _carry(self) -> None:
        while True:
            self._wake.clear()
            try:
                depth = await self._look()  # an idle round is one look, and writes nothing
                if depth.letters:
                    while await self.carry_once() == AT_ONCE:
                        await self._look()
                    depth = await self._look()
                pause_s = self._pause_s(depth)
            except Exception:  # around one round: the database may be away for a while
                log.exception("letters could not be carried")
                pause_s = LOOK_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def _look(self) -> Depth:
        """How much waits, for figures and for the log."""
        depth = await self.queue.depth()
        self._counters.mail_waiting, self._counters.mail_oldest_at = depth.letters, depth.oldest_at
        self._tell_when_stuck(depth)
        return depth

    def _pause_s(self, depth: Depth) -> float:
        return min(max(depth.next_at - self._store.now(), 0.5), LOOK_S) if depth.letters else LOOK_S

    def _tell_when_stuck(self, depth: Depth) -> None:
        is_stuck = bool(depth.oldest_at) and self._now() - depth.oldest_at > STUCK_S
        if is_stuck and not self._was_stuck:
            log.error("letters have waited for more than %s minutes: rainbow-xmpp check mail", STUCK_S // 60)
        self._was_stuck = is_stuck

    def _now(self) -> int:
        return int(self._store.now())
