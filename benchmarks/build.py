"""Builds the load client with gcc when its source is newer than the program."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchError

HERE = Path(__file__).parent
SOURCE = HERE / "client"
PROGRAMS = HERE / ".build"
PACKAGES = ("gcc", "libc6-dev", "libssl-dev")
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Wno-deprecated-declarations")


def build_client() -> Path:
    """The path of an up-to-date client for chat. Raises BenchError when it cannot be built."""
    return build("loadgen", SOURCE, ("-lssl", "-lcrypto", "-lm"))


def build(name: str, folder: Path, libraries: Sequence[str]) -> Path:
    """The path of the up-to-date program that a folder's C files make. Raises BenchError when it cannot be built."""
    program = PROGRAMS / name
    sources = sorted(folder.glob("*.c"))
    newest = max(path.stat().st_mtime for path in folder.iterdir())
    if program.exists() and program.stat().st_mtime > newest:
        return program
    _need_compiler()
    PROGRAMS.mkdir(exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    command = ["gcc", *FLAGS, "-o", str(fresh), *map(str, sources), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise BenchError(f"the load client does not compile:\n{done.stderr}")
    fresh.replace(program)
    return program


def _need_compiler() -> None:
    if shutil.which("gcc") and Path("/usr/include/openssl/ssl.h").exists():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BenchError(f"building the load client needs: apt-get install {' '.join(PACKAGES)}")
    print(f"installing {' '.join(PACKAGES)} to build the load client", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *PACKAGES]
    for command in (["apt-get", "update", "-qq"], install):
        if subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, timeout=600).returncode:
            raise BenchError(f"{' '.join(command)} failed; install {' '.join(PACKAGES)} by hand")
