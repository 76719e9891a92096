"""A bounded part of the walk through companies (`make leaks` walks on), and that it finds whatever is taken out."""

import logging
from collections.abc import Iterator

import pytest

from tests.security.isolation_events import Leak
from tests.security.isolation_mutants import MUTANTS
from tests.security.isolation_walk import walk

STEPS = 12
MOST_WALKS = 12
"""So many walks a mutant may survive; the machine is the same, and so are the seeds."""
SOONEST = {
    "the gate between companies": 1,
    "the gate in the public company": 2,
    "the public company is no circle": 4,
    "what is agreed for a time ends": 10,
    "an invitation is no agreement": 2,
    "what a stanza wants": 2,
    "what a request wants": 9,
    "the end of links": 10,
    "links are confirmed": 9,
    "agreements are read anew": 5,
    "parting, in rosters": 6,
    "parting, of directed presence": 6,
    "the gate of what is published": 14,
    "the gate of whom one blocks": 1,
    "the question about who is blocked": 7,
    "no roster in the public company": 1,
    "the door of the API: whose company": 4,
    "the door of the API: absence": 2,
}
"""Which of these walks comes upon what is missing soonest, where it is not the first. Once a change makes them go
other ways, another one finds it, and this is only slower."""


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


@pytest.mark.parametrize("missing", MUTANTS)
async def test_the_walk_finds_what_is_taken_out(
    missing: str, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    MUTANTS[missing](monkeypatch)
    soonest = SOONEST.get(missing, 0)
    with pytest.raises(Leak):
        for seed in (soonest, *(each for each in range(MOST_WALKS) if each != soonest)):
            await walk(seed, 40)
