"""Rosters: reading, writing, pushes and versions (RFC 6121 §2)."""

import pytest

from tests.conformance.rosters import (
    bare,
    befriend,
    get_roster,
    is_push,
    presence_from,
    pushed,
    say,
    set_item,
    state,
)
from tests.conformance.wire import NAMESPACES, Wire, child
from tests.doors import Door
from tests.strict_server import STRICT

NS = NAMESPACES["roster"]


def groups(item: object) -> list[str | None]:
    return [group.text for group in item]  # type: ignore[attr-defined]


async def condition(wire: Wire, query: str, *, kind: str = "set", to: str = "") -> str:
    """The condition with which this roster request is refused."""
    answer = await wire.iq(kind, f"<query xmlns='{NS}'>{query}</query>", to=to)
    assert answer.get("type") == "error"
    return child(answer, "error")[0].tag.partition("}")[2]


# Reading and writing (§2.1 to §2.5)


async def test_a_new_roster_is_empty(door: Door) -> None:
    assert await get_roster(await door.log_in()) == {}


@pytest.mark.parametrize("to", ["", "{bare}"])
async def test_the_roster_comes_from_ones_own_account(door: Door, to: str) -> None:
    wire = await door.log_in()
    answer = await wire.iq("get", f"<query xmlns='{NS}'/>", to=to.format(bare=bare(wire)))
    assert answer.get("type") == "result"
    assert answer.get("from") in (None, bare(wire))


async def test_an_item_is_kept_as_it_was_set(door: Door) -> None:
    wire = await door.log_in()
    names = "name='&lt;Ann&gt; &amp; &quot;Lee&quot; ä'><group>A &amp; B</group><group>ä</group>"
    assert (await set_item(wire, f"<item jid='Ann.Lee@LOCALHOST' {names}</item>")).get("type") == "result"
    roster = await get_roster(wire)
    assert list(roster) == ["ann.lee@localhost"]
    kept = roster["ann.lee@localhost"]
    assert kept.get("name") == '<Ann> & "Lee" ä'
    assert sorted(groups(kept), key=str) == ["A & B", "ä"]
    assert state(kept) == "none"


async def test_the_last_set_counts(door: Door) -> None:
    wire = await door.log_in()
    await set_item(wire, "<item jid='ann@localhost' name='Ann'><group>Friends</group></item>")
    await set_item(wire, "<item jid='ann@localhost'><group>Work</group></item>")
    kept = (await get_roster(wire))["ann@localhost"]
    assert kept.get("name") is None
    assert groups(kept) == ["Work"]


async def test_a_removed_item_is_gone(door: Door) -> None:
    wire = await door.log_in()
    await set_item(wire, "<item jid='ann@localhost' name='Ann'/>")
    assert (await set_item(wire, "<item jid='ann@localhost' subscription='remove'/>")).get("type") == "result"
    assert await get_roster(wire) == {}


@pytest.mark.parametrize(
    "jid", ["bob@elsewhere.example", "elsewhere.example", "nobody@localhost", "localhost"]
)
async def test_anybody_may_be_in_a_roster(door: Door, jid: str) -> None:
    wire = await door.log_in()
    await set_item(wire, f"<item jid='{jid}'/>")
    assert list(await get_roster(wire)) == [jid]


