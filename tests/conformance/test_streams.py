"""Streams: their headers, features, restarts and ends (RFC 6120 §4, RFC 7395 §3)."""

import asyncio
import socket

import pytest

from tests.conformance.wire import NAMESPACES, TcpWire, Wire, WssWire, child
from tests.doors import Door

STREAM_NS = NAMESPACES["stream"]
FRAMING_NS = NAMESPACES["framing"]


def features_of(wire: Wire) -> set[str]:
    """The names of what is on offer, in Clark's notation."""
    assert wire.features is not None
    return {feature.tag for feature in wire.features}


# The header (RFC 6120 §4.7)


async def test_the_servers_header_names_the_domain_a_fresh_id_and_the_version(door: Door) -> None:
    first, second = await door.opened(), await door.opened()
    assert first.header["from"] == "localhost"
    assert first.header["version"] == "1.0"
    assert len(first.header["id"]) >= 16
    assert first.header["id"] != second.header["id"]


async def test_a_restarted_stream_has_a_new_id(door: Door) -> None:
    wire = await door.opened()
    before = wire.header["id"]
    person = door.server.new_person()
    await wire.authenticate(person.localpart, person.password)
    await wire.open()
    assert wire.header["id"] != before


@pytest.mark.parametrize("wanted", ["de", "de-AT", "en", "", "x" * 99, "&lt;b&gt;", "de AT", "ä"])
async def test_the_servers_stream_is_in_the_language_that_the_server_speaks(door: Door, wanted: str) -> None:
    """RFC 6120 §4.7.4: of the client's language only if the server's own words were written in it."""
    wire = await door.connect()
    await wire.send_header(f"to='localhost' version='1.0' xml:lang='{wanted}'")
    await wire.expect("stream:features")
    assert wire.header["{http://www.w3.org/XML/1998/namespace}lang"] == "en"


async def test_the_header_is_addressed_to_whom_the_client_says_it_is(door: Door) -> None:
    wire = await door.connect()
    await wire.send_header("to='localhost' from='ann@localhost' version='1.0'")
    await wire.expect("stream:features")
    assert wire.header["to"] == "ann@localhost"


async def test_without_a_from_the_header_is_addressed_to_nobody(door: Door) -> None:
    wire = await door.opened()
    assert "to" not in wire.header


@pytest.mark.parametrize("claimed", ["ANN@LOCALHOST", "ann@localhost/phone's &lt;x/&gt;"])
async def test_the_header_is_addressed_to_the_bare_jid_that_was_claimed(door: Door, claimed: str) -> None:
    wire = await door.connect()
    await wire.send_header(f"to='localhost' from=\"{claimed}\" version='1.0'")
    await wire.expect("stream:features")
    assert wire.header["to"] == "ann@localhost"


@pytest.mark.parametrize(
    "claimed", ["ann@elsewhere.example", "elsewhere.example", "@", "a'&gt;&lt;b/&gt;&amp;"]
)
async def test_a_client_of_another_domain_is_refused(door: Door, claimed: str) -> None:
    wire = await door.connect()
    await wire.send_header(f"to='localhost' from=\"{claimed}\" version='1.0'")
    await wire.expect_stream_error("invalid-from")
    assert wire.header["from"] == "localhost"


@pytest.mark.parametrize("to", ["LOCALHOST", "localhost."])
async def test_the_domain_is_compared_as_a_domain(door: Door, to: str) -> None:
    wire = await door.connect()
    await wire.send_header(f"to='{to}' version='1.0'")
    assert await wire.expect("stream:features") is not None


@pytest.mark.parametrize("to", ["to='elsewhere.example'", "to=''", "", "to='ann@localhost'"])
async def test_a_stream_to_another_host_is_refused_after_our_header(door: Door, to: str) -> None:
    wire = await door.connect()
    await wire.send_header(f"{to} version='1.0'")
    await wire.expect_stream_error("host-unknown")
    assert wire.header["from"] == "localhost"
    assert wire.stream_closed


@pytest.mark.parametrize("version", ["", "version='0.9'", "version='one'", "version='²'", "version='-1.0'"])
async def test_a_version_below_1_0_is_refused(door: Door, version: str) -> None:
    wire = await door.connect()
    await wire.send_header(f"to='localhost' {version}")
    await wire.expect_stream_error("unsupported-version")
    assert wire.header["from"] == "localhost"


