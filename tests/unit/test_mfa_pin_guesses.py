"""However somebody asks, asks again and guesses: no more guesses are judged than tries of PINs that were sent."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

import pytest

from rainbow_xmpp.auth.tightening import tightened
from rainbow_xmpp.config.auth import Password
from rainbow_xmpp.plugins.mfa_pin.states import Request, Rules, State
from rainbow_xmpp.plugins.mfa_pin.store import Requests, Row
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import CompanySettings, PasswordNeed

RULES = Rules(lifetime_s=600, tries=3, first_wait_s=60, sends=4)


def row(now: int, purpose: str = "reset", subject: str = "s") -> Row:
    return Row(
        id=secrets.token_hex(16),
        purpose=purpose,
        subject=subject,
        source="n",
        company_id="c",
        account_id="a",
        region="emea",
        template="reset-pin",
        language="en",
        address=b"sealed",
        hash=f"hash {secrets.token_hex(4)}",
        life=Request.begun(now, RULES, is_real=True),
    )


async def kept(store: Store, *new: Row) -> Requests:
    requests = Requests(store)
    async with store.write() as connection:
        for each in new:
            await requests.add(connection, each)
    return requests


async def test_a_newer_pin_ends_those_before_it_of_the_same_address_and_purpose(store: Store) -> None:
    old, other_purpose, somebody_elses, new = (
        row(1000),
        row(1000, "register"),
        row(1000, subject="t"),
        row(1001),
    )
    requests = await kept(store, old, other_purpose, somebody_elses, new)
    async with store.write() as connection:
        await requests.void_others(connection, new, is_quiet=False)
    assert await requests.spend(old.id, "reset", 1002) is None
    for each in (other_purpose, somebody_elses, new):
        assert await requests.spend(each.id, each.purpose, 1002) is not None


async def test_what_is_held_back_ends_nothing_and_gives_nothing_to_guess(store: Store) -> None:
    """A stranger who asks too often neither takes the owner's PIN away nor gets more tries at it."""
    first, second = row(1000), row(1000)
    requests = await kept(store, first, second)
    await requests.spend(first.id, "reset", 1001)
    spent = await requests.get(first.id)
    assert spent is not None
    async with store.write() as connection:
        assert await requests.send_again(connection, spent, "another", RULES, 1060, is_quiet=True)
        await requests.void_others(connection, spent, is_quiet=True)
    after = await requests.get(first.id)
    assert after is not None
    assert (after.hash, after.life.tries_left, after.life.expires_at) == (
        first.hash,
        RULES.tries - 1,
        first.life.expires_at,
    )
    assert after.life == spent.life.held_back(1060, RULES)
    assert (after.life.sends, after.life.next_send_at) == (2, 1060 + 120)
    assert await requests.spend(second.id, "reset", 1061) is not None


async def test_those_who_ask_at_once_are_counted_one_after_the_other(store: Store) -> None:
    requests, most = Requests(store), 5

    async def ask() -> bool:
        new = row(1000)
        async with store.write() as connection:
            load = await requests.settled_load(connection, "s", "n", "c", 1000)
            if load.subject >= most:
                return False
            await requests.add(connection, new)
            return True

    assert sum(await asyncio.gather(*(ask() for _ in range(50)))) == most


async def test_a_try_is_given_back_to_a_right_pin_only_while_it_is_good(store: Store) -> None:
    new = row(1000)
    requests = await kept(store, new)
    spent = await requests.spend(new.id, "reset", 1001)
    assert spent is not None
    await requests.give_back(spent)
    again = await requests.get(new.id)
    assert again is not None and again.life.tries_left == RULES.tries
    async with store.write() as connection:
        assert await requests.use(connection, new)
    await requests.give_back(spent)
    assert await requests.spend(new.id, "reset", 1002) is None


@pytest.mark.parametrize("back_s", [700, 3600, 10**6])
async def test_a_clock_that_is_put_back_makes_no_pin_live_longer(store: Store, back_s: int) -> None:
    """Neither a first one, nor one that was sent again a while after the request began."""
    new = row(10_000)
    requests = await kept(store, new)
    assert await requests.spend(new.id, "reset", 10_000 - back_s) is None
    async with store.write() as connection:
        assert await requests.send_again(connection, new, "another", RULES, 12_000)
    for now in (12_000 - back_s, 10_000, 12_600):
        found = await requests.get(new.id)
        assert found is not None and not found.life.is_open(now)
        assert await requests.spend(new.id, "reset", now) is None
    assert await requests.spend(new.id, "reset", 12_001) is not None


async def test_a_clock_that_jumps_forward_ends_pins_and_opens_none(store: Store) -> None:
    new = row(1000)
    requests = await kept(store, new)
    assert await requests.spend(new.id, "reset", 10**9) is None
    assert await requests.spend(new.id, "reset", 1001) is not None  # and back: in its time, it is what it was
    found = await requests.get(new.id)
    assert found is not None and found.life.at(10**9).state is State.EXPIRED


def test_a_company_wants_more_of_passwords_and_never_less() -> None:
    lax = Password(min_length=8, special=False, digit=False)
    strict = tightened(lax, CompanySettings(password_min_length=14, password_needs=(PasswordNeed.DIGIT,)))
    assert (strict.min_length, strict.digit, strict.special) == (14, True, False)
    assert tightened(lax, CompanySettings(password_min_length=4)) == lax
    assert tightened(replace(lax, min_length=64, max_length=64), CompanySettings()).min_length == 64
