"""A client without a network that has TLS and has not logged in, seen from the other end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.session import Session
from rainbow_xmpp.session.entrance import Entrance
from rainbow_xmpp.session.homeward import WayHome
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.stream import Open, WebSocketFraming
from rainbow_xmpp.testing.client import PATIENCE_S
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import NO_LIMITS, Element, names, parse, scan


class Visitor(MemoryWire):
    """Made by `TestServer.knock`: one connection. What it says is handled as though it came from a WebSocket."""

    def __init__(
        self,
        entrance: Entrance,
        source: str,
        lang: str,
        ended: Callable[[], None],
        *,
        sender: str = "",
        bindings: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        super().__init__(ended)
        self.source = source
        self.is_closing = False
        self.way_home: WayHome | None = None
        """Where the login goes on, once it goes on in another region."""
        self.allowed_s = 0
        """How much more time it was given to log in."""
        self.session: Session | None = None
        """Once a resource is bound."""
        self._login = Login(entrance, self, WebSocketFraming(), source, bindings)
        self._said: list[bytes] = []
        self._ids = 0
        self._sender = sender
        self.open(entrance.settings.domain, lang)

    def open(self, domain: str, lang: str = "") -> None:
        """Send a stream header: the first, or the one after a classic login."""
        said = {"to": domain, "version": "1.0"}
        if lang:
            said["xml:lang"] = lang
        if self._sender:
            said["from"] = self._sender
        self._login.opened(Open("open", names.FRAMING, said))
        self.unread.pop(0)
        self.features = parse(self.unread.pop(0), limits=NO_LIMITS)
        """What the server announced last."""

    # -- what it says ----------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Send an element."""
        self._said.append(text.encode())
        self.proceed()

    async def ask(self, kind: str, payload: str, *, to: str = "") -> Element:
        """Send an IQ request ("get" or "set") and wait for what comes back."""
        self._ids += 1
        addressee = f" to='{to}'" if to else ""
        self.say(f"<iq xmlns='{names.CLIENT}' type='{kind}' id='v-{self._ids}'{addressee}>{payload}</iq>")
        return await self.receive()

    async def receive_bytes(self) -> bytes:
        """The next element, byte for byte. ConnectionError when the stream ended instead."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.unread and self.is_open:
                await self.arrival()
        if not self.unread:
            raise ConnectionError(self.violation)
        return self.unread.pop(0)

    async def receive(self) -> Element:
        """The next element. ConnectionError when the stream ended instead."""
        return parse(await self.receive_bytes(), limits=NO_LIMITS)

    async def violation_seen(self) -> PeerViolation:
        """The stream error that ends the stream; waits for it."""
        async with asyncio.timeout(PATIENCE_S):
            while self.is_open:
                await self.arrival()
        assert self.violation is not None, "the stream ended without an error"
        return self.violation

    def abort(self) -> None:
        self.is_closing = True
        super().abort()

    # -- what a login calls (`LoginLink`) --------------------------------------------------------------

    def proceed(self) -> None:
        """What was said while a step waited is heard now."""
        while self._said and self.is_open and not self._login.busy and self.session is None:
            try:
                self._login.received(scan(self._said.pop(0)))
            except PeerViolation as violation:
                self.fail(violation)

    def become(self, session: Session) -> None:
        self.session = session

    def restart_stream(self) -> None:
        """Call `open` again."""

    def allow_time(self, seconds: int) -> None:
        self.allowed_s = self.allowed_s or seconds

    def go_home(self, way: WayHome) -> None:
        self.way_home = way

    def start_tls(self) -> None:
        raise AssertionError("it has TLS")
