"""The frame of the command line: help, exit codes, and that it loads only what a command needs."""

import gc
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest

from rainbow_xmpp import __version__
from rainbow_xmpp.config import Config
from tests.cli import CommandLine, bare, empty_installation, line

__all__ = ["bare", "empty_installation", "line"]

NUDGE = """
from rainbow_xmpp.config import Secret
from rainbow_xmpp.plugin import Plugin, PluginOptions, option


class Nudge(Plugin, name="nudge"):
    class Options(PluginOptions):
        per_minute: int = option(5, "Nudges a minute.")
        token: Secret = option(Secret(), "What others must know.")
"""
HEAVY = ("sqlalchemy", "alembic", "slixmpp", "aiohttp", "cryptography", "rich", "uvloop")


def test_help_lists_every_command(bare: CommandLine) -> None:
    text = bare.ok("--help")
    for command in ("run", "check", "setup", "config", "db", "company", "user", "probe"):
        assert f"\n  {command} " in text


@pytest.mark.parametrize(
    "command",
    [
        *(
            "run",
            "check",
            "setup",
            "probe",
            "config",
            "config show",
            "config reference",
            "reload",
            "db upgrade",
        ),
        *("company add", "company list"),
        *("user add", "user list", "user passwd", "user remove", "user import"),
        *("user invite", "user reset-password", "user second-factor"),
    ],
)
def test_every_command_explains_itself(bare: CommandLine, command: str) -> None:
    assert bare.ok(*command.split(), "--help").startswith(f"Usage: rainbow-xmpp {command} ")


def test_the_version_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rainbow_xmpp", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"rainbow-xmpp {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["company", "--help"], ["config", "--help"]])
def test_a_command_loads_no_library_it_does_not_need(arguments: list[str]) -> None:
    program = (
        "import sys; from rainbow_xmpp.cli import commands; "
        f"commands.main({arguments!r}, standalone_mode=False); "
        f"sys.exit(', '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_command_is_a_usage_error(bare: CommandLine) -> None:
    assert "No such command 'serve'" in bare.refused("serve", exit_code=2)


def test_a_missing_configuration_is_named(bare: CommandLine) -> None:
    bare.config.unlink()
    said = bare.refused("company", "list")
    assert said == "rainbow.toml: there is no such file; name one with --config\n"


def test_every_problem_of_the_configuration_is_printed(bare: CommandLine) -> None:
    bare.config.write_text('domain = "a"\n[listen]\nprot = 1\nport = 0\n[auth]\nsealing_key = "k"\n')
    assert bare.refused("run").splitlines() == [
        'rainbow.toml:3: listen.prot is not a known key; did you mean "port"?',
        "rainbow.toml:4: listen.port is 0; 1 to 65535 are allowed",
    ]


def test_what_the_database_refuses_is_told_in_its_words(line: CommandLine) -> None:
    database = sqlite3.connect("data/rainbow.db")
    database.execute("DROP TABLE alembic_version_usage")  # its migration will find its table there already
    database.execute("ALTER TABLE companies RENAME TO others")
    database.commit()
    assert line.refused("db", "upgrade") == "data/rainbow.db: table usage_days already exists\n"
    database.execute("CREATE TABLE alembic_version_usage (version_num TEXT)")
    database.execute("INSERT INTO alembic_version_usage VALUES ('usage_0001')")
    database.commit()
    for command in (("company", "list"), ("setup",)):
        assert line.refused(*command) == "data/rainbow.db: no such table: companies\n"
    database.close()


def test_the_configuration_can_be_named_in_the_environment(bare: CommandLine) -> None:
    environ = {"RAINBOW_CONFIG": "other.toml", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "rainbow_xmpp", "db", "upgrade"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environ,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "other.toml: there is no such file; name one with --config\n",
    )


def test_the_configuration_in_effect_is_shown_without_secrets(bare: CommandLine) -> None:
    bare.config.write_text(
        'domain = "a.example"\nplugin_paths = ["more"]\n[auth]\nsealing_key = "hunter2"\n'
        '[plugins.nudge]\ntoken = { env = "T" }\n'
    )
    (bare.folder / "more").mkdir()
    (bare.folder / "more" / "nudge.py").write_text(NUDGE)
    result = bare.run("config", "show", env={"RAINBOW_LISTEN__PORT": "9443", "T": "hunter3"})
    assert result.exit_code == 0, result.output
    rows = dict(row.split("\t") for row in result.stdout.splitlines())
    assert (rows["domain"], rows["listen.port"], rows["auth.password.digit"]) == ("a.example", "9443", "yes")
    assert (rows["auth.sealing_key"], rows["plugins.nudge.token"]) == ("(hidden)", "(hidden)")
    assert rows["plugins.nudge.per_minute"] == "5"
    assert "hunter" not in result.output


def test_each_key_is_shown_with_where_it_was_written(bare: CommandLine) -> None:
    (bare.folder / "conf.d").mkdir()
    (bare.folder / "conf.d" / "10.toml").write_text(
        "\n[limits.xml]\ndepth = 32\n[plugins.offline]\nkeep_days = 7\n"
    )
    bare.config.write_text('domain = "a.example"\nauth = { sealing_key = "hunter2" }\n')
    result = bare.run("config", "show", "--origin", "--json", env={"RAINBOW_LISTEN__PORT": "9443"})
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(result.stdout)}
    assert rows["domain"] == ("a.example", "rainbow.toml:1")
    assert rows["auth.sealing_key"] == ("(hidden)", "rainbow.toml:2")
    assert rows["storage.url"] == ("(hidden)", "default")
    assert rows["limits.xml.depth"] == (32, "conf.d/10.toml:3")
    assert rows["plugins.offline.keep_days"] == (7, "conf.d/10.toml:5")
    assert rows["plugins.ping.enabled"] == (True, "default")
    assert rows["listen.port"] == (9443, "environment variable RAINBOW_LISTEN__PORT")
    assert "hunter" not in result.output


def test_run_makes_an_sqlite_database_and_hands_over_with_garbage_collection_on(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []

    def run(config: Config, reread: Callable[[], Config]) -> int:
        assert reread() == config
        seen.append((config.domain, gc.isenabled()))
        return 3

    monkeypatch.setattr("rainbow_xmpp.server.run", run)
    (bare.folder / "dev").mkdir()
    (bare.folder / "dev" / "sealing.key").write_text("00" * 32)
    gc.disable()  # as the command line does while it loads modules
    try:
        said = bare.refused("run", exit_code=3)
    finally:
        gc.enable()
    assert seen == [("chat.example", True)]
    assert said.startswith("data/rainbow.db: created, at ")
    assert "core_0010" in said.partition("\n")[0]
    assert "user add EMAIL" in said
