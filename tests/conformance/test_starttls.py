"""STARTTLS, where it is opened (RFC 6120 §5)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conformance.sasl_client import plain
from tests.conformance.wire import NAMESPACES, SaslFailure, TcpWire, Wire, child, connect
from tests.process import ChatServer

TLS = NAMESPACES["tls"]


@pytest.fixture
async def wire(server: ChatServer) -> AsyncIterator[Wire]:
    """A connection in plain text whose stream is open."""
    reader, writer = await asyncio.open_connection(server.endpoint.host, server.endpoint.starttls_port)
    async with TcpWire(server.endpoint, reader, writer) as opened:
        await opened.open()
        yield opened


async def test_tls_is_all_that_is_offered(wire: Wire) -> None:
    assert wire.features is not None
    assert [feature.tag for feature in wire.features] == [f"{{{TLS}}}starttls"]
    assert child(wire.features, "tls:starttls/tls:required") is not None


async def test_nobody_logs_in_without_tls(wire: Wire) -> None:
    """RFC 6120 §6.5.4; the stream goes on, and may still be secured."""
    await wire.send_auth("PLAIN", plain("ann", "secret"))
    with pytest.raises(SaslFailure, match="encryption-required"):
        await wire.sasl_reply()
    await wire.send_authenticate("PLAIN", plain("ann", "secret"))
    with pytest.raises(SaslFailure, match="encryption-required"):
        await wire.sasl2_reply("success")
    await wire.send(f"<starttls xmlns='{TLS}'/>")
    assert await wire.expect("tls:proceed") is not None


@pytest.mark.parametrize("stanza", ["<presence/>", "<message to='ann@localhost'/>"])
async def test_nothing_is_said_without_tls(wire: Wire, stanza: str) -> None:
    await wire.send(stanza)
    await wire.expect_stream_error("not-authorized")


@pytest.mark.parametrize("behind", [b" ", b"<presence/>", b"<stream:stream to='localhost'>"])
async def test_what_was_said_behind_the_request_in_plain_text_is_not_believed(
    wire: Wire, behind: bytes
) -> None:
    await wire.send_bytes(f"<starttls xmlns='{TLS}'/>".encode() + behind)
    await wire.expect_stream_error("policy-violation")


async def test_what_is_no_tls_behind_the_request_ends_the_connection(wire: Wire) -> None:
    await wire.send(f"<starttls xmlns='{TLS}'/>")
    await wire.expect("tls:proceed")
    await wire.send_bytes(b"<stream:stream to='localhost' version='1.0'>")
    await wire.wait_end()
    assert wire.ended


async def test_a_refused_header_behind_tls_is_answered_in_the_new_stream(server: ChatServer) -> None:
    async with await connect(server.endpoint, "starttls") as wire:
        wire._restart()
        await wire.send_header("to='elsewhere.example' version='1.0'")
        await wire.expect_stream_error("host-unknown")
        assert wire.header["from"] == "localhost"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"])
async def test_behind_tls_everything_is_as_on_direct_tls(server: ChatServer, mechanism: str) -> None:
    person = server.new_person()
    async with await connect(server.endpoint, "starttls") as wire:
        bound = await wire.login(person.localpart, person.password, mechanism=mechanism)
        assert wire.features is not None
        assert bound.startswith(person.jid)
        assert wire.features.find(f"{{{TLS}}}starttls") is None


async def test_tls_is_not_started_twice(server: ChatServer) -> None:
    async with await connect(server.endpoint, "starttls") as wire:
        await wire.open()
        await wire.send(f"<starttls xmlns='{TLS}'/>")
        await wire.expect_stream_error("not-authorized")