@pytest.mark.parametrize(
    "wish", ["subscription='both'", "ask='subscribe'", "approved='true'", "subscription='nonsense'"]
)
async def test_clients_do_not_decide_over_subscriptions(door: Door, wish: str) -> None:
    wire = await door.log_in()
    await set_item(wire, f"<item jid='ann@localhost' {wish}/>")
    assert state((await get_roster(wire))["ann@localhost"]) == "none"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "bad-request"),
        ("<item jid='a@localhost'/><item jid='b@localhost'/>", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid=''/>", "bad-request"),
        ("<item jid='@localhost'/>", "bad-request"),
        ("<item jid='a b@localhost'/>", "bad-request"),
        ("<item jid='a@localhost/phone'/>", "bad-request"),
        ("<thing jid='a@localhost'/>", "bad-request"),
        ("<item xmlns='urn:x' jid='a@localhost'/>", "bad-request"),
        ("<item jid='a@localhost'><group>x</group><group>x</group></item>", "bad-request"),
        ("<item jid='a@localhost'><group/></item>", "not-acceptable"),
        ("<item jid='a@localhost'><group> </group></item>", "not-acceptable"),
        (f"<item jid='a@localhost' name='{'x' * 1024}'/>", "not-acceptable"),
        (f"<item jid='a@localhost'><group>{'x' * 1024}</group></item>", "not-acceptable"),
        ("<item jid='a@localhost'>" + "".join(f"<group>{n}</group>" for n in range(99)) + "</item>",
         "not-acceptable"),
        ("<item jid='nobody@localhost' subscription='remove'/>", "item-not-found"),
    ],
)  # fmt: skip
async def test_a_set_that_makes_no_sense_changes_nothing(door: Door, query: str, expected: str) -> None:
    wire = await door.log_in()
    assert await condition(wire, query) == expected
    assert await get_roster(wire) == {}
    assert not any(is_push(e) for e in wire.inbox)


async def test_nobody_is_in_their_own_roster(door: Door) -> None:
    wire = await door.log_in()
    assert await condition(wire, f"<item jid='{bare(wire)}'/>") == "not-allowed"