@pytest.mark.parametrize("version", ["1", "01.0", "1.00", "000001.0"])
async def test_leading_zeros_of_a_version_do_not_count(door: Door, version: str) -> None:
    wire = await door.connect()
    await wire.send_header(f"to='localhost' version='{version}'")
    assert await wire.expect("stream:features") is not None


async def test_a_higher_version_is_answered_with_ours(door: Door) -> None:
    wire = await door.connect()
    await wire.send_header("to='localhost' version='11.7'")
    await wire.expect("stream:features")
    assert wire.header["version"] == "1.0"


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        (f"<stream:stream to='localhost' version='1.0' xmlns='jabber:server' xmlns:stream='{STREAM_NS}'>",
         "invalid-namespace"),
        (f"<stream:stream to='localhost' version='1.0' xmlns:stream='{STREAM_NS}'>", "invalid-namespace"),
        ("<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='urn:x'>",
         "invalid-namespace"),
        (f"<stream:flow to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAM_NS}'>",
         "invalid-namespace"),
        (f"<open to='localhost' version='1.0' xmlns='{FRAMING_NS}'>", "invalid-namespace"),
        (f"<open to='localhost' version='1.0' xmlns='{FRAMING_NS}'/>", "bad-format"),
        ("<stream:stream to='localhost' version='1.0' xmlns='jabber:client'>", "bad-namespace-prefix"),
        ("</stream:stream>", "not-well-formed"),
        ("ann", "not-well-formed"),
        ("<message xmlns='jabber:client' to='ann@localhost'>", "invalid-namespace"),
    ],
)  # fmt: skip
async def test_a_tcp_stream_must_begin_with_its_header(tcp: Door, header: str, condition: str) -> None:
    wire = await tcp.connect()
    await wire.send_bytes(header.encode())
    await wire.expect_stream_error(condition)
    assert wire.header["from"] == "localhost"


@pytest.mark.parametrize(
    ("frame", "condition"),
    [
        ("<open to='localhost' version='1.0'/>", "invalid-namespace"),
        ("<open xmlns='jabber:client' to='localhost' version='1.0'/>", "invalid-namespace"),
        ("<opening xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "invalid-namespace"),
        ("<message xmlns='jabber:client'/>", "invalid-namespace"),
        (f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAM_NS}'>",
         "not-well-formed"),
        (f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAM_NS}'/>",
         "invalid-namespace"),
        (f"<?xml version='1.0'?><open xmlns='{FRAMING_NS}' to='localhost' version='1.0'/>", "restricted-xml"),
        (f" <open xmlns='{FRAMING_NS}' to='localhost' version='1.0'/>", "not-well-formed"),
        (" ", "not-well-formed"),
        ("", "not-well-formed"),
    ],
)  # fmt: skip
async def test_a_websocket_stream_must_begin_with_open(wss: Door, frame: str, condition: str) -> None:
    wire = await wss.connect()
    await wire.send_bytes(frame.encode())
    await wire.expect_stream_error(condition)
    assert wire.header["from"] == "localhost"
    assert wire.stream_closed


async def test_open_may_be_written_with_a_prefix(wss: Door) -> None:
    wire = await wss.connect()
    await wire.send_bytes(f"<f:open xmlns:f='{FRAMING_NS}' to='localhost' version='1.0'/>".encode())
    await wire.expect("stream:features")
    await wire.send_bytes(f"<f:close xmlns:f='{FRAMING_NS}'/>".encode())
    await wire.wait_end()
    assert wire.stream_closed


# Features and restarts (RFC 6120 §4.3)


async def test_before_authentication_only_sasl_is_offered(door: Door) -> None:
    wire = await door.opened()
    assert f"{{{NAMESPACES['sasl']}}}mechanisms" in features_of(wire)
    assert f"{{{NAMESPACES['bind']}}}bind" not in features_of(wire)


async def test_after_authentication_binding_and_what_rosters_can_do_are_offered(door: Door) -> None:
    wire = await door.authenticated()
    offered = features_of(wire)
    assert f"{{{NAMESPACES['bind']}}}bind" in offered
    assert "{urn:xmpp:features:rosterver}ver" in offered
    assert "{urn:xmpp:features:pre-approval}sub" in offered
    assert f"{{{NAMESPACES['sasl']}}}mechanisms" not in offered
    assert wire.features is not None
    assert child(wire.features, "session:session/session:optional") is not None


