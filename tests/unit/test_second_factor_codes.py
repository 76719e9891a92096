"""Codes of second factors: the library's agree with RFC 6238, and each counts once in every order of events."""

from __future__ import annotations

import asyncio

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.plugins.second_factor import codes
from rainbow_xmpp.plugins.second_factor.codes import Typed
from rainbow_xmpp.plugins.second_factor.store import Factors
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import Account, NewAccount

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890" (RFC 6238, appendix B)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = 1_700_000_000


# RFC 6238, appendix B (SHA-1; the last six of its eight digits), RFC 4226, appendix D


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    assert pyotp.TOTP(RFC_SECRET, digits=8).at(at) == code
    assert codes.code_of(RFC_SECRET, codes.step_at(at)) == code[2:]
    assert codes.step_of(RFC_SECRET, code[2:], at) == at // 30


def test_codes_are_those_of_hotp_for_the_step() -> None:
    found = [codes.code_of(RFC_SECRET, counter) for counter in range(5)]
    assert found == ["755224", "287082", "359152", "969429", "338314"]


@pytest.mark.parametrize(("off", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_apart_is_near_enough(off: int, counts: bool) -> None:
    step = codes.step_at(NOW) + off
    assert codes.step_of(SECRET, codes.code_of(SECRET, step), NOW) == (step if counts else None)


def test_what_is_typed_is_read() -> None:
    assert Typed.read(" 123 456\n") == Typed(totp="123456")
    recovery = codes.new_recovery_codes()[0]
    assert Typed.read(recovery.upper()) == Typed(recovery=recovery.replace("-", ""))
    for nonsense in ("", "12345", "１２３４５６", "x" * 1000):
        assert Typed.read(nonsense) == Typed()
    assert "123456" not in repr(Typed.read("123456"))


def test_recovery_codes_are_kept_under_the_secret() -> None:
    made = codes.new_recovery_codes()
    assert len(set(made)) == 10
    typed = made[0].replace("-", "").upper()
    assert codes.hash_of(SECRET, made[0]) == codes.hash_of(SECRET, typed)
    assert codes.hash_of(RFC_SECRET, made[0]) != codes.hash_of(SECRET, made[0])


# On both databases


async def somebody(store: Store) -> Account:
    if await store.companies.by_name("Acme") is None:
        await store.companies.add("Acme")
    return await store.accounts.add(NewAccount(company="Acme", email=f"{new_id()}@x.example"))


async def with_factor(store: Store, account: Account, *recovery: str) -> Factors:
    """The account has the secret b"sealed", and its codes up to the step before `NOW`'s were used."""
    factors = Factors(store)
    await factors.put_pending(account, b"sealed", NOW + 60)
    async with store.write() as connection:
        assert await factors.confirm(connection, account, b"sealed", codes.step_at(NOW) - 1, NOW)
        await factors.replace_codes(connection, account, recovery or ("nobody's",))
    return factors


async def test_fifty_at_once_use_a_step_and_a_recovery_code_once(store: Store) -> None:
    account, other = await somebody(store), await somebody(store)
    factors = await with_factor(store, account, "a", "b")
    await with_factor(store, other, "a")

    async def use(what: str) -> bool:
        async with store.write() as connection:
            assert await factors.spend(connection, account, NOW, 1000) is not None
            if what == "step":
                return await factors.use_step(connection, account, b"sealed", codes.step_at(NOW))
            return await factors.use_recovery_code(connection, account, "a")

    for what in ("step", "code"):
        assert sum(await asyncio.gather(*(use(what) for _ in range(50)))) == 1
    assert await factors.count_codes(account) == 1
    assert await factors.count_codes(other) == 1
    async with store.write() as connection:
        assert not await factors.use_step(connection, account, b"another", codes.step_at(NOW) + 1)


async def test_fifty_tries_at_once_are_as_many_as_there_may_be(store: Store) -> None:
    account = await somebody(store)
    factors = await with_factor(store, account)

    async def spend(now: int) -> bool:
        async with store.write() as connection:
            return await factors.spend(connection, account, now, 7) is not None

    assert sum(await asyncio.gather(*(spend(NOW) for _ in range(50)))) == 7
    assert not await spend(NOW + 3599)
    assert await spend(NOW + 3600)
    assert await spend(NOW)  # the clock was set back: another hour begins


async def test_what_is_kept_goes_with_the_account(store: Store) -> None:
    account = await somebody(store)
    factors = await with_factor(store, account, "a")
    async with store.write() as connection:
        await factors.add_app(connection, account, new_id(), "Gajim")
    await store.accounts.remove(account.company.id, account.id)
    assert (await factors.get(account), await factors.count_codes(account)) == (None, 0)
    assert await factors.apps_of(account) == {}


# Every order of events


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_no_order_of_events_uses_a_code_twice(store: Store) -> None:
    """Time goes on and back, codes are typed again, the store is opened anew: a code counts once at the most."""
    loop = asyncio.get_running_loop()
    event = st.one_of(
        st.tuples(st.just("time"), st.integers(-90, 120)),
        st.tuples(st.just("code"), st.integers(-2, 2)),
        st.tuples(st.just("recovery"), st.integers(0, 2)),
        st.tuples(st.just("again"), st.just(0)),
    )

    async def play(events: list[tuple[str, int]]) -> None:
        account = await somebody(store)
        factors, now = await with_factor(store, account, "r0", "r1"), NOW
        used: list[str] = []
        for what, n in events:
            if what == "time":
                now += n
            elif what == "again":
                factors = Factors(store)
            async with store.write() as connection:
                if what == "code":
                    code = codes.code_of(SECRET, codes.step_at(now) + n)
                    step = codes.step_of(SECRET, code, now)
                    if step is not None and await factors.use_step(connection, account, b"sealed", step):
                        used.append(f"step {step}")
                elif what == "recovery" and await factors.use_recovery_code(connection, account, f"r{n}"):
                    used.append(f"r{n}")
        assert len(used) == len(set(used))
        steps = [int(each.split()[1]) for each in used if each.startswith("step")]
        assert steps == sorted(steps)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(event, max_size=12))
    def every_order(events: list[tuple[str, int]]) -> None:
        asyncio.run_coroutine_threadsafe(play(events), loop).result()

    await asyncio.to_thread(every_order)
