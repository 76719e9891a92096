"""Reads the configuration: the main file, `regions.toml` and `conf.d/*.toml` beside it, then the environment.

Everything that is wrong is reported at once, each with its file and line.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from rainbow_xmpp.config.convert import Table, field_types, is_section, section
from rainbow_xmpp.config.environment import apply_environment
from rainbow_xmpp.config.files import Unreadable, drop_ins, read_toml, regions_file
from rainbow_xmpp.config.problem import ConfigProblems, Origin, Problem
from rainbow_xmpp.config.reference import Resolver, is_reference
from rainbow_xmpp.config.schema import Config, PluginTable
from rainbow_xmpp.config.sections import is_sections

PLUGINS = "plugins"
_SECTIONS = frozenset(
    {PLUGINS, *(name for name, kind in field_types(Config).items() if is_section(kind) or is_sections(kind))}
)

JudgePlugins = Callable[[Sequence[str], Mapping[str, PluginTable]], Iterable[Problem]]
"""What is wrong with plugins' tables, given `plugin_paths` and the tables by name."""


@dataclass(slots=True)
class Draft:
    """What the files and the environment say, merged; references not yet followed, types not yet checked."""

    main: Path
    environ: Mapping[str, str]
    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    overridden: list[Problem] = field(default_factory=list)
    """Keys that two files of conf.d set. It is allowed, and seldom meant."""

    def text(self, dotted: str, default: str = "") -> str:
        """A key's plain text as written, or the default when it is absent or something else."""
        value = self._at(dotted)
        return value if isinstance(value, str) else default

    def file_named_by(self, dotted: str) -> Path | None:
        """The path in `key = { file = … }`; None when the key is written in another way."""
        value = self._at(dotted)
        name = value.get("file") if is_reference(value) else None
        return Path(name) if name else None

    def put(self, dotted: str, value: object) -> None:
        """Give a key that is written somewhere another value."""
        *path, name = dotted.split(".")
        table: object = self.values
        for part in path:
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[name] = value

    def written_at(self, dotted: str) -> Origin | None:
        """Where a key was given the value that counts; None for a default."""
        return self.origins.get(dotted)

    def config(self, judge_plugins: "JudgePlugins | None" = None) -> Config:
        """The checked configuration. Raises ConfigProblems with everything that is wrong.

        Plugins judge their tables themselves, which takes a while: by `judge_plugins`, or else when they start.
        """
        problems = list(self.problems)
        resolver = Resolver(self.environ)
        values = {
            key: resolver.resolved(value, key, section=key in _SECTIONS) for key, value in self.values.items()
        }
        problems.extend(Problem(self._origin(key), key, text) for key, text in resolver.failures)
        plugins = self._plugins(values.get(PLUGINS, {}), problems)
        table = Table("", values, self.origins, Origin(str(self.main)))
        config, found = section(Config, table, skip=frozenset({PLUGINS}))
        unresolved = {key for key, _ in resolver.failures}
        problems.extend(problem for problem in found if problem.key not in unresolved)
        paths = config.plugin_paths if config is not None else ()
        if judge_plugins is not None and not any(problem.key == "plugin_paths" for problem in problems):
            problems.extend(
                problem for problem in judge_plugins(paths, plugins) if problem.key not in unresolved
            )
        if problems or config is None:
            raise ConfigProblems(_in_order(problems))
        return _with_plugins(config, plugins)

    def _plugins(self, tables: object, problems: list[Problem]) -> dict[str, PluginTable]:
        if not isinstance(tables, dict):
            problems.append(
                Problem(self._origin(PLUGINS), PLUGINS, "is a single value; write tables [plugins.NAME]")
            )
            return {}
        made: dict[str, PluginTable] = {}
        for name, table in tables.items():
            dotted = f"{PLUGINS}.{name}"
            if not isinstance(table, dict):
                problems.append(
                    Problem(self._origin(dotted), dotted, f"is a single value; write a table [{dotted}]")
                )
                continue
            enabled = table.pop("enabled", True)
            if not isinstance(enabled, bool):
                key = f"{dotted}.enabled"
                problems.append(Problem(self._origin(key), key, "must be true or false"))
            made[name] = PluginTable(
                name, enabled is True, MappingProxyType(table), self._origins_below(dotted)
            )
        return made

    def _origins_below(self, dotted: str) -> Mapping[str, Origin]:
        below = {"": self._origin(dotted)}
        below |= {
            key[len(dotted) + 1 :]: origin
            for key, origin in self.origins.items()
            if key.startswith(dotted + ".")
        }
        return MappingProxyType(below)

    def _origin(self, dotted: str) -> Origin:
        while dotted:
            if dotted in self.origins:
                return self.origins[dotted]
            dotted = dotted.rpartition(".")[0]
        return Origin(str(self.main))

    def _at(self, dotted: str) -> object:
        value: object = self.values
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value