async def test_a_restart_to_another_host_is_refused_in_the_new_stream(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    before = wire.header["id"]
    await wire.authenticate(person.localpart, person.password)
    wire._restart()
    await wire.send_header("to='elsewhere.example' version='1.0'")
    await wire.expect_stream_error("host-unknown")
    assert wire.header["id"] != before


@pytest.mark.parametrize("claimed", ["else@localhost", "localhost"])
async def test_whoever_has_logged_in_is_nobody_else(door: Door, claimed: str) -> None:
    """RFC 6120 §4.9.3.9, when the header of the new stream names another account."""
    person = door.server.new_person()
    wire = await door.opened()
    await wire.authenticate(person.localpart, person.password)
    wire._restart()
    await wire.send_header(f"from='{claimed}' to='localhost' version='1.0'")
    await wire.expect_stream_error("invalid-from")


@pytest.mark.parametrize("name", ["localpart", "email"])
@pytest.mark.parametrize("claimed", ["", "{jid}", "{JID}/phone", "{escaped}@localhost"])
async def test_whoever_has_logged_in_may_say_so_in_its_own_words(door: Door, name: str, claimed: str) -> None:
    """The name that somebody typed may be an e-mail address, which a client makes a JID of (XEP-0106)."""
    person = door.server.new_person()
    if name == "localpart" and "escaped" in claimed:
        claimed = "{jid}"
    said = claimed.format(jid=person.jid, JID=person.jid.upper(), escaped=person.email.replace("@", "\\40"))
    wire = await door.opened()
    await wire.authenticate(getattr(person, name), person.password)
    await wire.open(sender=said)
    assert (await wire.bind()).startswith(person.jid)


async def test_a_second_header_without_authentication_is_refused(door: Door) -> None:
    wire = await door.opened()
    await wire.send_header("to='localhost' version='1.0'")
    await wire.expect_stream_error("not-authorized" if door.over == "wss" else "restricted-xml")


async def test_a_header_on_a_bound_stream_is_refused(door: Door) -> None:
    wire = await door.log_in()
    header = f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAM_NS}'>"
    if door.over == "wss":
        header = f"<open xmlns='{FRAMING_NS}' to='localhost' version='1.0'/>"
    await wire.send_bytes(header.encode())
    await wire.expect_stream_error("policy-violation")


# The end (RFC 6120 §4.4, RFC 7395 §3.6)


@pytest.mark.parametrize("how_far", ["opened", "authenticated", "log_in"])
async def test_a_client_that_closes_its_stream_gets_the_servers_end(door: Door, how_far: str) -> None:
    wire: Wire = await getattr(door, how_far)()
    await wire.close()
    assert wire.stream_closed
    assert not wire.inbox


async def test_what_was_sent_before_the_end_is_delivered(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(f"<message to='{bob.jid}'><body>the last word</body></message>")
    await ann.close()
    assert await bob.expect("message[body='the last word']") is not None


async def test_the_server_ends_the_connection_of_a_client_that_does_not(wss: Door) -> None:
    wire = await wss.log_in()
    assert isinstance(wire, WssWire)
    wire.answers_closing = False
    await wire.close()
    assert wire.stream_closed


async def test_a_closed_websocket_stream_ends_with_the_code_for_all_is_well(wss: Door) -> None:
    wire = await wss.log_in()
    await wire.close()
    assert isinstance(wire, WssWire)
    assert wire.close_code == 1000


async def test_a_stream_error_ends_stream_and_connection(door: Door) -> None:
    wire = await door.log_in()
    await wire.send("<nonsense xmlns='urn:example:nonsense'/>")
    await wire.expect_stream_error("unsupported-stanza-type")
    assert wire.stream_closed


async def test_a_clients_stream_error_is_answered_by_the_end_alone(door: Door) -> None:
    wire = await door.log_in()
    await wire.send(
        f"<stream:error xmlns:stream='{STREAM_NS}'><reset xmlns='{NAMESPACES['streams']}'/></stream:error>"
    )
    await wire.wait_end()
    assert wire.stream_closed
    assert not wire.inbox


async def test_nothing_after_the_clients_end_is_heard(tcp: Door) -> None:
    ann, bob = await tcp.log_in(), await tcp.log_in()
    late = f"<message to='{bob.jid}'><body>too late</body></message>"
    await ann.send_bytes(f"</stream:stream>{late}".encode())
    await ann.wait_end()
    await bob.expect_none("message")


async def test_an_end_tag_of_another_name_is_not_well_formed(tcp: Door) -> None:
    wire = await tcp.log_in()
    await wire.send_bytes(b"</stream:flow>")
    await wire.expect_stream_error("not-well-formed")


@pytest.mark.parametrize("last", ["</stream:stream>", "<x xmlns='urn:x'/>"], ids=["its end", "an error"])
async def test_tls_is_ended_before_the_connection(tcp: Door, last: str) -> None:
    """RFC 6120 §4.4, RFC 7590 §3: who sees the connection end without it may think that it was cut."""
    endpoint = tcp.server.endpoint
    header = f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAM_NS}'>"

    def say_and_read() -> bytes:
        context = endpoint.tls_context(("xmpp-client",))
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=endpoint.domain, suppress_ragged_eofs=False) as secure,
        ):
            secure.sendall(f"{header}{last}".encode())
            return b"".join(iter(lambda: secure.recv(4096), b""))  # raises where TLS was not ended

    assert (await asyncio.to_thread(say_and_read)).endswith(b"</stream:stream>")