async def test_other_peoples_rosters_are_theirs(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    assert await condition(ann, "", kind="get", to=bare(bob)) == "forbidden"
    assert await condition(ann, "<item jid='a@localhost'/>", to=bare(bob)) == "forbidden"
    assert await get_roster(bob) == {}


async def test_the_server_itself_has_no_roster(door: Door) -> None:
    wire = await door.log_in()
    assert await condition(wire, "", kind="get", to="localhost") == "service-unavailable"


# Pushes (§2.1.6)


async def test_every_interested_resource_hears_of_a_change(door: Door) -> None:
    person = door.server.new_person()
    desk, phone, silent = [await door.log_in(person, presence="") for _ in range(3)]
    await get_roster(desk)
    await get_roster(phone)
    await set_item(desk, "<item jid='ann@localhost' name='Ann'/>")
    for wire in (desk, phone):
        push = await wire.expect(is_push)
        assert push.get("to") == wire.jid
        assert push.get("from") in (None, person.jid)
        assert push.get("id")
        assert child(push, "roster:query/roster:item").get("name") == "Ann"
    await silent.expect_none(is_push)


async def test_a_removal_is_pushed(door: Door) -> None:
    wire = await door.log_in()
    await set_item(wire, "<item jid='ann@localhost'/>")
    await get_roster(wire)
    await set_item(wire, "<item jid='ann@localhost' subscription='remove'/>")
    item = await pushed(wire)
    assert (item.get("jid"), item.get("subscription")) == ("ann@localhost", "remove")


@pytest.mark.parametrize(
    "answer", ["<iq type='result' id='{id}'/>", "<iq type='error' id='{id}'><error type='cancel'/></iq>"]
)
async def test_the_answer_to_a_push_is_not_answered(door: Door, answer: str) -> None:
    wire = await door.log_in()
    await get_roster(wire)
    await set_item(wire, "<item jid='ann@localhost'/>")
    push = await wire.expect(is_push)
    await wire.send(answer.format(id=push.get("id")))
    await wire.settle()
    assert not wire.inbox


async def test_a_push_that_somebody_else_sends_does_not_look_like_the_servers(door: Door) -> None:
    """A client tells by `from` (§2.1.6); nobody else can send without one."""
    ann, bob = await door.log_in(), await door.log_in()
    await ann.send(
        f"<iq type='set' id='x' to='{bob.jid}'><query xmlns='{NS}'><item jid='e@localhost'/></query></iq>"
    )
    assert (await bob.expect(is_push)).get("from") == ann.jid


# Versions (§2.6)


async def roster_since(wire: Wire, version: str) -> tuple[str | None, dict[str, str]] | None:
    """The version and the items of the answer; None when the client's copy is current or will be made so."""
    answer = await wire.iq("get", f"<query xmlns='{NS}' ver='{version}'/>")
    assert answer.get("type") == "result"
    query = answer.find(f"{{{NS}}}query")
    if query is None:
        return None
    return query.get("ver"), {item.get("jid", ""): item.get("name", "") for item in query}


@pytest.mark.parametrize("version", ["", "made-up", "999999", "-1", "٣", "1e3", "9" * 40])
async def test_a_version_the_server_does_not_know_brings_the_whole_roster(door: Door, version: str) -> None:
    wire = await door.log_in()
    await set_item(wire, "<item jid='ann@localhost' name='Ann'/>")
    found = await roster_since(wire, version)
    assert found is not None
    assert found[0]
    assert found[1] == {"ann@localhost": "Ann"}


async def test_who_is_up_to_date_hears_nothing(door: Door) -> None:
    wire = await door.log_in()
    await set_item(wire, "<item jid='ann@localhost'/>")
    found = await roster_since(wire, "")
    assert found is not None
    assert await roster_since(wire, found[0] or "") is None
    await wire.expect_none(is_push)


async def test_what_was_missed_comes_as_pushes_in_order(door: Door) -> None:
    person = door.server.new_person()
    desk, phone = await door.log_in(person), await door.log_in(person)
    for name in ("ann", "bob", "cem"):
        await set_item(desk, f"<item jid='{name}@localhost'/>")
    known = await roster_since(phone, "")
    assert known is not None
    await phone.close()
    await set_item(desk, "<item jid='ann@localhost' name='Ann'/>")
    await set_item(desk, "<item jid='bob@localhost' subscription='remove'/>")
    await set_item(desk, "<item jid='dan@localhost' name='Dan'/>")
    await set_item(desk, "<item jid='ann@localhost' name='Anna'/>")
    phone = await door.log_in(person)
    assert await roster_since(phone, known[0] or "") is None
    pushes = [await phone.expect(is_push) for _ in range(3)]
    items = [child(push, "roster:query/roster:item") for push in pushes]
    assert [(i.get("jid"), i.get("name"), i.get("subscription")) for i in items] == [
        ("bob@localhost", None, "remove"),
        ("dan@localhost", "Dan", "none"),
        ("ann@localhost", "Anna", "none"),
    ]
    versions = [int(child(push, "roster:query").get("ver", "")) for push in pushes]
    assert versions == sorted(versions)
    assert await roster_since(phone, str(versions[-1])) is None
    await phone.expect_none(is_push)


async def test_the_version_of_a_push_is_the_one_to_ask_with(door: Door) -> None:
    wire = await door.log_in()
    await roster_since(wire, "")
    await set_item(wire, "<item jid='ann@localhost'/>")
    version = child(await wire.expect(is_push), "roster:query").get("ver")
    assert await roster_since(wire, version or "") is None
    await wire.expect_none(is_push)


# Removal and subscriptions (§2.5.2)


async def test_who_is_removed_is_unsubscribed_both_ways(door: Door) -> None:
    ann, bob = await door.log_in(), await door.log_in()
    await befriend(ann, bob)
    await set_item(ann, f"<item jid='{bare(bob)}' subscription='remove'/>")
    assert (await pushed(ann)).get("subscription") == "remove"
    for kind in ("unsubscribe", "unsubscribed"):
        assert (await presence_from(bob, bare(ann), kind)).get("to") == bare(bob)
    assert await presence_from(bob, ann.jid, "unavailable") is not None
    assert await presence_from(ann, bob.jid, "unavailable") is not None
    await bob.settle()
    assert state((await get_roster(bob))[bare(ann)]) == "none"


# Limits


@STRICT
async def test_a_full_roster_takes_nobody_else(strict_door: Door) -> None:
    wire = await strict_door.log_in()
    for number in range(5):
        await set_item(wire, f"<item jid='c{number}@localhost'/>")
    assert await condition(wire, "<item jid='c5@localhost'/>") == "resource-constraint"
    await say(wire, "subscribe", "c6@localhost")
    error = await wire.expect("presence[@type='error']")
    assert child(error, "error/stanzas:resource-constraint") is not None
    assert (await set_item(wire, "<item jid='c1@localhost' name='One'/>")).get("type") == "result"
    await set_item(wire, "<item jid='c0@localhost' subscription='remove'/>")
    assert (await set_item(wire, "<item jid='c5@localhost'/>")).get("type") == "result"
    assert len(await get_roster(wire)) == 5
