"""`make` and its scripts: nothing is installed twice, and what is missing is said."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# What a caller's make or environment may set, and what would decide in place of the Makefile.
SETTINGS = ("PYTHON", "VENV", "CONFIG", "TESTS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
ENVIRON = {name: value for name, value in os.environ.items() if name not in SETTINGS}


def dry_run(venv: Path, *arguments: str) -> str:
    """What make would do."""
    command = ["make", "-n", "--no-print-directory", f"VENV={venv}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An environment that make takes for installed."""
    (tmp_path / "bin").mkdir()
    for name in ("bin/python", ".installed", ".installed-dev"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_second_run_installs_nothing_and_goes_straight_to_serving(installed: Path) -> None:
    assert dry_run(installed, "run") == (
        f"{installed}/bin/rainbow-xmpp --config conf/rainbow.toml setup --serve\n"
    )


@pytest.mark.parametrize("changed", ["setup.cfg", "pyproject.toml", "setup.py", "rainbow_xmpp/xml/_scan.c"])
def test_changed_requirements_or_sources_of_the_extension_install_again(
    installed: Path, changed: str
) -> None:
    assert "pip install" in dry_run(installed, "-W", changed, "run")


def test_a_first_run_makes_the_environment_first(tmp_path: Path) -> None:
    lines = dry_run(tmp_path / "new", "run").splitlines()
    assert lines[0] == f"scripts/make-venv python3 {tmp_path}/new"
    assert "pip install" in "".join(lines[1:])


def test_help_is_the_default_and_names_the_two_commands(tmp_path: Path) -> None:
    done = subprocess.run(["make"], cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert {"run", "test", "check"} <= {line.split()[1] for line in done.stdout.splitlines()}


class Machine:
    """A PATH on which some commands are replaced by scripts that note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()

    def command(self, name: str, script: str = "") -> None:
        file = self.folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        file.chmod(0o755)

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=clean | {"PATH": path} | environ,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "machine"
    folder.mkdir()
    machine = Machine(folder)
    machine.command("apt-get")
    return machine


@pytest.fixture
def wanted(tmp_path: Path) -> str:
    """A list of packages: one installed, one missing, one that is there as a command."""
    file = tmp_path / "packages.txt"
    file.write_text("# a comment\nthere\nmissing\n\nother   sh\n")
    return str(file)


PACKAGES = '[ "$4" = there ] || [ "$3" = there ] && printf installed || exit 1'


def test_root_installs_only_the_debian_packages_that_are_missing(machine: Machine, wanted: str) -> None:
    machine.command("id", "echo 0")
    machine.command("dpkg-query", PACKAGES)
    done = machine.run("scripts/debian-packages", wanted)
    assert done.returncode == 0, done.stderr
    installing = [
        call for call in machine.calls.read_text().splitlines() if call.startswith("apt-get install")
    ]
    assert len(installing) == 1
    assert installing[0].endswith(" missing")


def test_without_root_the_missing_packages_are_named_and_the_tests_go_on(
    machine: Machine, wanted: str
) -> None:
    machine.command("id", "echo 1000")
    machine.command("dpkg-query", PACKAGES)
    done = machine.run("scripts/debian-packages", wanted)
    assert done.returncode == 0
    assert "As root: apt-get install missing\n" in done.stderr
    assert "apt-get" not in machine.calls.read_text()


def test_without_root_a_proving_run_fails(machine: Machine, wanted: str) -> None:
    machine.command("id", "echo 1000")
    machine.command("dpkg-query", PACKAGES)
    assert machine.run("scripts/debian-packages", wanted, CI="true").returncode == 1


def test_nothing_missing_is_quiet(machine: Machine, wanted: str) -> None:
    machine.command("dpkg-query", "printf installed")
    done = machine.run("scripts/debian-packages", wanted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


PYTHON_WITHOUT_VENV = f"""
case "$*" in
*ensurepip*) exit 1 ;;
"-m venv "*) exec {sys.executable} -m venv --without-pip "$3" ;;
*) exec {sys.executable} "$@" ;;
esac
"""


def test_a_python_without_venv_is_said_to_who_may_not_install(machine: Machine, tmp_path: Path) -> None:
    machine.command("id", "echo 1000")
    machine.command("python-bare", PYTHON_WITHOUT_VENV)
    done = machine.run("scripts/make-venv", "python-bare", str(tmp_path / "venv"))
    assert done.returncode == 1
    assert done.stderr == (
        "Python's venv module is missing. As root: apt-get install python3-venv; then start again.\n"
    )
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_gets_it_from_root(machine: Machine, tmp_path: Path) -> None:
    machine.command("id", "echo 0")
    machine.command("python-bare", PYTHON_WITHOUT_VENV)
    done = machine.run("scripts/make-venv", "python-bare", str(tmp_path / "venv"))
    assert done.returncode == 0, done.stderr
    assert "apt-get install -y -qq --no-install-recommends python3-venv" in machine.calls.read_text()
    assert (tmp_path / "venv" / "bin" / "python").exists()


def test_a_python_that_is_too_old_or_missing_is_said(machine: Machine, tmp_path: Path) -> None:
    machine.command("python-old", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    done = machine.run("scripts/make-venv", "python-old", str(tmp_path / "venv"))
    assert (done.returncode, "Python 3.9.2 is too old" in done.stderr) == (1, True)
    done = machine.run("scripts/make-venv", "python-none", str(tmp_path / "venv"))
    assert (done.returncode, "There is no python-none here" in done.stderr) == (1, True)