# What XML may look like (RFC 6120 §4.6.1, §4.8, §11)


async def test_white_space_between_stanzas_is_allowed(tcp: Door) -> None:
    person = tcp.server.new_person()
    wire = await tcp.connect()
    await wire.send_bytes(b"\r\n \t")
    await wire.open()
    await wire.send_bytes(b" \n")
    await wire.authenticate(person.localpart, person.password)
    await wire.send_bytes(b"\n")
    await wire.open()
    await wire.send_bytes(b" ")
    await wire.bind()
    await wire.send_bytes(b"\n\n  <presence/> \t\r\n")
    assert await wire.expect(f"presence[@from='{wire.jid}']") is not None


@pytest.mark.parametrize("blank", ["", " ", "\n"])
async def test_white_space_is_no_keepalive_on_a_websocket(wss: Door, blank: str) -> None:
    wire = await wss.log_in()
    await wire.send_bytes(blank.encode())
    await wire.expect_stream_error("not-well-formed")


@pytest.mark.parametrize(
    "declaration",
    [
        "",
        "<?xml version='1.0'?>",
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<?xml version='1.0' encoding='utf-8' ?>",
    ],
)
async def test_an_xml_declaration_may_stand_before_the_header(tcp: Door, declaration: str) -> None:
    wire = await tcp.connect()
    await wire.send_bytes(
        f"{declaration}<stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
        f"xmlns:stream='{STREAM_NS}'>".encode()
    )
    assert await wire.expect("stream:features") is not None


async def test_another_encoding_is_refused(tcp: Door) -> None:
    wire = await tcp.connect()
    await wire.send_bytes(b"<?xml version='1.0' encoding='iso-8859-1'?>")
    await wire.expect_stream_error("unsupported-encoding")


async def test_an_xml_declaration_may_stand_nowhere_else(door: Door) -> None:
    wire = await door.log_in()
    await wire.send_bytes(b"<?xml version='1.0'?><presence xmlns='jabber:client'/>")
    await wire.expect_stream_error("restricted-xml")