def load(path: Path | str, environ: Mapping[str, str], judge_plugins: JudgePlugins | None = None) -> Config:
    """The configuration of a file and an environment.

    Raises ConfigProblems, which lists everything that is wrong, and nothing else.
    """
    return read(path, environ).config(judge_plugins)


def read(path: Path | str, environ: Mapping[str, str]) -> Draft:
    """The merged tables, before `Draft.config()` follows references and checks them.

    Raises ConfigProblems when a file cannot be read or is not TOML.
    """
    draft = Draft(Path(path), environ)
    unreadable: list[Problem] = []
    for file in _files(draft.main, unreadable):
        try:
            _merge_file(draft, file)
        except Unreadable as wrong:
            unreadable.append(wrong.problem)
    draft.problems.extend(apply_environment(draft.values, draft.origins, environ))
    if unreadable:  # what they do not say would be told as missing
        raise ConfigProblems([*unreadable, *draft.problems])
    return draft


def _files(main: Path, unreadable: list[Problem]) -> list[Path]:
    try:
        return [main, *regions_file(main), *drop_ins(main)]
    except Unreadable as wrong:
        unreadable.append(wrong.problem)
        return [main]


def _merge_file(draft: Draft, file: Path) -> None:
    values, lines = read_toml(file)
    _merge(draft.values, values, depth=0)
    for path, line in lines.items():
        dotted, origin = ".".join(path), Origin(str(file), line)
        before = draft.origins.get(dotted)
        if before is not None and _are_drop_ins(before, origin, draft.main) and not _is_table(values, path):
            draft.overridden.append(Problem(origin, dotted, f"is also set at {before}; this one counts"))
        draft.origins[dotted] = origin


def _are_drop_ins(one: Origin, other: Origin, main: Path) -> bool:
    """Two different files of conf.d, which do not know of each other."""
    return one.source != other.source and str(main) not in (one.source, other.source)


def _is_table(values: object, path: tuple[str, ...]) -> bool:
    for part in path:
        values = values.get(part) if isinstance(values, Mapping) else None
    return isinstance(values, Mapping)


def _merge(into: dict[str, object], new: Mapping[str, object], depth: int) -> None:
    """Tables are joined key by key; of everything else the later one counts."""
    for key, value in new.items():
        old = into.get(key)
        whole = depth > 0 and (is_reference(old) or is_reference(value))
        if isinstance(old, dict) and isinstance(value, dict) and not whole:
            _merge(old, value, depth + 1)
        else:
            into[key] = value


def _with_plugins(config: Config, plugins: Mapping[str, PluginTable]) -> Config:
    parts = {name: getattr(config, name) for name in field_types(Config)}
    return Config(**{**parts, PLUGINS: MappingProxyType(dict(plugins))})


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By file in the order of reading, then by line, so that an editor can go through from top to end."""
    listed = list(dict.fromkeys(problems))
    files = {problem.origin.source: None for problem in listed}
    rank = {source: number for number, source in enumerate(files)}
    return sorted(listed, key=lambda problem: (rank[problem.origin.source], problem.origin.line))
