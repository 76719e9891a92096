"""The wheel carries everything, and what is installed from it runs anywhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rainbow_xmpp import __version__

ROOT = Path(__file__).parents[2]
SOURCES = ("rainbow_xmpp", "plugins", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")

pytestmark = pytest.mark.xdist_group("packaging")


def run(command: Sequence[object], cwd: Path) -> str:
    """What it prints on stdout; a failure fails the test and shows stderr."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAINBOW_", "PYTHON"))
    }
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources with the tools of this environment."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=NOT_SOURCES)
        elif source.exists():
            shutil.copy2(source, copy / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run([*pip, "--wheel-dir", copy / "dist", copy], copy)
    (built,) = (copy / "dist").glob("rainbow_xmpp-*.whl")
    return built


def test_every_module_and_data_file_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "rainbow_xmpp").rglob("*")
        if file.is_file() and file.suffix not in (".pyc", ".so", ".c", ".h") and "plugins" not in file.parts
    }
    plugins = ROOT / "plugins"
    wanted |= {
        f"rainbow_xmpp/plugins/{file.relative_to(plugins)}"
        for file in plugins.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert {
        "rainbow_xmpp/py.typed",
        "rainbow_xmpp/auth/common_passwords.txt",
        "rainbow_xmpp/store/migrations/core_0001_accounts_and_rosters.py",
        "rainbow_xmpp/store/migrations/core_0002_audit.py",
        "rainbow_xmpp/store/migrations/core_0003_companies_reach_each_other.py",
        "rainbow_xmpp/plugins/offline/__init__.py",
    } <= wanted
    assert wanted <= packed, f"missing: {sorted(wanted - packed)}"


def test_nothing_but_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"rainbow_xmpp", f"rainbow_xmpp-{__version__}.dist-info"}


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment of its own with the wheel in it, and a folder that is not the sources."""

    bin: Path
    elsewhere: Path

    def rainbow(self, *arguments: str) -> str:
        return run([self.bin / "rainbow-xmpp", *arguments], self.elsewhere)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The dependencies are lent by this environment: installing them again would prove nothing and take long."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run([*pip, wheel], folder)
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(site, "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    (folder / "elsewhere").mkdir()
    return Installation(python.parent, folder / "elsewhere")


def test_the_installed_command_runs_from_any_folder(installed: Installation) -> None:
    assert installed.rainbow("--version") == f"rainbow-xmpp {__version__}\n"
    where = run(
        [installed.bin / "python", "-c", "import rainbow_xmpp; print(rainbow_xmpp.__file__)"],
        installed.elsewhere,
    )
    assert where.startswith(str(installed.bin.parent))


def test_the_installed_package_sets_up_a_server(installed: Installation) -> None:
    config = installed.elsewhere / "rainbow.toml"
    config.write_text(installed.rainbow("config", "example"))
    text = installed.rainbow("--config", "rainbow.toml", "setup")
    assert "alice@acme.example" in text
    checked = installed.rainbow("--config", "rainbow.toml", "check")
    assert "✗" not in checked
    assert "company_isolation" in next(line for line in checked.splitlines() if "plugins:" in line)
