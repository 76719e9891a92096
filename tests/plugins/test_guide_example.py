"""What the guide for plugin authors shows is run here, as it stands there."""

import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from aiohttp import web

import rainbow_xmpp.plugin
import rainbow_xmpp.testing
from rainbow_xmpp.config import ConfigProblems, load
from rainbow_xmpp.plugin import Context, Event, Payload, Plugin, Services, Stage
from rainbow_xmpp.plugin.select import select_plugins
from rainbow_xmpp.testing import Client, TestServer

FOLDER = Path(__file__).parents[2] / "docs" / "plugin-authors"
GUIDE = (FOLDER / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(GUIDE)
PLUGIN, TEST, *REST_OF_IT = (text for language, text in BLOCKS if language == "python")
(CONFIGURATION,) = (text for language, text in BLOCKS if language == "toml")
REST = "domain = 'a'\n[auth]\nsealing_key = 'k'\n"
PAGES = ("README.md", "commands.md", "together.md")


def given() -> dict[str, Any]:
    """What the snippets use: the two packages for authors, and what they would import beside."""
    names = {"Counter": Counter, "datetime": datetime, "web": web, "__name__": __name__}
    for package in (rainbow_xmpp.plugin, rainbow_xmpp.testing):
        names |= {name: getattr(package, name) for name in package.__all__}
    return names


def section(title: str) -> str:
    return GUIDE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """What stands in the first column of the section's table."""
    return re.findall(r"^\| (`.*?`) \|", section(title), re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the guide puts its plugin; what is imported from there is forgotten again."""
    before = set(sys.modules)
    plugins = tmp_path / "my-plugins"
    (plugins / "nudge").mkdir(parents=True)
    (plugins / "nudge" / "__init__.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(plugins))
    yield tmp_path
    for name in [name for name in sys.modules if name not in before and "nudge" in name]:
        del sys.modules[name]


async def run_tests(text: str, names: dict[str, Any]) -> None:
    exec(compile(text, "the guide", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        await test()


@pytest.mark.usefixtures("folder")
async def test_the_example_passes_the_test_beside_it():
    await run_tests(TEST, {})


async def test_the_other_plugins_of_the_guide_start_and_pass_its_other_test():
    names = given()
    for text in REST_OF_IT:
        if "def test_" in text:
            await run_tests(text, names)
        else:
            exec(compile(text, "the guide", "exec"), names)
    payloads = [kind for kind in names.values() if isinstance(kind, type) and issubclass(kind, Payload)]
    for kind in payloads:
        if kind is not Payload:
            kind.check()
    shown = [kind for kind in names.values() if is_plugin(kind)]
    assert {"nudging", "greeter"} <= {kind.name for kind in shown}
    async with TestServer(shown):
        pass


def is_plugin(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Plugin) and kind is not Plugin


@pytest.mark.parametrize("page", ["commands.md", "together.md"])
async def test_the_plugins_of_the_other_pages_start(page: str):
    names = given()
    for language, text in BLOCK.findall((FOLDER / page).read_text()):
        if language == "python":
            exec(compile(text, page, "exec"), names)
    shown = [kind for kind in names.values() if is_plugin(kind)]
    assert shown
    async with TestServer(shown):
        pass


def test_the_example_is_found_by_the_configuration_beside_it(folder: Path):
    (folder / "rainbow.toml").write_text(CONFIGURATION.replace("\n\n", f"\n{REST}\n", 1))
    chosen = {plugin.name: options for plugin, options in select_plugins(load("rainbow.toml", {})).items()}
    assert getattr(chosen["nudge"], "strongest", None) == 2


def test_a_wrong_option_of_the_example_is_told_with_its_line(folder: Path):
    (folder / "rainbow.toml").write_text(
        f"plugin_paths = ['my-plugins']\n{REST}[plugins.nudge]\nstrongest = 6\n"
    )
    with pytest.raises(ConfigProblems) as wrong:
        select_plugins(load("rainbow.toml", {}))
    assert str(wrong.value) == "rainbow.toml:6: plugins.nudge.strongest is 6; 1 to 5 are allowed"


def test_the_example_is_small():
    assert len(PLUGIN.splitlines()) <= 25


def test_every_decorator_is_told_of():
    modules = [
        importlib.import_module(f"rainbow_xmpp.plugin.{name}") for name in ("marks", "login_marks", "api")
    ]
    public = {name: getattr(rainbow_xmpp.plugin, name) for name in rainbow_xmpp.plugin.__all__}
    decorators = {
        name
        for name, value in public.items()
        if isinstance(value, FunctionType)
        and value.__module__ in {m.__name__ for m in modules}
        and "Callable[[F], F]" in str(value.__annotations__.get("return"))
    }
    told = re.findall(r"`@(\w+)\(", "".join(first_cells("What a method is for")))
    told += re.findall(r"`@(\w+)\(", section("What a method is for"))
    assert decorators == set(told)


def test_the_guide_tells_of_every_stage_in_its_order_and_of_every_event():
    assert re.findall(r"^\| `([A-Z]+)` \|", GUIDE, re.MULTILINE) == [stage.name for stage in Stage]
    events = importlib.import_module("rainbow_xmpp.router.events")
    names = {e.__name__ for e in Event.__subclasses__() if e.__module__ == events.__name__}
    assert names == {cell.strip("`") for cell in first_cells("Events")}


def test_what_a_plugin_is_given_is_what_the_guide_says():
    told = set(
        re.findall(
            r"`(\w+)", "".join(re.findall(r"^\| (`[^|]*) \|", section("What a plugin is given"), re.M))
        )
    )
    assert told
    assert {name for name in told if not hasattr(Services, name)} == set()
    context = section("What a method is for").partition("`ctx` knows")[2]
    known = set(re.findall(r"`(?:await )?(\w+)", context))
    assert {name for name in known if not hasattr(Context, name)} == set()


def test_what_the_guide_says_of_tests_is_there():
    told = section("Tests").partition("Of a server:")[2]
    server, _, client = told.partition("Of a client:")
    of_server = set(re.findall(r"`(\w+)", server)) - {"clock"}
    assert {name for name in of_server if not hasattr(TestServer, name)} == set()
    assert {name for name in re.findall(r"`(\w+)`", client) if not hasattr(Client, name)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_guide_lead_somewhere(page: str):
    for target in re.findall(r"\]\(([^)#]+)", (FOLDER / page).read_text()):
        if "://" not in target:
            assert (FOLDER / target).exists(), target
