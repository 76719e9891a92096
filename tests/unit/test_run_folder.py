"""What a running server leaves beside its database."""

from pathlib import Path

import pytest

from rainbow_xmpp.run_folder import PID_FILE, PidFile


def test_a_server_that_cannot_leave_its_id_serves_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / PID_FILE).mkdir()  # as a full disk would, to whoever runs the tests
    file = PidFile(tmp_path)
    file.write()
    file.remove()
    assert "run.pid cannot be written" in caplog.text
    assert (tmp_path / PID_FILE).is_dir()
