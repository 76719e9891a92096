"""Messages for people who are not online: kept, and delivered when they come (RFC 6121 §8.5.2.2, XEP-0160)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from weakref import WeakValueDictionary

from rainbow_xmpp.plugin import (
    BecameAvailable,
    Passage,
    Plugin,
    PluginOptions,
    Services,
    Session,
    Stage,
    every,
    hook,
    on,
    option,
)
from rainbow_xmpp.plugin.keeping import WAITED, LateGate, is_worth_keeping
from rainbow_xmpp.plugins.offline.store import OfflineMessages, Room
from rainbow_xmpp.stanza.delay import with_delay

DAY_S = 86_400
PAGE = 10
"""Messages handed over between two looks at the session: even the largest fit into its output budget."""
HAND_OVER_S = 300.0
"""How long handing over everything may take; what is left then waits for the next session."""


class Offline(
    Plugin,
    name="offline",
    implements={
        "XEP-0160": "1.0.1",
        "XEP-0203": "2.0",
        "XEP-0334": "1.0.0, store and no-store, where messages are kept",
    },
    features=("msgoffline",),
):
    """Keeps what nobody is there to take. A message is forgotten only after a session was given it."""

    class Options(PluginOptions):
        messages_per_account: int = option(
            100,
            "Messages kept for one person; the sender of one more is told that nobody is there.",
            ge=1,
            le=100_000,
            reload="live",
        )

        bytes_per_account: int = option(
            2_097_152,
            "Size of all messages kept for one person, in bytes; what would exceed it is refused likewise. "
            "Below limits.output_bytes, they can all be handed over at once.",
            ge=16_384,
            le=1_073_741_824,
            reload="live",
        )

        keep_days: int = option(
            90, "Days after which a message that nobody came for is dropped.", ge=1, le=3650, reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._messages = OfflineMessages(services.store)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def stop(self) -> None:
        await self._messages.close()

    @every(hours=1)
    async def expire(self) -> None:
        """Drop what nobody came for."""
        await self._messages.expire(int(self.services.now()) - self.options.keep_days * DAY_S)

    @hook(Stage.PLACE)
    def keep(self, p: Passage) -> Awaitable[bool] | bool:
        """Nobody takes this message now; False lets its sender know (XEP-0160 §2)."""
        return is_worth_keeping(p.view) and self._keep(p)

    async def _keep(self, p: Passage) -> bool:
        owner = p.recipient
        assert owner is not None, "what is placed has a recipient"
        room = Room(self.options.messages_per_account, self.options.bytes_per_account)
        if not await self._messages.keep(owner.company.id, owner.id, p.data, room):
            return False
        home = self.services.sessions.homes.get(str(p.to_jid.bare))
        if home is not None and (sessions := home.with_priority()):
            # They came while the message was being written, too late for their arrival to find it.
            self.services.spawn(self._hand_over(sessions[0]))
        return True

    @on(BecameAvailable, deadline_s=HAND_OVER_S)
    async def welcome(self, event: BecameAvailable) -> None:
        """Hand over what waits, before anything the client asks for next."""
        owner = event.session.account
        if await self._messages.has_any(owner.company.id, owner.id):
            await self._hand_over(event.session)

    async def _hand_over(self, session: Session) -> None:
        """Oldest first; of two sessions that come at once the second gets what the first left.

        What the gate does not let through any more is dropped in silence: its sender was told nothing either.
        """
        owner, domain = session.account, self.services.domain
        gate = LateGate(self.services, owner)
        turn = self._turns.setdefault(owner.id, asyncio.Lock())
        async with turn:
            while kept := await self._messages.load(owner.company.id, owner.id, most=PAGE):
                passing = [message for message in kept if await gate.lets(message.stanza)]
                if not self._takes_messages(session):
                    return
                for message in passing:
                    session.wire.send(with_delay(message.stanza, domain, message.at, WAITED))
                if not self._takes_messages(session):
                    return
                await self._messages.forget(owner.company.id, owner.id, [message.id for message in kept])

    def _takes_messages(self, session: Session) -> bool:
        is_here = self.services.sessions.by_full.get(session.full) is session
        return is_here and session.presence is not None and session.priority >= 0
