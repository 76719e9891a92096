"""Slowing down guessers, remembering what was right, and the hashing threads."""

import asyncio
import threading
import tracemalloc
from concurrent.futures import CancelledError

import pytest

from rainbow_xmpp.auth.pool import HashPool, PoolFull
from rainbow_xmpp.auth.throttle import MAX_DELAY_S, Throttle, source_of
from rainbow_xmpp.auth.verified import VerifiedPasswords


def fail(throttle: Throttle, account: str, source: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        throttle.failed(account, source, now)


def test_the_first_failures_cost_nothing() -> None:
    throttle = Throttle(per_account=3)
    fail(throttle, "alice", "1.2.3.4", 2)
    assert throttle.may_try("alice", "1.2.3.4", 0.0)


def test_each_failure_beyond_doubles_the_wait() -> None:
    throttle = Throttle(per_account=3, per_source=1000)
    waits = []
    for times in (3, 1, 1, 1):
        fail(throttle, "alice", "1.2.3.4", times)
        waits.append(throttle.wait_s("alice", "1.2.3.4", 0.0))
    assert waits == [1, 2, 4, 8]
    assert throttle.wait_s("alice", "1.2.3.4", 5.0) == 3
    assert throttle.may_try("alice", "1.2.3.4", 8.0)


def test_the_wait_has_an_end() -> None:
    throttle = Throttle(per_account=1, per_source=1000)
    fail(throttle, "alice", "1.2.3.4", 100)
    assert throttle.wait_s("alice", "1.2.3.4", 0.0) == MAX_DELAY_S


def test_an_account_is_never_locked_for_another_source() -> None:
    throttle = Throttle(per_account=3, per_source=1000)
    fail(throttle, "alice", "6.6.6.6", 500)
    assert not throttle.may_try("alice", "6.6.6.6", 0.0)
    assert throttle.may_try("alice", "1.2.3.4", 0.0)
    assert throttle.may_try("bob", "6.6.6.6", 0.0)


def test_a_source_that_tries_many_accounts_waits_for_all_of_them() -> None:
    throttle = Throttle(per_account=3, per_source=10)
    for n in range(10):
        throttle.failed(f"user{n}", "6.6.6.6", 0.0)
    assert not throttle.may_try("somebody-else", "6.6.6.6", 0.0)
    assert throttle.may_try("somebody-else", "1.2.3.4", 0.0)


def test_failures_are_forgiven_with_time() -> None:
    throttle = Throttle(per_account=6, per_source=1000)
    fail(throttle, "alice", "1.2.3.4", 6)
    fail(throttle, "alice", "1.2.3.4", 5, now=60.0)
    assert throttle.may_try("alice", "1.2.3.4", 60.0)
    fail(throttle, "alice", "1.2.3.4", 1, now=60.0)
    assert not throttle.may_try("alice", "1.2.3.4", 60.0)


def test_guessing_on_goes_at_the_configured_rate_at_most() -> None:
    throttle = Throttle(per_account=10, per_source=1000)
    tries, now = 0, 0.0
    while now < 3600:
        now += throttle.wait_s("alice", "6.6.6.6", now)
        throttle.failed("alice", "6.6.6.6", now)
        tries += 1
    assert tries <= 60 * 10 + 20


def test_success_ends_the_count_for_the_account_but_not_for_the_source() -> None:
    throttle = Throttle(per_account=3, per_source=5)
    fail(throttle, "alice", "1.2.3.4", 4)
    throttle.succeeded("alice", "1.2.3.4")
    assert throttle.may_try("alice", "1.2.3.4", 0.0)
    fail(throttle, "bob", "1.2.3.4", 1)
    assert not throttle.may_try("alice", "1.2.3.4", 0.0)


def test_zero_means_no_limit() -> None:
    throttle = Throttle(per_account=0, per_source=0)
    fail(throttle, "alice", "1.2.3.4", 1000)
    assert throttle.may_try("alice", "1.2.3.4", 0.0)
    assert len(throttle) == 0


def test_memory_is_bounded() -> None:
    throttle = Throttle(per_account=3, per_source=3, most=100)
    for n in range(1000):
        throttle.failed(f"user{n}", f"10.0.{n // 256}.{n % 256}", 0.0)
    assert len(throttle) == 200
    fail(throttle, "user999", "10.0.3.231", 2)
    assert not throttle.may_try("user999", "10.0.3.231", 0.0)


def test_long_names_are_not_kept() -> None:
    """A name may have 2,000 characters, and strangers may come from many addresses."""
    throttle = Throttle(per_account=1, per_source=1)

    tracemalloc.start()
    for number in range(5_000):
        fail(throttle, f"{number}" + "\N{GRINNING FACE}" * 2000, f"source {number}", 1)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 5_000_000
    assert not throttle.may_try("7" + "\N{GRINNING FACE}" * 2000, "source 7", 0.1)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    throttle = Throttle(per_account=2, per_source=1000)
    fail(throttle, "alice", "1.2.3.4", 2, now=100.0)
    assert not throttle.may_try("alice", "1.2.3.4", 50.0)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_source_is_an_address_or_a_whole_ipv6_network(address: str, source: str) -> None:
    assert source_of(address) == source


# -- passwords verified a moment ago -------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_password_found_right_is_known_for_a_while() -> None:
    clock = Clock()
    verified = VerifiedPasswords(lifetime_s=300, clock=clock)
    assert not verified.knows("a", 0, "secret")
    verified.remember("a", 0, "secret")
    assert verified.knows("a", 0, "secret")
    assert not verified.knows("a", 0, "Secret")
    assert not verified.knows("b", 0, "secret")
    clock.now = 300.0
    assert not verified.knows("a", 0, "secret")
    assert len(verified) == 0


def test_a_risen_epoch_ends_what_was_known() -> None:
    verified = VerifiedPasswords()
    verified.remember("a", 0, "secret")
    assert not verified.knows("a", 1, "secret")
    verified.remember("b", 0, "secret")
    verified.forget("b")
    assert not verified.knows("b", 0, "secret")


def test_what_is_known_is_bounded_and_holds_no_passwords() -> None:
    verified = VerifiedPasswords(most=10)
    for n in range(100):
        verified.remember(f"a{n}", 0, "very-secret")
    assert len(verified) == 10
    assert verified.knows("a99", 0, "very-secret")
    assert not verified.knows("a0", 0, "very-secret")
    assert "very-secret" not in repr(vars(verified))


# -- the hashing threads -------------------------------------------------------------------------------


async def test_the_pool_answers_from_another_thread() -> None:
    pool = HashPool(1)
    assert await pool.run(lambda a, b: (a + b, threading.current_thread().name[:4]), 1, b=2) == (3, "hash")
    pool.close()


async def test_an_error_in_the_function_comes_back() -> None:
    pool = HashPool(1)
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)
    assert pool.pending == 0
    pool.close()


async def test_a_full_pool_refuses_at_once_and_recovers() -> None:
    pool = HashPool(1, most=2)
    release = threading.Event()
    waiting = [asyncio.create_task(pool.run(release.wait, 20)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(PoolFull, match="2 password checks"):
        await pool.run(release.wait, 20)
    release.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await pool.run(lambda: "again") == "again"
    pool.close()


async def test_who_stops_waiting_gives_the_place_back() -> None:
    pool = HashPool(1, most=2)
    release = threading.Event()
    first = asyncio.create_task(pool.run(release.wait, 20))
    second = asyncio.create_task(pool.run(release.wait, 20))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        await second
    third = asyncio.create_task(pool.run(lambda: "third"))
    release.set()
    assert await first
    assert await third == "third"
    pool.close()
