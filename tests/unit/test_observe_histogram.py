"""Histograms, and what is read from them."""

import random
import statistics

import pytest

from rainbow_xmpp.observe.histogram import QUICK, SLOW, USUAL, Histogram, quantile


def test_each_observation_counts_in_the_bucket_of_its_upper_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for seconds in (0.0, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(seconds)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 13.5
    assert histogram.buckets() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]


@pytest.mark.parametrize("bounds", [QUICK, USUAL, SLOW], ids=["quick", "usual", "slow"])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_without_observations_there_is_no_quantile() -> None:
    assert quantile((1.0,), [0, 0], 0.5) is None


def test_beyond_every_bound_the_greatest_is_told() -> None:
    assert quantile((1.0, 2.0), [0, 0, 7], 0.99) == 2.0


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_quantile_is_right_within_its_bucket(share: float) -> None:
    rng = random.Random(7)
    seen = sorted(rng.expovariate(1000) for _ in range(10_000))
    histogram = Histogram(QUICK)
    for seconds in seen:
        histogram.observe(seconds)
    real = statistics.quantiles(seen, n=100)[int(share * 100) - 1]
    told = quantile(histogram.bounds, histogram.counts, share)
    assert told is not None
    bounds = (0.0, *QUICK)
    upper = next(number for number, bound in enumerate(bounds) if bound >= real)
    assert bounds[upper - 1] <= told <= bounds[upper]
