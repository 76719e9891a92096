"""A client without a network: one bound session, seen from the other end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import NO_LIMITS, Element, escape_attr, names, parse, serialise

PATIENCE_S = 15.0
"""How long something expected may take before the test fails."""


class Client:
    """Made by `TestServer.login`. What it sends is handled as though it came from a socket."""

    def __init__(self, session: Session, wire: MemoryWire, settle: Callable[[], Awaitable[None]]) -> None:
        self.session = session
        self.wire = wire
        self._settle = settle
        self._ids = 0

    @property
    def jid(self) -> str:
        """The full JID."""
        return self.session.full

    @property
    def bare(self) -> str:
        """The bare JID."""
        return self.session.bare

    @property
    def account(self) -> Account:
        return self.session.account

    def send(self, stanza: str | bytes | Element) -> None:
        """Send a stanza; its default namespace need not be declared."""
        if isinstance(stanza, Element):
            stanza = serialise(stanza)
        self.session.receive(stanza.encode() if isinstance(stanza, str) else stanza)

    async def receive_bytes(self) -> bytes:
        """The next stanza, byte for byte. TimeoutError when none comes."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.wire.unread:
                await self.wire.arrival()
        return self.wire.unread.pop(0)

    async def receive(self) -> Element:
        """The next stanza. TimeoutError when none comes."""
        return parse(await self.receive_bytes(), limits=NO_LIMITS)

    async def rest_bytes(self) -> list[bytes]:
        """Every stanza that is still to be read, once the server has nothing left to do."""
        await self._settle()
        unread, self.wire.unread = self.wire.unread, []
        return unread

    async def rest(self) -> list[Element]:
        """Every stanza that is still to be read, once the server has nothing left to do."""
        return [parse(stanza, limits=NO_LIMITS) for stanza in await self.rest_bytes()]

    async def ask(self, type_: str, payload: str, *, to: str = "") -> Element:
        """Send an IQ request ("get" or "set") and wait for its answer; other stanzas stay to be read."""
        self._ids += 1
        stanza_id = f"ask-{self._ids}"
        addressee = f" to='{escape_attr(to)}'" if to else ""
        self.send(f"<iq type='{type_}' id='{stanza_id}'{addressee}>{payload}</iq>")
        seen = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for position, data in enumerate(self.wire.unread[seen:], seen):
                    stanza = parse(data, limits=NO_LIMITS)
                    if stanza.tag == f"{{{names.CLIENT}}}iq" and stanza.get("id") == stanza_id:
                        del self.wire.unread[position]
                        return stanza
                seen = len(self.wire.unread)
                await self.wire.arrival()

    async def leave(self) -> None:
        """Lose the connection, and wait until the server has done what it does about that."""
        self.wire.abort()
        await self._settle()


def condition_of(stanza: Element) -> Condition | None:
    """The condition of an error stanza; None when it is no error."""
    error = stanza.find(f"{{{names.CLIENT}}}error")
    if error is None:
        return None
    defined = f"{{{names.STANZAS}}}"
    found = [child.tag.removeprefix(defined) for child in error if child.tag.startswith(defined)]
    return next(Condition(name) for name in found if name != "text")
