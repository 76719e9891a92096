"""Subscriptions from both ends, online and offline (RFC 6121 §3); the state tables are in tests/unit."""

from tests.conformance.rosters import (
    bare,
    befriend,
    get_roster,
    is_push,
    presence_from,
    pushed,
    say,
    state,
    subscribe,
)
from tests.conformance.wire import Wire
from tests.doors import Door


def names(wire: Wire) -> list[str]:
    """What is in the inbox, in order: presence types, and "push" for roster pushes."""
    found = []
    for element in wire.inbox:
        if element.tag == "{jabber:client}presence":
            found.append(element.get("type", "available"))
        elif is_push(element):
            found.append("push")
    return found


async def two(door: Door) -> tuple[Wire, Wire]:
    """Two people who are interested in their rosters and available."""
    ann, bob = await door.log_in(), await door.log_in()
    await get_roster(ann)
    await get_roster(bob)
    return ann, bob


async def test_a_request_goes_to_the_contact_and_shows_as_pending(door: Door) -> None:
    ann, bob = await two(door)
    await ann.send(
        f"<presence type='subscribe' id='s1' to='{bare(bob)}'>"
        "<status>we met</status><nick xmlns='http://jabber.org/protocol/nick'>Ann</nick></presence>"
    )
    assert state(await pushed(ann)) == "none+ask"
    request = await presence_from(bob, bare(ann), "subscribe")
    assert (request.get("to"), request.get("id")) == (bare(bob), "s1")
    assert request.findtext("{jabber:client}status") == "we met"
    assert request.findtext("{http://jabber.org/protocol/nick}nick") == "Ann"
    assert await get_roster(bob) == {}
    await bob.expect_none(is_push)


async def test_a_request_to_a_full_jid_is_one_to_the_person(door: Door) -> None:
    ann, bob = await two(door)
    await say(ann, "subscribe", bob.jid)
    assert (await presence_from(bob, bare(ann), "subscribe")).get("to") == bare(bob)
    assert (await pushed(ann)).get("jid") == bare(bob)


async def test_an_approved_subscriber_hears_of_it_then_sees_it_then_sees_the_contact(door: Door) -> None:
    ann, bob = await two(door)
    await say(ann, "subscribe", bare(bob))
    await presence_from(bob, bare(ann), "subscribe")
    await pushed(ann)
    await say(bob, "subscribed", bare(ann))
    await presence_from(ann, bob.jid)
    assert names(ann) == ["subscribed", "push"]
    assert state(await pushed(ann)) == "to"
    assert state(await pushed(bob)) == "from"
    assert (await presence_from(ann, bare(bob), "subscribed")).get("to") == bare(ann)


