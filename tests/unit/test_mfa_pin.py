"""The life of a PIN: every order of events, as values and as rows."""

from __future__ import annotations

import asyncio
import itertools
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.plugins.mfa_pin.pins import Pins
from rainbow_xmpp.plugins.mfa_pin.states import TRANSITIONS, Request, Rules, Seen, State
from rainbow_xmpp.plugins.mfa_pin.store import Requests, Row
from rainbow_xmpp.store import Store

RULES = Rules(lifetime_s=600, tries=3, first_wait_s=60, sends=3)
EVENTS = ("wrong", "right", "again", "minute", "ten minutes", "back")
LAPSE = {"minute": 61, "ten minutes": 600, "back": -3600}


def walked(events: tuple[str, ...], *, is_real: bool = True) -> tuple[Request, int, int]:
    """The request after these events; how often it let somebody through, how many guesses were judged."""
    now, through, judged = 1_000_000, 0, 0
    request = Request.begun(now, RULES, is_real=is_real)
    for event in events:
        now += LAPSE.get(event, 0)
        if event == "again":
            request = request.sent_again(now, RULES)
        elif event in ("wrong", "right"):
            judged += request.is_open(now)
            request, passed = request.tried(now, is_right=event == "right")
            through += passed
    return request, through, judged


def test_no_order_of_events_lets_anybody_through_twice_or_judges_more_guesses_than_allowed() -> None:
    for length in range(1, 7):
        for events in itertools.product(EVENTS, repeat=length):
            request, through, judged = walked(events)
            assert through <= 1, events
            assert judged <= RULES.tries * request.sends, events
            assert 0 <= request.tries_left <= RULES.tries, events
            assert request.sends <= RULES.sends, events
            assert (request.state is State.USED) == (through == 1), events


def test_a_request_of_nobody_lets_nobody_through_and_looks_like_any_other() -> None:
    for events in itertools.product(EVENTS, repeat=5):
        nobody, through, judged = walked(events, is_real=False)
        wrong = tuple("wrong" if event == "right" else event for event in events)
        somebody, _, as_many = walked(wrong)
        assert through == 0
        assert judged == as_many, events
        assert (nobody.tries_left, nobody.sends, nobody.next_send_at) == (
            somebody.tries_left,
            somebody.sends,
            somebody.next_send_at,
        )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_the_number_of_judged_guesses_is_bounded(events: list[str]) -> None:
    request, through, judged = walked(tuple(events))
    assert through <= 1 and judged <= RULES.tries * RULES.sends
    assert request.sends <= RULES.sends


def test_what_the_table_does_not_list_does_not_happen() -> None:
    assert TRANSITIONS[State.USED] == {}
    assert Seen.RIGHT not in TRANSITIONS[State.REQUESTED]
    for state in (State.VOID, State.EXPIRED, State.USED):
        assert not {Seen.WRONG, Seen.RIGHT} & TRANSITIONS[state].keys()


def test_sending_again_waits_twice_as_long_each_time() -> None:
    assert [Rules().wait_s(sends) for sends in (1, 2, 3, 4)] == [60, 120, 240, 480]


# -- as rows ---------------------------------------------------------------------------------------------------


def row(now: int, *, is_real: bool = True, request_id: str = "") -> Row:
    return Row(
        id=request_id or secrets.token_hex(16),
        purpose="reset",
        subject="s",
        source="n",
        company_id="c",
        account_id="a",
        region="emea",
        template="reset-pin",
        language="en",
        address=b"sealed",
        hash="hash 1",
        life=Request.begun(now, RULES, is_real=is_real),
    )


async def kept(store: Store, new: Row) -> Requests:
    requests = Requests(store)
    async with store.write() as connection:
        await requests.add(connection, new)
    return requests


async def test_of_fifty_guesses_at_once_no_more_are_judged_than_allowed(store: Store) -> None:
    new = row(1000)
    requests = await kept(store, new)
    spent = await asyncio.gather(*(requests.spend(new.id, "reset", 1001) for _ in range(50)))
    judged = [each for each in spent if each is not None]
    assert len(judged) == RULES.tries
    assert sorted(each.life.tries_left for each in judged) == list(range(RULES.tries))


async def test_of_two_who_complete_at_once_one_does(store: Store) -> None:
    new = row(1000)
    requests = await kept(store, new)

    async def use() -> bool:
        async with store.write() as connection:
            return await requests.use(connection, new)

    assert sorted(await asyncio.gather(*(use() for _ in range(5)))) == [False] * 4 + [True]
    assert await requests.spend(new.id, "reset", 1001) is None


