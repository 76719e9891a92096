"""Clients that mean no good while they log in by SASL2 (XEP-0388, XEP-0386)."""

import uuid
from base64 import b64encode

import pytest

from tests.conformance.sasl_client import Scram, plain
from tests.conformance.wire import NAMESPACES
from tests.doors import Door
from tests.strict_server import STRICT

SASL2 = NAMESPACES["sasl2"]
BIND = f"<bind xmlns='{NAMESPACES['bind2']}'/>"


@pytest.mark.parametrize("profile", ["sasl", "sasl2"])
async def test_whoever_begins_and_aborts_for_ever_is_cut_off(door: Door, profile: str) -> None:
    wire = await door.opened()
    for _ in range(3):
        first = Scram("SCRAM-SHA-256", "ann", "x").first()
        await (wire.send_auth if profile == "sasl" else wire.send_authenticate)("SCRAM-SHA-256", first)
        await wire.expect(f"{profile}:challenge")
        await wire.send(f"<abort xmlns='{NAMESPACES[profile]}'/>")
        await wire.expect(f"{profile}:failure")
    await wire.expect_stream_error("policy-violation")


@pytest.mark.parametrize(
    "inline",
    [
        "<a xmlns='urn:x'/>" * 600,
        "<a xmlns='urn:x'>" * 70 + "</a>" * 70,
        f"<a xmlns='urn:x' b='{'x' * 11_000}'/>",
    ],
    ids=["many", "deep", "long"],
)
async def test_what_is_asked_for_inline_is_bounded(door: Door, inline: str) -> None:
    wire = await door.opened()
    await wire.send_authenticate("PLAIN", plain("ann", "x"), inline)
    await wire.expect_stream_error("policy-violation")


async def test_a_user_agent_of_any_size_and_kind_does_no_harm(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.opened()
    agent = (
        f"<user-agent id='{'x' * 2000}'><software>{'&lt;' * 500}</software><device/><device/></user-agent>"
    )
    await wire.authenticate2(person.localpart, person.password, inline=agent + agent + BIND)
    await wire.settle()


async def test_two_logins_at_once_end_the_stream(tcp: Door) -> None:
    person = tcp.server.new_person()
    wire = await tcp.opened()
    first = b64encode(Scram("SCRAM-SHA-256", "ann", "x").first()).decode()
    begin = f"<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-256'>"
    login = f"{begin}<initial-response>{first}</initial-response></authenticate>"
    await wire.send_bytes((login * 2).encode())
    await wire.expect_stream_error("policy-violation")
    again = await tcp.opened()
    await again.authenticate2(person.localpart, person.password)


@STRICT
async def test_whoever_leaves_before_the_answer_leaves_nothing_behind(strict_door: Door) -> None:
    """There is room for three sessions; those that nobody waited for take none of it."""
    person = strict_door.server.new_person()
    for _ in range(5):
        wire = await strict_door.opened()
        await wire.send_authenticate("PLAIN", plain(person.localpart, person.password), BIND)
        wire.abort()
    for _ in range(3):
        wire = await strict_door.opened()
        await wire.authenticate2(person.localpart, person.password, inline=BIND)
        await wire.settle()


async def test_a_client_that_comes_back_for_ever_has_one_session(door: Door) -> None:
    person, agent = door.server.new_person(), f"<user-agent id='{uuid.uuid4()}'/>"
    watcher = await door.log_in(person)
    earlier = []
    for _ in range(25):
        wire = await door.opened()
        await wire.authenticate2(person.localpart, person.password, inline=agent + BIND)
        earlier.append(wire)
    await earlier.pop().settle()
    for wire in earlier:
        await wire.expect_stream_error("conflict")
    await watcher.settle()
