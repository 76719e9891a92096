"""Stanzas on their way: stamps, order, addresses that nobody has (RFC 6120 §8, §10; RFC 6121 §5, §8)."""

import secrets

import pytest

from tests.conformance.wire import Wire, child, matches
from tests.doors import Door
from tests.process import COMPANIES


async def error_to(wire: Wire, stanza: str) -> str:
    """The condition of the error that answers this stanza, whose id is "x"."""
    await wire.send(stanza)
    error = await wire.expect("*[@id='x'][@type='error']")
    return child(error, "error")[0].tag.partition("}")[2]


# Stamps


@pytest.mark.parametrize("content", [
    "<body xml:lang='de'>Hallo</body><body xml:lang='cs'>Ahoj</body>",
    "<active xmlns='http://jabber.org/protocol/chatstates'/>",
    "<x xmlns='urn:example:a'><y xmlns='' z='&lt;&#10;'>  <z xmlns='urn:example:b' xml:lang='x'/></y></x>",
    "<p:x xmlns:p='urn:example:a' p:q='1'><p:y/></p:x>",
    "text <body>beside</body> elements",
])  # fmt: skip
async def test_what_a_message_holds_arrives_as_it_was_written(door: Door, content: str) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(f"<message to='{bob.jid}' type='chat' id='m1' xml:lang='en-GB'>{content}</message>")
    await bob.expect("message[@id='m1'][@type='chat']")
    assert content.encode() in bytes(bob.received)


# Order (RFC 6120 §10.1)


