"""A bounded part of the walk over two regions (`make leaks` walks on), and that it finds what is taken out."""

import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from rainbow_xmpp.plugin import Passage
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.regions.directory import WideDirectory
from tests.security.isolation_events import Leak
from tests.security.isolation_mutants import Mutant, put
from tests.security.isolation_regions import walk_regions

STEPS = 4
MOST_WALKS = 8


async def test_nobody_hears_over_the_border_of_whom_the_table_does_not_allow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    walked = await walk_regions(0, STEPS)
    assert [record for record in caplog.records if record.exc_info] == []
    assert walked.refused > 10
    assert walked.counted > 2


def _open_to_people_abroad(cls: type, method: str) -> Mutant:
    """A gate that is not asked where the stanza came over the border."""
    original: Callable[[object, Passage], Awaitable[object] | None] = getattr(cls, method)

    def gate(self: object, p: Passage) -> Awaitable[object] | None:
        return None if p.sender.abroad else original(self, p)

    return lambda patch: put(patch, cls, method, gate)


MUTANTS: dict[str, Mutant] = {
    "the gate of the recipient's region": _open_to_people_abroad(CompanyIsolation, "between_companies"),
    "who is blocked, in the recipient's region": _open_to_people_abroad(Blocking, "inbound"),
    "the question in vain": lambda patch: put(patch, WideDirectory, "decoy", lambda self, localpart: None),
}
SOONEST = {"who is blocked, in the recipient's region": 3}
"""Which walk comes upon what is missing soonest, where it is not the first; see `test_isolation_walk.py`."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """A mutant may make the server say much."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("missing", MUTANTS)
async def test_the_walk_over_regions_finds_what_is_taken_out(
    missing: str, monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    MUTANTS[missing](monkeypatch)
    with pytest.raises(Leak):
        soonest = SOONEST.get(missing, 0)
        for seed in (soonest, *(each for each in range(MOST_WALKS) if each != soonest)):
            await walk_regions(seed, 2 * STEPS)
