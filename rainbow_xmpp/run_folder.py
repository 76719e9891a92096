"""The folder in which a running server leaves what others on its machine find it by: `run.pid` and `run.sock`."""

import logging
import os
from pathlib import Path

from rainbow_xmpp.config import Config

log = logging.getLogger(__name__)

PID_FILE = "run.pid"


def run_folder(config: Config) -> Path:
    """Beside the database, or ./data when that is on another machine."""
    path = config.storage.sqlite_path
    return Path(path).parent if path else Path("data")


class PidFile:
    """This process' id, while it runs."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / PID_FILE

    def write(self) -> None:
        """Without such a folder there is no file, nor on a full disk: a server that can serve does so without."""
        try:
            if self._file.parent.is_dir():
                self._file.write_text(f"{os.getpid()}\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error.strerror)

    def remove(self) -> None:
        """Unless another server of the same folder has written its own id over ours."""
        try:
            is_ours = self._file.read_text().strip() == str(os.getpid())
        except OSError:
            return
        if is_ours:
            self._file.unlink(missing_ok=True)
