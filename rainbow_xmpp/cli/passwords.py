"""Where a command gets a new password from."""

import sys

import click

from rainbow_xmpp.auth.credentials import Verifier, derive
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.cli.console import Failed
from rainbow_xmpp.config import Config


def sealer_of(config: Config) -> Sealer:
    """Seals and opens credentials with the configured keys. Raises InvalidSealingKey."""
    return Sealer.from_text(
        config.auth.sealing_key.reveal(), [key.reveal() for key in config.auth.old_sealing_keys]
    )


def given_password(*, from_stdin: bool, generate: bool) -> str:
    """The password on standard input, or "" when a random one is to be made."""
    if from_stdin == generate:
        raise click.UsageError("say where the password comes from: either --password-stdin or --generate")
    return "" if generate else password_from_stdin()


def password_from_stdin() -> str:
    """The one line on standard input, without its end."""
    text = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text:
        raise Failed("Standard input must hold the password, in one line and nothing else.")
    return text


def derived(config: Config, password: str) -> Verifier:
    """The SCRAM keys of a password. Slow; lets other threads work meanwhile."""
    return derive(password, config.auth.scram_iterations)
