"""Takes connections in: asks about each before any work is spent on it, and survives a lack of files.

aiofastnet's own server does neither: out of file descriptors it spins and fills the log, which anybody can
bring about, and whoever is refused has had a full handshake by then.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from rainbow_xmpp.transport.client_hello import PEEK_BYTES, missing
from rainbow_xmpp.transport.proxies import Proxies
from rainbow_xmpp.transport.proxy_header import Arrival
from rainbow_xmpp.transport.quick_tls import secure_socket

log = logging.getLogger(__name__)

BACKLOG = 2048
ACCEPTS_AT_ONCE = 64
REST_S = 0.5
"""How long nothing is accepted when the process or the system has no file descriptor left."""

_NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listening_socket(address: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A socket that listens there; `::` takes IPv4 connections too. OSError when it is taken or not allowed."""
    return socket.create_server(
        (address, port),
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        backlog=BACKLOG,
        reuse_port=reuse_port,
        dualstack_ipv6=address == "::" and socket.has_dualstack_ipv6(),
    )


class _Handshakes:
    """Begins TLS, as the server, on sockets that are connected."""

    def __init__(self, context: ssl.SSLContext, *, quick: bool, timeout_s: float) -> None:
        self._context = context
        self._quick = quick
        self.timeout_s = timeout_s
        self._slow: set[asyncio.Task[None]] = set()

    def begin(
        self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol], failed: Callable[[], None]
    ) -> None:
        """The protocol gets `connection_made` after the handshake; otherwise `failed` is called, once."""
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        if not self._quick:
            task = loop.create_task(self._slowly(sock, factory, failed))
            self._slow.add(task)
            task.add_done_callback(self._slow.discard)
            return
        done: asyncio.Future[None] = loop.create_future()
        try:
            secure_socket(loop, sock, factory(), self._context, handshake_timeout_s=self.timeout_s, done=done)
        except Exception as fault:  # around one connection: everyone else is served on
            # An OSError (ssl.SSLError is one) comes from a peer whose first bytes are here already, and wrong.
            if not isinstance(fault, OSError):
                log.exception("a connection could not be taken in")
            sock.close()
            failed()
            return
        done.add_done_callback(lambda done: failed() if done.exception() is not None else None)

    async def _slowly(
        self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol], failed: Callable[[], None]
    ) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                factory, sock, ssl=self._context, ssl_handshake_timeout=self.timeout_s
            )
        except (OSError, TimeoutError):
            failed()


