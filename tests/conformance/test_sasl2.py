"""The extensible SASL profile (XEP-0388), and what is the same in both profiles (XEP-0474)."""

import hashlib
import secrets
from base64 import b64decode, b64encode
from xml.etree.ElementTree import Element

import pytest

from rainbow_xmpp.store import Store
from tests.conformance.sasl_client import Scram, plain
from tests.conformance.wire import NAMESPACES, SaslFailure, Wire, child
from tests.doors import Door

SASL2 = NAMESPACES["sasl2"]
MECHANISMS = pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1"])
AGENT = (
    "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'>"
    "<software>Wire</software><device>a test</device></user-agent>"
)


async def features(wire: Wire) -> Element:
    """What is offered behind `<success/>`."""
    wire.features = await wire.expect("stream:features")
    return wire.features


async def refusal(wire: Wire) -> str:
    """The condition of the failure that is expected now."""
    failure = await wire.sasl2_reply("failure")
    assert failure[0].tag.startswith(f"{{{NAMESPACES['sasl']}}}")
    return failure[0].tag.partition("}")[2]


# What is offered


async def test_both_profiles_offer_the_same_mechanisms(door: Door) -> None:
    wire = await door.opened()
    assert wire.features is not None
    offered = [
        m.text for m in wire.features.iterfind("sasl2:authentication/sasl2:mechanism", dict(NAMESPACES))
    ]
    assert offered == wire.mechanisms()


async def test_binding_can_be_asked_for_inline(door: Door) -> None:
    wire = await door.opened()
    assert wire.features is not None
    assert child(wire.features, "sasl2:authentication/sasl2:inline/bind2:bind") is not None


# Success


