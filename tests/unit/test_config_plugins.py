"""Plugins' tables are judged by what the plugins declare, in the same words as everything else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rainbow_xmpp.config import Config, ConfigProblems, Secret, key, load, plugin_options


@dataclass(frozen=True, slots=True, kw_only=True)
class NudgeOptions:
    enabled: bool = True
    per_minute: int = key(5, "Nudges a user may send per minute.")
    token: Secret = key(Secret(), "What others must know.")  # noqa: RUF009  # a value

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.per_minute < 1:
            yield "per_minute", "is less than 1"


KNOWN = {"nudge": NudgeOptions, "ping": NudgeOptions}


def config_with(folder: Path, tables: str) -> Config:
    file = folder / "rainbow.toml"
    file.write_text(f'domain = "a"\n[auth]\nsealing_key = "k"\n{tables}')
    return load(file, {"TOKEN": "hidden"})


def test_options_come_from_the_table_and_else_from_the_defaults(tmp_path: Path) -> None:
    config = config_with(
        tmp_path, '[plugins.nudge]\nenabled = false\nper_minute = 7\ntoken = { env = "TOKEN" }\n'
    )
    options = plugin_options(config, KNOWN)
    assert options["nudge"] == NudgeOptions(enabled=False, per_minute=7, token=Secret("hidden"))
    assert options["ping"] == NudgeOptions()


def test_every_problem_in_every_table_is_reported_with_its_line(tmp_path: Path) -> None:
    config = config_with(
        tmp_path,
        "[plugins.nugde]\n"
        '[plugins.nudge]\nper_minuet = 1\nper_minute = "5"\n[plugins.ping]\nper_minute = 0\n',
    )
    with pytest.raises(ConfigProblems) as caught:
        plugin_options(config, KNOWN)
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        'rainbow.toml:4: plugins.nugde is no plugin that is here; did you mean "nudge"?',
        'rainbow.toml:6: plugins.nudge.per_minuet is not a known key; did you mean "per_minute"?',
        'rainbow.toml:7: plugins.nudge.per_minute is "5"; give a whole number',
        "rainbow.toml:9: plugins.ping.per_minute is less than 1",
    ]
