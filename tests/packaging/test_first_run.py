"""What `make run` does, from nothing to people chatting, and again."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process import ROOT, free_port


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The shipped configuration on free ports, in a folder with nothing in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "RAINBOW_CONFIG": str(ROOT / "conf" / "rainbow.toml"),
        "RAINBOW_LISTEN__PORT": str(free_port()),
        "RAINBOW_LISTEN__REDIRECT_PORT": str(free_port()),
        "RAINBOW_PLUGINS__WEBRTC_RELAY__PORT": str(free_port()),
    }


@contextmanager
def serving(folder: Path, environ: dict[str, str], *command: str) -> Iterator[str]:
    """The command running in the folder; gives what it wrote until it was ready, and ends it with SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rainbow_xmpp", *command],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if re.search(r"\bready\b", line):
                break
        assert process.poll() is None, said
        assert re.search(rf"\bready\b.* {process.pid}\b", said), said
        assert (folder / "data" / "run.pid").read_text().strip() == str(process.pid)
        yield said
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def probe(folder: Path, environ: dict[str, str], url: str, user: str, password: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rainbow_xmpp", "probe", url, "--user", user, "--password-stdin"],
        cwd=folder,
        env=environ,
        input=password,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_nothing_to_messages_and_again(tmp_path: Path, environ: dict[str, str]) -> None:
    environ["RAINBOW_DEMO"] = "1"
    port = environ["RAINBOW_LISTEN__PORT"]
    with serving(tmp_path, environ, "setup", "--serve") as said:
        shown = re.search(r"^ *bob@acme\.example +bob@localhost +Acme +(\S+)$", said, re.MULTILINE)
        assert shown is not None, said
        for name in ("token.key", "relay.secret"):
            assert (tmp_path / "dev" / name).stat().st_mode & 0o077 == 0
        for url in (f"wss://localhost:{port}/xmpp-websocket", f"xmpps://localhost:{port}"):
            assert "bob@localhost/probe" in probe(tmp_path, environ, url, "bob@acme.example", shown.group(1))
    with serving(tmp_path, environ, "setup", "--serve") as said:
        assert f"https://localhost:{port}" in said
        assert "PASSWORD" not in said
        url = f"wss://localhost:{port}/xmpp-websocket"
        assert "bob@localhost/probe" in probe(tmp_path, environ, url, "bob", shown.group(1))


def test_keys_and_certificates_of_something_else_are_told_at_the_start(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with serving(tmp_path, environ, "setup", "--serve") as said:
        assert "refuse the certificate" not in said and "cannot log in" not in said
    (tmp_path / "dev" / "sealing.key").write_text(f"{'5a' * 32}\n")
    environ["RAINBOW_DOMAIN"] = "chat.example"
    with serving(tmp_path, environ, "run") as said:
        assert re.search(
            r"ERROR +people whose credentials are sealed under the key \w{8} cannot log in", said
        )
        assert "the certificate: dev/cert.pem does not name chat.example, only localhost" in said


def test_run_creates_an_sqlite_database_that_is_not_there(tmp_path: Path, environ: dict[str, str]) -> None:
    environ["RAINBOW_STORAGE__URL"] = "sqlite+aiosqlite:///data/other.db"
    with serving(tmp_path, environ, "setup", "--serve"):
        pass
    (tmp_path / "data" / "other.db").unlink()
    with serving(tmp_path, environ, "run") as said:
        assert "data/other.db: created" in said
        assert "It has no people yet." in said
