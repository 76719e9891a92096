"""`[border]`: what a server needs to speak with those of other regions."""

from dataclasses import dataclass

from rainbow_xmpp.config.declare import Complaints
from rainbow_xmpp.config.declare import key as declared
from rainbow_xmpp.config.secret import Secret

LEAST_NAMES_KEY = 32
_NO_KEY = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderConfig:
    """[border]: what a server needs to speak with those of other regions, over the NATS servers of [cluster]."""

    key: Secret = declared(  # noqa: RUF009  # a value
        _NO_KEY,
        "The private key of this server's region, which rainbow-xmpp region key makes, the same on all its servers: "
        'key = { file = "/etc/rainbow/region.key" }. Its public half is the key in regions.toml. Empty = this server '
        "speaks with no other region.",
    )
    old_key: Secret = declared(  # noqa: RUF009  # a value
        _NO_KEY, "The private key before it, or the one after it, while one replaces the other."
    )

    names_key: Secret = declared(  # noqa: RUF009  # a value
        _NO_KEY,
        "What regions ask each other for people with, in place of their names: any secret of 32 characters or more, "
        "the same in all regions, edges included.",
    )
    old_names_key: Secret = declared(  # noqa: RUF009  # a value
        _NO_KEY,
        "The one before it, or the one after it, while one replaces the other in one region after another.",
    )
    nats_folder: str = declared(
        "",
        "The directory with what region nats-config wrote for this region, as its NATS servers use it; check bus "
        "compares it. Empty = it is not on this machine.",
    )
    nats_certificate: str = declared(
        "/etc/rainbow/nats/cert.pem",
        "The certificate of a NATS server, as a path on its own machine: PEM, for its host name, as server and client.",
    )
    nats_key: str = declared("/etc/rainbow/nats/key.pem", "The private key of that.")
    nats_ca: str = declared(
        "/etc/rainbow/nats/ca.pem", "Who signs the certificates of the NATS servers of all regions: PEM."
    )

    def problems(self) -> Complaints:
        if self.is_on and len(self.names_key.reveal()) < LEAST_NAMES_KEY:
            yield (
                "names_key",
                f"is missing or shorter than {LEAST_NAMES_KEY} characters: any secret, the same in all regions",
            )

    @property
    def is_on(self) -> bool:
        """This server speaks with other regions."""
        return bool(self.key)

    @property
    def keys(self) -> tuple[str, ...]:
        """The private keys there are."""
        return tuple(key.reveal() for key in (self.key, self.old_key) if key)