async def test_text_in_a_cdata_section_is_text(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(f"<message to='{bob.jid}'><body><![CDATA[a < b && </body>]]></body></message>")
    message = await bob.expect("message")
    assert message.findtext("{jabber:client}body") == "a < b && </body>"


@pytest.mark.parametrize("receiver", ["wss", "tls"])
async def test_prefixes_of_the_stream_header_reach_the_receiver_declared(tcp: Door, receiver: str) -> None:
    person = tcp.server.new_person()
    bob = await tcp.log_in(over=receiver)  # type: ignore[arg-type]
    ann = await tcp.connect()
    header = (
        "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
        f"xmlns:stream='{STREAM_NS}' xmlns:ex='urn:example:1'>"
    ).encode()
    await ann.send_bytes(header)
    await ann.expect("stream:features")
    await ann.authenticate(person.localpart, person.password)
    ann._restart()
    await ann.send_bytes(header)
    await ann.expect("stream:features")
    await ann.bind()
    await ann.send(f"<message to='{bob.jid}' ex:mark='7'><ex:note ex:of='it'>well</ex:note></message>")
    message = await bob.expect("message")
    note = message.find("{urn:example:1}note")
    assert message.get("{urn:example:1}mark") == "7"
    assert note is not None
    assert (note.text, note.get("{urn:example:1}of")) == ("well", "it")


async def test_a_stanza_written_with_a_prefix_is_a_stanza(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(
        f"<c:message xmlns:c='jabber:client' to='{bob.jid}'><c:body>prefixed</c:body></c:message>".encode()
    )
    message = await bob.expect("message[body='prefixed']")
    assert message.get("from") == ann.jid


async def test_a_prefix_that_nobody_declared_is_refused(door: Door) -> None:
    wire = await door.log_in()
    await wire.send("<message to='ann@localhost'><x:y/></message>")
    await wire.expect_stream_error("bad-namespace-prefix")


@pytest.mark.parametrize("ns", ["jabber:server", "urn:example:1"])
async def test_a_stanza_in_another_namespace_is_refused(door: Door, ns: str) -> None:
    wire = await door.log_in()
    await wire.send(f"<message xmlns='{ns}' to='ann@localhost'/>")
    await wire.expect_stream_error("invalid-namespace")


@pytest.mark.parametrize(
    "form", ["{full}", "{bare}", "{upper}", "{upper}/{resource}", "{local}@localhost./{resource}"]
)
async def test_a_client_may_write_its_own_address_in_any_way(door: Door, form: str) -> None:
    """RFC 6120 §8.1.2.1, RFC 7622: spellings of one address are the same; what others get is the usual one."""
    ann, bob = await door.log_in(), await door.log_in()
    bare, _, resource = ann.jid.partition("/")
    said = form.format(
        full=ann.jid, bare=bare, upper=bare.upper(), resource=resource, local=bare.partition("@")[0]
    )
    await ann.send(f"<message from='{said}' to='{bob.jid}'/>")
    assert (await bob.expect("message")).get("from") == ann.jid


async def test_a_websocket_stanza_without_its_namespace_is_refused(wss: Door) -> None:
    wire = await wss.log_in()
    await wire.send_bytes(b"<message to='ann@localhost'/>")
    await wire.expect_stream_error("invalid-namespace")


# How bytes are cut (RFC 6120 §4.2)


async def test_a_login_and_a_message_arrive_byte_by_byte(door: Door) -> None:
    person, bob = door.server.new_person(), await door.log_in()
    ann = await door.connect()
    whole = ann.writer.write

    def one_by_one(data: bytes) -> None:
        for byte in data:
            whole(bytes([byte]))

    ann.writer.write = one_by_one  # type: ignore[method-assign, assignment]
    await ann.login(person.localpart, person.password)
    await ann.send(f"<message to='{bob.jid}'><body>ä € 😀 &amp;</body></message>")
    assert await bob.expect("message[body='ä € 😀 &']") is not None


@pytest.mark.parametrize("size", [2, 7, 64])
async def test_stanzas_are_found_wherever_the_stream_is_cut(door: Door, size: int) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    parts: list[bytes] = []
    ann.writer.write = parts.append  # type: ignore[method-assign, assignment]
    for number in range(10):
        await ann.send(f"<message to='{bob.jid}' id='m{number}'><body>&gt;'\"/€ {number}</body></message>")
    del ann.writer.write
    data = b"".join(parts)
    for start in range(0, len(data), size):
        ann.writer.write(data[start : start + size])
        await ann.writer.drain()
    assert [(await bob.expect("message")).get("id") for _ in range(10)] == [f"m{n}" for n in range(10)]


async def test_many_stanzas_in_one_write_arrive_in_order(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    parts: list[bytes] = []
    ann.writer.write = parts.append  # type: ignore[method-assign, assignment]
    for number in range(300):
        await ann.send(f"<message to='{bob.jid}' id='m{number}'><body>{number}</body></message>")
    del ann.writer.write
    ann.writer.write(b"".join(parts))
    await ann.writer.drain()
    assert [(await bob.expect("message")).get("id") for _ in range(300)] == [f"m{n}" for n in range(300)]


async def test_a_stanza_of_the_greatest_size_passes(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    start = f"<message xmlns='jabber:client' to='{bob.jid}'><body>".encode()
    end = b"</body></message>"
    await ann.send_bytes(start + b"x" * (262_144 - len(start) - len(end)) + end)
    message = await bob.expect("message")
    assert len(message.findtext("{jabber:client}body") or "") > 262_000


async def test_the_first_bytes_tell_a_tcp_stream_where_alpn_says_nothing(tcp: Door) -> None:
    wire = await tcp.connect(alpn=())
    assert isinstance(wire, TcpWire)
    assert await wire.open() is not None


async def test_the_first_bytes_tell_a_websocket_where_alpn_says_nothing(wss: Door) -> None:
    wire = await wss.connect(alpn=())
    assert await wire.open() is not None
