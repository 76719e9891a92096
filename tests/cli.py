"""The command line called inside the test's process, in a folder of its own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rainbow_xmpp.cli import PROGRAM, commands

CONFIG = """\
domain = "chat.example"
[storage]
url = "sqlite+aiosqlite:///data/rainbow.db"
[auth]
scram_iterations = 4096
sealing_key = { file = "dev/sealing.key" }
"""


class CommandLine:
    """A configuration in the current folder, and calls of `rainbow-xmpp` with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "rainbow.toml"

    def run(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        """Call it; the result has `exit_code`, `stdout` and `stderr`."""
        clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("RAINBOW_")}
        line = ["--config", self.config.name, *arguments]
        return CliRunner().invoke(
            commands, line, input=stdin, env={**clean, **(env or {})}, prog_name=PROGRAM
        )

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """What it prints, after it ended well."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception!r}"
        return result.stdout

    def refused(self, *arguments: str, stdin: str = "", exit_code: int = 1) -> str:
        """What it says on stderr, after it failed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == exit_code, f"{arguments}: {result.output} {result.exception!r}"
        return result.stderr.replace(f"{self.folder}/", "")


@pytest.fixture(scope="session")
def empty_installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, keys and a database with two companies; to be copied."""
    folder = tmp_path_factory.mktemp("installation")
    line = CommandLine(folder)
    line.config.write_text(CONFIG)
    (folder / "dev").mkdir()
    (folder / "dev" / "sealing.key").write_text("c2VhbGluZyBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyE=\n")
    (folder / "dev" / "sealing.key").chmod(0o600)
    before = Path.cwd()
    os.chdir(folder)
    try:
        line.ok("db", "upgrade")
        line.ok("company", "add", "Acme")
        line.ok("company", "add", "Globex", "--visibility", "closed", "--region", "north")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def line(empty_installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """The command line in a fresh copy of the installation."""
    folder = tmp_path / "here"
    shutil.copytree(empty_installation, folder)
    monkeypatch.chdir(folder)
    yield CommandLine(folder)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in a folder with nothing but a configuration."""
    monkeypatch.chdir(tmp_path)
    line = CommandLine(tmp_path)
    line.config.write_text(CONFIG)
    return line
