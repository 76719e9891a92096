"""The same message of one account's to many sessions: one piece of bytes, one question to the gate for each receiver.

No task, no queue, no tree and no copy but that of the address for a receiver; nobody is told of a refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING

from rainbow_xmpp.errors import StanzaError
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import FETCH_S, Pipeline
from rainbow_xmpp.session import Session, SessionTable
from rainbow_xmpp.stanza import message_to
from rainbow_xmpp.xml import scan_again

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)


class Spreader:
    """Hands out messages that the server writes for an account, such as notifications."""

    def __init__(self, pipeline: Pipeline, sessions: SessionTable) -> None:
        self._pipeline = pipeline
        self._by_full = sessions.by_full

    def spread(
        self, sender: Account, from_: str, messages: Sequence[bytes], receivers: Iterable[Session]
    ) -> Awaitable[None] | None:
        """Send these headlines, which have no `to`, from an account's address to each of these sessions.

        `admit` and the gate are asked about each receiver, and with them whom the sender has blocked; observers hear
        of each message. Messages to resources are neither rewritten nor recorded: they are the server's, and kept
        where they came from. Await what is returned, if anything: somebody had to be asked about first.
        """
        view = scan_again(messages[0])
        waiting: list[tuple[Passage, Session, Awaitable[object]]] = []
        for session in receivers:
            p = Passage(
                "message", "headline", view, messages[0], from_, sender, None,
                session.full, session.account, session.home, session,
            )  # fmt: skip
            try:
                lacking = self._pipeline.lets(p)
            except Exception as error:
                self._refused(p, error)
                continue
            if lacking is None:
                self._hand_over(p, session, messages)
            else:
                waiting.append((p, session, lacking))
        return self._later(messages, waiting) if waiting else None

    async def _later(
        self, messages: Sequence[bytes], waiting: list[tuple[Passage, Session, Awaitable[object]]]
    ) -> None:
        for p, session, lacking in waiting:
            try:
                async with asyncio.timeout(FETCH_S):
                    await lacking
                await self._pipeline.may_send(p)
            except Exception as error:
                self._refused(p, error)
                continue
            if self._by_full.get(session.full) is session:
                self._hand_over(p, session, messages)

    def _hand_over(self, p: Passage, session: Session, messages: Sequence[bytes]) -> None:
        for message in messages:
            try:
                session.wire.send(message_to(message, session.full))
            except Exception:  # one connection that is broken costs the others nothing
                log.exception("a message could not be handed to one of its receivers")
                return
            self._pipeline.observe(p, Outcome.DELIVERED)

    def _refused(self, p: Passage, error: Exception) -> None:
        """Gates fail closed; that somebody may not be reached is no fault."""
        if not isinstance(error, StanzaError):
            log.error("whether a message may pass could not be decided; it means no", exc_info=error)
        self._pipeline.observe(p, Outcome.REFUSED)
