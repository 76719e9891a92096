"""The systemd unit calls the command line as it is."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from rainbow_xmpp.cli import commands

UNIT = Path(__file__).parents[2] / "conf" / "systemd" / "rainbow-xmpp.service"


def calls() -> dict[str, list[str]]:
    """Setting of the unit to the arguments that the program is given."""
    found = {}
    for line in UNIT.read_text().splitlines():
        setting, _, command = line.partition("=")
        if setting.startswith("Exec"):
            program, *arguments = shlex.split(command)
            assert Path(program).name == "rainbow-xmpp"
            found[setting] = arguments
    return found


def test_the_service_is_checked_run_and_reloaded() -> None:
    assert [(setting, arguments[2:]) for setting, arguments in calls().items()] == [
        ("ExecStartPre", ["check", "config", "certs"]),
        ("ExecStart", ["run"]),
        ("ExecReload", ["reload"]),
    ]


@pytest.mark.parametrize("setting", calls())
def test_every_call_is_one_that_the_command_line_knows(setting: str) -> None:
    done = CliRunner().invoke(commands, [*calls()[setting], "--help"])
    assert done.exit_code == 0, done.output


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/rainbow-xmpp/bin/rainbow-xmpp", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert UNIT.name not in done.stderr, done.stderr
