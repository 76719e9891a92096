"""XMPP on TCP: direct TLS (XEP-0368) and, where it is opened, STARTTLS (RFC 6120 §5)."""

from __future__ import annotations

from collections.abc import Callable

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session.homeward import Relayed
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.stanza import iq_request
from rainbow_xmpp.stream import Open, TcpFraming
from rainbow_xmpp.transport.link import NO_PREFIXES, Link, raise_again
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.outbox import MOST_PARTS
from rainbow_xmpp.xml import Framer, TokenKind, names, parse_stream_open, scan

_PING = f"<ping xmlns='{names.PING}'/>".encode()


class TcpLink(Link):
    """One TCP connection that carries a stream."""

    __slots__ = ("_framer", "_upgrade", "stanza_ns")

    framing = TcpFraming()
    session_counter = "sessions_direct_tls"

    def __init__(
        self,
        shared: LinkShared,
        source: str,
        *,
        upgrade: Callable[[TcpLink], None] | None = None,
        sees_channel: bool = True,
        relayed: Relayed | None = None,
    ) -> None:
        """`upgrade` starts TLS on a connection that began in plain text; None when it is secure already.

        `sees_channel`: the client's TLS ends in this process, so that it can be bound to the login.
        """
        self._upgrade = upgrade
        self.stanza_ns = names.CLIENT
        self._framer = Framer(shared.limits.stanza_bytes_before_login)
        self._begin(shared, source, is_secure=upgrade is None, sees_channel=sees_channel, relayed=relayed)

    # -- reading ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            return
        session = self._session
        if session is not None:
            session.last_heard = self._shared.deadlines.tick  # white space counts too (RFC 6120 §4.6.1)
            elements = self._framer.whole(data)
            if elements is not None:
                self._guarded(self._receive_all, session, elements)
                return
        self._framer.push(data)
        self._pull()

    def _receive_all(self, session: Session, elements: list[bytes]) -> None:
        for element in elements:
            session.receive(element)
            if self.is_closing:
                return

    def _pull(self) -> None:
        """Hand over what is complete, as long as nobody has to wait."""
        framer = self._framer
        try:
            while not self.is_closing:
                login = self._login
                if login is not None and login.busy:
                    if framer.pending > framer.max_bytes:
                        raise PeerViolation(
                            StreamCondition.POLICY_VIOLATION, detail="too much before the login"
                        )
                    return
                token = framer.pull()
                if framer.met_blanks:
                    framer.met_blanks = False
                    if login is not None:
                        login.blank()
                if token is None:
                    if framer.pending:
                        framer.check_held()
                    return
                if token.kind is TokenKind.ELEMENT:
                    session = self._session
                    if session is not None:
                        session.receive(token.data)
                    elif login is not None:
                        limits = self._shared.xml_before_login
                        login.received(scan(token.data, self.stanza_ns, self.prefixes, limits))
                elif token.kind is TokenKind.OPEN:
                    self._open(token.data)
                else:
                    self.peer_closed()
        except PeerViolation as violation:
            self.fail(violation)
        except Exception as error:  # around one connection
            self._guarded(raise_again, error)

    def _open(self, data: bytes) -> None:
        header = parse_stream_open(data, self._shared.xml_before_login)
        prefixes = {p: ns for p, ns in header.prefixes.items() if ns != names.STREAM}
        self.prefixes = prefixes or NO_PREFIXES
        self.stanza_ns = header.default_ns
        self._peer_opened(Open(header.name, header.ns, header.attrs, header.default_ns), data)

    def proceed(self) -> None:
        self._pull()

    def retell(self, said: bytes) -> None:
        self.data_received(said)

    def _unread(self) -> bytes:
        return self._framer.rest()

    def _framed(self, parts: tuple[bytes, ...]) -> bytes:
        return b"".join(parts)

    def restart_stream(self) -> None:
        self._framer.restart()

    def set_limit(self, max_bytes: int) -> None:
        self._framer.max_bytes = max_bytes

    # -- writing ---------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self.is_closing:
            return
        out = self._out
        if out is None or len(out) >= MOST_PARTS:
            self._collect(data)
        else:
            out.append(data)

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self.abort_later()

    def ping(self) -> None:
        """XEP-0199 §4.1; any answer will do."""
        session = self._session
        if session is not None:
            ask = iq_request("get", "alive", from_=session.jid.domain, to=session.full, payload=_PING)
            self.send(ask)

    def start_tls(self) -> None:
        assert self._upgrade is not None
        if self._framer.pending:
            # RFC 6120 §5.4.3.3: what was pipelined in plain text is not to be believed.
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="data behind <starttls/>")
        self._framer.restart()
        upgrade, self._upgrade = self._upgrade, None
        if self._login is not None:
            self._login.secured(self._shared.bindings())
        self.flush()
        upgrade(self)


class UpgradedLink(TcpLink):
    """One that began in plain text."""

    __slots__ = ()

    session_counter = "sessions_starttls"
