"""The way home of people who came in here and are at home in another region, this server's part (`coming_home`).

A connection of its own for each of them goes to a node of their region, over TLS with that region's certificate, and
begins with a sealed `Opening`. TCP has the order, the flow control and the end that a bus would have to invent. From
here to the home go the client's bytes as they come; from there to here chunks, each behind its kind and length, since
the home also says when somebody has proved who they are.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rainbow_xmpp.border.seal import NotForUs, Outcome, Seals
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import StanzaError
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.session.homeward import Guest, HomeFinder, HomeUnknown, Opening
from rainbow_xmpp.transport.passing import Way, proxy_header, ways_by_region
from rainbow_xmpp.transport.quick_tls import secure_client_socket
from rainbow_xmpp.transport.reading import Reading
from rainbow_xmpp.transport.tls import ALPN_RELAYED, region_context

log = logging.getLogger(__name__)

SERVICE = "edge.login"
"""What an opening is sealed for."""
LENGTH_BYTES = 4
"""Of an opening, and of the answer to it, before each."""
MOST_ANSWER_BYTES = 1024
CHUNK_HEAD_BYTES = 4
"""A kind, and a length of three bytes."""
MOST_CHUNK_BYTES = 0xFF_FFFF
DATA, AUTHENTICATED, LOGGED_IN, ENDED = range(4)
"""Kinds of chunks: bytes for the client, and news of it, which are empty. ENDED: the home means to close."""

OPEN_S = 5.0
"""So long a home may take to answer an opening, the connection included."""
MOST_OPENINGS = 32
"""So many are under way to one region; more wait. There, they all come from one address."""
HIGH_BYTES = 65_536
MOST_HELD_BYTES = 65_536
"""Of what the home says before a client has proved who it is, held until it is time."""


@dataclass(frozen=True, slots=True)
class Abroad:
    """What a server needs for people who log in at another region than their own."""

    seals: Seals
    finder: HomeFinder | None
    """None: people of this region come home through others, and nobody goes home from here."""


class Ways:
    """Every way home that leads through this server (`Homeward`)."""

    def __init__(
        self,
        finder: HomeFinder,
        ways: Mapping[str, Way],
        seals: Seals,
        context: ssl.SSLContext,
        counters: Counters,
        *,
        here: str,
        default: str,
        answer_s: float,
        login_s: float,
        now: Callable[[], float],
        quick: bool,
    ) -> None:
        """`ways` by region; people whom nobody knows go to `default`. `login_s`: how long a login may take."""
        self.answer_s = answer_s
        self._finder = finder
        self._ways = ways
        self._seals = seals
        self._context = context
        self._counters = counters
        self._here = here
        self._default = default
        self.login_s = login_s
        self._now = now
        self._quick = quick
        self._openings = {region: asyncio.Semaphore(MOST_OPENINGS) for region in ways}
        self._open: set[HomeEnd] = set()

    async def region_of(self, names: Sequence[str]) -> str:
        found = await asyncio.gather(*map(self._finder.home_of, names), return_exceptions=True)
        failure: BaseException | None = None
        for region in found:
            if isinstance(region, BaseException):
                failure = region
            elif region is not None:
                return "" if region == self._here else region
        if isinstance(failure, StanzaError):  # a region does not say
            raise HomeUnknown(str(failure))
        if failure is not None:
            raise failure
        return "" if self._default == self._here else self._default

    async def open(self, region: str, names: Sequence[str], opening: Opening) -> HomeEnd:
        way, openings = self._ways.get(region), self._openings.get(region)
        if way is None or openings is None:
            raise HomeUnknown(f"there is no way to {region}")
        try:
            async with asyncio.timeout(OPEN_S), openings:
                end = await self._knock(way, opening)
                end.names = tuple(names)
        except (OSError, TimeoutError, NotForUs) as error:
            self._counters.homes_unreached += 1
            reason = str(error) or "no answer in time"
            log.warning("somebody could not log in: %s cannot be reached: %s", region, reason)
            raise HomeUnknown(f"{region} cannot be reached") from None
        self._open.add(end)
        self._counters.connections_homeward += 1
        return end

    async def _knock(self, way: Way, opening: Opening) -> HomeEnd:
        """The first of the region's servers that takes somebody in. Raises OSError and NotForUs."""
        failure: Exception = OSError("there is no such address")
        for host, port in way.in_any_order():
            try:
                end = await self._connected(way, host, port)
            except OSError as error:
                failure = error
                continue
            try:
                sealed, opens = self._seals.seal(way.region, SERVICE, opening.to_bytes(), self._now())
                outcome = opens.open(await end.asked(sealed)).outcome
            except (OSError, NotForUs) as error:
                end.abort()
                failure = error
                continue
            except BaseException:
                end.abort()
                raise
            if outcome is Outcome.ANSWERED:
                return end
            end.abort()
            failure = OSError(f"it answers {outcome.name.lower()}")
        raise failure

    async def _connected(self, way: Way, host: str, port: int) -> HomeEnd:
        loop = asyncio.get_running_loop()
        end = HomeEnd(self, way.region)
        sock = await _connected_socket(host, port)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if way.proxy:  # of this connection itself; the client's address stands in the opening
                await loop.sock_sendall(sock, proxy_header(sock.getsockname(), sock.getpeername()))
            if self._quick:
                done: asyncio.Future[None] = loop.create_future()
                secure_client_socket(
                    loop, sock, end, self._context, way.name, handshake_timeout_s=OPEN_S, done=done
                )
                await done
            else:
                await loop.create_connection(
                    lambda: end, sock=sock, ssl=self._context, server_hostname=way.name
                )
        except BaseException:
            end.abort()
            sock.close()
            raise
        if not end.speaks_our_protocol:
            end.abort()
            raise OSError("it takes nobody in who comes through another region")
        return end

    def is_over(self, end: HomeEnd) -> None:
        """A way is closed."""
        if end in self._open:
            self._open.discard(end)
            self._counters.connections_homeward -= 1
            if not end.is_proven:  # perhaps they have moved
                for name in end.names:
                    self._finder.forget(name)

    @property
    def all_open(self) -> list[HomeEnd]:
        """Each has `abort`: its client finds another way, and resumes."""
        return list(self._open)

    def close(self) -> None:
        """End all of them: clients find another way, and resume."""
        for end in list(self._open):
            end.abort()


