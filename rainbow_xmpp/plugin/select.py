"""Which plugins run, and with which options: `[plugins.<name>]` held against what each plugin declares."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rainbow_xmpp.config import Config, ConfigProblems, PluginTable, Problem, Table, did_you_mean, section
from rainbow_xmpp.config.describe import PluginDescription, Plugins
from rainbow_xmpp.plugin.base import Plugin, PluginOptions
from rainbow_xmpp.plugin.discovery import find_plugins


def select_plugins(config: Config) -> Mapping[type[Plugin], PluginOptions]:
    """Every plugin that is found and not switched off. Raises ConfigProblems with all that is wrong."""
    return {cls: options for cls, options in configured_plugins(config).items() if options.enabled}


def configured_plugins(config: Config) -> Mapping[type[Plugin], PluginOptions]:
    """Every plugin that is found, also when it is switched off. Raises ConfigProblems with all that is wrong."""
    found = find_plugins(config.plugin_paths)
    problems: list[Problem] = []
    for name, table in config.plugins.items():
        if name not in found:
            text = f'there is no plugin called "{name}"{did_you_mean(name, found)}'
            problems.append(Problem(table.origins[""], f"plugins.{name}", text))
    chosen: dict[type[Plugin], PluginOptions] = {}
    for name, cls in sorted(found.items()):
        options, wrong = _options(cls, config.plugins.get(name))
        problems += wrong
        if options is not None:
            chosen[cls] = options
    if problems:
        raise ConfigProblems(problems)
    return chosen


def _options(cls: type[Plugin], table: PluginTable | None) -> tuple[PluginOptions | None, list[Problem]]:
    if table is None:
        return cls.Options(), []
    prefix = f"plugins.{table.name}"
    origins = {f"{prefix}.{key}" if key else prefix: origin for key, origin in table.origins.items()}
    values = {**table.values, "enabled": table.enabled}
    written = Table(prefix, values, origins, table.origins[""])
    if not cls.is_for_all:
        return section(cls.Options, written)
    options, problems = section(cls.Options, written, skip=frozenset(("companies",)))
    if "companies" in values:
        problems.append(written.problem("companies", "cannot be set: this plugin is there for every company"))
    return options, problems


def describe_plugins(config: Config | None = None) -> Plugins:
    """What there is to say of every plugin's options: of ours, and with a configuration of those it names too."""
    found = find_plugins(config.plugin_paths if config is not None else ())
    return {name: PluginDescription(_summary(cls), cls.Options) for name, cls in sorted(found.items())}


def _summary(cls: type[Plugin]) -> str:
    """The first line of the module's documentation, or else of the class's."""
    text = sys.modules[cls.__module__].__doc__ or cls.__doc__ or ""
    return text.strip().partition("\n")[0]
