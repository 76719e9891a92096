"""The command `rainbow-xmpp`.

Each command lives in a module of its own that is imported only when it is called: what a command does
not need (the database, a client library) does not slow it down.
"""

import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from rainbow_xmpp import __version__
from rainbow_xmpp.cli.console import Failed
from rainbow_xmpp.cli.context import DEFAULT_CONFIG, Invocation
from rainbow_xmpp.errors import RainbowError

PROGRAM = "rainbow-xmpp"

_COMMANDS = {
    "run": ("rainbow_xmpp.cli.run:run", "Serve until SIGTERM."),
    "reload": ("rainbow_xmpp.cli.reload:reload", "Make the running server read its configuration again."),
    "check": ("rainbow_xmpp.cli.check:check", "Say what is wrong, without changing anything."),
    "setup": ("rainbow_xmpp.cli.setup:setup", "Make what a first run needs: certificate, database, people."),
    "config": ("rainbow_xmpp.cli.configuration:config", "Show the configuration."),
    "db": ("rainbow_xmpp.cli.db:db", "Create the database or bring it up to date."),
    "company": ("rainbow_xmpp.cli.company:company", "Add, list, show and change companies."),
    "region": ("rainbow_xmpp.cli.region:region", "List the regions, where data lies; rename one."),
    "user": ("rainbow_xmpp.cli.user:user", "Add, list, import, change and remove people; set passwords."),
    "link": ("rainbow_xmpp.cli.link:link", "Companies whose people may reach each other."),
    "invite": ("rainbow_xmpp.cli.invite:invite", "Invitations from person to person, across companies."),
    "mail": ("rainbow_xmpp.cli.mail:mail", "Letters to people, where they stay on this machine."),
    "status": ("rainbow_xmpp.cli.status:status", "Show what the running server is doing, live."),
    "plugin": ("rainbow_xmpp.cli.plugin:plugin", "List plugins, show their order, write a new one."),
    "audit": ("rainbow_xmpp.cli.audit:audit", "Show and verify who did what."),
    "probe": ("rainbow_xmpp.cli.probe:probe", "Log in as a client would and say how long it took."),
}


class _Commands(click.Group):
    """Finds commands in `_COMMANDS`; errors of ours become a line on stderr and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RainbowError as error:
            raise Failed(str(error)) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"The configuration is {DEFAULT_CONFIG} unless --config or $RAINBOW_CONFIG names another one.",
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    envvar="RAINBOW_CONFIG",
    default=DEFAULT_CONFIG,
    metavar="FILE",
    help="The configuration file.",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context, file: Path) -> None:
    """Rainbow XMPP, a company messaging server."""
    ctx.obj = Invocation(file, os.environ)


def main() -> None:
    """Run the command line; ends the process with 0, 1 (failed) or 2 (called wrongly)."""
    gc.disable()  # modules being loaded are no garbage: a sixth of the start; `run` switches it on again
    try:
        commands.main(prog_name=PROGRAM)
    except BrokenPipeError:  # the reader of a pipe (`| head`) had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
