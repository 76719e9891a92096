"""A NATS server of a test's own, which knows no permissions."""

from pathlib import Path

from demo.nats import NatsProcess
from tests.process import free_port


class Nats(NatsProcess):
    """On a free port, the same whenever it is started."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__(["-a", "127.0.0.1", "-p", str(self.port)], folder / "nats.log")