async def test_both_directions_make_it_mutual(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await befriend(ann, bob)
    assert state((await get_roster(ann))[bare(bob)]) == "both"
    assert state((await get_roster(bob))[bare(ann)]) == "both"


async def test_a_denied_request_is_no_longer_pending(door: Door) -> None:
    ann, bob = await two(door)
    await say(ann, "subscribe", bare(bob))
    await presence_from(bob, bare(ann), "subscribe")
    await pushed(ann)
    await say(bob, "unsubscribed", bare(ann))
    assert await presence_from(ann, bare(bob), "unsubscribed") is not None
    assert state(await pushed(ann)) == "none"
    assert await get_roster(bob) == {}
    again = await door.log_in(None)
    await bob.expect_none("presence[@type='subscribe']")
    del again


async def test_a_cancelled_subscriber_sees_every_device_go(door: Door) -> None:
    person = door.server.new_person()
    ann, desk, phone = await door.log_in(), await door.log_in(person), await door.log_in(person)
    await get_roster(ann)
    await get_roster(desk)
    await subscribe(ann, desk)
    await say(desk, "unsubscribed", bare(ann))
    assert await presence_from(ann, desk.jid, "unavailable") is not None
    assert await presence_from(ann, phone.jid, "unavailable") is not None
    assert await presence_from(ann, person.jid, "unsubscribed") is not None
    assert state(await pushed(ann)) == "none"
    assert state(await pushed(desk)) == "none"
    await desk.send("<presence><show>away</show></presence>")
    await desk.settle()
    await ann.expect_none("presence")


async def test_who_unsubscribes_sees_the_contact_go(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await befriend(ann, bob)
    await say(ann, "unsubscribe", bare(bob))
    assert await presence_from(bob, bare(ann), "unsubscribe") is not None
    assert state(await pushed(ann)) == "from"
    assert state(await pushed(bob)) == "to"
    assert await presence_from(ann, bob.jid, "unavailable") is not None
    await bob.send("<presence><show>away</show></presence>")
    await bob.settle()
    await ann.expect_none("presence")
    await ann.send("<presence><show>away</show></presence>")
    assert await presence_from(bob, ann.jid) is not None


# While the contact is not there (§3.1.3)


async def test_a_request_waits_until_the_contact_comes(door: Door) -> None:
    ann, contact = await door.log_in(), door.server.new_person()
    await ann.send(f"<presence type='subscribe' id='s1' to='{contact.jid}'><status>hello</status></presence>")
    await ann.settle()
    bob = await door.log_in(contact, presence="")
    await bob.expect_none("presence")
    await bob.send("<presence/>")
    request = await presence_from(bob, bare(ann), "subscribe")
    assert request.get("id") == "s1"
    assert request.findtext("{jabber:client}status") == "hello"


async def test_a_request_comes_at_each_login_until_it_is_answered(door: Door) -> None:
    ann, contact = await door.log_in(), door.server.new_person()
    await say(ann, "subscribe", contact.jid)
    await ann.settle()
    for _ in range(2):
        bob = await door.log_in(contact)
        await presence_from(bob, bare(ann), "subscribe")
        await bob.close()
    bob = await door.log_in(contact)
    phone = await door.log_in(contact)
    await presence_from(bob, bare(ann), "subscribe")
    await presence_from(phone, bare(ann), "subscribe")
    await say(bob, "subscribed", bare(ann))
    await bob.settle()
    await bob.close()
    again = await door.log_in(contact)
    await again.expect_none("presence[@type='subscribe']")


async def test_a_request_that_is_repeated_is_delivered_once(door: Door) -> None:
    ann, bob = await two(door)
    await say(ann, "subscribe", bare(bob))
    await presence_from(bob, bare(ann), "subscribe")
    await say(ann, "subscribe", bare(bob))
    await ann.settle()
    later = await door.log_in(None)
    await bob.expect_none("presence[@type='subscribe']")
    del later


async def test_an_approval_reaches_a_subscriber_who_comes_later(door: Door) -> None:
    viewer = door.server.new_person()
    ann, bob = await door.log_in(viewer), await door.log_in()
    await say(ann, "subscribe", bare(bob))
    await presence_from(bob, viewer.jid, "subscribe")
    await ann.close()
    await say(bob, "subscribed", viewer.jid)
    await bob.settle()
    ann = await door.log_in(viewer)
    assert await presence_from(ann, bob.jid) is not None
    assert state((await get_roster(ann))[bare(bob)]) == "to"


async def test_a_withdrawn_request_does_not_come(door: Door) -> None:
    ann, contact = await door.log_in(), door.server.new_person()
    await say(ann, "subscribe", contact.jid)
    await say(ann, "unsubscribe", contact.jid)
    await ann.settle()
    bob = await door.log_in(contact)
    await bob.expect_none("presence[@type='subscribe']")


# Approving before being asked (§3.4)


async def test_who_was_approved_before_asking_is_let_in_at_once(door: Door) -> None:
    ann, bob = await two(door)
    await say(bob, "subscribed", bare(ann))
    assert state(await pushed(bob)) == "none+approved"
    await ann.expect_none("presence")
    await say(ann, "subscribe", bare(bob))
    assert await presence_from(ann, bare(bob), "subscribed") is not None
    assert await presence_from(ann, bob.jid) is not None
    assert (await pushed(bob)).get("subscription") == "from"
    assert [state(await pushed(ann)) for _ in range(2)] == ["none+ask", "to"]
    await bob.expect_none("presence[@type='subscribe']")


async def test_an_approval_can_be_taken_back(door: Door) -> None:
    ann, bob = await two(door)
    await say(bob, "subscribed", bare(ann))
    assert state(await pushed(bob)) == "none+approved"
    await say(bob, "unsubscribed", bare(ann))
    await bob.settle()
    assert "approved" not in state((await get_roster(bob)).get(bare(ann), await pushed(bob)))
    await say(ann, "subscribe", bare(bob))
    assert await presence_from(bob, bare(ann), "subscribe") is not None


# What makes no difference


async def test_who_asks_again_is_answered_by_the_server(door: Door) -> None:
    ann, bob = await two(door)
    await subscribe(ann, bob)
    await say(ann, "subscribe", bare(bob))
    await ann.settle()
    await bob.expect_none("presence[@type='subscribe']")


async def test_an_answer_that_nobody_asked_for_changes_nothing(door: Door) -> None:
    ann, bob = await two(door)
    for kind in ("subscribed", "unsubscribed", "unsubscribe"):
        await say(ann, kind, bare(bob))
    await ann.settle()
    await bob.settle()
    assert not bob.inbox
    assert await get_roster(bob) == {}


async def test_nobody_subscribes_to_themselves(door: Door) -> None:
    ann, _ = await two(door)
    for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
        await say(ann, kind, bare(ann))
    await ann.settle()
    assert not ann.inbox
    assert await get_roster(ann) == {}


async def test_a_request_to_nobody_stays_pending(door: Door) -> None:
    ann, _ = await two(door)
    await say(ann, "subscribe", "nobody@localhost")
    assert state(await pushed(ann)) == "none+ask"
    await ann.settle()
    assert not ann.inbox


async def test_a_request_to_another_server_is_refused(door: Door) -> None:
    ann, _ = await two(door)
    await say(ann, "subscribe", "bob@elsewhere.example")
    error = await presence_from(ann, "bob@elsewhere.example", "error")
    assert error.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-not-found") is not None


async def test_a_resource_that_did_not_ask_for_the_roster_is_not_told(door: Door) -> None:
    """Of subscriptions only "subscribe" goes to resources that are merely available (§3.1.3, §3.1.6)."""
    person = door.server.new_person()
    desk, phone, bob = await door.log_in(person), await door.log_in(person), await door.log_in()
    await get_roster(desk)
    await say(desk, "subscribe", bare(bob))
    await presence_from(bob, person.jid, "subscribe")
    await say(bob, "subscribed", person.jid)
    await presence_from(desk, bare(bob), "subscribed")
    assert await presence_from(phone, bob.jid) is not None
    await phone.expect_none("presence[@type='subscribed']")
    await phone.expect_none(is_push)
