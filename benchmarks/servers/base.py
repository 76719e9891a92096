"""What every server under test has in common: a folder, ports, one process tree, a start and an end."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.accounts import Account
from benchmarks.errors import BenchError
from benchmarks.plan import SERVER_CORE

PR_SET_PDEATHSIG = 1
START_LIMIT_S = 60.0
STOP_LIMIT_S = 12.0
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server of this run lives."""

    directory: Path
    certificate: Path
    key: Path


class Server(ABC):
    """One row of the tables. `prepare` is called once, then `start` and `stop` for every scenario."""

    name: ClassVar[str]
    label: ClassVar[str]
    system_user: ClassVar[str] = ""
    can_keep_history: ClassVar[bool] = False
    """It has an archive (XEP-0313) that a scenario may switch on."""
    is_for_history: ClassVar[bool] = False
    """Another store of a server that has a row already: only scenarios in which history is kept are of interest."""
    resumptions: ClassVar[tuple[str, ...]] = ()
    """How sessions can come back after a lost connection; the load client's words."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.wss_port = free_port()
        self.tls_port = free_port()
        self.keeps_history = False
        """At the next start."""
        self.keeps_sessions = False
        """At the next start it lets sessions be resumed (XEP-0198), where it does not always do so."""
        self.most_durable: float | None = None
        """Messages a second with history kept, as far as that was measured."""
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def missing(cls) -> str:
        """Why this server cannot be tested here; empty when it can."""

    @classmethod
    def version(cls) -> str:
        """The version of the Debian package of that name."""
        command = ["dpkg-query", "-W", "-f", "${Version}", cls.name]
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout or "unknown"

    @abstractmethod
    def prepare(self, accounts: Sequence[Account]) -> None:
        """Writes the configuration and creates the accounts, in the site's directory only."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    def environment(self) -> Mapping[str, str]:
        """What is added to the environment of the server."""
        return {}

    def is_ready(self) -> bool:
        """Whether it answers; asked until it does."""
        return accepts(self.wss_port) and accepts(self.tls_port)

    @property
    def log(self) -> Path:
        return self.site.directory / "output.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def port(self, transport: str) -> int:
        return self.wss_port if transport == "wss" else self.tls_port

    def start(self, *, pinned: bool = True) -> None:
        """Starts it on its core and waits until it is ready. Raises BenchError with the end of its log."""
        self._hand_over_directory()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.site.directory,
                env={**os.environ, "HOME": str(self.site.directory), **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _before_exec(pinned),
                user=self.system_user if self._changes_user() else None,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise BenchError(f"{self.label} did not start:\n{self.log_end()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the whole process group: asked first, then killed. Harmless when it does not run."""
        if self._process is None:
            return
        for order, patience_s in ((signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._process.pid, order)
            except ProcessLookupError:
                pass  # already gone
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def log_end(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def _changes_user(self) -> bool:
        return bool(self.system_user) and os.geteuid() == 0

    def _hand_over_directory(self) -> None:
        if self._changes_user():
            owner = pwd.getpwnam(self.system_user)
            for path in (self.site.directory, *self.site.directory.rglob("*")):
                shutil.chown(path, owner.pw_uid, owner.pw_gid)


def _before_exec(pinned: bool) -> None:
    """In the new process: die with the runner, and stay on the server's core (or leave the runner's)."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    cores = range(os.cpu_count() or 1)
    os.sched_setaffinity(0, {SERVER_CORE} if pinned else set(cores))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