@MECHANISMS
@pytest.mark.parametrize("name", ["localpart", "email"])
async def test_people_log_in_and_bind_without_a_restart(door: Door, mechanism: str, name: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    success = await wire.authenticate2(getattr(person, name), person.password, mechanism, inline=AGENT)
    assert success.findtext(f"{{{SASL2}}}authorization-identifier") == person.jid
    assert child(await features(wire), "bind:bind") is not None
    assert (await wire.bind("desk")).startswith(f"{person.jid}/desk.")
    await wire.settle()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
async def test_people_log_in_bound_to_the_servers_certificate(tcp: Door, mechanism: str) -> None:
    person = tcp.server.new_person()
    wire = await tcp.opened()
    await wire.authenticate2(person.localpart, person.password, mechanism)
    assert child(await features(wire), "bind:bind") is not None


async def test_plain_has_no_additional_data(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    success = await wire.authenticate2(person.localpart, person.password, "PLAIN")
    assert [part.tag for part in success] == [f"{{{SASL2}}}authorization-identifier"]


async def test_what_is_asked_for_and_not_known_is_ignored(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    success = await wire.authenticate2(
        person.localpart, person.password, inline="<megabind xmlns='urn:example:megabind'/>"
    )
    assert not [part for part in success if "megabind" in part.tag]


async def test_no_restart_is_possible(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await wire.authenticate2(person.localpart, person.password)
    await features(wire)
    header = (
        f"<open xmlns='{NAMESPACES['framing']}' to='localhost' version='1.0'/>"
        if door.over == "wss"
        else f"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='{NAMESPACES['stream']}'>"
    )
    await wire.send_bytes(header.encode())
    await wire.expect_stream_error("policy-violation")


@MECHANISMS
async def test_without_an_initial_response_the_server_asks_for_it(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await wire.send_authenticate(mechanism, None)
    assert not (await wire.sasl2_reply("challenge")).text
    first = Scram(mechanism, person.localpart, person.password).first()
    await wire.send_sasl2(
        "response", plain(person.localpart, person.password) if mechanism == "PLAIN" else first
    )
    await wire.sasl2_reply("success" if mechanism == "PLAIN" else "challenge")


# Failure


@MECHANISMS
async def test_a_wrong_password_is_refused_and_another_try_may_succeed(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    with pytest.raises(SaslFailure, match="not-authorized"):
        await wire.authenticate2(person.localpart, "Wrong-9 password", mechanism)
    await wire.authenticate2(person.localpart, person.password, mechanism)


async def test_somebody_unknown_looks_like_a_wrong_password(door: Door) -> None:
    wire = await door.opened()
    with pytest.raises(SaslFailure, match="not-authorized"):
        await wire.authenticate2(secrets.token_hex(8), "Wrong-9 password")


async def test_attempts_by_either_profile_are_counted_together(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    for log_in in (wire.authenticate, wire.authenticate2, wire.authenticate):
        with pytest.raises(SaslFailure, match="not-authorized"):
            await log_in(person.localpart, "Wrong-9 password")
    await wire.expect_stream_error("policy-violation")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "scram-sha-256", "", "X" * 900])
async def test_a_mechanism_that_is_not_offered_is_invalid(door: Door, mechanism: str) -> None:
    wire = await door.opened()
    await wire.send_authenticate(mechanism, b"n,,n=ann,r=0123456789")
    assert await refusal(wire) == "invalid-mechanism"


@pytest.mark.parametrize(
    ("data", "condition"),
    [("%%%", "incorrect-encoding"), ("YQ", "incorrect-encoding"), ("YQ==", "malformed-request"),
     ("", "malformed-request"), ("=", "malformed-request")],
)  # fmt: skip
async def test_an_initial_response_that_is_none_is_refused(door: Door, data: str, condition: str) -> None:
    wire = await door.opened()
    await wire.send(
        f"<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-256'><initial-response>{data}</initial-response>"
        "</authenticate>"
    )
    assert await refusal(wire) == condition


async def test_whoever_fails_gets_nothing_of_what_was_asked_for(door: Door) -> None:
    person = door.server.new_person()
    other = await door.log_in(person)
    wire = await door.opened()
    with pytest.raises(SaslFailure):
        await wire.authenticate2(
            person.localpart, "Wrong-9 password", inline="<bind xmlns='urn:xmpp:bind:0'><tag>x</tag></bind>"
        )
    await wire.authenticate2(person.localpart, person.password)
    assert child(await features(wire), "bind:bind") is not None
    await other.settle()
    assert not other.inbox


async def test_an_attempt_can_be_aborted_with_a_reason(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await wire.send_authenticate("SCRAM-SHA-256", Scram("SCRAM-SHA-256", person.localpart, "x").first())
    await wire.sasl2_reply("challenge")
    await wire.send(f"<abort xmlns='{SASL2}'><text>no</text><why xmlns='urn:example:why'/></abort>")
    assert await refusal(wire) == "aborted"
    await wire.authenticate2(person.localpart, person.password)


async def test_a_password_changed_meanwhile_is_noticed(door: Door, server_store: Store) -> None:
    person = door.server.new_person()
    watcher, wire = await door.log_in(person), await door.opened()
    scram = Scram("SCRAM-SHA-256", person.localpart, person.password)
    await wire.send_authenticate("SCRAM-SHA-256", scram.first(), "<bind xmlns='urn:xmpp:bind:0'/>")
    challenge = b64decode((await wire.sasl2_reply("challenge")).text or "")
    account = await server_store.accounts.by_localpart(person.localpart)
    assert account is not None
    await server_store.accounts.bump_epoch(account.company.id, account.id)
    await watcher.expect_stream_error("reset")  # so the server has heard of it
    await wire.send_sasl2("response", scram.final(challenge))
    assert await refusal(wire) == "temporary-auth-failure"


# On whose behalf (§2.1, §2.3)


@MECHANISMS
async def test_people_may_act_as_themselves(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.connect()
    await wire.send_header(f"from='{person.jid}' to='localhost' version='1.0'")
    await wire.expect("stream:features")
    await wire.authenticate2(person.localpart, person.password, mechanism, authzid=person.jid.upper())


@MECHANISMS
@pytest.mark.parametrize("authzid", ["nobody@localhost", "localhost", "@"])
async def test_nobody_may_act_as_somebody_else(door: Door, mechanism: str, authzid: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    with pytest.raises(SaslFailure, match="invalid-authzid"):
        await wire.authenticate2(person.localpart, person.password, mechanism, authzid=authzid)


@MECHANISMS
async def test_whoever_named_somebody_in_the_header_acts_as_nobody_else(door: Door, mechanism: str) -> None:
    person = door.server.new_person()
    wire = await door.connect()
    await wire.send_header("from='else@localhost' to='localhost' version='1.0'")
    await wire.expect("stream:features")
    with pytest.raises(SaslFailure, match="invalid-authzid"):
        await wire.authenticate2(person.localpart, person.password, mechanism, authzid=person.jid)


# The order of things (§2.4, §3.8)


async def in_an_exchange(door: Door) -> Wire:
    """A connection on which a challenge waits for its response."""
    wire = await door.opened()
    await wire.send_authenticate("SCRAM-SHA-256", Scram("SCRAM-SHA-256", "ann", "x").first())
    await wire.sasl2_reply("challenge")
    return wire


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        ("<presence/>", "not-authorized"),
        ("<r xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type"),
        (f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'/>", "policy-violation"),
        (f"<auth xmlns='{NAMESPACES['sasl']}' mechanism='PLAIN'/>", "policy-violation"),
        (f"<response xmlns='{NAMESPACES['sasl']}'>YQ==</response>", "policy-violation"),
        (f"<abort xmlns='{NAMESPACES['sasl']}'/>", "policy-violation"),
        (f"<next xmlns='{SASL2}' task='X'/>", "policy-violation"),
        (f"<task-data xmlns='{SASL2}'/>", "policy-violation"),
        (f"<challenge xmlns='{SASL2}'>YQ==</challenge>", "policy-violation"),
        (f"<success xmlns='{SASL2}'/>", "policy-violation"),
    ],
    ids=lambda text: text.partition(" ")[0].strip("<"),
)
async def test_anything_else_inside_an_exchange_ends_the_stream(
    door: Door, said: str, condition: str
) -> None:
    wire = await in_an_exchange(door)
    await wire.send(said)
    await wire.expect_stream_error(condition)


async def test_white_space_inside_an_exchange_ends_the_stream(tcp: Door) -> None:
    wire = await in_an_exchange(tcp)
    await wire.send_bytes(b"\n")
    await wire.expect_stream_error("policy-violation")


@pytest.mark.parametrize("element", ["response", "abort", "next", "task-data", "authentication"])
async def test_an_element_out_of_turn_ends_the_stream(door: Door, element: str) -> None:
    wire = await door.opened()
    await wire.send(f"<{element} xmlns='{SASL2}'/>")
    await wire.expect_stream_error("policy-violation")


@pytest.mark.parametrize("bound", ["", "<bind xmlns='urn:xmpp:bind:0'/>"], ids=["unbound", "bound"])
async def test_nobody_logs_in_twice(door: Door, bound: str) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    await wire.authenticate2(person.localpart, person.password, inline=bound)
    await wire.send_authenticate("PLAIN", plain(person.localpart, person.password))
    await wire.expect_stream_error("unsupported-stanza-type" if bound else "policy-violation")


# Downgrades (XEP-0474)


@pytest.mark.parametrize("profile", ["classic", "SASL2"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_what_was_offered_is_hashed_into_the_challenge(
    door: Door, mechanism: str, profile: str
) -> None:
    wire = await door.opened()
    first = Scram(mechanism, "ann", "x").first()
    if profile == "classic":
        await wire.send_auth(mechanism, first)
        challenge = await wire.sasl_reply()
    else:
        await wire.send_authenticate(mechanism, first)
        challenge = b64decode((await wire.sasl2_reply("challenge")).text or "")
    offered = "\x1e".join(sorted(wire.mechanisms())) + (
        "\x1ftls-server-end-point" if door.over == "tls" else ""
    )
    digest = hashlib.new(Scram(mechanism, "", "").hash_name, offered.encode()).digest()
    assert challenge.endswith(b",h=" + b64encode(digest))
