"""A raw XMPP client for tests, the same over WSS (RFC 7395), direct TLS (XEP-0368) and STARTTLS (RFC 6120).

    async with await connect(endpoint, "wss") as alice:
        await alice.login("alice", password, mechanism="SCRAM-SHA-1")
        await alice.send("<presence/>")
        await alice.send(b"<message to='bob@localhost'><body>raw bytes, sent as they are</body></message>")
        reply = await alice.expect("message[@type='chat']/body")

It adds nothing a test did not ask for and reads only while a test waits. Every wait ends within `timeout`
seconds (`TimeoutError`) or when the server ends the connection (`ConnectionEnded`).
"""

import asyncio
import socket
import ssl
import struct
import xml.etree.ElementTree as ET
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, cast
from xml.etree.ElementTree import Element

from tests.conformance import websocket_frames as ws
from tests.conformance.sasl_client import Scram, plain, server_end_point

Over = Literal["wss", "tls", "starttls"]
Match = str | Callable[[Element], bool]

NAMESPACES: Mapping[str, str] = {
    "": "jabber:client",
    "stream": "http://etherx.jabber.org/streams",
    "framing": "urn:ietf:params:xml:ns:xmpp-framing",
    "sasl": "urn:ietf:params:xml:ns:xmpp-sasl",
    "sasl2": "urn:xmpp:sasl:2",
    "bind2": "urn:xmpp:bind:0",
    "tls": "urn:ietf:params:xml:ns:xmpp-tls",
    "bind": "urn:ietf:params:xml:ns:xmpp-bind",
    "session": "urn:ietf:params:xml:ns:xmpp-session",
    "stanzas": "urn:ietf:params:xml:ns:xmpp-stanzas",
    "streams": "urn:ietf:params:xml:ns:xmpp-streams",
    "roster": "jabber:iq:roster",
    "private": "jabber:iq:private",
    "info": "http://jabber.org/protocol/disco#info",
    "items": "http://jabber.org/protocol/disco#items",
    "ping": "urn:xmpp:ping",
    "vcard": "vcard-temp",
    "delay": "urn:xmpp:delay",
    "sm": "urn:xmpp:sm:3",
}
"""The prefixes that a `Match` written as a path may use; without a prefix it means `jabber:client`."""

DEFAULT_TIMEOUT_S = 30.0
_STREAM = "{http://etherx.jabber.org/streams}"
_FRAMING = "{urn:ietf:params:xml:ns:xmpp-framing}"


class ConnectionEnded(Exception):
    """The server ended the stream or the connection while the test waited for something."""


class SaslFailure(Exception):
    """The server answered `<failure/>`; `condition` is the name of its defined condition (RFC 6120 §6.5)."""

    def __init__(self, failure: Element) -> None:
        self.condition = failure[0].tag.partition("}")[2] if len(failure) else ""
        super().__init__(self.condition)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, the domain it serves and the CA that signed its certificate."""

    port: int
    ca_file: Path
    domain: str = "localhost"
    host: str = "127.0.0.1"
    path: str = "/xmpp-websocket"
    starttls_port: int = 0

    def tls_context(self, alpn: Sequence[str]) -> ssl.SSLContext:
        """A client's context that trusts the development CA only; an empty `alpn` offers none."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def matches(element: Element, match: Match) -> bool:
    """Whether an element fits: a predicate, or an ElementTree path that starts at the element itself."""
    if callable(match):
        return match(element)
    holder = Element("holder")
    holder.append(element)
    return holder.find(match, dict(NAMESPACES)) is not None


def child(element: Element, path: str) -> Element:
    """The descendant at `path` (prefixes of `NAMESPACES`); it must be there."""
    found = element.find(path, dict(NAMESPACES))
    assert found is not None, f"no {path} in {ET.tostring(element).decode()}"
    return found


