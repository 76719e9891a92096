"""A bounded part of the walk through companies (`make leaks` walks on), and that it finds whatever is taken out."""

import logging
from collections.abc import Iterator
from itertools import count

import pytest

from tests.security.isolation_events import Leak
from tests.security.isolation_mutants import MUTANTS, Mutant
from tests.security.isolation_walk import walk

STEPS = 12
MOST_WALKS = 12
"""So many walks a mutant may survive; the machine is the same, and so are the seeds."""


@pytest.mark.parametrize("seed", range(4))
async def test_nobody_hears_of_whom_the_table_does_not_allow(seed: int) -> None:
    walked = await walk(seed, STEPS)
    assert sum(walked.made.values()) > 100
    assert walked.refused > 30


@pytest.fixture
def quiet() -> Iterator[None]:
    """A mutant may make the server say much."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
async def test_the_walk_finds_what_is_taken_out(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    mutant(monkeypatch)
    with pytest.raises(Leak):
        for seed in count():
            assert seed < MOST_WALKS, "the walk does not find it"
            await walk(seed, 40)
