"""`[service_levels.NAME]`: sections whose names an administrator chooses."""

from pathlib import Path

import pytest

from rainbow_xmpp.config import Config, ConfigProblems, load
from rainbow_xmpp.config.changes import changes, merged
from rainbow_xmpp.config.levels import SHIPPED_LEVELS

START = 'domain = "chat.example"\nauth.sealing_key = "for this test only"\n'


def loaded(tmp_path: Path, text: str = "", **environ: str) -> Config:
    (tmp_path / "rainbow.toml").write_text(START + text)
    return load(tmp_path / "rainbow.toml", environ)


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        loaded(tmp_path, text, **environ)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_three_levels_are_there_without_a_word(tmp_path: Path) -> None:
    levels = loaded(tmp_path).service_levels
    assert list(levels) == ["essential", "business", "enterprise"]
    assert levels["essential"].archive_days < levels["business"].archive_days


def test_a_shipped_level_keeps_what_is_not_changed(tmp_path: Path) -> None:
    levels = loaded(tmp_path, "[service_levels.business]\nupload_mb = 7\n").service_levels
    assert (levels["business"].upload_mb, levels["business"].archive_days) == (7, 365)
    assert levels["essential"] == SHIPPED_LEVELS["essential"]


def test_another_level_begins_like_essential(tmp_path: Path) -> None:
    levels = loaded(tmp_path, "[service_levels.gold_plus]\nmax_members = 9\n").service_levels
    assert (levels["gold_plus"].max_members, levels["gold_plus"].archive_days) == (9, 30)
    assert list(levels) == ["essential", "business", "enterprise", "gold_plus"]


def test_files_and_the_environment_come_together_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.toml").write_text("[service_levels.gold]\nupload_mb = 2\n")
    levels = loaded(
        tmp_path,
        "[service_levels.gold]\nrooms = false\nupload_mb = 1\n",
        RAINBOW_SERVICE_LEVELS__GOLD__ARCHIVE_DAYS="3",
        RAINBOW_SERVICE_LEVELS__BUSINESS__ROOMS="no",
        RAINBOW_SERVICE_LEVELS__FAMILY__MAX_MEMBERS="6",
    ).service_levels
    gold = levels["gold"]
    assert (gold.rooms, gold.upload_mb, gold.archive_days) == (False, 2, 3)
    assert (levels["business"].rooms, levels["family"].max_members) == (False, 6)


def test_everything_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    text = """\
[service_levels]
silver = 3
[service_levels.gold]
archive_day = 3
upload_mb = -1
rooms = "yes"
[service_levels.Very-Good]
"""
    assert problems(tmp_path, text) == [
        "rainbow.toml:4: service_levels.silver is a single value; write a table [service_levels.silver]",
        'rainbow.toml:6: service_levels.gold.archive_day is not a known key; did you mean "archive_days"?',
        "rainbow.toml:7: service_levels.gold.upload_mb is -1; 0 to 10000 are allowed",
        'rainbow.toml:8: service_levels.gold.rooms is "yes"; give true or false',
        "rainbow.toml:9: service_levels.Very-Good is no name for a level: at most 32 small letters and digits, "
        "words joined by _",
    ]


def test_the_whole_must_be_tables(tmp_path: Path) -> None:
    assert problems(tmp_path, "service_levels = 3\n") == [
        "rainbow.toml:3: service_levels is a single value; write tables [service_levels.NAME]"
    ]


def test_a_variable_for_an_unknown_key_says_which_may_be_meant(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, "", RAINBOW_SERVICE_LEVELS__BUSINESS__UPLOADS_MB="3")
    assert 'did you mean "RAINBOW_SERVICE_LEVELS__BUSINESS__UPLOAD_MB"?' in said


def test_a_reload_takes_changed_new_and_dropped_levels_at_once(tmp_path: Path) -> None:
    running = loaded(tmp_path, "[service_levels.gold]\nupload_mb = 1\n")
    wanted = loaded(
        tmp_path, "[service_levels.silver]\nupload_mb = 1\n[service_levels.business]\nupload_mb = 1\n"
    )
    found = changes(running, wanted)
    assert found.restart == ()
    assert found.live == (
        "service_levels.business.upload_mb",
        "service_levels.gold",
        "service_levels.silver",
    )
    assert merged(running, wanted).service_levels == wanted.service_levels
