"""What language a stanza is in, when it does not say so itself (RFC 6120 §4.7.4, §8.1.5)."""

import pytest

from tests.conformance.rosters import befriend
from tests.conformance.wire import Wire
from tests.doors import Door
from tests.process import Person

LANG = "{http://www.w3.org/XML/1998/namespace}lang"


async def speaking(door: Door, lang: str, person: Person | None = None) -> Wire:
    """A bound resource whose stream is in this language ("" = it names none)."""
    person = person or door.server.new_person()
    wire = await door.connect()
    await wire.open(lang="fr")  # what was said before the restart counts no more
    await wire.authenticate(person.localpart, person.password)
    await wire.open(lang=lang)
    await wire.bind()
    await wire.send("<presence/>")
    await wire.expect("presence")
    return wire


@pytest.mark.parametrize("lang", ["de", "de-AT", "en-GB"])
@pytest.mark.parametrize("stanza", ["message", "presence", "iq type='get' id='1'"])
async def test_stanzas_without_a_language_get_that_of_their_stream(
    door: Door, stanza: str, lang: str
) -> None:
    ann, bob = await speaking(door, lang), await door.log_in()
    name = stanza.partition(" ")[0]
    await ann.send(f"<{stanza} to='{bob.jid}'><x xmlns='urn:example:x'/></{name}>")
    received = await bob.expect(name)
    assert received.get(LANG) == lang
    assert received.get("from") == ann.jid


@pytest.mark.parametrize("own", ["fr", "en", ""])
async def test_a_stanza_that_says_its_language_is_left_alone(door: Door, own: str) -> None:
    ann, bob = await speaking(door, "de"), await door.log_in()
    await ann.send(f"<message to='{bob.jid}' xml:lang='{own}'><body xml:lang='it'>ciao</body></message>")
    received = await bob.expect("message")
    assert received.get(LANG) == own
    assert received[0].get(LANG) == "it"


@pytest.mark.parametrize("lang", ["en", "", "x" * 99, "-", "a--b"])
async def test_what_receivers_assume_anyway_is_not_said(door: Door, lang: str) -> None:
    ann, bob = await speaking(door, lang), await door.log_in()
    await ann.send(f"<message to='{bob.jid}'><body>hello</body></message>")
    assert LANG not in (await bob.expect("message")).attrib


async def test_status_and_requests_to_subscribe_say_it_too(door: Door) -> None:
    person = door.server.new_person()
    bob = await door.log_in()
    ann = await speaking(door, "de", person)
    await befriend(ann, bob)
    await ann.send("<presence><status>weg</status></presence>")
    received = await bob.expect(f"presence[@from='{ann.jid}']/status/..")
    assert received.get(LANG) == "de"
    carol = await door.log_in()
    await ann.send(
        f"<presence type='subscribe' to='{carol.jid.partition('/')[0]}'><status>bitte</status></presence>"
    )
    assert (await carol.expect("presence[@type='subscribe']")).get(LANG) == "de"


async def test_a_message_that_waits_keeps_its_language(door: Door) -> None:
    ann, person = await speaking(door, "de"), door.server.new_person()
    await ann.send(f"<message to='{person.jid}' type='chat'><body>bis gleich</body></message>")
    await ann.settle()
    bob = await door.log_in(person)
    assert (await bob.expect("message")).get(LANG) == "de"


async def test_with_sasl2_the_only_header_counts(door: Door) -> None:
    person, bob = door.server.new_person(), await door.log_in()
    ann = await door.connect()
    await ann.open(lang="de")
    await ann.authenticate2(person.localpart, person.password, inline="<bind xmlns='urn:xmpp:bind:0'/>")
    await ann.send(f"<message to='{bob.jid}'><body>hallo</body></message>")
    assert (await bob.expect("message")).get(LANG) == "de"
