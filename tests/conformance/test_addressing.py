"""Addresses and ids are text wherever the server writes them into XML (RFC 6120 §8.1)."""

import pytest

from tests.doors import Door

AWKWARD = """a' id='b" to="c <d/> & e"""
AWKWARD_IN_XML = "a' id='b\" to=\"c &lt;d/> &amp; e"


async def test_a_resource_with_quotes_and_markup_is_bound_as_it_is(door: Door) -> None:
    wire = await door.log_in(resource=AWKWARD_IN_XML)
    assert wire.jid.partition("/")[2].startswith(AWKWARD)


async def test_others_see_such_a_resource_come_speak_and_go(door: Door) -> None:
    person = door.server.new_person()
    left = await door.log_in(person)
    awkward = await door.log_in(person, resource=AWKWARD_IN_XML)
    came = await left.expect("presence")
    await awkward.send(f"<message to='{left.jid}'><body>here</body></message>")
    message = await left.expect("message")
    awkward.abort()
    went = await left.expect("presence[@type='unavailable']")
    assert [came.get("from"), message.get("from"), went.get("from")] == [awkward.jid] * 3
    assert went.get("to") == left.jid.partition("/")[0]


async def test_what_is_sent_to_such_a_resource_and_what_it_is_refused_are_addressed_to_it(door: Door) -> None:
    awkward = await door.log_in(resource=AWKWARD_IN_XML)
    answer = await awkward.iq("get", "<query xmlns='urn:example:nothing'/>")
    pushed = await awkward.iq("set", "<query xmlns='jabber:iq:roster'><item jid='x@localhost'/></query>")
    assert answer.get("to") == awkward.jid
    assert answer.get("type") == "error"
    assert pushed.get("to") == awkward.jid


@pytest.mark.parametrize("to", ["nobody@localhost", "localhost", "bob@elsewhere.example", ""])
@pytest.mark.parametrize("kind", ["iq type='get'", "message"])
async def test_an_error_repeats_the_id_exactly(door: Door, kind: str, to: str) -> None:
    wire = await door.log_in()
    name = kind.split()[0]
    address = f"to='{to}'" if to else "to='nobody@localhost/x'"
    await wire.send(
        f"<{kind} {address} id='{AWKWARD_IN_XML.replace(chr(39), '&apos;')}'><x xmlns='urn:x'/></{name}>"
    )
    error = await wire.expect(f"{name}[@type='error']")
    assert error.get("id") == AWKWARD


async def test_a_bound_resource_is_announced_under_the_id_of_the_request(door: Door) -> None:
    wire = await door.authenticated()
    await wire.send(
        f'<iq type="set" id="{AWKWARD_IN_XML.replace(chr(34), "&quot;")}">'
        "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    )
    assert (await wire.expect("iq")).get("id") == AWKWARD


async def test_two_devices_that_ask_for_the_same_resource_are_both_served(door: Door) -> None:
    person = door.server.new_person()
    first, second = await door.log_in(person, resource="phone"), await door.log_in(person, resource="phone")
    assert first.jid != second.jid
    assert (await first.iq("get", "<ping xmlns='urn:xmpp:ping'/>")).get("type") == "result"
