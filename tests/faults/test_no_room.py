"""Nothing at all is left on the disk when the server is to start: it says so, and starts when there is room."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rainbow_xmpp.store import room
from tests.faults.troubles import SmallDisk, can_mount
from tests.process import RainbowServer, ServerFault


@pytest.fixture
def server(tmp_path: Path) -> RainbowServer:
    return RainbowServer(tmp_path)


@pytest.fixture
def disk(server: RainbowServer) -> Iterator[SmallDisk]:
    if not can_mount(server.run_folder):
        pytest.skip("only root may mount a disk of its own")
    mounted = SmallDisk(server.run_folder, 32)
    yield mounted
    mounted.unmount()


def test_a_server_without_any_room_says_so_and_ends_and_starts_when_there_is_some(
    server: RainbowServer, disk: SmallDisk
) -> None:
    server.start()
    server.stop()
    with closing(sqlite3.connect(server.database_file)) as last:  # removes what SQLite had put beside it
        last.execute("SELECT count(*) FROM sqlite_master").fetchall()
    assert not list(server.run_folder.glob("rainbow.db-*"))
    disk.fill()
    since = len(server.log_text())
    with pytest.raises(ServerFault):
        server.start()
    assert server.process.returncode == 1
    log = server.log_text(since)
    assert "no space is left on the disk of data/rainbow.db: 64 KiB are needed to open it" in log
    assert "Traceback" not in log
    disk.empty()
    server.start()
    server.stop()


def test_a_server_that_was_killed_starts_without_any_room(server: RainbowServer, disk: SmallDisk) -> None:
    server.start()
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    disk.fill()
    server.start()
    disk.empty()
    server.stop()


@pytest.mark.parametrize(
    ("code", "free", "lacks"),
    [
        (sqlite3.SQLITE_FULL, 2**30, True),  # a quota of the user's, perhaps
        (sqlite3.SQLITE_IOERR_SHMSIZE, 4096, True),
        (sqlite3.SQLITE_IOERR_WRITE, 0, True),
        (sqlite3.SQLITE_IOERR_READ, 2**30, False),
        (sqlite3.SQLITE_NOTADB, 0, False),
        (sqlite3.SQLITE_CANTOPEN, 0, False),
        (None, 0, False),
    ],
)
def test_only_what_a_full_disk_explains_is_explained_by_it(
    code: int | None, free: int, lacks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    if code is not None:
        error.sqlite_errorcode = code
    monkeypatch.setattr(room, "_free_bytes", lambda folder: free)
    assert room.lacks_room(error, tmp_path / "rainbow.db") is lacks
