"""Whether an SQLite database has room beside it; for whoever has to tell an administrator why it cannot be opened."""

import os
import sqlite3
from pathlib import Path

NEEDED_BYTES = 65_536
"""SQLite makes `-shm` (32 KiB) and `-wal` beside the database before it reads the first row."""
_SYMPTOMS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def lacks_room(error: BaseException, path: Path) -> bool:
    """Whether this is what SQLite says when no space is left on the disk of `path`.

    "disk I/O error" is all it has to say of some cases, and others have the same words: the disk is looked at.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _SYMPTOMS:  # what is above says which call it was
        return False
    return code == sqlite3.SQLITE_FULL or _free_bytes(path.parent) < NEEDED_BYTES


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def no_room(path: Path) -> str:
    """The sentence."""
    return (
        f"no space is left on the disk of {path}: {NEEDED_BYTES // 1024} KiB are needed to open it, and more to keep "
        "messages; make room, nothing else is wrong with it"
    )
