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


def copied_sources(copy: Path) -> Path:
    """The sources without what was built from them."""
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=NOT_SOURCES)
        elif source.exists():
            shutil.copy2(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources with the tools of this environment."""
    copy = copied_sources(tmp_path_factory.mktemp("built") / "sources")
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
        "rainbow_xmpp/store/migrations/core_0004_own_service_levels.py",
        "rainbow_xmpp/plugins/offline/__init__.py",
    } <= wanted
    assert wanted <= packed, f"missing: {sorted(wanted - packed)}"


def test_nothing_but_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"rainbow_xmpp", f"rainbow_xmpp-{__version__}.dist-info"}


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment of its own with the package in it, and a folder that is not the sources."""

    bin: Path
    elsewhere: Path

    def rainbow(self, *arguments: str) -> str:
        return run([self.bin / "rainbow-xmpp", *arguments], self.elsewhere)

    def python(self, *arguments: str) -> str:
        return run([self.bin / "python", *arguments], self.elsewhere)


def install(folder: Path, *what: object) -> Installation:
    """The dependencies are lent by this environment: installing them again would prove nothing and take long."""
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip())
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run([*pip, *what], folder)
    (folder / "elsewhere").mkdir()
    return Installation(python.parent, folder / "elsewhere")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Installed from its sources, which stay where they are."""
    folder = tmp_path_factory.mktemp("editable")
    return install(folder, "--no-build-isolation", "--editable", copied_sources(folder / "sources"))


PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
LOAD_ALL = """
import importlib, sys
from rainbow_xmpp.plugin.discovery import find_plugins
found = find_plugins()
for name in sys.argv[1:]:
    module = importlib.import_module(f"rainbow_xmpp.plugins.{name}")
    assert found[name].__module__ == module.__name__, name
print(*sorted(found))
"""
A_TEST = """
from rainbow_xmpp.plugins.ping import Ping, PingPayload
from rainbow_xmpp.testing import TestServer

async def test_it_answers():
    async with TestServer([Ping]) as server:
        ann = await server.login("ann@acme")
        assert (await ann.ask("get", PingPayload(), to=server.domain)).get("type") == "result"
"""


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_every_plugin_is_loaded_by_its_one_name(how: str, request: pytest.FixtureRequest) -> None:
    installation: Installation = request.getfixturevalue(how)
    assert installation.python("-c", LOAD_ALL, *PLUGINS).split() == PLUGINS


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_authors_test_with_what_is_installed(how: str, request: pytest.FixtureRequest) -> None:
    installation: Installation = request.getfixturevalue(how)
    (installation.elsewhere / "test_it.py").write_text(A_TEST)
    installation.rainbow("plugin", "new", "nudge", "--table")
    told = installation.python(
        *(
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "asyncio_mode=auto",
            "test_it.py",
            "my-plugins",
        )
    )
    assert "2 passed" in told


def test_the_installed_command_runs_from_any_folder(installed: Installation) -> None:
    assert installed.rainbow("--version") == f"rainbow-xmpp {__version__}\n"
    where = run(
        [installed.bin / "python", "-c", "import rainbow_xmpp; print(rainbow_xmpp.__file__)"],
        installed.elsewhere,
    )
    assert where.startswith(str(installed.bin.parent))


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_what_is_installed_sets_up_a_server_with_every_plugin(
    how: str, request: pytest.FixtureRequest
) -> None:
    installation: Installation = request.getfixturevalue(how)
    config = installation.elsewhere / "rainbow.toml"
    config.write_text(installation.rainbow("config", "example"))
    text = installation.rainbow("--config", "rainbow.toml", "setup")
    assert "alice@acme.example" in text
    checked = installation.rainbow("--config", "rainbow.toml", "check", "config", "certs", "db")
    assert "✗" not in checked
    listed = next(line for line in checked.splitlines() if "plugins:" in line)
    assert listed.partition("plugins: ")[2].split(", ") == PLUGINS
