"""IQ: requests to the server, to accounts and between clients (RFC 6120 §8.2.3, §10.3.3; RFC 6121 §8)."""

import pytest

from tests.conformance.wire import Wire, child
from tests.doors import Door

QUESTION = "<query xmlns='urn:example:question'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
PING = "<ping xmlns='urn:xmpp:ping'/>"


async def condition(wire: Wire, stanza: str) -> str:
    """The condition of the error that this request, whose id is "x", is answered with."""
    await wire.send(stanza)
    error = await wire.expect("iq[@type='error'][@id='x']")
    return child(error, "error")[0].tag.partition("}")[2]


@pytest.mark.parametrize("kind", ["get", "set"])
@pytest.mark.parametrize("to", ["", "localhost", "{bare}", "nobody@localhost", "{other}"])
async def test_what_nobody_understands_is_unavailable(door: Door, kind: str, to: str) -> None:
    wire, other = await door.log_in(), await door.log_in()
    address = to.format(bare=wire.jid.partition("/")[0], other=other.jid.partition("/")[0])
    answer = await wire.iq(kind, QUESTION, to=address)
    assert child(answer, "error/stanzas:service-unavailable") is not None
    assert child(answer, "error").get("type") == "cancel"
    assert answer.get("from") in ({address} if to else {None, wire.jid.partition("/")[0]})
    assert answer.get("to") == wire.jid


@pytest.mark.parametrize(
    "stanza",
    [
        "<iq id='x'/>",
        f"<iq id='x' type='ask'>{QUESTION}</iq>",
        f"<iq id='x' type='GET'>{QUESTION}</iq>",
        f"<iq id='x' type=''>{QUESTION}</iq>",
        "<iq id='x' type='get'/>",
        "<iq id='x' type='set'>text</iq>",
        f"<iq id='x' type='get'>{QUESTION}{QUESTION}</iq>",
        f"<iq id='x' type='set' to='localhost'>{QUESTION}{PING}</iq>",
        f"<iq id='x' type='get' to='nobody@localhost/phone'>{QUESTION}{PING}</iq>",
    ],
)
async def test_a_request_of_a_wrong_shape_is_a_bad_request(door: Door, stanza: str) -> None:
    wire = await door.log_in()
    assert await condition(wire, stanza) == "bad-request"


@pytest.mark.parametrize("identity", ["", " id=''"])
async def test_a_request_without_an_id_is_a_bad_request(door: Door, identity: str) -> None:
    wire = await door.log_in()
    await wire.send(f"<iq type='get'{identity}>{PING}</iq>")
    assert child(await wire.expect("iq[@type='error']"), "error/stanzas:bad-request") is not None


@pytest.mark.parametrize("kind", ["result", "error"])
@pytest.mark.parametrize("to", ["", "localhost", "{bare}", "nobody@localhost", "{other}"])
async def test_an_answer_that_nobody_waits_for_is_ignored(door: Door, kind: str, to: str) -> None:
    wire, other = await door.log_in(), await door.log_in()
    address = to.format(bare=wire.jid.partition("/")[0], other=other.jid.partition("/")[0])
    addressed = f" to='{address}'" if to else ""
    await wire.send(f"<iq type='{kind}' id='x'{addressed}/>")
    await wire.send(f"<iq type='{kind}'{addressed}/>")
    await wire.settle()
    assert not wire.inbox


async def test_clients_ask_each_other(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(f"<iq type='get' id='q1' to='{bob.jid}'>{QUESTION}</iq>")
    question = await bob.expect("iq[@type='get']")
    assert (question.get("from"), question.get("id")) == (ann.jid, "q1")
    await bob.send(f"<iq type='result' id='q1' to='{ann.jid}'><answer xmlns='urn:example:question'/></iq>")
    answer = await ann.expect("iq[@type='result']")
    assert (answer.get("from"), answer.get("id")) == (bob.jid, "q1")
    assert answer.find("{urn:example:question}answer") is not None


async def test_clients_refuse_each_other(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(f"<iq type='set' id='q1' to='{bob.jid}'>{QUESTION}</iq>")
    await bob.expect("iq[@type='set']")
    refusal = "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    await bob.send(f"<iq type='error' id='q1' to='{ann.jid}'>{QUESTION}{refusal}</iq>")
    assert child(await ann.expect("iq[@type='error']"), "error/stanzas:not-allowed") is not None


async def test_a_client_may_ask_itself(door: Door) -> None:
    wire = await door.log_in()
    await wire.send(f"<iq type='get' id='q1' to='{wire.jid}'>{QUESTION}</iq>")
    assert (await wire.expect("iq[@type='get']")).get("from") == wire.jid


async def test_a_client_that_has_gone_cannot_be_asked(door: Door) -> None:
    person = door.server.new_person()
    ann, bob, left = await door.log_in(), await door.log_in(person), await door.log_in(person)
    await bob.close()
    await left.expect("presence[@type='unavailable']")
    assert (
        await condition(ann, f"<iq type='get' id='x' to='{bob.jid}'>{QUESTION}</iq>") == "service-unavailable"
    )


async def test_a_request_that_is_answered_twice_is_routed_twice(door: Door) -> None:
    """The server keeps no account of who asked what."""
    ann, bob = await door.log_in(), await door.log_in()
    for _ in range(2):
        await bob.send(f"<iq type='result' id='q1' to='{ann.jid}'/>")
    for _ in range(2):
        assert (await ann.expect("iq[@type='result']")).get("from") == bob.jid


# What the server and accounts answer


@pytest.mark.parametrize("to", ["", "localhost", "{bare}"])
async def test_the_server_is_there(door: Door, to: str) -> None:
    wire = await door.log_in()
    address = to.format(bare=wire.jid.partition("/")[0])
    assert (await wire.iq("get", PING, to=address)).get("type") == "result"


async def test_the_server_says_what_it_can_do(door: Door) -> None:
    wire = await door.log_in()
    answer = await wire.iq("get", INFO, to="localhost")
    identities = {
        (i.get("category"), i.get("type"))
        for i in answer.iter("{http://jabber.org/protocol/disco#info}identity")
    }
    features = {f.get("var") for f in answer.iter("{http://jabber.org/protocol/disco#info}feature")}
    assert ("server", "im") in identities
    assert {
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "urn:xmpp:ping",
    } <= features


async def test_an_account_is_a_registered_account(door: Door) -> None:
    wire = await door.log_in()
    answer = await wire.iq("get", INFO, to=wire.jid.partition("/")[0])
    identity = next(answer.iter("{http://jabber.org/protocol/disco#info}identity"))
    assert (identity.get("category"), identity.get("type")) == ("account", "registered")


async def test_private_data_are_kept_for_their_owner(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.log_in(person)
    stored = "<storage xmlns='storage:bookmarks'><conference jid='room@localhost' name='R'/></storage>"
    await wire.iq("set", f"<query xmlns='jabber:iq:private'>{stored}</query>")
    again = await door.log_in(person)
    answer = await again.iq(
        "get", "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"
    )
    found = next(answer.iter("{storage:bookmarks}conference"))
    assert found.get("jid") == "room@localhost"


async def test_a_vcard_is_seen_by_colleagues(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    assert (await ann.iq("set", "<vCard xmlns='vcard-temp'><FN>Ann Lee</FN></vCard>")).get("type") == "result"
    answer = await bob.iq("get", "<vCard xmlns='vcard-temp'/>", to=ann.jid.partition("/")[0])
    assert answer.findtext("{vcard-temp}vCard/{vcard-temp}FN") == "Ann Lee"
