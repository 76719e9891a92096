"""The plugins' part of the configuration, judged by what each plugin declares."""

from collections.abc import Mapping
from typing import TypeVar

from rainbow_xmpp.config.convert import Table, section
from rainbow_xmpp.config.problem import ConfigProblems, Origin, Problem, did_you_mean
from rainbow_xmpp.config.schema import Config, PluginTable

T = TypeVar("T")


def plugin_options(config: Config, known: Mapping[str, type[T]]) -> dict[str, T]:
    """The options of every known plugin, from its table or from its defaults.

    `known`: each plugin's name and the frozen dataclass of its options. Raises ConfigProblems with everything
    that is wrong in any of the tables, tables of plugins that are not known included.
    """
    problems: list[Problem] = []
    options: dict[str, T] = {}
    for name, table in config.plugins.items():
        if name not in known:
            hint = did_you_mean(name, known)
            problems.append(Problem(_origin(table), f"plugins.{name}", f"is no plugin that is here{hint}"))
    for name, cls in known.items():
        made, found = section(cls, _table(name, config.plugins.get(name)))
        problems += found
        if made is not None:
            options[name] = made
    if problems:
        raise ConfigProblems(problems)
    return options


def _table(name: str, table: PluginTable | None) -> Table:
    dotted = f"plugins.{name}"
    if table is None:
        return Table(dotted, {}, {}, Origin("defaults"))
    origins = {f"{dotted}.{key}" if key else dotted: origin for key, origin in table.origins.items()}
    return Table(dotted, {**table.values, "enabled": table.enabled}, origins, _origin(table))


def _origin(table: PluginTable) -> Origin:
    return table.origins.get("", Origin("configuration"))
