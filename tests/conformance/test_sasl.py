"""Authentication (RFC 6120 §6; RFC 4616, 5802, 7677; XEP-0440)."""

import asyncio
import secrets
from base64 import b64encode
from dataclasses import dataclass

import pytest

from rainbow_xmpp.store import Store
from tests.conformance.sasl_client import Scram, plain
from tests.conformance.wire import NAMESPACES, SaslFailure, Wire
from tests.doors import Door
from tests.process import Person, RainbowServer

SASL = NAMESPACES["sasl"]
PLAIN_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
PASSWORD_MECHANISMS = pytest.mark.parametrize("mechanism", ["PLAIN", *PLAIN_SCRAM])


async def refusal(wire: Wire) -> str:
    """The condition of the failure that is expected now."""
    with pytest.raises(SaslFailure) as caught:
        await wire.sasl_reply()
    return caught.value.condition


async def logs_in(wire: Wire, name: str, password: str, mechanism: str) -> bool:
    """Whether this succeeds; any other failure than "not-authorized" is an error of the test."""
    try:
        await wire.authenticate(name, password, mechanism)
    except SaslFailure as failure:
        assert failure.condition == "not-authorized"
        return False
    return True


# What is offered


async def test_the_strongest_mechanisms_come_first(door: Door) -> None:
    wire = await door.opened()
    plus = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"] if door.over == "tls" else []
    offered = wire.mechanisms()
    tokens = ["OAUTHBEARER"] if isinstance(door.server, RainbowServer) else []
    assert sorted(offered) == sorted([*plus, *PLAIN_SCRAM, "PLAIN", *tokens])
    assert [name for name in offered if name != "OAUTHBEARER"][-1] == "PLAIN"
    assert offered.index("SCRAM-SHA-256") < offered.index("SCRAM-SHA-1")


async def test_what_can_be_bound_is_announced_on_tcp(tcp: Door) -> None:
    wire = await tcp.opened()
    assert wire.features is not None
    found = wire.features.findall(
        "{urn:xmpp:sasl-cb:0}sasl-channel-binding/{urn:xmpp:sasl-cb:0}channel-binding"
    )
    assert [binding.get("type") for binding in found] == ["tls-server-end-point"]


async def test_a_websocket_announces_no_channel_binding(wss: Door) -> None:
    wire = await wss.opened()
    assert wire.features is not None
    assert wire.features.find("{urn:xmpp:sasl-cb:0}sasl-channel-binding") is None


@pytest.mark.parametrize(
    "mechanism", ["SCRAM-SHA-512", "EXTERNAL", "ANONYMOUS", "scram-sha-256", "", "X" * 900]
)
async def test_a_mechanism_that_is_not_offered_is_invalid(door: Door, mechanism: str) -> None:
    wire = await door.opened()
    await wire.send_auth(mechanism, b"n,,n=ann,r=0123456789")
    assert await refusal(wire) == "invalid-mechanism"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
async def test_a_websocket_cannot_bind_a_channel(wss: Door, mechanism: str) -> None:
    wire = await wss.opened()
    await wire.send_auth(mechanism, b"p=tls-server-end-point,,n=ann,r=0123456789")
    assert await refusal(wire) == "invalid-mechanism"


# Names


@dataclass(frozen=True)
class Spelling:
    """One way to write who one is."""

    what: str

    def of(self, person: Person) -> str:
        return {
            "localpart": person.localpart,
            "JID": person.jid,
            "e-mail": person.email,
            "escaped e-mail": person.email.replace("@", "\\40"),
            "LOCALPART": person.localpart.upper(),
            "E-MAIL": person.email.upper(),
            "JID AND SPACES": f" {person.jid.upper()} ",
        }[self.what]

    def __str__(self) -> str:
        return self.what


@PASSWORD_MECHANISMS
@pytest.mark.parametrize(
    "spelling",
    [
        Spelling(what)
        for what in ("localpart", "JID", "e-mail", "escaped e-mail", "LOCALPART", "E-MAIL", "JID AND SPACES")
    ],
    ids=str,
)
async def test_people_log_in_by_every_name_of_theirs(door: Door, mechanism: str, spelling: Spelling) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await wire.authenticate(spelling.of(person), person.password, mechanism)
    await wire.open()
    assert (await wire.bind()).startswith(f"{person.jid}/")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
