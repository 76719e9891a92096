"""`[elsewhere]`: people who come to another region than their own."""

from dataclasses import dataclass

from rainbow_xmpp.config.declare import key


@dataclass(frozen=True, slots=True, kw_only=True)
class ElsewhereConfig:
    """[elsewhere]: what becomes of people who come to this server and are at home in another region."""

    pass_on: bool = key(
        False,
        "Pass connections on, unread, that ask for a host of another region (by the server name of TLS). An edge "
        "always does.",
    )
    passed_connections: int = key(
        20_000, "Connections that are passed on at the same time; more are refused.", ge=1, le=1_000_000
    )
    log_in: bool = key(
        False,
        "Let people log in here who are at home in another region: their login, and all that follows, goes on there, "
        "through this server. Needs border.key. An edge always does.",
    )
    answer_ms: int = key(
        300,
        "With log_in: milliseconds that the answer to a user name takes at least, wherever its bearer is at home, "
        "since the time would tell where, and who exists. Four times the way to the farthest region and back is "
        "enough.",
        ge=0,
        le=5000,
    )
    redirect: bool = key(
        False,
        "Ask people of this region who came through another one, once they have logged in, to come to its first host "
        "directly (see-other-host). Some clients cannot: they stay out.",
    )
    ca: str = key(
        "",
        "Who signed the certificates of other regions' servers, as PEM. Empty = whom this machine trusts.",
    )
