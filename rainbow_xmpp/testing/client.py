"""A client without a network: one bound session, seen from the other end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import NO_LIMITS, Element, escape, escape_attr, names, parse, serialise

Content = Payload | Element | str
"""What stands in a stanza: a payload, a tree, or XML as text."""
PATIENCE_S = 60.0
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

    def say(self, body: str, *content: Content, to: str, type: str = "chat") -> None:
        """Send a message with this body, and what else is to be in it."""
        inside = "".join(map(_written, content))
        self.send(
            f"<message to='{escape_attr(to)}' type='{type}'><body>{escape(body)}</body>{inside}</message>"
        )

    async def ask(self, type_: str, payload: Content, *, to: str = "") -> Element:
        """Send an IQ request ("get" or "set") and wait for its answer; other stanzas stay to be read."""
        self._ids += 1
        stanza_id = f"ask-{self._ids}"
        addressee = f" to='{escape_attr(to)}'" if to else ""
        self.send(f"<iq type='{type_}' id='{stanza_id}'{addressee}>{_written(payload)}</iq>")
        return await self._next_iq(lambda iq: iq.get("id") == stanza_id)

    async def asked(self) -> Element:
        """The next IQ request that comes, such as a question of the server's; other stanzas stay to be read."""
        return await self._next_iq(lambda iq: iq.get("type") in ("get", "set"))

    async def answer(self, payload: Content = "") -> Element:
        """Wait for a question, and answer it with this; returns the question."""
        question = await self.asked()
        self.send(_reply(question, "result", _written(payload)))
        return question

    async def refuse(self, condition: Condition = Condition.SERVICE_UNAVAILABLE) -> Element:
        """Wait for a question, and answer it with this error; returns the question."""
        question = await self.asked()
        error = f"<error type='cancel'><{condition} xmlns='{names.STANZAS}'/></error>"
        self.send(_reply(question, "error", error))
        return question

    async def _next_iq(self, is_it: Callable[[Element], bool]) -> Element:
        seen = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for position, data in enumerate(self.wire.unread[seen:], seen):
                    stanza = parse(data, limits=NO_LIMITS)
                    if stanza.tag == f"{{{names.CLIENT}}}iq" and is_it(stanza):
                        del self.wire.unread[position]
                        return stanza
                seen = len(self.wire.unread)
                await self.wire.arrival()

    async def leave(self) -> None:
        """Lose the connection, and wait until the server has done what it does about that."""
        self.wire.abort()
        await self._settle()


def _written(content: Content) -> str:
    if isinstance(content, Payload):
        content = content.to_xml()
    return serialise(content).decode() if isinstance(content, Element) else content


def _reply(question: Element, type_: str, inside: str) -> str:
    head = f"<iq type='{type_}' id='{escape_attr(question.get('id', ''))}'"
    to = question.get("from")
    return f"{head} to='{escape_attr(to)}'>{inside}</iq>" if to else f"{head}>{inside}</iq>"


def condition_of(stanza: Element) -> Condition | None:
    """The condition of an error stanza; None when it is no error."""
    error = stanza.find(f"{{{names.CLIENT}}}error")
    if error is None:
        return None
    defined = f"{{{names.STANZAS}}}"
    found = [child.tag.removeprefix(defined) for child in error if child.tag.startswith(defined)]
    return next(Condition(name) for name in found if name != "text")
