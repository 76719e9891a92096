"""Binding inline with SASL2 (XEP-0386)."""

import uuid

import pytest

from tests.conformance.wire import NAMESPACES, SaslFailure, Wire, child
from tests.doors import Door
from tests.process import Person
from tests.strict_server import STRICT

BIND2 = NAMESPACES["bind2"]


def asking(tag: str = "", agent: str = "", features: str = "") -> str:
    """A wish for a resource, and the id of the client."""
    said = f"<user-agent id='{agent}'><software>Wire</software></user-agent>" if agent else ""
    return f"{said}<bind xmlns='{BIND2}'>{f'<tag>{tag}</tag>' if tag else ''}{features}</bind>"


async def bind(door: Door, person: Person, inline: str, *, wire: Wire | None = None) -> Wire:
    """Somebody logs in with this wish; what follows `<success/>` has been read."""
    wire = wire or await door.opened()
    success = await wire.authenticate2(person.localpart, person.password, inline=inline)
    assert child(success, "bind2:bound") is not None
    wire.features = await wire.expect("stream:features")
    return wire


def resource(wire: Wire) -> str:
    return wire.jid.partition("/")[2]


async def test_a_login_takes_one_round_trip_less_and_ends_with_a_session(door: Door) -> None:
    person, other = door.server.new_person(), await door.log_in()
    wire = await bind(door, person, asking("AwesomeXMPP"))
    assert wire.jid.startswith(f"{person.jid}/AwesomeXMPP/")
    await wire.send(f"<message to='{other.jid}'><body>in</body></message>")
    assert (await other.expect("message")).get("from") == wire.jid


async def test_a_bound_stream_offers_no_binding_and_gets_no_second_resource(door: Door) -> None:
    wire = await bind(door, door.server.new_person(), asking())
    assert wire.features is not None
    assert wire.features.find(f"{{{NAMESPACES['bind']}}}bind") is None
    assert wire.features.find("{urn:xmpp:features:rosterver}ver") is not None
    answer = await wire.iq("set", f"<bind xmlns='{NAMESPACES['bind']}'/>")
    assert child(answer, "error/stanzas:not-allowed") is not None


async def test_by_plain_it_is_one_request_and_one_answer(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    success = await wire.authenticate2(person.localpart, person.password, "PLAIN", inline=asking("x"))
    assert (success.findtext("{urn:xmpp:sasl:2}authorization-identifier") or "").startswith(
        f"{person.jid}/x/"
    )


async def test_a_feature_that_is_not_known_is_ignored(door: Door) -> None:
    wire = await bind(door, door.server.new_person(), asking(features="<enable xmlns='urn:example:x'/>"))
    await wire.settle()


@pytest.mark.parametrize(
    "tag", ["x" * 201, "a&#x9;b", "\u0378", " "], ids=["long", "tab", "unassigned", "blank"]
)
async def test_a_tag_that_cannot_be_part_of_a_resource_is_left_out(door: Door, tag: str) -> None:
    wire = await bind(door, door.server.new_person(), asking(tag))
    assert "/" not in resource(wire)
    assert len(resource(wire)) >= 12


@pytest.mark.parametrize("tag", ["Müller's Büro", "a/b@c", "日本"])
async def test_a_tag_is_taken_as_it_is(door: Door, tag: str) -> None:
    wire = await bind(door, door.server.new_person(), asking(tag.replace("'", "&apos;")))
    assert resource(wire).rpartition("/")[0] == tag


# Stable resources


async def test_the_same_client_gets_the_same_resource_again(door: Door) -> None:
    person, agent = door.server.new_person(), str(uuid.uuid4())
    first = await bind(door, person, asking("Wire", agent))
    await first.close()
    again = await bind(door, person, asking("Wire", agent.upper()))
    assert again.jid == first.jid
    assert agent[:8] not in again.jid


async def test_other_clients_tags_and_people_get_other_resources(door: Door) -> None:
    ann, bob, agent = door.server.new_person(), door.server.new_person(), str(uuid.uuid4())
    wishes = [(ann, asking("a", agent)), (ann, asking("b", agent)), (ann, asking("a", str(uuid.uuid4()))),
              (bob, asking("a", agent))]  # fmt: skip
    endings = [resource(await bind(door, person, wish)).rpartition("/")[2] for person, wish in wishes]
    assert len(set(endings)) == len(wishes)


@pytest.mark.parametrize("agent", ["", "me", "d4565fa7-4d72-1749-b3d3-740edbf87770", "x" * 36])
async def test_without_a_proper_id_each_login_has_a_resource_of_its_own(door: Door, agent: str) -> None:
    person = door.server.new_person()
    first, second = await bind(door, person, asking("a", agent)), await bind(door, person, asking("a", agent))
    assert first.jid != second.jid
    await first.settle()


async def test_an_earlier_session_of_the_same_client_ends(door: Door) -> None:
    person, agent = door.server.new_person(), str(uuid.uuid4())
    other = await bind(door, person, asking("Wire", str(uuid.uuid4())))
    classic = await door.log_in(person)
    first = await bind(door, person, asking("Wire", agent))
    renamed = await bind(door, person, asking("Wire 2", agent))
    await first.expect_stream_error("conflict")
    again = await bind(door, person, asking("Wire 2", agent))
    await renamed.expect_stream_error("conflict")
    assert again.jid == renamed.jid
    for wire in (other, classic, again):
        await wire.settle()


async def test_contacts_see_the_earlier_session_go(door: Door) -> None:
    person, agent = door.server.new_person(), str(uuid.uuid4())
    watcher = await door.log_in(person)
    first = await bind(door, person, asking("Wire", agent))
    await first.send("<presence/>")
    await watcher.expect(f"presence[@from='{first.jid}']")
    again = await bind(door, person, asking("Wire", agent))
    assert await watcher.expect(f"presence[@from='{first.jid}'][@type='unavailable']") is not None
    await again.send("<presence/>")
    assert await watcher.expect(f"presence[@from='{again.jid}']") is not None


@STRICT
async def test_too_many_devices_are_told_so_and_a_client_that_comes_back_is_not(strict_door: Door) -> None:
    person, agent = strict_door.server.new_person(), str(uuid.uuid4())
    await bind(strict_door, person, asking("Wire", agent))
    for _ in range(2):
        await bind(strict_door, person, asking())
    wire = await strict_door.opened()
    with pytest.raises(SaslFailure, match="temporary-auth-failure"):
        await bind(strict_door, person, asking(), wire=wire)
    await bind(strict_door, person, asking("Wire", agent), wire=wire)
