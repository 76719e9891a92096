"""One protocol taken for another, one reader's end for another's: ALPN, TLS, HTTP requests, stream headers."""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.conformance import websocket_frames as ws
from tests.conformance.wire import NAMESPACES, Over, TcpWire, Wire, WssWire
from tests.doors import Door
from tests.process import RainbowServer
from tests.security.raw import AT_ONCE_S, Streams, rest_of
from tests.strict_server import STRICT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), STRICT]

Raw = Callable[..., Awaitable[Streams]]
STREAM_NS = NAMESPACES["stream"]
HEADER = (
    f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAM_NS}'>".encode()
)
UPGRADE = (
    b"GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: xmpp\r\n"
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
OPEN_FRAME = ws.frame(
    ws.TEXT, f"<open xmlns='{NAMESPACES['framing']}' to='localhost' version='1.0'/>".encode()
)


# ALPN (RFC 7301): what was agreed on counts


@pytest.mark.parametrize("said", [HEADER, b"\n" + HEADER, b"  \r\n" + HEALTH])
async def test_who_agreed_on_http_does_not_speak_xmpp(raw: Raw, said: bytes) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(said)
    assert await rest_of(reader) == b""


@pytest.mark.parametrize(
    "said", [HEALTH, UPGRADE + b"\r\n", b"POST /steal HTTP/1.1\r\nX: <stream:stream>\r\n\r\n"]
)
async def test_who_agreed_on_xmpp_does_not_speak_http(raw: Raw, said: bytes) -> None:
    """A browser that was made to send this sees nothing that it could take for an answer (ALPACA)."""
    reader, writer = await raw(alpn=("xmpp-client",))
    writer.write(said)
    answer = await rest_of(reader)
    assert b"not-well-formed" in answer
    assert not any(word in answer for word in (b"HTTP/", b"healthz", b"steal", b"websocket"))


@pytest.mark.parametrize("alpn", [("h2",), ("xmpp-server",), ("ftp", "imap")])
async def test_a_protocol_that_nobody_offers_does_not_choose_another(raw: Raw, alpn: tuple[str, ...]) -> None:
    try:
        reader, writer = await raw(alpn=alpn)
    except (ssl.SSLError, ConnectionError):
        return  # refused in the handshake, which is as well
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b" 200 " not in await rest_of(reader, 8)


# TLS from inside


@pytest.mark.parametrize(
    "junk",
    [
        b"hello, this is no TLS record",
        b"\x17\x03\x03\x00\x10" + b"x" * 16,
        b"\x16\x03\x01\x00\x05xxxxx",
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"\xff" * 20_000,
    ],
)
@pytest.mark.parametrize("stage", ["connect", "opened", "log_in"])
async def test_records_that_are_none_end_the_connection(
    target: RainbowServer, stack: AsyncExitStack, over: Over, source: str, stage: str, junk: bytes
) -> None:
    wire: Wire = await getattr(Door(target, over, stack, source=source), stage)()
    os.write(wire.writer.get_extra_info("socket").fileno(), junk)
    await wire.wait_end(2 * AT_ONCE_S)


def shut_down(target: RainbowServer, alpn: str) -> bytes:
    """Say in TLS that nothing more will come, and wait until the server says so too; what else it said."""
    address = (target.endpoint.host, target.endpoint.port)
    with socket.create_connection(address, timeout=AT_ONCE_S) as plain:
        tls = target.endpoint.tls_context((alpn,)).wrap_socket(plain, server_hostname="localhost")
        if alpn == "xmpp-client":
            tls.sendall(HEADER)
            assert tls.recv(4096).startswith(b"<?xml")
        with tls.unwrap() as rest:
            return rest.recv(4096)


@pytest.mark.parametrize("alpn", ["http/1.1", "xmpp-client"])
async def test_who_says_that_nothing_more_will_come_is_let_go(target: RainbowServer, alpn: str) -> None:
    assert await asyncio.to_thread(shut_down, target, alpn) == b""


# Before STARTTLS (RFC 6120 §5)

IN_PLAIN_TEXT = {
    "DOCTYPE": (b"<!DOCTYPE a>", "restricted-xml"),
    "a stanza": (b"<message to='nobody@localhost'/>", "not-authorized"),
    "another header": (HEADER, "policy-violation"),
    "too much": (b"<a b='" + b"x" * 11_000, "policy-violation"),
    "too deep": (b"<a>" * 600, "policy-violation"),
    "more behind the request": (f"<starttls xmlns='{NAMESPACES['tls']}'/><a/>".encode(), "policy-violation"),
    "zeros": (b"\0" * 10, "bad-format"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "condition"), IN_PLAIN_TEXT.values(), ids=IN_PLAIN_TEXT)
async def test_in_plain_text_nothing_but_the_request_for_tls_is_heard(
    target: RainbowServer, raw: Raw, said: bytes, condition: str
) -> None:
    reader, writer = await raw(tls=False, port=target.endpoint.starttls_port)
    writer.write(HEADER + said)
    answer = await rest_of(reader)
    assert f"<{condition} ".encode() in answer
    assert answer.endswith(b"</stream:stream>")
    assert b"mechanism" not in answer


# HTTP requests, one behind the other


async def test_a_handshake_behind_another_request_is_none(raw: Raw) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(HEALTH + UPGRADE + b"Connection: close\r\n\r\n" + OPEN_FRAME)
    answer = await rest_of(reader, 8)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b" 101 " not in answer
    assert b"<open" not in answer


async def test_frames_may_come_at_once_behind_the_handshake(raw: Raw) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(UPGRADE + b"\r\n" + OPEN_FRAME)
    async with asyncio.timeout(AT_ONCE_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert b"<open" in await reader.readuntil(b"mechanisms>")


async def test_a_request_behind_the_handshake_is_no_request(raw: Raw) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(UPGRADE + b"\r\n" + HEALTH)
    answer = await rest_of(reader)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b" 200 " not in answer
    assert answer.endswith(b"\x88\x02\x03\xea")  # protocol error


@pytest.mark.parametrize(
    "odd",
    [
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        b"Upgrade: h2c\r\n",
        b"X: a\nOrigin: https://localhost\r\n",
        b"X: a\0b\r\n",
        b"no colon\r\n",
        b"Origin: https://evil.example\r\nOrigin: https://localhost\r\n",
    ],
    ids=repr,
)
async def test_a_handshake_that_can_be_read_in_two_ways_opens_nothing(raw: Raw, odd: bytes) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(UPGRADE + odd + b"Connection: close\r\n\r\n" + OPEN_FRAME)
    answer = await rest_of(reader, 8)
    assert answer == b"" or answer[9:10] == b"4"
    assert b"<open" not in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost:1", "evil.example, localhost", "localhost@evil.example", ""]
)
async def test_a_page_gets_no_websocket_by_naming_itself_as_host(
    target: RainbowServer, raw: Raw, host: str
) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    origin = f"https://{host or 'evil.example'}"
    head = UPGRADE.replace(b"Host: localhost", f"Host: {host}\r\nOrigin: {origin}".encode())
    writer.write(head + b"Connection: close\r\n\r\n")
    answer = await rest_of(reader, 8)
    assert answer[9:10] == b"4"
    assert b"evil" not in answer


PATHS = [
    "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/..%5c..%5cetc/passwd", "/assets/..%2f..%2fhandler.py",
    "/assets/%2e%2e/app.py", "/assets/../app.py", "/assets/..;/app.py", "/assets/site.css%00.html", "//etc/passwd",
    "/%252e%252e/etc/passwd", "/%c0%ae%c0%ae/etc/passwd", "/assets//site.css/", "/metrics", "/admin", "/setup/../admin",
    "/.well-known/%2e%2e/metrics", "/xmpp-websocket/../metrics", "/\\evil.example", "/?x=/../../etc/passwd%0d%0aX:y",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_no_spelling_of_a_path_leads_anywhere_else(raw: Raw, path: str) -> None:
    """Openfire CVE-2023-32315."""
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await rest_of(reader, 8)
    status = answer[9:12]
    assert status in (b"400", b"404") or (status == b"200" and path.startswith("/?"))
    assert b"root:" not in answer
    assert b"def " not in answer
    assert b"\nX:y" not in answer


# Stream headers (RFC 6120 §4.7, RFC 7395 §3.4)


def header(attributes: str, over: Over, *, ns: str = "") -> bytes:
    """A stream header with these attributes, as each transport writes it."""
    if over == "wss":
        return f"<open {attributes} xmlns='{ns or NAMESPACES['framing']}'/>".encode()
    return f"<stream:stream {attributes} xmlns='jabber:client' xmlns:stream='{ns or STREAM_NS}'>".encode()


USUAL = "to='localhost' version='1.0'"
BROKEN_HEADERS = {
    "a thousand attributes": (USUAL + "".join(f" a{n}=''" for n in range(800)), "policy-violation"),
    "a thousand prefixes": (USUAL + "".join(f" xmlns:p{n}='u:{n}'" for n in range(400)), "policy-violation"),
    "too long": (USUAL + f" id='{'x' * 11_000}'", "policy-violation"),
    "a long name": (USUAL + f" {'x' * 300}=''", "policy-violation"),
    "an attribute twice": (USUAL + " to='localhost'", "not-well-formed"),
    "the prefix xml elsewhere": (USUAL + " xmlns:xml='urn:x'", "not-well-formed"),
    "the prefix xmlns": (USUAL + " xmlns:xmlns='urn:x'", "not-well-formed"),
    "the namespace xml for another": (
        USUAL + " xmlns:x='http://www.w3.org/XML/1998/namespace'", "not-well-formed"
    ),
    "an unbound prefix": (USUAL + " x:y=''", "bad-namespace-prefix"),
    "an unknown entity": (USUAL + " id='&x;'", "restricted-xml"),
    "a bad reference": (USUAL + " id='&#0;'", "not-well-formed"),
    "another host": ("to='elsewhere.example' version='1.0'", "host-unknown"),
    "no host": ("version='1.0'", "host-unknown"),
    "no version": ("to='localhost'", "unsupported-version"),
    "a version of many digits": (f"to='localhost' version='{'0' * 5000}.1'", "unsupported-version"),
}  # fmt: skip


@pytest.mark.parametrize(("attributes", "condition"), BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
@pytest.mark.parametrize("stage", ["connect", "logged in"])
async def test_a_broken_stream_header_ends_the_stream(
    target: RainbowServer,
    stack: AsyncExitStack,
    over: Over,
    source: str,
    stage: str,
    attributes: str,
    condition: str,
) -> None:
    door = Door(target, over, stack, source=source)
    wire = await door.connect()
    if stage == "logged in":
        person = target.new_person()
        await wire.open()
        await wire.authenticate(person.localpart, person.password)
        wire._restart()
    await wire.send_bytes(header(attributes, over))
    error = await wire.expect("stream:error", AT_ONCE_S)
    found = {child.tag.partition("}")[2] for child in error} - {"text"}
    assert found == {condition}
    await wire.wait_end(AT_ONCE_S)


FIRST_BYTES = {
    "DOCTYPE": (b"<!DOCTYPE stream>", "restricted-xml"),
    "comment": (b"<!-- x -->", "restricted-xml"),
    "instruction": (b"<?x y?>", "restricted-xml"),
    "latin-1": (b"<?xml version='1.0' encoding='latin1'?>", "unsupported-encoding"),
    "UTF-16 by name": (b"<?xml version='1.0' encoding='UTF-16'?>", "unsupported-encoding"),
    "UTF-7": (b"<?xml version='1.0' encoding='UTF-7'?>", "unsupported-encoding"),
    "a version that is none": (b"<?xml version='2.0'?>", "not-well-formed"),
    "two declarations": (b"<?xml version='1.0'?><?xml version='1.0'?>", "restricted-xml"),
    "an endless declaration": (b"<?xml version='1.0' " + b" " * 300, "restricted-xml"),
    "CDATA": (b"<![CDATA[x]]>", "restricted-xml"),
    "an end tag": (b"</stream:stream>", "not-well-formed"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "condition"), FIRST_BYTES.values(), ids=FIRST_BYTES)
async def test_what_may_not_stand_before_a_stream_header_is_refused_at_first_sight(
    target: RainbowServer, stack: AsyncExitStack, source: str, said: bytes, condition: str
) -> None:
    wire = await Door(target, "tls", stack, source=source).connect()
    await wire.send_bytes(said + HEADER)
    await wire.expect_stream_error(condition, AT_ONCE_S)


@pytest.mark.parametrize(
    "said",
    [
        b"\xef\xbb\xbf" + HEADER,
        HEADER.decode().encode("utf-16"),
        HEADER.decode().encode("utf-16-be"),
        b"\0" + HEADER,
    ],
    ids=["byte order mark", "UTF-16", "UTF-16 without a mark", "zero"],
)
@pytest.mark.parametrize("alpn", [(), ("xmpp-client",)], ids=["unsaid", "agreed"])
async def test_another_encoding_opens_no_stream(raw: Raw, said: bytes, alpn: tuple[str, ...]) -> None:
    reader, writer = await raw(alpn=alpn)
    writer.write(said)
    answer = await rest_of(reader)
    assert b"mechanisms" not in answer
    assert answer == b"" or b"</stream:stream>" in answer


@pytest.mark.parametrize("stage", ["before login", "after login"])
async def test_prefixes_of_the_header_cannot_make_a_stanza_look_like_something_else(
    target: RainbowServer, stack: AsyncExitStack, source: str, stage: str
) -> None:
    """`c` is the stanzas' own namespace and `s` SASL's: elements are what their namespaces say they are."""
    door, person = Door(target, "tls", stack, source=source), target.new_person()
    ann, bob = await door.connect(), await door.log_in()
    shadows = HEADER.replace(
        b" xmlns=", f" xmlns:c='jabber:client' xmlns:s='{NAMESPACES['sasl']}' xmlns=".encode()
    )
    await ann.send_bytes(shadows)
    await ann.expect("stream:features")
    if stage == "before login":
        await ann.send(f"<c:message to='{bob.jid}'><c:body>early</c:body></c:message>")
        await ann.expect_stream_error("not-authorized", AT_ONCE_S)
        return
    await ann.authenticate(person.localpart, person.password)
    assert isinstance(ann, TcpWire)
    ann._restart()
    await ann.send_bytes(shadows)
    await ann.expect("stream:features")
    await ann.bind()
    await ann.send(
        f"<c:message to='{bob.jid}' c:from='boss@localhost' from='{ann.jid}'><c:body>x</c:body></c:message>"
    )
    message = await bob.expect("message[body='x']")
    assert message.get("from") == ann.jid
    assert message.get("{jabber:client}from") == "boss@localhost"
    await ann.send("<s:success/>")
    await ann.expect_stream_error("unsupported-stanza-type", AT_ONCE_S)


@pytest.mark.parametrize("declared", [f"xmlns='{STREAM_NS}'", "xmlns='jabber:server'", "xmlns=''", ""])
async def test_stanzas_of_another_namespace_are_promised_in_vain(
    target: RainbowServer, stack: AsyncExitStack, source: str, declared: str
) -> None:
    wire = await Door(target, "tls", stack, source=source).connect()
    await wire.send_bytes(f"<stream:stream {USUAL} {declared} xmlns:stream='{STREAM_NS}'>".encode())
    await wire.expect_stream_error("invalid-namespace", AT_ONCE_S)


@pytest.mark.parametrize(
    "piece", [b"<", b"<message", b"<message xmlns='jabber:client'><a", b"<message xmlns='jabber:client'>x&am"]
)
async def test_a_websocket_message_is_never_continued_by_the_next(
    target: RainbowServer, stack: AsyncExitStack, source: str, piece: bytes
) -> None:
    wire = await Door(target, "wss", stack, source=source).log_in()
    assert isinstance(wire, WssWire)
    await wire.send_frame(ws.TEXT, piece)
    await wire.send_frame(ws.TEXT, b"p;</message>")
    await wire.expect_stream_error("not-well-formed", AT_ONCE_S)