@dataclass(eq=False)
class Wire(ABC):
    """One client's connection. `inbox` holds what has arrived and was not asked for yet, oldest first."""

    endpoint: Endpoint
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    inbox: deque[Element] = field(default_factory=deque)
    received: bytearray = field(default_factory=bytearray)
    """Every byte of XML that has arrived."""
    header: Mapping[str, str] = field(default_factory=dict)
    """The attributes of the server's last stream header."""
    features: Element | None = None
    jid: str = ""
    stream_closed: bool = False
    """Whether the server closed its stream in due form."""
    ended: bool = False
    _ids: int = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    # What differs between WSS and TCP

    @abstractmethod
    async def send_header(self, attributes: str) -> None:
        """Sends a stream header with these attributes, written as XML."""

    @abstractmethod
    async def send_bytes(self, data: bytes) -> None:
        """Sends bytes as they are: into the stream, or as one text frame."""

    @abstractmethod
    async def send_close(self) -> None:
        """Closes the client's stream in due form; the connection stays."""

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Puts the elements in newly arrived bytes into the inbox."""

    @abstractmethod
    def _restart(self) -> None:
        """Makes ready to read the server's next stream."""

    # Sending

    async def send(self, data: str | bytes) -> None:
        """Sends one element: bytes as they are; a stanza in a str gets `xmlns` where the framing needs it."""
        await self.send_bytes(data if isinstance(data, bytes) else self._declared(data).encode())

    def _declared(self, text: str) -> str:
        return text

    def abort(self) -> None:
        """Cuts the connection with a TCP reset: no stream end, no close frame, no TLS close_notify."""
        self.ended = True
        if not self.writer.is_closing():
            raw: socket.socket = self.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Closes the stream in due form and waits until the server has ended the connection."""
        await self.send_close()
        await self.wait_end(timeout)

    # Waiting

    async def recv(self, timeout: float = DEFAULT_TIMEOUT_S) -> Element:
        """The next element that no earlier wait has taken."""
        return await self.expect(lambda _: True, timeout)

    async def expect(self, match: Match, timeout: float = DEFAULT_TIMEOUT_S) -> Element:
        """The oldest element that fits, waiting for it if need be; others stay in the inbox."""
        try:
            async with asyncio.timeout(timeout):
                while (found := self.pop(match)) is None:
                    await self._read()
        except TimeoutError:
            raise TimeoutError(f"no {match} within {timeout} s; inbox: {self._inbox_text()}") from None
        return found

    def pop(self, match: Match) -> Element | None:
        """Takes the oldest element that has arrived and fits, without waiting."""
        for element in self.inbox:
            if matches(element, match):
                self.inbox.remove(element)
                return element
        return None

    async def settle(self, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Returns when the server has handled all that was sent, and its answers so far are in the inbox."""
        await self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=self.endpoint.domain, timeout=timeout)

    async def expect_none(self, match: Match) -> None:
        """Asserts that nothing that fits has come: let the *sender* `settle()` first."""
        await self.settle()
        assert not any(matches(e, match) for e in self.inbox), self._inbox_text()

    async def expect_stream_error(self, condition: str, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Asserts that the server ends the stream with this error and then the connection (RFC 6120 §4.9)."""
        await self.expect(f"stream:error/streams:{condition}", timeout)
        await self.wait_end(timeout)

    async def wait_end(self, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Returns when the server has ended the connection; what came before is in the inbox."""
        async with asyncio.timeout(timeout):
            while not self.ended:
                await self._read()

    async def _read(self) -> None:
        if self.ended:
            raise ConnectionEnded(f"inbox: {self._inbox_text()}")
        try:
            data = await self.reader.read(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if data:
            self._take(data)
        else:
            self.ended = True

    def _inbox_text(self) -> str:
        return " ".join(ET.tostring(e, encoding="unicode") for e in self.inbox) or "(empty)"

    # Negotiating

    async def open(
        self, to: str | None = None, timeout: float = DEFAULT_TIMEOUT_S, *, lang: str = "en", sender: str = ""
    ) -> Element:
        """Opens (or restarts) the stream and returns the server's features; without `lang` it names no language."""
        self._restart()
        claimed = f" from='{sender}'" if sender else ""
        language = f" xml:lang='{lang}'" if lang else ""
        await self.send_header(f"to='{to or self.endpoint.domain}' version='1.0'{claimed}{language}")
        self.features = await self.expect("stream:features", timeout)
        return self.features

    def mechanisms(self) -> list[str]:
        """The SASL mechanisms offered, in the server's order."""
        assert self.features is not None
        return [
            m.text or "" for m in self.features.iterfind("sasl:mechanisms/sasl:mechanism", dict(NAMESPACES))
        ]

    async def authenticate(self, username: str, password: str, mechanism: str = "SCRAM-SHA-256") -> None:
        """Logs in with one mechanism; raises `SaslFailure`. The stream must be open; it is not restarted."""
        if mechanism == "PLAIN":
            await self.send_auth("PLAIN", plain(username, password))
            await self.sasl_reply()
            return
        scram = Scram(mechanism, username, password, binding=self.channel_binding())
        await self.send_auth(mechanism, scram.first())
        await self.send_response(scram.final(await self.sasl_reply()))
        scram.verify(await self.sasl_reply())

    async def send_auth(self, mechanism: str, initial: bytes) -> None:
        """Sends `<auth/>` with an initial response."""
        text = b64encode(initial).decode() or "="
        await self.send(f"<auth xmlns='{NAMESPACES['sasl']}' mechanism='{mechanism}'>{text}</auth>")

    async def send_response(self, data: bytes) -> None:
        """Sends a SASL `<response/>`."""
        await self.send(f"<response xmlns='{NAMESPACES['sasl']}'>{b64encode(data).decode()}</response>")

    async def sasl_reply(self, timeout: float = DEFAULT_TIMEOUT_S) -> bytes:
        """The data of the server's `<challenge/>` or `<success/>`; raises `SaslFailure`."""
        reply = await self.expect(lambda e: e.tag.startswith(f"{{{NAMESPACES['sasl']}}}"), timeout)
        if reply.tag.endswith("}failure"):
            raise SaslFailure(reply)
        return b64decode(reply.text or "")

    async def authenticate2(
        self,
        username: str,
        password: str,
        mechanism: str = "SCRAM-SHA-256",
        *,
        inline: str = "",
        authzid: str = "",
    ) -> Element:
        """Logs in by SASL2 (XEP-0388) and returns `<success/>`; features follow. Raises `SaslFailure`."""
        if mechanism == "PLAIN":
            await self.send_authenticate("PLAIN", plain(username, password, authzid), inline)
            return await self.sasl2_reply("success")
        gs2 = f"n,a={authzid}," if authzid else None
        scram = Scram(mechanism, username, password, binding=self.channel_binding(), gs2=gs2)
        await self.send_authenticate(mechanism, scram.first(), inline)
        challenge = b64decode((await self.sasl2_reply("challenge")).text or "")
        await self.send_sasl2("response", scram.final(challenge))
        success = await self.sasl2_reply("success")
        scram.verify(b64decode(success.findtext("sasl2:additional-data", "", dict(NAMESPACES))))
        self.jid = success.findtext("sasl2:authorization-identifier", "", dict(NAMESPACES))
        return success

    async def send_authenticate(self, mechanism: str, initial: bytes | None, inline: str = "") -> None:
        """Sends `<authenticate/>`; without an initial response where it is None."""
        data = (
            "" if initial is None else f"<initial-response>{b64encode(initial).decode()}</initial-response>"
        )
        await self.send(
            f"<authenticate xmlns='{NAMESPACES['sasl2']}' mechanism='{mechanism}'>{data}{inline}</authenticate>"
        )

    async def send_sasl2(self, name: str, data: bytes) -> None:
        """Sends an element of SASL2 with data in base64."""
        await self.send(f"<{name} xmlns='{NAMESPACES['sasl2']}'>{b64encode(data).decode()}</{name}>")

    async def sasl2_reply(self, name: str, timeout: float = DEFAULT_TIMEOUT_S) -> Element:
        """The server's next element of SASL2, which must be of this name; raises `SaslFailure`."""
        reply = await self.expect(lambda e: e.tag.startswith(f"{{{NAMESPACES['sasl2']}}}"), timeout)
        if reply.tag.endswith("}failure") and name != "failure":
            raise SaslFailure(reply)
        assert reply.tag == f"{{{NAMESPACES['sasl2']}}}{name}", reply.tag
        return reply

    def channel_binding(self) -> bytes:
        """The `tls-server-end-point` data of this connection."""
        tls: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True)
        assert certificate
        return server_end_point(certificate)

    async def bind(self, resource: str = "") -> str:
        """Binds a resource and returns the full JID the server gave."""
        wish = f"<resource>{resource}</resource>" if resource else ""
        reply = await self.iq("set", f"<bind xmlns='{NAMESPACES['bind']}'>{wish}</bind>")
        self.jid = child(reply, "bind:bind/bind:jid").text or ""
        return self.jid

    async def login(
        self, username: str, password: str, *, mechanism: str = "SCRAM-SHA-256", resource: str = ""
    ) -> str:
        """From the connection to a bound resource; returns the full JID. Sends no presence."""
        await self.open()
        await self.authenticate(username, password, mechanism)
        await self.open()
        return await self.bind(resource)

    async def iq(
        self, kind: str, payload: str, *, to: str = "", timeout: float = DEFAULT_TIMEOUT_S
    ) -> Element:
        """Sends an IQ and returns the reply to it, be it a result or an error."""
        self._ids += 1
        iq_id = f"wire{self._ids}"
        address = f" to='{to}'" if to else ""
        await self.send(f"<iq type='{kind}' id='{iq_id}'{address}>{payload}</iq>")
        return await self.expect(lambda e: e.tag.endswith("}iq") and e.get("id") == iq_id, timeout)


@dataclass(eq=False)
class TcpWire(Wire):
    """RFC 6120's framing: one XML document in each direction."""

    _parser: "ET.XMLPullParser[Element]" = field(default_factory=lambda: ET.XMLPullParser(("start", "end")))
    _depth: int = 0
    _root: Element | None = None

    async def send_header(self, attributes: str) -> None:
        await self.send_bytes(
            f"<?xml version='1.0'?><stream:stream {attributes} xmlns='jabber:client' "
            f"xmlns:stream='{NAMESPACES['stream']}'>".encode()
        )

    async def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_close(self) -> None:
        await self.send_bytes(b"</stream:stream>")

    def _restart(self) -> None:
        self._parser = ET.XMLPullParser(("start", "end"))
        self._depth = 0

    def _take(self, data: bytes) -> None:
        self.received += data
        last, declaration, first = data.partition(b"<?xml ")
        if declaration and self._depth:  # behind <success/> the server begins anew, if only to say good-bye
            self._feed(last)
            self._restart()
            data = declaration + first
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._parser.feed(data)
        for event, element in cast(Iterator[tuple[str, Element]], self._parser.read_events()):
            self._depth += 1 if event == "start" else -1
            if event == "start" and self._depth == 1:
                self._root, self.header = element, dict(element.attrib)
            elif event == "end" and self._depth == 1:
                self.inbox.append(element)
                if self._root is not None:
                    self._root.clear()
            elif event == "end" and self._depth == 0:
                self.stream_closed = True


@dataclass(eq=False)
class WssWire(Wire):
    """RFC 7395's framing: each text frame is one element."""

    frames: ws.FrameReader = field(default_factory=ws.FrameReader)
    answers_pings: bool = True
    answers_closing: bool = True
    closing: Mapping[str, str] = field(default_factory=dict)
    """The attributes of the server's `<close/>`."""
    close_code: int | None = None
    """The code of the server's close frame; 1005 when it carried none (RFC 6455 §7.1.5)."""

    async def send_header(self, attributes: str) -> None:
        await self.send_bytes(f"<open xmlns='{NAMESPACES['framing']}' {attributes}/>".encode())

    async def send_bytes(self, data: bytes) -> None:
        await self.send_frame(ws.TEXT, data)

    async def send_frame(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0
    ) -> None:
        """Sends one WebSocket frame; the flags are for tests that break RFC 6455."""
        self.writer.write(ws.frame(opcode, payload, fin=fin, mask=mask, rsv=rsv))
        await self.writer.drain()

    async def send_close(self) -> None:
        await self.send_bytes(f"<close xmlns='{NAMESPACES['framing']}'/>".encode())

    def _declared(self, text: str) -> str:
        start = text.partition(">")[0]
        name = start.lstrip("<").rstrip("/").split(maxsplit=1)[0]
        if name in ("message", "presence", "iq") and "xmlns=" not in start:
            return text.replace(f"<{name}", f"<{name} xmlns='jabber:client'", 1)
        return text

    def _restart(self) -> None:
        self.header = {}

    def _take(self, data: bytes) -> None:
        for opcode, payload in self.frames.feed(data):
            if opcode == ws.TEXT:
                self._take_element(payload)
            elif opcode == ws.PING and self.answers_pings:
                self.writer.write(ws.frame(ws.PONG, payload))
            elif opcode == ws.CLOSE and self.close_code is None:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
                if self.answers_closing:
                    self.writer.write(ws.frame(ws.CLOSE, payload[:2]))

    def _take_element(self, payload: bytes) -> None:
        self.received += payload
        element = ET.fromstring(payload)
        if element.tag == f"{_FRAMING}open":
            self.header = dict(element.attrib)
        elif element.tag == f"{_FRAMING}close":
            self.stream_closed = True
            self.closing = dict(element.attrib)
        else:
            self.inbox.append(element)


async def connect(
    endpoint: Endpoint,
    over: Over = "wss",
    *,
    alpn: Sequence[str] | None = None,
    headers: Mapping[str, str] | None = None,
    source: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Wire:
    """Connects, over TLS that the development CA vouches for, ready for `open()` or `login()`.

    The usual `alpn` can be replaced. `headers` join the WebSocket's request: a name that
    is usual there is replaced, an empty value leaves it out. `source` is the address to come from, any of
    127.0.0.0/8, for a test of what one address may do. Raises `UpgradeRefused`, `OSError`.
    """
    local = (source, 0) if source else None
    async with asyncio.timeout(timeout):
        if over == "starttls":
            return await _connect_starttls(endpoint, local)
        usual = ("http/1.1",) if over == "wss" else ("xmpp-client",)
        reader, writer = await asyncio.open_connection(
            endpoint.host,
            endpoint.port,
            ssl=endpoint.tls_context(usual if alpn is None else alpn),
            server_hostname=endpoint.domain,
            local_addr=local,
        )
        if over == "tls":
            return TcpWire(endpoint, reader, writer)
        request_headers = {"Host": f"{endpoint.domain}:{endpoint.port}", **(headers or {})}
        await ws.upgrade(reader, writer, endpoint.path, request_headers)
        return WssWire(endpoint, reader, writer)


async def _connect_starttls(endpoint: Endpoint, local: tuple[str, int] | None) -> Wire:
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.starttls_port, local_addr=local)
    wire = TcpWire(endpoint, reader, writer)
    await wire.open()
    await wire.send(f"<starttls xmlns='{NAMESPACES['tls']}'/>")
    await wire.expect("tls:proceed")
    await writer.start_tls(endpoint.tls_context(()), server_hostname=endpoint.domain)
    return wire
