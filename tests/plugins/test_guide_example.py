"""What the guide for plugin authors shows is run here, as it stands there."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config import ConfigProblems, load
from rainbow_xmpp.plugin import Event, Stage
from rainbow_xmpp.plugin.select import select_plugins

GUIDE = (Path(__file__).parents[2] / "docs" / "plugin-authors" / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
PLUGIN, TEST = (text for language, text in BLOCKS if language == "python")
(CONFIGURATION,) = (text for language, text in BLOCKS if language == "toml")
REST = "domain = 'a'\n[auth]\nsealing_key = 'k'\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the guide puts its plugin; what is imported from there is forgotten again."""
    before = set(sys.modules)
    plugins = tmp_path / "my-plugins"
    (plugins / "short_notes").mkdir(parents=True)
    (plugins / "short_notes" / "__init__.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(plugins))
    yield tmp_path
    for name in [name for name in sys.modules if name not in before and "short_notes" in name]:
        del sys.modules[name]


@pytest.mark.usefixtures("folder")
async def test_the_example_passes_the_test_beside_it():
    found: dict[str, Any] = {}
    exec(compile(TEST, "the guide's test", "exec"), found)
    tests = [value for name, value in found.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        await test()


def test_the_example_is_found_by_the_configuration_beside_it(folder: Path):
    (folder / "rainbow.toml").write_text(CONFIGURATION.replace("\n\n", f"\n{REST}\n", 1))
    chosen = {plugin.name: options for plugin, options in select_plugins(load("rainbow.toml", {})).items()}
    assert getattr(chosen["short_notes"], "most", None) == 500


def test_a_wrong_option_of_the_example_is_told_with_its_line(folder: Path):
    (folder / "rainbow.toml").write_text(
        f"plugin_paths = ['my-plugins']\n{REST}[plugins.short_notes]\nmost = 0\n"
    )
    with pytest.raises(ConfigProblems) as wrong:
        select_plugins(load("rainbow.toml", {}))
    assert str(wrong.value) == "rainbow.toml:6: plugins.short_notes.most is 0; 1 or more is allowed"


def test_the_example_is_small():
    assert len(PLUGIN.splitlines()) <= 25


def test_the_guide_tells_of_every_stage_in_its_order_and_of_every_event():
    assert re.findall(r"^\| `([A-Z]+)` \|", GUIDE, re.MULTILINE) == [stage.name for stage in Stage]
    events = importlib.import_module("rainbow_xmpp.router.events")
    names = {e.__name__ for e in Event.__subclasses__() if e.__module__ == events.__name__}
    section = GUIDE.partition("\n## Events\n")[2].partition("\n## ")[0]
    assert names == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
