"""Short runs of the crash test; `make faults` has the long ones."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.crash import SETTINGS, Crash, own_postgres
from tests.faults.crash_judge import Report
from tests.faults.troubles import (
    Death,
    DiskFull,
    FilesMayNotGrow,
    PostgresGone,
    SmallDisk,
    Trouble,
    can_mount,
)
from tests.postgres import Postgres, PostgresMissing
from tests.process import RainbowServer

CLIENTS, PACE, SEED = 4, 100.0, 20261126
SOON_S = 0.1, 0.5
"""An outage that nobody is told of: it is over before patience is."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def chat_through(troubles: list[Trouble[RainbowServer]], server: RainbowServer) -> Report:
    """Nothing may be lost; a server whose log has a traceback fails as well."""
    server.start()
    try:
        run = Crash(server, CLIENTS, SEED, PACE)
        report = asyncio.run(run.run(troubles))
    finally:
        server.stop()
    assert report.is_well, "\n".join([str(report), *report.violations])
    assert report.troubles.total() == len(troubles)
    assert report.happened.acknowledged > 100
    return report


@pytest.mark.xdist_group("crash")
def test_neither_the_end_of_the_server_nor_a_full_disk_loses_anything(
    tmp_path: Path, stack: ExitStack
) -> None:
    server = RainbowServer(tmp_path, settings=SETTINGS)
    troubles: list[Trouble[RainbowServer]] = [Death("kills"), FilesMayNotGrow(*SOON_S), Death("stops")]
    if can_mount(server.run_folder):  # as root only; the limit above shows the same to everybody
        disk = SmallDisk(server.run_folder, 32)
        stack.callback(disk.unmount)
        troubles.append(DiskFull(disk, *SOON_S))
    chat_through(troubles, server)


@pytest.mark.xdist_group("crash")
def test_postgresql_that_is_stopped_and_started_loses_nothing(tmp_path: Path, stack: ExitStack) -> None:
    try:
        postgres = stack.enter_context(own_postgres())
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    url = Postgres(postgres.folder).url("rainbow")
    server = RainbowServer(tmp_path, settings=SETTINGS, storage_url=url)
    chat_through([PostgresGone(postgres, *SOON_S), Death("kills"), PostgresGone(postgres, *SOON_S)], server)
