"""Which engine is in use."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from rainbow_xmpp import xml

ROOT = Path(__file__).parents[2]


def scanner_with(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return found.stdout.strip()


def test_the_engine_in_python_can_be_asked_for() -> None:
    code = "from rainbow_xmpp import xml; print(xml.SCANNER, xml.scan(b'<a/>').name)"
    assert scanner_with(code, RAINBOW_SCANNER="python") == "python a"


def test_without_the_extension_the_engine_in_python_is_used_silently() -> None:
    code = (
        "import sys; sys.modules['rainbow_xmpp.xml._scan'] = None\n"
        "from rainbow_xmpp import xml; print(xml.SCANNER, xml.scan(b'<a/>').name)"
    )
    assert scanner_with(code, RAINBOW_SCANNER="") == "python a"


def test_all_names_come_from_one_engine() -> None:
    view = xml.scan(b"<a/>")
    assert isinstance(view, xml.View)
    assert xml.stamp(view, from_="b") == b"<a from='b'/>"
    assert xml.SCANNER in ("compiled", "python")


@pytest.mark.parametrize("source", ["xml/_scan.c", "transport/_frames.c"])
def test_the_extensions_compile_without_warnings(source: str) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    include = Path(sysconfig.get_path("include"))
    if not compiler or not (include / "Python.h").exists():
        pytest.skip("no C compiler or no headers of Python")
    flags = ["-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
    built = subprocess.run(
        [compiler, *flags, f"-I{include}", str(ROOT / "rainbow_xmpp" / source)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
