"""A short run of the crash test; `make faults` has the long one."""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.crash import crash
from tests.process import RainbowServer

CLIENTS, KILLS, SEED = 4, 2, 20261126


@pytest.mark.xdist_group("crash")
def test_what_the_server_dies_of_loses_nothing(start_server: Callable[..., RainbowServer]) -> None:
    report = asyncio.run(crash(start_server(), CLIENTS, KILLS, SEED))
    assert report.is_well, (
        f"{report}\n{report.lost}\n{report.twice}\n{report.out_of_order}\n{report.happened.faults}"
    )
    assert report.kills + report.stops == KILLS
    assert report.happened.acknowledged > 100
