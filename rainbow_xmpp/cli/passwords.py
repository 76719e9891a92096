"""Where a command gets a new password from, and whether it may be used."""

import sys
from collections.abc import Iterable

import click

from rainbow_xmpp.auth.credentials import Verifier, derive
from rainbow_xmpp.auth.policy import PasswordPolicy
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.cli.console import Failed
from rainbow_xmpp.config import Config


def sealer_of(config: Config) -> Sealer:
    """Seals and opens credentials with the configured keys. Raises InvalidSealingKey."""
    return Sealer.from_text(
        config.auth.sealing_key.reveal(), [key.reveal() for key in config.auth.old_sealing_keys]
    )


def new_password(config: Config, own_words: Iterable[str], *, from_stdin: bool, generate: bool) -> str:
    """A password from standard input, or a random one; one the policy refuses ends the command."""
    if from_stdin == generate:
        raise click.UsageError("say where the password comes from: either --password-stdin or --generate")
    policy = PasswordPolicy(config.auth.password)
    if generate:
        return policy.generate()
    password = password_from_stdin()
    refuse_weak(policy.problems(password, own_words))
    return password


def password_from_stdin() -> str:
    """The one line on standard input, without its end."""
    text = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text:
        raise Failed("Standard input must hold the password, in one line and nothing else.")
    return text


def refuse_weak(problems: list[str]) -> None:
    """End the command when the policy has something against a password."""
    if problems:
        raise Failed(weakness(problems))


def weakness(problems: list[str]) -> str:
    """What the policy has against a password, as a sentence."""
    return f"The password {'; it '.join(problems)}."


def sealed(config: Config, account_id: str, password: str) -> tuple[str, bytes]:
    """The key id and the sealed SCRAM keys of a password, for this account only. Slow."""
    return sealer_of(config).seal(derived(config, password), account_id)


def derived(config: Config, password: str) -> Verifier:
    """The SCRAM keys of a password. Slow; lets other threads work meanwhile."""
    return derive(password, config.auth.scram_iterations)