class _Peeking:
    """Looks at what connections begin with, before TLS does: some are for another process, or another server."""

    def __init__(
        self,
        diverts: Callable[[bytes, socket.socket, Arrival], bool],
        begin: Callable[[socket.socket, Arrival], None],
        failed: Callable[[str], None],
    ) -> None:
        self._diverts = diverts
        self._begin = begin
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[socket.socket, asyncio.TimerHandle] = {}

    def look(self, sock: socket.socket, arrival: Arrival, timeout_s: float) -> None:
        """Now, or when the hello is there, which must be soon."""
        sock.setblocking(False)
        wanted = self._looked(sock, arrival, 0)
        if wanted:
            self._waiting[sock] = self._loop.call_later(timeout_s, self._give_up, sock, arrival)
            self._wait(sock, arrival, wanted)

    def _looked(self, sock: socket.socket, arrival: Arrival, before: int) -> int:
        """How many bytes to wait for; 0: it is decided. `before` is how many there had to be for this look."""
        try:
            first = sock.recv(PEEK_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return max(1, before)
        except OSError:
            first = b""
        wanted = len(first) + missing(first)
        if not first:
            sock.close()
            self._failed(arrival.address)
        elif wanted > max(before, len(first)):
            return wanted
        elif self._diverts(first, sock, arrival):
            sock.close()
        else:  # also where the peer ended before its hello did
            self._begin(sock, arrival)
        return 0

    def _wait(self, sock: socket.socket, arrival: Arrival, wanted: int) -> None:
        """For so many bytes, or the end: fewer wake nobody."""
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        self._loop.add_reader(sock, self._again, sock, arrival, wanted)

    def _again(self, sock: socket.socket, arrival: Arrival, before: int) -> None:
        self._loop.remove_reader(sock)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        wanted = self._looked(sock, arrival, before)
        if wanted:
            self._wait(sock, arrival, wanted)
        else:
            self._waiting.pop(sock).cancel()

    def _give_up(self, sock: socket.socket, arrival: Arrival) -> None:
        self._loop.remove_reader(sock)
        del self._waiting[sock]
        sock.close()
        self._failed(arrival.address)


Factory = Callable[[Arrival], asyncio.BaseProtocol]
"""Makes the protocol of one connection."""


class Acceptor(ABC):
    """One listening socket. What becomes of a connection that is let in, `_begin` says.

    `admit` is asked with the client's address as soon as it is known; refused, the connection is closed unread. That is
    the peer's own, or, for peers in one of the networks `proxy_from`, what the header of the PROXY protocol says that
    they have to begin with.
    """

    def __init__(
        self,
        *,
        admit: Callable[[str], bool] = lambda address: True,
        proxy_from: Sequence[str] = (),
        only_proxies: bool = False,
    ) -> None:
        """`only_proxies`: nobody else is let in, and only with clients that had TLS with them."""
        self._admit = admit
        self._loop = asyncio.get_running_loop()
        self._proxies = Proxies(proxy_from, self._arrived, needs_tls=only_proxies) if proxy_from else None
        self._only_proxies = only_proxies
        self._listener: socket.socket | None = None
        self._resting: asyncio.TimerHandle | None = None

    @abstractmethod
    def _begin(self, sock: socket.socket, arrival: Arrival) -> None:
        """A connection was let in."""

    def listen(self, address: str, port: int, *, reuse_port: bool = False) -> None:
        """Open the port; OSError when it is taken or not allowed. `::` takes IPv4 connections too."""
        self._listener = listening_socket(address, port, reuse_port=reuse_port)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._ready)

    @property
    def port(self) -> int:
        """The port it really listens on."""
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Accept nothing more but what has connected already; connections go on, handshakes too."""
        if self._listener is not None:
            if self._resting is None:
                self._ready(BACKLOG)  # who waits in the kernel would be reset
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._resting is not None:
            self._resting.cancel()

    def _ready(self, most: int = ACCEPTS_AT_ONCE) -> None:
        for _ in range(most):
            try:
                sock, peer = self._listener.accept()  # type: ignore[union-attr]
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as failure:
                self._rest(failure)
                return
            self._take(sock, peer[0], peer[1])

    def _rest(self, failure: OSError) -> None:
        log.log(
            logging.WARNING if failure.errno in _NOTHING_LEFT else logging.ERROR,
            "no connection can be accepted for a while: %s",
            failure.strerror,
        )
        assert self._listener is not None
        self._loop.remove_reader(self._listener)
        self._resting = self._loop.call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._ready)

    def _take(self, sock: socket.socket, address: str, port: int) -> None:
        if self._proxies is not None and self._proxies.expects(address):
            self._proxies.read(sock, address, port)
        elif self._only_proxies:
            sock.close()
        else:
            self._arrived(sock, Arrival(address, port))

    def _arrived(self, sock: socket.socket, arrival: Arrival) -> None:
        if self._admit(arrival.address):
            self._begin(sock, arrival)
        else:
            sock.close()


class TlsAcceptor(Acceptor):
    """The TLS port. `quick` is what `make_quick` said when the context was made.

    Whoever is admitted either becomes a protocol, whose `connection_made` is called after the handshake, or is
    told to `failed` with the same address. `diverts`, if given, sees what each connection begins with, a ClientHello
    as a whole, and may give it to somebody else under another descriptor; then this one only closes its own.
    """

    def __init__(
        self,
        protocol_factory: Factory,
        context: ssl.SSLContext,
        *,
        quick: bool,
        handshake_timeout_s: float,
        admit: Callable[[str], bool] = lambda address: True,
        failed: Callable[[str], None] = lambda address: None,
        diverts: Callable[[bytes, socket.socket, Arrival], bool] | None = None,
        proxy_from: Sequence[str] = (),
    ) -> None:
        super().__init__(admit=admit, proxy_from=proxy_from)
        self._factory = protocol_factory
        self._handshakes = _Handshakes(context, quick=quick, timeout_s=handshake_timeout_s)
        self._failed = failed
        self._peeking = _Peeking(diverts, self._shake_hands, failed) if diverts is not None else None

    def set_handshake_timeout(self, timeout_s: float) -> None:
        """For handshakes that begin from now on."""
        self._handshakes.timeout_s = timeout_s

    def _begin(self, sock: socket.socket, arrival: Arrival) -> None:
        if self._peeking is not None:
            self._peeking.look(sock, arrival, self._handshakes.timeout_s)
        else:
            self._shake_hands(sock, arrival)

    def _shake_hands(self, sock: socket.socket, arrival: Arrival) -> None:
        self._handshakes.begin(sock, partial(self._factory, arrival), lambda: self._failed(arrival.address))


class PlainAcceptor(Acceptor):
    """A port without TLS, or where it begins later. Whoever is admitted becomes a protocol, or is told to `failed`."""

    def __init__(
        self,
        protocol_factory: Factory,
        *,
        admit: Callable[[str], bool],
        failed: Callable[[str], None],
        proxy_from: Sequence[str] = (),
        only_proxies: bool = False,
    ) -> None:
        super().__init__(admit=admit, proxy_from=proxy_from, only_proxies=only_proxies)
        self._factory = protocol_factory
        self._failed = failed
        self._beginning: set[asyncio.Task[None]] = set()

    def _begin(self, sock: socket.socket, arrival: Arrival) -> None:
        sock.setblocking(False)
        task = self._loop.create_task(self._become(sock, arrival))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _become(self, sock: socket.socket, arrival: Arrival) -> None:
        try:
            await self._loop.connect_accepted_socket(partial(self._factory, arrival), sock)
        except OSError:
            sock.close()
            self._failed(arrival.address)


class TlsUpgrade:
    """Makes connections secure that began in plain text (STARTTLS, RFC 6120 §5)."""

    def __init__(self, context: ssl.SSLContext, *, quick: bool, handshake_timeout_s: float) -> None:
        self._handshakes = _Handshakes(context, quick=quick, timeout_s=handshake_timeout_s)

    def set_handshake_timeout(self, timeout_s: float) -> None:
        """For handshakes that begin from now on."""
        self._handshakes.timeout_s = timeout_s

    def begin(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        """TLS from here on; to be called at once after the client was told to proceed.

        What the client said in plain text behind its request is the caller's to refuse. The protocol gets
        `connection_made` with the secure transport, or, when that fails, `connection_lost`.

        The socket goes, under another descriptor, to a new transport: over the old one TLS would need
        memory buffers, 40 KiB for each connection instead of 15.
        """
        if transport.is_closing():
            return  # the protocol hears of it anyway
        try:
            if transport.get_write_buffer_size():
                raise ConnectionError("so little was sent, and is not read")
            sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError:
            transport.abort()
            return
        transport.set_protocol(asyncio.Protocol())
        transport.abort()  # closes its descriptor, not the connection
        self._handshakes.begin(sock, lambda: protocol, lambda: protocol.connection_lost(None))
