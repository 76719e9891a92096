"""`[cluster]`: several servers that serve the people of one region together."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from rainbow_xmpp.config.declare import Complaints, key
from rainbow_xmpp.config.secret import Secret

MOST_NUMBER = 255
_NO_PASSWORD = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """[cluster]: several servers (nodes) that serve the people of one region together, on one PostgreSQL database."""

    servers: tuple[str, ...] = key(
        (),
        "The NATS servers by which the nodes of a region talk to each other, nats://HOST:PORT or tls://HOST:PORT. "
        "Empty = this server is the only one.",
    )
    number: int = key(
        0,
        "This node's own number, which no other node of the region has. A second one with it does not start.",
        ge=0,
        le=MOST_NUMBER,
    )
    user: str = key("", "The user name for the NATS servers. Empty = none.")
    password: Secret = key(_NO_PASSWORD, "The password for them.")  # noqa: RUF009  # a value
    ca: str = key("", "Who signed their certificates, as PEM. Empty = whom this machine trusts.")
    gone_after_s: float = key(
        5.0,
        "Seconds without a word after which a node is taken for gone, and its people for offline until they come back.",
        ge=2,
        le=60,
    )

    @property
    def is_on(self) -> bool:
        """There are other nodes, or may be."""
        return bool(self.servers)

    def problems(self) -> Complaints:
        for server in self.servers:
            parts = urlsplit(server)
            if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.path.strip("/"):
                yield "servers", f'has "{server}"; give nats://HOST:PORT or tls://HOST:PORT'
            elif parts.username or parts.password:
                yield "servers", "names a user; set cluster.user and cluster.password"
        if self.user and not self.password.reveal():
            yield "password", "is missing, and there is a user"
