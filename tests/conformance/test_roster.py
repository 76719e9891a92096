"""Rosters: what is refused, odd versions, limits (RFC 6121 §2); the rest is told by plays."""

import pytest

from tests.conformance.rosters import (
    get_roster,
    is_push,
    say,
    set_item,
)
from tests.conformance.wire import NAMESPACES, Wire, child
from tests.doors import Door
from tests.strict_server import STRICT

NS = NAMESPACES["roster"]


async def condition(wire: Wire, query: str, *, kind: str = "set", to: str = "") -> str:
    """The condition with which this roster request is refused."""
    answer = await wire.iq(kind, f"<query xmlns='{NS}'>{query}</query>", to=to)
    assert answer.get("type") == "error"
    return child(answer, "error")[0].tag.partition("}")[2]


# Sets (§2.3 to §2.5)


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


async def test_the_server_itself_has_no_roster(door: Door) -> None:
    wire = await door.log_in()
    assert await condition(wire, "", kind="get", to="localhost") == "service-unavailable"


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
