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