async def test_people_log_in_bound_to_the_servers_certificate(tcp: Door, mechanism: str) -> None:
    person = tcp.server.new_person()
    wire = await tcp.opened()
    await wire.authenticate(person.email, person.password, mechanism)
    await wire.open()
    assert (await wire.bind()).startswith(f"{person.jid}/")


# Passwords


@PASSWORD_MECHANISMS
async def test_a_wrong_password_is_refused_and_another_try_may_succeed(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    assert not await logs_in(wire, person.localpart, person.password + "x", mechanism)
    assert await logs_in(wire, person.localpart, person.password, mechanism)


@PASSWORD_MECHANISMS
async def test_the_third_failure_ends_the_stream(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    for _ in range(3):
        assert not await logs_in(wire, person.localpart, "wrong" + person.password, mechanism)
    await wire.expect_stream_error("policy-violation")
    assert wire.stream_closed


@PASSWORD_MECHANISMS
async def test_somebody_unknown_meets_the_same_steps_as_somebody_with_a_wrong_password(
    door: Door, mechanism: str
) -> None:
    person = door.server.new_person()
    said: list[bytes] = []
    for name in (person.localpart, secrets.token_hex(8)):
        wire = await door.opened()
        start = len(wire.received)
        assert not await logs_in(wire, name, "Wrong-9 password", mechanism)
        said.append(bytes(wire.received[start:]))
    known, unknown = said
    assert known.count(b"<") == unknown.count(b"<")
    assert known.partition(b">")[0] == unknown.partition(b">")[0]
    assert len(known) == pytest.approx(len(unknown), abs=2)  # names and nonces are of random length in base64


async def challenge(
    door: Door, name: str, mechanism: str = "SCRAM-SHA-256", gs2: str = "n,,"
) -> dict[str, str]:
    """The parts of the server-first-message for this name, on a connection of its own."""
    wire = await door.opened()
    scram = Scram(mechanism, name, "x", gs2=gs2)
    await wire.send_auth(mechanism, scram.first())
    return dict(part.split("=", 1) for part in (await wire.sasl_reply()).decode().split(","))


@pytest.mark.parametrize("mechanism", PLAIN_SCRAM)
async def test_the_made_up_salt_of_somebody_unknown_stays_the_same(door: Door, mechanism: str) -> None:
    name, other = secrets.token_hex(8), secrets.token_hex(8)
    known = await challenge(door, door.server.new_person().localpart, mechanism)
    first, again = await challenge(door, name, mechanism), await challenge(door, name.upper(), mechanism)
    assert first["s"] == again["s"]
    assert first["s"] != (await challenge(door, other, mechanism))["s"]
    assert len(first["s"]) == len(known["s"])
    assert first["i"] == known["i"]


async def test_made_up_salts_differ_from_hash_to_hash_as_real_ones_do(door: Door) -> None:
    """Whatever holds for the two salts of an account holds for those of nobody."""
    name, person = secrets.token_hex(8), door.server.new_person()
    made_up = [(await challenge(door, name, mechanism))["s"] for mechanism in PLAIN_SCRAM]
    real = [(await challenge(door, person.localpart, mechanism))["s"] for mechanism in PLAIN_SCRAM]
    assert (made_up[0] == made_up[1]) == (real[0] == real[1])


async def test_the_ways_to_write_a_jid_do_not_tell_whether_there_is_such_an_account(door: Door) -> None:
    """Nobody's salt is one for the localpart and the JID, since that of an account is."""
    for name in (secrets.token_hex(8), door.server.new_person().localpart):
        assert (await challenge(door, name))["s"] == (await challenge(door, f"{name}@localhost"))["s"]


@PASSWORD_MECHANISMS
async def test_a_disabled_account_looks_like_a_wrong_password(
    door: Door, server_store: Store, mechanism: str
) -> None:
    person = door.server.new_person()
    account = await server_store.accounts.by_localpart(person.localpart)
    assert account is not None
    await server_store.accounts.set_disabled(account.company.id, account.id, True)
    wire = await door.opened()
    assert not await logs_in(wire, person.localpart, person.password, mechanism)
    await server_store.accounts.set_disabled(account.company.id, account.id, False)
    assert await logs_in(wire, person.localpart, person.password, mechanism)


# On whose behalf (RFC 6120 §6.3.8)


async def try_as(wire: Wire, mechanism: str, name: str, password: str, authzid: str) -> None:
    """Authenticate under `name` to act as `authzid`; raises SaslFailure."""
    if mechanism == "PLAIN":
        await wire.send_auth("PLAIN", plain(name, password, authzid))
    else:
        scram = Scram(mechanism, name, password, gs2=f"n,a={authzid},")
        await wire.send_auth(mechanism, scram.first())
        await wire.send_response(scram.final(await wire.sasl_reply()))
    await wire.sasl_reply()


@PASSWORD_MECHANISMS
async def test_people_may_act_as_themselves(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await try_as(wire, mechanism, person.email, person.password, person.jid.upper())
    await wire.open()
    assert (await wire.bind()).startswith(f"{person.jid}/")


@PASSWORD_MECHANISMS
@pytest.mark.parametrize("authzid", ["another", "nobody@localhost", "localhost", "@", "\\40", "full"])
async def test_nobody_may_act_as_somebody_else(door: Door, mechanism: str, authzid: str) -> None:
    person = door.server.new_person()
    if authzid == "another":
        authzid = door.server.new_person().jid
    elif authzid == "full":
        authzid = f"{person.jid}/phone"
    wire = await door.opened()
    with pytest.raises(SaslFailure, match="invalid-authzid"):
        await try_as(wire, mechanism, person.localpart, person.password, authzid)


@PASSWORD_MECHANISMS
@pytest.mark.parametrize("who", ["somebody", "nobody"])
async def test_an_authzid_does_not_tell_whether_there_is_such_an_account(
    door: Door, mechanism: str, who: str
) -> None:
    name = door.server.new_person().localpart if who == "somebody" else secrets.token_hex(8)
    wire = await door.opened()
    with pytest.raises(SaslFailure, match="not-authorized"):
        await try_as(wire, mechanism, name, "Wrong-9 password", "else@localhost")


# Channel binding (RFC 5802 §6)


@pytest.mark.parametrize(
    ("mechanism", "gs2", "condition"),
    [
        ("SCRAM-SHA-256-PLUS", "p=tls-unique,,", "malformed-request"),
        ("SCRAM-SHA-256-PLUS", "p=,,", "malformed-request"),
        ("SCRAM-SHA-256-PLUS", "n,,", "malformed-request"),
        ("SCRAM-SHA-1-PLUS", "y,,", "malformed-request"),
        ("SCRAM-SHA-256", "p=tls-server-end-point,,", "malformed-request"),
        ("SCRAM-SHA-256", "y,,", "not-authorized"),
        ("SCRAM-SHA-1", "y,,", "not-authorized"),
        ("SCRAM-SHA-256", "x,,", "malformed-request"),
    ],
)
async def test_a_wrong_channel_binding_flag_is_refused(
    tcp: Door, mechanism: str, gs2: str, condition: str
) -> None:
    person = tcp.server.new_person()
    wire = await tcp.opened()
    await wire.send_auth(mechanism, Scram(mechanism, person.localpart, person.password, gs2=gs2).first())
    assert await refusal(wire) == condition


async def test_another_servers_certificate_is_refused(tcp: Door) -> None:
    person = tcp.server.new_person()
    wire = await tcp.opened()
    scram = Scram(
        "SCRAM-SHA-256-PLUS", person.localpart, person.password, binding=b"another certificate's hash"
    )
    await wire.send_auth("SCRAM-SHA-256-PLUS", scram.first())
    await wire.send_response(scram.final(await wire.sasl_reply()))
    assert await refusal(wire) == "not-authorized"


async def test_where_none_is_offered_a_client_may_say_that_it_could_bind(wss: Door) -> None:
    person = wss.server.new_person()
    wire = await wss.opened()
    scram = Scram("SCRAM-SHA-256", person.localpart, person.password, gs2="y,,")
    await wire.send_auth("SCRAM-SHA-256", scram.first())
    await wire.send_response(scram.final(await wire.sasl_reply()))
    scram.verify(await wire.sasl_reply())
    assert await wire.open() is not None


# The exchange


async def test_every_exchange_has_a_nonce_of_its_own(door: Door) -> None:
    first, second = [await challenge(door, "ann") for _ in range(2)]
    assert first["r"][-24:] != second["r"][-24:]


@pytest.mark.parametrize("change", ["nonce", "binding", "proof", "short proof"])
async def test_a_final_message_that_was_changed_is_refused(door: Door, change: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    scram = Scram("SCRAM-SHA-256", person.localpart, person.password)
    await wire.send_auth("SCRAM-SHA-256", scram.first())
    binding, nonce, proof = scram.final(await wire.sasl_reply()).decode().split(",", 2)
    match change:
        case "nonce":
            nonce = nonce[:-1] + ("A" if nonce[-1] != "A" else "B")
        case "binding":
            binding = "c=" + b64encode(b"y,,").decode()
        case "proof":
            proof = "p=" + b64encode(bytes(32)).decode()
        case "short proof":
            proof = "p=" + b64encode(bytes(3)).decode()
    await wire.send_response(",".join((binding, nonce, proof)).encode())
    assert await refusal(wire) == "not-authorized"


@PASSWORD_MECHANISMS
async def test_without_an_initial_response_the_server_asks_for_it(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    scram = Scram(mechanism, person.localpart, person.password)
    await wire.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'/>")
    assert await wire.sasl_reply() == b""
    await wire.send_response(
        plain(person.localpart, person.password) if mechanism == "PLAIN" else scram.first()
    )
    answer = await wire.sasl_reply()
    if mechanism != "PLAIN":
        await wire.send_response(scram.final(answer))
        scram.verify(await wire.sasl_reply())
    assert await wire.open() is not None


@PASSWORD_MECHANISMS
async def test_an_empty_initial_response_is_malformed(door: Door, mechanism: str) -> None:
    wire = await door.opened()
    await wire.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>=</auth>")
    assert await refusal(wire) == "malformed-request"


@PASSWORD_MECHANISMS
@pytest.mark.parametrize("text", ["%%%", "YQ", "YQ==YQ==", "ä", "A" * 5000, "Y Q = ="])
async def test_what_is_not_base64_is_wrongly_encoded(door: Door, mechanism: str, text: str) -> None:
    wire = await door.opened()
    await wire.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>")
    assert await refusal(wire) == "incorrect-encoding"


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("PLAIN", b"ann"),
        ("PLAIN", b"\0ann"),
        ("PLAIN", b"\0\0secret"),
        ("PLAIN", b"\0ann\0"),
        ("PLAIN", b"\0ann\0a\0b"),
        ("PLAIN", b"\0\xff\0secret"),
        ("SCRAM-SHA-256", b"hello"),
        ("SCRAM-SHA-256", b"n,,"),
        ("SCRAM-SHA-256", b"n,,n=ann"),
        ("SCRAM-SHA-256", b"n,,r=0123456789,n=ann"),
        ("SCRAM-SHA-256", b"n,,n=ann,r=short"),
        ("SCRAM-SHA-256", b"n,,n=a=nn,r=0123456789"),
        ("SCRAM-SHA-256", b"n,,m=must,n=ann,r=0123456789"),
        ("SCRAM-SHA-256", b"n,ann,n=ann,r=0123456789"),
        ("SCRAM-SHA-256", b"n,,n=\xff,r=0123456789"),
        ("SCRAM-SHA-256", b"n,,n=" + b"a" * 2500 + b",r=0123456789"),
    ],
)
async def test_a_message_that_breaks_the_mechanisms_rules_is_malformed(
    door: Door, mechanism: str, message: bytes
) -> None:
    wire = await door.opened()
    await wire.send_auth(mechanism, message)
    assert await refusal(wire) == "malformed-request"


@pytest.mark.parametrize(
    "final", [b"", b"x", b"c=biws,r=x", b"c=biws,p=AA==", b"r=x,c=biws,p=AA==", b"c=%,r=x,p=AA=="]
)
async def test_a_final_message_that_is_none_is_malformed(door: Door, final: bytes) -> None:
    wire = await door.opened()
    await wire.send_auth("SCRAM-SHA-256", Scram("SCRAM-SHA-256", "ann", "x").first())
    await wire.sasl_reply()
    await wire.send_response(final)
    assert await refusal(wire) == "malformed-request"


@pytest.mark.parametrize(
    "name", ["a,b=c", "\x01", "'\"<&>", "a\tb", "x" * 1500, "ｆｕｌｌ", "/", "@localhost", "\u202e"]
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_a_name_that_nobody_can_have_is_like_any_other(door: Door, mechanism: str, name: str) -> None:
    wire = await door.opened()
    assert not await logs_in(wire, name, "Wrong-9 password", mechanism)


@pytest.mark.parametrize("password", ["x" * 1500, "ä€😀", "\u0007", "\u00a0"])
async def test_an_odd_password_is_only_wrong(door: Door, password: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    assert not await logs_in(wire, person.localpart, password, "PLAIN")


async def test_an_attempt_can_be_aborted(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await wire.send_auth("SCRAM-SHA-256", Scram("SCRAM-SHA-256", person.localpart, "x").first())
    await wire.sasl_reply()
    await wire.send(f"<abort xmlns='{SASL}'/>")
    assert await refusal(wire) == "aborted"
    assert await logs_in(wire, person.localpart, person.password, "SCRAM-SHA-256")


@pytest.mark.parametrize("element", ["response", "challenge", "success", "nonsense"])
async def test_an_element_out_of_turn_ends_the_stream(door: Door, element: str) -> None:
    wire = await door.opened()
    await wire.send(f"<{element} xmlns='{SASL}'/>")
    await wire.expect_stream_error("policy-violation")


async def test_a_second_attempt_inside_the_first_ends_the_stream(door: Door) -> None:
    wire = await door.opened()
    for _ in range(2):
        await wire.send_auth("SCRAM-SHA-256", Scram("SCRAM-SHA-256", "ann", "x").first())
    await wire.expect_stream_error("policy-violation")


async def test_nobody_logs_in_twice(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.authenticated(person)
    await wire.send_auth("PLAIN", plain(person.localpart, person.password))
    await wire.expect_stream_error("policy-violation")


# The order of things


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='ann@localhost'/>",
        "<presence/>",
        "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    ],
)
async def test_a_stanza_before_authentication_ends_the_stream(door: Door, stanza: str) -> None:
    wire = await door.opened()
    await wire.send(stanza)
    await wire.expect_stream_error("not-authorized")


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='ann@localhost'/>",
        "<presence/>",
        "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    ],
)
async def test_a_stanza_before_resource_binding_ends_the_stream(door: Door, stanza: str) -> None:
    wire = await door.authenticated()
    await wire.send(stanza)
    await wire.expect_stream_error("not-authorized")


async def test_binding_before_authentication_ends_the_stream(door: Door) -> None:
    wire = await door.opened()
    await wire.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    await wire.expect_stream_error("not-authorized")


async def test_a_client_may_say_everything_at_once(tcp: Door) -> None:
    person = tcp.server.new_person()
    wire = await tcp.connect()
    header = f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{NAMESPACES['stream']}'>"
    login = b64encode(plain(person.localpart, person.password)).decode()
    await wire.send_bytes(
        f"{header}<auth xmlns='{SASL}' mechanism='PLAIN'>{login}</auth>".encode()
        + f"<?xml version='1.0'?>{header}".encode()
        + b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq><presence/>"
    )
    said = b""
    async with asyncio.timeout(10):
        while b"<presence" not in said:
            said += await wire.reader.read(4096)
    assert said.count(b"<?xml version='1.0'?>") == 2
    assert f"<jid>{person.jid}/".encode() in said


async def test_a_browser_may_say_everything_at_once(wss: Door) -> None:
    person = wss.server.new_person()
    wire = await wss.connect()
    await wire.send_header("to='localhost' version='1.0'")
    await wire.send_auth("PLAIN", plain(person.localpart, person.password))
    await wire.send_header("to='localhost' version='1.0'")
    await wire.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    await wire.send("<presence/>")
    await wire.sasl_reply()
    await wire.expect("iq[@id='b']")
    assert (await wire.expect("presence")).get("from", "").startswith(person.jid)


async def test_what_waits_for_a_login_is_bounded(door: Door) -> None:
    """Behind an attempt that asks the database stands no endless queue."""
    wire = await door.opened()
    await wire.send_auth("PLAIN", plain("ann", "Wrong-9 password"))
    wire.writer.write(b"".join([b"<message xmlns='jabber:client'>" + b"x" * 90 + b"</message>"] * 200))
    await wire.wait_end()
    assert wire.ended