def ways_home(config: Config, finder: HomeFinder, seals: Seals, counters: Counters, *, quick: bool) -> Ways:
    """Those of a configuration. Raises TlsFileError for the file of those who sign other regions' certificates."""
    return Ways(
        finder,
        ways_by_region(config),
        seals,
        region_context(config.elsewhere.ca),
        counters,
        here=config.home_region,
        default=config.default_region,
        answer_s=config.elsewhere.answer_ms / 1000,
        login_s=config.limits.login_timeout_s,
        now=time.time,
        quick=quick,
    )


async def _connected_socket(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("there is no such address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


class HomeEnd(Reading):
    """The connection to a home: the answer to the opening first, then chunks (`WayHome`)."""

    __slots__ = (
        "_answer",
        "_client",
        "_held",
        "_kind",
        "_left",
        "_transport",
        "_ways",
        "is_closed",
        "names",
        "region",
    )

    def __init__(self, ways: Ways, region: str) -> None:
        self.region = region
        self.names: tuple[str, ...] = ()
        """By which it was found."""
        self._ways = ways
        self._transport: Any = None
        self._answer: asyncio.Future[bytes] | None = asyncio.get_running_loop().create_future()
        self._client: ClientEnd | None = None
        self._held = bytearray()
        self._kind = DATA
        self._left = 0
        """Of the chunk that is being read."""
        self.is_closed = False

    @property
    def speaks_our_protocol(self) -> bool:
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return tls is not None and tls.selected_alpn_protocol() == ALPN_RELAYED

    @property
    def is_proven(self) -> bool:
        """Who came home has proved who they are."""
        return self._client is not None and self._client.is_proven

    async def asked(self, sealed: bytes) -> bytes:
        """The sealed answer to this opening. Raises OSError when the connection is lost before it."""
        answer = self._answer
        assert answer is not None, "an opening is answered once"
        self._transport.write(len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed)
        return await answer

    def carry(self, guest: Guest) -> None:
        self._client = client = ClientEnd(self, guest, self._ways)
        if self.is_closed:
            client.home_lost()
            return
        guest.transport.set_protocol(client)
        if guest.unread:
            client.data_received(guest.unread)
        held, self._held = bytes(self._held), bytearray()
        if held:
            self._chunks(held)
        self._transport.resume_reading()

    # -- the socket ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._chunks(data)
            return
        self._held += data
        if self._answer is None:
            self._transport.pause_reading()  # until there is a client to tell
            return
        size = int.from_bytes(self._held[:LENGTH_BYTES], "big")
        if len(self._held) < LENGTH_BYTES:
            return
        if size > MOST_ANSWER_BYTES:
            self._transport.abort()
        elif len(self._held) >= LENGTH_BYTES + size:
            answer, self._answer = self._answer, None
            sealed = bytes(self._held[LENGTH_BYTES : LENGTH_BYTES + size])
            del self._held[: LENGTH_BYTES + size]
            if not answer.done():
                answer.set_result(sealed)

    def _chunks(self, data: bytes) -> None:
        """Hand on what has come, whole chunks or not."""
        client = self._client
        assert client is not None
        if self._held:
            data, self._held = bytes(self._held) + data, bytearray()
        at = 0
        while at < len(data):
            if not self._left:
                if len(data) - at < CHUNK_HEAD_BYTES:
                    self._held += data[at:]
                    return
                self._kind = data[at]
                self._left = int.from_bytes(data[at + 1 : at + CHUNK_HEAD_BYTES], "big")
                at += CHUNK_HEAD_BYTES
                if self._kind != DATA:
                    client.told(self._kind)
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._kind == DATA and part:
                client.hear(part)

    @property
    def is_between(self) -> bool:
        """All that was begun has been said."""
        return not self._left

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(
                exc if isinstance(exc, OSError) else ConnectionError("it closed the connection")
            )
            answer.exception()  # it may be that nobody waits any more
        self._ways.is_over(self)
        if self._client is not None:
            self._client.home_lost()

    def pause_writing(self) -> None:
        if self._client is not None:
            self._client.pause()

    def resume_writing(self) -> None:
        if self._client is not None:
            self._client.resume()

    # -- the client's side -----------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """To the home."""
        if not self.is_closed:
            self._transport.write(data)

    def pause(self) -> None:
        if not self.is_closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self.is_closed:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None and not self.is_closed:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None and not self.is_closed:
            self._transport.abort()


class ClientEnd(Reading):
    """The client's connection, from the moment its home is known."""

    __slots__ = (
        "_asked_at",
        "_deadline",
        "_guest",
        "_has_ended",
        "_held",
        "_home",
        "_is_gone",
        "_is_logged_in",
        "_release",
        "_transport",
        "_ways",
        "is_proven",
    )

    def __init__(self, home: HomeEnd, guest: Guest, ways: Ways) -> None:
        loop = asyncio.get_running_loop()
        self._home = home
        self._guest = guest
        self._ways = ways
        self._transport = guest.transport
        self._transport.set_write_buffer_limits(high=HIGH_BYTES)
        self._asked_at = loop.time()
        self._held = bytearray()
        self._release: asyncio.TimerHandle | None = None
        self.is_proven = self._is_logged_in = self._has_ended = self._is_gone = False
        # The home has a limit of its own; this is for a home that has forgotten.
        self._deadline: asyncio.TimerHandle | None = loop.call_later(ways.login_s + OPEN_S, self._too_slow)

    # -- from the client -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if not self.is_proven:
            self._asked_at = asyncio.get_running_loop().time()
        self._home.say(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._go()
        self._home.close()

    def pause_writing(self) -> None:
        self._home.pause()

    def resume_writing(self) -> None:
        self._home.resume()

    # -- from the home ---------------------------------------------------------------------------------

    def told(self, kind: int) -> None:
        """News of this client."""
        if kind == AUTHENTICATED:
            self.is_proven = True
            self._let_go()
        elif kind == ENDED:
            self._has_ended = True
        elif kind == LOGGED_IN and not self._is_logged_in:
            self._is_logged_in = True
            self._stop_deadline()
            self._guest.logged_in()

    def hear(self, data: bytes) -> None:
        """For the client; not before its time while it has not proved who it is."""
        if self.is_proven:
            self._transport.write(data)
            return
        self._held += data
        if len(self._held) > MOST_HELD_BYTES:
            self._transport.abort()
        elif self._release is None:
            loop = asyncio.get_running_loop()
            self._release = loop.call_at(self._asked_at + self._ways.answer_s, self._let_go)

    def _let_go(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None
        held, self._held = bytes(self._held), bytearray()
        if held and not self._is_gone:
            self._transport.write(held)
        if self._home.is_closed:
            self.home_lost()

    def home_lost(self) -> None:
        """Nothing comes from there any more. A client that has logged in comes back as from any lost connection."""
        if self._release is not None:
            return  # what was said last goes first
        is_told = self._has_ended or self._is_logged_in or self._is_gone
        if not is_told and self._home.is_between:
            self._transport.write(self._guest.farewell)
        self._transport.close()

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        if not self._is_gone:
            self._transport.resume_reading()

    # -- the end ---------------------------------------------------------------------------------------

    def _too_slow(self) -> None:
        self._deadline = None
        self._transport.abort()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _go(self) -> None:
        if not self._is_gone:
            self._is_gone = True
            self._stop_deadline()
            if self._release is not None:
                self._release.cancel()
            self._guest.left(not self._is_logged_in)
