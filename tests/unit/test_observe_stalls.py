"""An event loop that stands still is noticed, and where it does."""

import asyncio
import logging
import time

import pytest

from rainbow_xmpp.observe.histogram import USUAL, Histogram
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.observe.stalls import BEAT_S, StallWatch, stack_of


def compute_for(seconds: float) -> None:
    """A handler that keeps everybody waiting."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


async def until_it_beats_again(counters: Counters) -> None:
    async with asyncio.timeout(10):
        while not counters.loop_stalls:  # a thread's and a timer's work
            await asyncio.sleep(0.01)


async def test_a_stall_is_told_with_its_place_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    counters, lag = Counters(), Histogram(USUAL)
    watch = StallWatch(0.2, counters, lag)
    watch.start()
    compute_for(1.5)
    await until_it_beats_again(counters)
    watch.stop()
    where = [record.getMessage() for record in caplog.records if "stands still in" in record.message]
    assert len(where) == 1
    assert "tests/unit/test_observe_stalls.py" in where[0]
    assert " compute_for" in where[0]
    assert "the event loop stood still for 1" in caplog.text
    assert lag.counts[-4:-1] != [0, 0, 0]


async def test_a_loop_that_goes_on_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    counters, lag = Counters(), Histogram(USUAL)
    watch = StallWatch(5.0, counters, lag)
    watch.start()
    await asyncio.sleep(BEAT_S * 3)  # time is what it measures
    watch.stop()
    assert caplog.records == []
    assert counters.loop_stalls == 0
    assert sum(lag.counts) >= 1


async def test_switched_off_it_measures_only(caplog: pytest.LogCaptureFixture) -> None:
    counters, lag = Counters(), Histogram(USUAL)
    watch = StallWatch(0, counters, lag)
    watch.start()
    compute_for(0.3)
    await asyncio.sleep(BEAT_S * 2)
    watch.stop()
    assert caplog.records == []
    assert sum(lag.counts) >= 1


def test_a_watch_that_never_began_can_be_stopped() -> None:
    StallWatch(1.0, Counters(), Histogram(USUAL)).stop()


def test_the_stack_shows_places_and_no_values() -> None:
    import sys

    secret = "canary-77"
    shown = stack_of(sys._getframe())
    assert "test_observe_stalls.py" in shown
    assert "test_the_stack_shows_places_and_no_values" in shown
    assert secret not in shown


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