@pytest.mark.parametrize(
    ("request_id", "purpose", "now"),
    [("0" * 32, "reset", 1001), ("", "register", 1001), ("", "reset", 1600), ("", "reset", 900)],
    ids=["another request", "another purpose", "too late", "a clock that went back"],
)
async def test_a_pin_is_bound_to_request_purpose_and_time(
    store: Store, request_id: str, purpose: str, now: int
) -> None:
    new = row(1000)
    requests = await kept(store, new)
    assert await requests.spend(request_id or new.id, purpose, now) is None
    found = await requests.get(new.id)
    assert found is not None and found.life.tries_left == RULES.tries


async def test_rows_live_as_values_do(store: Store) -> None:
    for events in itertools.product(("wrong", "again", "minute", "ten minutes"), repeat=3):
        now = 1_000_000
        new = row(now)
        value, requests = new.life, await kept(store, new)
        for event in events:
            now += LAPSE.get(event, 0)
            if event == "wrong":
                value, _ = value.tried(now, is_right=False)
                spent = await requests.spend(new.id, "reset", now)
                if spent is not None and not spent.life.tries_left:
                    await requests.void(new.id)
            elif event == "again" and value.may_send(now, RULES):
                value = value.sent_again(now, RULES)
                found = await requests.get(new.id)
                assert found is not None
                async with store.write() as connection:
                    assert await requests.send_again(connection, found, "hash 2", RULES, now)
        found = await requests.get(new.id)
        assert found is not None and found.life == value, events


async def test_of_two_who_send_again_at_once_one_does(store: Store) -> None:
    new = row(1000)
    requests = await kept(store, new)

    async def send() -> bool:
        async with store.write() as connection:
            return await requests.send_again(connection, new, "hash 2", RULES, 1060)

    assert sorted(await asyncio.gather(send(), send(), send())) == [False, False, True]
    assert not await use_of(store, requests, new)  # the PIN before is worth nothing


async def use_of(store: Store, requests: Requests, one: Row) -> bool:
    async with store.write() as connection:
        return await requests.use(connection, one)


async def test_limits_count_what_was_sent(store: Store) -> None:
    requests = await kept(store, row(1000))
    await kept(store, row(90_000))
    load = await requests.load("s", "n", "c", 90_100)
    assert (load.subject, load.source, load.company, load.overall) == (1, 1, 1, 1)
    assert (await requests.load("x", "x", "x", 90_100)).overall == 1
    assert await requests.forget_before(5000) == 1


# -- PINs ------------------------------------------------------------------------------------------------------


def test_pins_are_spread_evenly() -> None:
    pins = Pins(bytes(32), 6, rounds=4)
    found = [pins.new() for _ in range(20_000)]
    assert all(len(pin) == 6 and pin.isdigit() for pin in found)
    counts = [sum(pin[place] == str(digit) for pin in found) for place in range(6) for digit in range(10)]
    assert min(counts) > 1750 and max(counts) < 2250  # 2000 expected, six standard deviations


def test_a_hash_is_worth_something_for_one_request_purpose_address_and_key_only() -> None:
    pins = Pins(bytes(32), 6, rounds=4)
    stored = pins.hashed("123456", "r", "reset", "s")
    assert "123456" not in stored
    assert pins.is_right("123456", "r", "reset", "s", stored)
    for other in (
        ("123457", "r", "reset", "s"),
        ("123456", "q", "reset", "s"),
        ("123456", "r", "register", "s"),
    ):
        assert not pins.is_right(*other, stored)
    assert not pins.is_right("123456", "r", "reset", "t", stored)
    assert not Pins(b"k" * 32, 6, rounds=4).is_right("123456", "r", "reset", "s", stored)


def test_what_stands_for_no_request_costs_as_much_and_is_right_for_nothing() -> None:
    pins = Pins(bytes(32), 6)
    stored = pins.hashed("000000", "r", "reset", "s")
    assert pins.nobodys[:7] == stored[:7] == "$2b$10$"
    assert len(pins.nobodys) == len(stored)
    assert not pins.is_right("000000", "r", "reset", "s", pins.nobodys)


def test_a_network_is_one_source() -> None:
    pins = Pins(bytes(32), 6, rounds=4)
    same = {pins.source(each, 24, 48) for each in ("192.0.2.1", "192.0.2.254", "::ffff:192.0.2.7")}
    assert len(same) == 1
    assert pins.source("192.0.3.1", 24, 48) not in same
    assert pins.source("2001:db8::1", 24, 48) == pins.source("2001:db8:0:ffff::2", 24, 48)
    assert pins.source("administrator x", 24, 48) != pins.source("administrator y", 24, 48)
