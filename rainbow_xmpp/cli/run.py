"""`run`: serve until SIGTERM."""

import gc
import sys

import click

from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import Config


@click.command()
@pass_invocation
def run(invocation: Invocation) -> None:
    """Serve until SIGTERM. An SQLite database that does not exist yet is created."""
    from rainbow_xmpp.cli.db import create_if_empty

    config = invocation.whole_config()
    if not config.is_edge:
        create_if_empty(config, invocation.how_to_add_people())
    serve(invocation, config)


def serve(invocation: Invocation, config: Config) -> None:
    """Hand the process over to the server; ends with its exit code."""
    from rainbow_xmpp.server import run as run_server

    gc.enable()
    sys.exit(run_server(config, invocation.whole_config))
