"""Which plugins run, and with which options: `[plugins.<name>]` held against what each plugin declares."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rainbow_xmpp.config import Config, ConfigProblems, PluginTable, Problem, Table, did_you_mean, section
from rainbow_xmpp.config.describe import PluginDescription, Plugins
from rainbow_xmpp.plugin.base import Plugin, PluginOptions
from rainbow_xmpp.plugin.discovery import PluginError, find_plugins


def select_plugins(config: Config) -> Mapping[type[Plugin], PluginOptions]:
    """Every plugin that is found and not switched off. Raises ConfigProblems with all that is wrong."""
    return {cls: options for cls, options in configured_plugins(config).items() if options.enabled}


def configured_plugins(config: Config) -> Mapping[type[Plugin], PluginOptions]:
    """Every plugin that is found, also when it is switched off. Raises ConfigProblems with all that is wrong."""
    chosen, problems = _judged(config.plugin_paths, config.plugins)
    if problems:
        raise ConfigProblems(problems)
    return chosen


def plugin_problems(paths: Sequence[str], tables: Mapping[str, PluginTable]) -> list[Problem]:
    """All that plugins have against their tables, for a configuration in which more may be wrong.

    A plugin that cannot be loaded is not told here: whoever selects the plugins hears of it.
    """
    try:
        return _judged(paths, tables)[1]
    except PluginError:
        return []


def _judged(
    paths: Sequence[str], tables: Mapping[str, PluginTable]
) -> tuple[dict[type[Plugin], PluginOptions], list[Problem]]:
    found = find_plugins(paths)
    problems: list[Problem] = []
    for name, table in tables.items():
        if name not in found:
            text = f'there is no plugin called "{name}"{did_you_mean(name, found)}'
            problems.append(Problem(table.origins[""], f"plugins.{name}", text))
    chosen: dict[type[Plugin], PluginOptions] = {}
    for name, cls in sorted(found.items()):
        options, wrong = _options(cls, tables.get(name))
        problems += wrong
        if options is not None:
            chosen[cls] = options
    return chosen, problems


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
