"""`[auth]`: how people prove who they are, and what their passwords must be like."""

from dataclasses import dataclass, field

from rainbow_xmpp.config.declare import Complaints, key
from rainbow_xmpp.config.secret import Secret

MECHANISMS = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
    "OAUTHBEARER",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """[auth.password]: what a new password must be like. Existing passwords go on working."""

    min_length: int = key(8, "Least number of characters.", ge=4, le=64, reload="live")
    max_length: int = key(128, "Greatest number of characters.", ge=64, le=1024, reload="live")
    lower: bool = key(True, "It must have a lower-case letter.", reload="live")
    upper: bool = key(True, "It must have an upper-case letter.", reload="live")
    digit: bool = key(True, "It must have a digit.", reload="live")
    special: bool = key(True, "It must have a character that is neither letter nor digit.", reload="live")
    refuse_common: bool = key(
        True,
        "Refuse passwords from the list of common ones that comes with the server.",
        reload="live",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """[auth]: how people prove who they are."""

    mechanisms: tuple[str, ...] = key(
        MECHANISMS,
        "Ways to log in offered to clients. PLAIN sends the password itself, inside TLS; the others do not. "
        "OAUTHBEARER takes a token of the API, and is there only with a token_key.",
        choices=MECHANISMS,
        reload="live",
    )
    scram_iterations: int = key(
        10_000,
        "PBKDF2 rounds for new passwords. More makes a stolen database harder to guess from and every login "
        "dearer for the client. Existing passwords keep theirs until they are changed.",
        ge=4096,
        le=1_000_000,
        reload="live",
    )
    sealing_key: Secret = key(  # noqa: RUF009  # a value
        Secret(),
        "The key that seals stored credentials: 32 random bytes as base64 or hex digits, kept outside the "
        "database. Without it nobody can log in: keep a copy in a safe place.",
    )
    old_sealing_keys: tuple[Secret, ...] = key(
        (), "Earlier sealing keys, still accepted for reading, after a new one was put above."
    )
    token_key: Secret = key(  # noqa: RUF009  # a value
        Secret(),
        "The private key (PEM, P-256) that signs the tokens of the API. Not set, there is no API, and nobody logs "
        "in with a token.",
    )
    old_token_keys: tuple[Secret, ...] = key(
        (),
        "Earlier ones; what they signed is believed until it is over. Drop them a quarter of an hour later.",
    )
    access_token_s: int = key(900, "Seconds for which a token of the API is good.", ge=60, le=900)
    refresh_token_days: int = key(30, "Days after which somebody who did nothing logs in anew.", ge=1, le=365)
    password: Password = field(default=Password())

    @property
    def offered_mechanisms(self) -> tuple[str, ...]:
        """Those that can be used as configured."""
        return tuple(m for m in self.mechanisms if self.token_key or m != "OAUTHBEARER")

    def problems(self) -> Complaints:
        if not self.mechanisms:
            yield "mechanisms", "is empty, so nobody could log in"
