"""Plugins' tables are judged by what the plugins declare, in the same words as everything else."""

from pathlib import Path

import pytest

from rainbow_xmpp.config import Config, ConfigProblems, Secret, load
from rainbow_xmpp.plugin import PluginOptions
from rainbow_xmpp.plugin.discovery import PluginError, find_plugins
from rainbow_xmpp.plugin.select import select_plugins

NUDGE = '''
"""A plugin from elsewhere."""

from collections.abc import Iterator

from rainbow_xmpp.config import Secret, key
from rainbow_xmpp.plugin import Plugin, PluginOptions


class NudgeOptions(PluginOptions):
    per_minute: int = key(5, "Nudges a user may send per minute.")
    token: Secret = key(Secret(), "What others must know.")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.per_minute < 1:
            yield "per_minute", "is less than 1"


class Nudge(Plugin, name="nudge"):
    Options = NudgeOptions
'''


def config_with(folder: Path, tables: str) -> Config:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "nudge.py").write_text(NUDGE)
    file = folder / "rainbow.toml"
    file.write_text(f'domain = "a"\nplugin_paths = ["{folder}/plugins"]\n[auth]\nsealing_key = "k"\n{tables}')
    return load(file, {"TOKEN": "hidden"})


def selected(config: Config) -> dict[str, PluginOptions]:
    return {plugin.name: options for plugin, options in select_plugins(config).items()}


def test_plugins_of_one_name_in_two_folders_are_told(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nudge.py").write_text(NUDGE)
    with pytest.raises(PluginError, match=r"two plugins are called nudge: .*/one/nudge.py, .*/two/nudge.py"):
        find_plugins([f"{tmp_path}/one", f"{tmp_path}/two"])


def test_a_plugin_that_is_there_for_every_company_takes_no_list_of_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        select_plugins(config_with(tmp_path, '[plugins.company_isolation]\ncompanies = ["Acme"]\n'))
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        "rainbow.toml:6: plugins.company_isolation.companies cannot be set: "
        "this plugin is there for every company"
    ]


def test_options_come_from_the_table_and_else_from_the_defaults(tmp_path: Path) -> None:
    tables = '[plugins.nudge]\nper_minute = 7\ntoken = { env = "TOKEN" }\n'
    options = selected(config_with(tmp_path, tables))["nudge"]
    assert (options.per_minute, options.token) == (7, Secret("hidden"))


def test_without_a_table_a_plugin_runs_with_its_defaults_and_can_be_switched_off(tmp_path: Path) -> None:
    config = config_with(tmp_path, "[plugins.ping]\nenabled = false\n")
    names = selected(config)
    assert names["nudge"].per_minute == 5
    assert "ping" not in names


def test_every_problem_in_every_table_is_reported_with_its_line(tmp_path: Path) -> None:
    tables = (
        '[plugins.nugde]\n[plugins.nudge]\nper_minuet = 1\nper_minute = "5"\n[plugins.ping]\nloud = true\n'
    )
    with pytest.raises(ConfigProblems) as caught:
        select_plugins(config_with(tmp_path, tables))
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        'rainbow.toml:5: plugins.nugde there is no plugin called "nugde"; did you mean "nudge"?',
        'rainbow.toml:7: plugins.nudge.per_minuet is not a known key; did you mean "per_minute"?',
        'rainbow.toml:8: plugins.nudge.per_minute is "5"; give a whole number',
        "rainbow.toml:10: plugins.ping.loud is not a known key",
    ]


def test_what_the_plugin_itself_has_against_a_value_is_reported_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match=r"rainbow\.toml:6: plugins\.nudge\.per_minute is less than 1$"):
        select_plugins(config_with(tmp_path, "[plugins.nudge]\nper_minute = 0\n"))
