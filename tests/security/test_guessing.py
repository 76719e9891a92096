"""Guessing passwords is slow, for one account and for one address, and shuts nobody else out."""

import asyncio
import time

import pytest

from tests.conformance.sasl_client import Scram
from tests.conformance.wire import SaslFailure
from tests.doors import Door
from tests.strict_server import LIMITS, STRICT, new_address

pytestmark = STRICT

WRONG = "Wrong-9 password"


async def attempt(door: Door, name: str, password: str, mechanism: str = "PLAIN", source: str = "") -> str:
    """One attempt on a connection of its own; the condition of its failure, or "success"."""
    wire = await door.connect(source=source or door.source)
    try:
        await wire.open()
        await wire.authenticate(name, password, mechanism)
    except SaslFailure as failure:
        return failure.condition
    finally:
        wire.abort()
    return "success"


async def until_success(door: Door, name: str, password: str) -> float:
    """Try until it works; how long that took, in seconds."""
    began = time.monotonic()
    async with asyncio.timeout(20):
        while (outcome := await attempt(door, name, password)) != "success":
            assert outcome == "temporary-auth-failure"
            await asyncio.sleep(0.2)
    return time.monotonic() - began


async def until_throttled(door: Door, *names: str) -> tuple[int, float]:
    """Guess wrong, under each of these names in turn; how many guesses were judged, and when the last one was."""
    judged, last = 0, time.monotonic()
    async with asyncio.timeout(30):
        while (outcome := await attempt(door, names[judged % len(names)], WRONG)) == "not-authorized":
            judged += 1
            last = time.monotonic()
    assert outcome == "temporary-auth-failure"
    return judged, last


def has_to_wait(outcome: str, last_failure: float) -> bool:
    """The attempt was not judged; or a slow machine took longer for it than the wait, which is a second at least."""
    return outcome == "temporary-auth-failure" or time.monotonic() - last_failure > 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_after_some_failures_an_account_has_to_wait(strict_door: Door, mechanism: str) -> None:
    person = strict_door.server.new_person()
    judged, last = await until_throttled(strict_door, person.localpart)
    assert judged == pytest.approx(LIMITS["login_failures_per_account_per_minute"] + 1, abs=1)
    assert has_to_wait(await attempt(strict_door, person.localpart, person.password, mechanism), last)
    await until_success(strict_door, person.localpart, person.password)


async def test_the_owner_is_not_shut_out_by_somebody_elsewhere(strict_door: Door) -> None:
    person = strict_door.server.new_person()
    await until_throttled(strict_door, person.localpart)
    assert await attempt(strict_door, person.localpart, person.password, source=new_address()) == "success"


async def test_other_accounts_at_the_same_address_go_on(strict_door: Door) -> None:
    person, colleague = strict_door.server.new_person(), strict_door.server.new_person()
    await until_throttled(strict_door, person.localpart)
    assert await attempt(strict_door, colleague.localpart, colleague.password) == "success"


async def test_the_ways_to_write_a_jid_count_together(strict_door: Door) -> None:
    person = strict_door.server.new_person()
    judged, last = await until_throttled(strict_door, person.localpart, person.jid, person.localpart.upper())
    assert judged <= LIMITS["login_failures_per_account_per_minute"] + 2
    for name in (person.localpart.upper(), person.jid):
        assert has_to_wait(await attempt(strict_door, name, person.password), last)


async def test_nobody_is_throttled_like_somebody(strict_door: Door) -> None:
    person = strict_door.server.new_person()
    said = {
        name: [await attempt(strict_door, name, WRONG, "SCRAM-SHA-256") for _ in range(3)]
        for name in (person.localpart, "x" + person.localpart)
    }
    assert said[person.localpart] == said["x" + person.localpart]


async def test_after_failures_for_many_accounts_an_address_has_to_wait(strict_door: Door) -> None:
    person = strict_door.server.new_person()
    judged, last = await until_throttled(strict_door, *(f"guess{number}" for number in range(30)))
    assert judged == pytest.approx(LIMITS["login_failures_per_address_per_minute"] + 1, abs=1)
    assert has_to_wait(await attempt(strict_door, person.localpart, person.password), last)
    assert await attempt(strict_door, person.localpart, person.password, source=new_address()) == "success"


async def test_an_address_may_only_try_so_often(strict_door: Door) -> None:
    """Also with the right password, and with proofs that it never sends."""
    person = strict_door.server.new_person()
    said: list[str] = []
    async with asyncio.timeout(60):
        while "temporary-auth-failure" not in said:
            wire = await strict_door.opened()
            await wire.send_auth("SCRAM-SHA-256", Scram("SCRAM-SHA-256", person.localpart, "x").first())
            try:
                await wire.sasl_reply()
                said.append("challenge")
            except SaslFailure as failure:
                said.append(failure.condition)
            wire.abort()
    # A new minute begins the count anew.
    assert (
        LIMITS["logins_per_address_per_minute"]
        <= len(said) - 1
        <= 2 * LIMITS["logins_per_address_per_minute"]
    )
    assert await attempt(strict_door, person.localpart, person.password, source=new_address()) == "success"
