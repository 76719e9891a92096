"""`plugin list`, `stages`, `xeps` and `new`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rainbow_xmpp.router.stages import Stage
from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]

ROOT = Path(__file__).parents[2]
ALL_STAGES = [word for stage in Stage for word in ("--stage", stage.value)]


def run(*command: object, cwd: Path) -> None:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, "MYPYPATH": str(ROOT)},  # mypy does not look into editable installations
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def with_plugins(line: CommandLine, tables: str = "") -> None:
    text = line.config.read_text()
    line.config.write_text(f'plugin_paths = ["my-plugins"]\n{text}\n{tables}')


def test_every_plugin_is_listed_with_what_it_does(line: CommandLine) -> None:
    (line.folder / "my-plugins").mkdir()
    line.ok("plugin", "new", "nudge", "--stage", "gate")
    with_plugins(line, '[plugins.nudge]\ncompanies = ["Acme"]\n[plugins.usage]\nenabled = false\n')
    listed = {row["name"]: row for row in json.loads(line.ok("plugin", "list", "--json"))}
    assert listed["nudge"] == {
        "name": "nudge",
        "source": "my-plugins/nudge",
        "runs": True,
        "companies": ["Acme"],
        "implements": [],
        "stages": ["gate"],
        "also": ["requests"],
    }
    assert (listed["usage"]["runs"], listed["usage"]["source"]) == (False, "shipped")
    assert listed["ping"]["implements"] == ["XEP-0199"]
    header, *rows = (row.split("\t") for row in line.ok("plugin", "list").splitlines())
    assert header == ["name", "source", "runs", "companies", "implements", "stages", "also"]
    assert ["nudge", "my-plugins/nudge", "yes", "Acme", "", "gate", "requests"] in rows


def test_each_stage_shows_whom_it_asks_in_order_and_what_a_failure_means(line: CommandLine) -> None:
    (line.folder / "my-plugins").mkdir()
    line.ok("plugin", "new", "a_marker", "--stage", "rewrite")
    with_plugins(line, "[plugins.stanza_metrics]\nenabled = false\n")
    shown = json.loads(line.ok("plugin", "stages", "--json"))
    assert [row["stage"] for row in shown] == [stage.value for stage in Stage]
    asked = {row["stage"]: [each["name"] for each in row["plugins"]] for row in shown}
    assert asked["rewrite"].index("forgery_guard") < asked["rewrite"].index("a_marker")  # as it says: after
    assert "stanza_metrics" not in asked["observe"]
    usage = next(each for row in shown for each in row["plugins"] if each["name"] == "usage")
    assert usage["may_fail"]
    rows = dict(row.split("\t", 1) for row in line.ok("plugin", "stages").splitlines())
    assert rows["gate"].startswith("company_isolation") and "gates fail closed" in rows["gate"]
    assert "usage (may fail)" in rows["record"]


def test_specifications_are_listed(line: CommandLine) -> None:
    found = {row["number"]: row for row in json.loads(line.ok("plugin", "xeps", "--json"))}
    assert found["XEP-0199"]["by"] == "ping"
    assert found["RFC 6120"]["by"] == "the core"


def test_a_new_plugin_says_what_to_do_next(line: CommandLine) -> None:
    told = line.ok("plugin", "new", "nudge", "--folder", "plug ins", "--table")
    assert told.startswith("plug ins/nudge: __init__.py, README.md, test_nudge.py, store.py, migrations/")
    assert 'write plugin_paths = ["plug ins"] into rainbow.toml, before its first table' in told
    for step in ("pytest plug ins/nudge", "check config", "db upgrade", "plugin stages"):
        assert step in told
    assert "db upgrade" not in line.ok("plugin", "new", "other")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ping", "there is a plugin called ping already"),
        ("Nudge", "cannot be a plugin's name: use lower-case letters, digits and _"),
        ("my-nudge", "cannot be a plugin's name"),
        ("class", "cannot be a plugin's name"),
        ("../nudge", "cannot be a plugin's name"),
        ("taken", "my-plugins/taken exists already"),
    ],
)
def test_a_name_that_cannot_be_taken_writes_nothing(line: CommandLine, name: str, words: str) -> None:
    (line.folder / "my-plugins" / "taken").mkdir(parents=True)
    assert words in line.refused("plugin", "new", name)
    assert [path.name for path in (line.folder / "my-plugins").rglob("*")] == ["taken"]


def test_what_new_writes_works_as_written(line: CommandLine) -> None:
    line.ok("plugin", "new", "nudge")
    line.ok("plugin", "new", "two_words", "--table", *ALL_STAGES)
    folder = line.folder / "my-plugins"
    with_plugins(line)
    python = (sys.executable, "-m")
    # In processes of their own: a table that was declared once stays declared.
    for command in (("check", "config"), ("db", "upgrade")):
        run(*python, "rainbow_xmpp", "--config", line.config.name, *command, cwd=line.folder)
    run(*python, "pytest", "-q", "-p", "no:cacheprovider", folder, cwd=line.folder)
    run(*python, "ruff", "check", "--config", ROOT / "pyproject.toml", folder, cwd=line.folder)
    run(*python, "ruff", "format", "--check", "--config", ROOT / "pyproject.toml", folder, cwd=line.folder)
    checked = (f"my-plugins/{name}" for name in ("nudge", "two_words"))
    settings = ("--config-file", ROOT / "setup.cfg", "--cache-dir", ROOT / ".mypy_cache")
    run(*python, "mypy", "--strict", *settings, *checked, cwd=line.folder)


def test_what_new_writes_beside_our_sources_has_their_form() -> None:
    from rainbow_xmpp.cli.plugin_new import Wish, files_of

    files = files_of(Wish("nudge", with_table=True, stages=("observe",), is_beside_us=True))
    for name in ("store.py", "test_nudge.py"):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--stdin-filename", f"my-plugins/nudge/{name}", "-"],
            cwd=ROOT,
            input=files[name],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_plugins_are_shown_before_there_are_keys(line: CommandLine) -> None:
    """As in a fresh checkout; whatever opens the database says what is missing."""
    (line.folder / "dev" / "sealing.key").unlink()
    assert "company_isolation" in line.ok("plugin", "list")
    assert "company_isolation" in line.ok("plugin", "stages")
    assert "auth.sealing_key names the file dev/sealing.key" in line.refused("user", "list")