async def test_stanzas_to_bare_and_full_jids_keep_their_order(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    bare = bob.jid.partition("/")[0]
    expected = []
    for number in range(60):
        to = bare if number % 3 else bob.jid
        await ann.send(f"<message to='{to}' id='o{number}'><body>{number}</body></message>")
        expected.append(f"o{number}")
    assert [(await bob.expect("message")).get("id") for _ in expected] == expected


async def test_what_waits_for_the_database_does_not_overtake(door: Door) -> None:
    """The first stanza for somebody has to look them up; the next ones, for somebody known, must wait."""
    ann, bob, stranger = await door.log_in(), await door.log_in(), door.server.new_person()
    await ann.send(f"<message to='{stranger.jid}' id='first' type='groupchat'><body>x</body></message>")
    await ann.send(f"<iq type='get' id='second' to='{bob.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
    await ann.send("<iq type='get' id='third'><ping xmlns='urn:xmpp:ping'/></iq>")
    answers = [(await ann.recv()).get("id") for _ in range(2)]
    assert answers == ["first", "third"]
    assert await bob.expect("iq[@id='second']") is not None


async def test_a_hundred_stanzas_behind_a_slow_one_all_arrive(door: Door) -> None:
    """More than a session's lane holds: reading pauses and goes on."""
    ann, bob = await door.log_in(), await door.log_in()
    parts: list[bytes] = []
    ann.writer.write = parts.append  # type: ignore[method-assign, assignment]
    for number in range(400):
        item = f"<item jid='c@localhost' name='{number}'/>"
        await ann.send(f"<iq type='set' id='r{number}'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
        await ann.send(f"<message to='{bob.jid}' id='m{number}'><body>x</body></message>")
    del ann.writer.write
    ann.writer.write(b"".join(parts))
    assert [(await bob.expect("message", 60)).get("id") for _ in range(400)] == [f"m{n}" for n in range(400)]


# Addresses


@pytest.mark.parametrize(
    ("to", "condition"),
    [
        ("localhost", "service-unavailable"),
        ("localhost/anything", "service-unavailable"),
        ("LOCALHOST", "service-unavailable"),
        ("nobody@localhost", "service-unavailable"),
        ("nobody@localhost/phone", "service-unavailable"),
        ("bob@elsewhere.example", "remote-server-not-found"),
        ("elsewhere.example", "remote-server-not-found"),
        ("conference.localhost", "remote-server-not-found"),
        ("a b@localhost", "jid-malformed"),
        ("@localhost", "jid-malformed"),
        ("bob@", "jid-malformed"),
        ("bob@localhost/", "jid-malformed"),
        ("", "jid-malformed"),
        ("x" * 1100 + "@localhost", "jid-malformed"),
        ("bob@local host", "jid-malformed"),
    ],
)
@pytest.mark.parametrize("stanza", ["message type='chat'", "iq type='get'"])
async def test_an_address_that_nobody_has_is_refused(
    door: Door, stanza: str, to: str, condition: str
) -> None:
    if stanza.startswith("iq") and to.lower() == "localhost":
        condition = "service-unavailable"  # the question is unknown
    wire = await door.log_in()
    name = stanza.split()[0]
    found = await error_to(wire, f"<{stanza} to='{to}' id='x'><q xmlns='urn:example:q'/></{name}>")
    assert found == condition


async def test_addresses_are_compared_in_their_normal_form(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    local, _, rest = bob.jid.partition("@")
    domain, _, resource = rest.partition("/")
    for number, to in enumerate(
        (
            f"{local.upper()}@{domain}",
            f"{local}@{domain.upper()}",
            f"{local}@{domain}.",
            f"{local.upper()}@{domain.upper()}/{resource}",
        )
    ):
        await ann.send(f"<message to='{to}' id='n{number}'><body>hello</body></message>")
        assert await bob.expect(f"message[@id='n{number}']") is not None


async def test_a_resource_is_compared_exactly(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in(resource="Phone")
    await ann.send(
        f"<message to='{bob.jid.swapcase().replace('LOCALHOST', 'localhost')}' id='x'><body>x</body></message>"
    )
    assert await ann.expect("message[@id='x'][@type='error']") is not None


# Nobody can tell a person of another company from nobody


STANZAS = [
    "<message to='{to}' id='same' type='chat'><body>hello</body></message>",
    "<message to='{to}' id='same'><body>hello</body></message>",
    "<message to='{to}/phone' id='same' type='chat'><body>hello</body></message>",
    "<message to='{to}' id='same' type='headline'><body>hello</body></message>",
    "<message to='{to}' id='same' type='groupchat'><body>hello</body></message>",
    "<iq to='{to}' id='same' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    "<iq to='{to}' id='same' type='get'><vCard xmlns='vcard-temp'/></iq>",
    "<iq to='{to}' id='same' type='get'><query xmlns='jabber:iq:last'/></iq>",
    "<iq to='{to}' id='same' type='get'><query xmlns='jabber:iq:roster'/></iq>",
    "<iq to='{to}' id='same' type='set'><query xmlns='jabber:iq:roster'><item jid='a@localhost'/></query></iq>",
    "<iq to='{to}' id='same' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq to='{to}' id='same' type='set'><query xmlns='urn:example:unknown'/></iq>",
    "<iq to='{to}/phone' id='same' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<presence to='{to}' id='same'/>",
    "<presence to='{to}' id='same' type='unavailable'/>",
    "<presence to='{to}' id='same' type='probe'/>",
    "<presence to='{to}' id='same' type='subscribe'/>",
    "<presence to='{to}' id='same' type='subscribed'/>",
    "<presence to='{to}' id='same' type='unsubscribe'/>",
    "<presence to='{to}' id='same' type='unsubscribed'/>",
]


@pytest.mark.parametrize("is_online", [True, False], ids=["online", "offline"])
@pytest.mark.parametrize("stanza", STANZAS)
async def test_somebody_of_another_company_looks_like_nobody(
    door: Door, stanza: str, is_online: bool
) -> None:
    stranger = door.server.new_person(COMPANIES[1])
    if is_online:
        theirs = await door.log_in(stranger)
    nobody = secrets.token_hex(len(stranger.localpart) // 2 + 1)[: len(stranger.localpart)]
    wire = await door.log_in()
    said = []
    for localpart in (stranger.localpart, nobody):
        start = len(wire.received)
        await wire.send(stanza.format(to=f"{localpart}@localhost"))
        await wire.settle()
        heard = bytes(wire.received[start:])
        said.append(heard.replace(localpart.encode(), b"WHO").partition(b"id='wire")[0])
    assert said[0] == said[1]
    if is_online and "'subscribe'" not in stanza:  # which is an invitation (docs/admin/isolation.md)
        await theirs.expect_none(lambda e: not matches(e, "iq"))


async def test_somebody_of_another_company_is_not_reached_by_a_full_jid(door: Door) -> None:
    theirs = await door.log_in(door.server.new_person(COMPANIES[1]))
    wire = await door.log_in()
    await wire.send(f"<message to='{theirs.jid}' id='x'><body>hello</body></message>")
    await wire.send(f"<presence to='{theirs.jid}'/>")
    await wire.send(f"<iq to='{theirs.jid}' id='y' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert await wire.expect("message[@id='x'][@type='error']") is not None
    assert await wire.expect("iq[@id='y'][@type='error']") is not None
    await theirs.expect_none("message")
    await theirs.expect_none("presence")


async def test_an_error_does_not_repeat_what_was_refused(door: Door) -> None:
    wire = await door.log_in()
    await wire.send("<message to='nobody@localhost' id='x'><body>for nobody's eyes</body></message>")
    error = await wire.expect("message[@id='x']")
    assert [e.tag for e in error] == ["{jabber:client}error"]
    assert child(error, "error").get("type") == "cancel"
