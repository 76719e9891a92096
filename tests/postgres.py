"""Debian's PostgreSQL for the tests: one server for all workers of a run, one fresh database for each test.

The server runs in a folder of its own, as an unprivileged user, and listens on a Unix socket only. Every
worker that uses it holds a shared lock as long as it lives; the keeper, a process of its own, waits for the
exclusive lock, which it gets when the last worker has gone, however that came about, and then ends the server.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60.0
HOW_TO_INSTALL = (
    "PostgreSQL is not installed (no initdb in /usr/lib/postgresql/*/bin): apt-get install postgresql"
)
_SUPERUSER = "rainbow"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the tests ask what is stored, not what survives a power cut
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "max_wal_size": "256MB",
}


class PostgresMissing(RuntimeError):
    """PostgreSQL is not installed; the message says how to get it."""


class PostgresFault(RuntimeError):
    """PostgreSQL is there but does not start."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server: where its socket lies."""

    folder: Path

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of one of its databases."""
        return f"postgresql+asyncpg://{_SUPERUSER}@/{database}?host={self.folder}"

    def create_database(self, name: str) -> None:
        """Make an empty database."""
        self.run(f'CREATE DATABASE "{name}" TEMPLATE template0')

    def drop_database(self, name: str) -> None:
        """Remove it, together with whatever is still connected."""
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run SQL. Raises PostgresFault with the server's words."""
        arguments = [
            "-h",
            str(self.folder),
            "-U",
            _SUPERUSER,
            "-d",
            database,
            "-qX",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        done = subprocess.run(
            [binary_folder() / "psql", *arguments, "-c", statement],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise PostgresFault(done.stderr.strip())


def binary_folder() -> Path:
    """Where initdb, postgres and psql are, of the newest version. Raises PostgresMissing."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(found, key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0)
    if newest:
        return newest[-1].parent
    elsewhere = shutil.which("initdb")
    if elsewhere is None:
        raise PostgresMissing(HOW_TO_INSTALL)
    return Path(elsewhere).resolve().parent


@contextlib.contextmanager
def shared_postgres(shared: Path) -> Iterator[Postgres]:
    """The server of this test run; `shared` is a folder that all workers of the run have in common.

    Raises PostgresMissing or PostgresFault.
    """
    binary_folder()
    with (shared / "postgres.users").open("w") as users:
        with _locked(shared / "postgres.starting"):
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper is ending the server
            marker = shared / "postgres.folder"
            if not marker.exists():
                _start_keeper(shared, marker)
            folder = Path(marker.read_text())
        yield Postgres(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_keeper(shared: Path, marker: Path) -> None:
    log = shared / "postgres.log"
    with log.open("a") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.postgres", str(shared)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).resolve().parent.parent,
            start_new_session=True,  # the end of a worker, or Ctrl-C, shall not take it along
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not marker.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise PostgresFault(f"PostgreSQL did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


class PrivatePostgres:
    """A PostgreSQL of one's own, in a folder of its own, that may be stopped and started at will."""

    def __init__(self, **settings: str) -> None:
        """`settings` replace those that tests have, which keep nothing that a power cut would take."""
        self._binaries, self._user = binary_folder(), _unprivileged_user()
        self._settings = {**_SETTINGS, **settings}
        # A socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="rainbow-pg-", dir="/tmp"))
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.folder),
        }
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.folder / "log"
        options = ["-D", self._data, "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        if self._launch("initdb", *options).wait():
            raise PostgresFault(f"initdb failed:\n{self._log.read_text()}")

    def _launch(self, program: str, *options: str | Path) -> "subprocess.Popen[bytes]":
        become: dict[str, Any] = {}
        if self._user is not None:
            become = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._binaries / program, *options],
                cwd=self.folder, env=self._environment, stdout=log, stderr=log, **become,
            )  # fmt: skip

    def start(self) -> None:
        """Returns when it answers. Raises PostgresFault."""
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        self._process = self._launch("postgres", "-D", self._data, "-k", self.folder, *options)
        try:
            _await_ready(self._binaries, self.folder, self._process)
        except PostgresFault as fault:
            raise PostgresFault(f"{fault}:\n{self._log.read_text()[-4000:]}") from None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT, "fast", ends connections first; SIGQUIT and SIGKILL leave it to the next start to clean up."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)

    def remove(self) -> None:
        """Stop it, and delete all it holds."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _keep(shared: Path) -> None:
    """The keeper's work: start the server, tell where it is, wait until nobody uses it, end it."""
    marker, postgres = shared / "postgres.folder", PrivatePostgres()
    try:
        postgres.start()
        unfinished = shared / "postgres.folder.new"
        unfinished.write_text(str(postgres.folder))
        unfinished.rename(marker)
        with (shared / "postgres.users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_EX)  # comes when the last worker has gone
            marker.unlink()
            postgres.stop()
    finally:
        postgres.remove()


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Who the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresFault("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _await_ready(binaries: Path, folder: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while subprocess.run([binaries / "pg_isready", "-q", "-h", folder], timeout=10).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise PostgresFault("the server did not become ready")
        time.sleep(0.02)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep(Path(sys.argv[1]))
