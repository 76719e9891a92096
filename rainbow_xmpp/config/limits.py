"""`[limits]`: what one client, address or account may use, from the first byte on."""

from dataclasses import dataclass, field

from rainbow_xmpp.config.declare import Complaints, key

LEAST_STANZA_BYTES = 10_000
"""RFC 6120 §13.12: a server must accept stanzas of at least this size."""
MANY = 1_000_000_000
"""More than anything that is counted here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Xml:
    """[limits.xml]: how much markup one stanza may hold; what holds more ends its stream."""

    depth: int = key(
        64, "Levels of elements inside each other, the stanza itself counted.", ge=8, le=512, reload="live"
    )
    elements: int = key(512, "Elements in one stanza.", ge=16, le=100_000, reload="live")
    attributes: int = key(
        24, "Attributes of one element, namespace declarations counted.", ge=8, le=256, reload="live"
    )
    declarations: int = key(512, "Namespace declarations in one stanza.", ge=8, le=100_000, reload="live")
    name_length: int = key(
        256, "Characters of a name: of an element, an attribute or a prefix.", ge=64, le=4096, reload="live"
    )
    namespace_length: int = key(512, "Characters of a namespace.", ge=64, le=8192, reload="live")


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlBeforeLogin(Xml):
    """[limits.xml_before_login]: the same for the stream header and all that is said before a login is done."""

    depth: int = key(16, "Levels of elements inside each other.", ge=8, le=512, reload="live")
    elements: int = key(64, "Elements inside one.", ge=16, le=100_000, reload="live")
    attributes: int = key(
        16, "Attributes of one element, namespace declarations counted.", ge=8, le=256, reload="live"
    )
    declarations: int = key(32, "Namespace declarations in one element.", ge=8, le=100_000, reload="live")
    name_length: int = key(128, "Characters of a name.", ge=64, le=4096, reload="live")
    namespace_length: int = key(256, "Characters of a namespace.", ge=64, le=8192, reload="live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """[limits]: what one client, address or account may use. Where it says so, 0 = off."""

    connections_per_address: int = key(
        200,
        "Open connections from one address. Raise it when many people share one (office, proxy). 0 = off.",
        ge=0,
        le=MANY,
        reload="live",
    )
    half_open_per_address: int = key(
        50, "Of these, connections that have not logged in yet. 0 = off.", ge=0, le=MANY, reload="live"
    )
    half_open_connections: int = key(
        5000,
        "Connections that have not logged in, from all addresses together; more are refused. 0 = off.",
        ge=0,
        le=MANY,
        reload="live",
    )
    logins_per_address_per_minute: int = key(
        300, "Login attempts from one address. 0 = off.", ge=0, le=MANY, reload="live"
    )
    login_failures_per_address_per_minute: int = key(
        30, "Failed logins from one address. 0 = off.", ge=0, le=MANY, reload="live"
    )
    login_failures_per_account_per_minute: int = key(
        10,
        "Failed logins for one account from one address; the account is never locked for others. 0 = off.",
        ge=0,
        le=MANY,
        reload="live",
    )
    handshake_timeout_s: int = key(
        10,
        "Seconds a new connection has to finish the TLS handshake and its first request.",
        ge=1,
        le=300,
        reload="live",
    )
    login_timeout_s: int = key(30, "Seconds a client has to log in.", ge=1, le=600, reload="live")
    idle_ping_s: int = key(
        180,
        "Seconds of silence after which a client is asked whether it is still there.",
        ge=5,
        le=86_400,
        reload="live",
    )
    ping_timeout_s: int = key(
        60,
        "Seconds a client has to answer that before the connection is closed.",
        ge=1,
        le=3600,
        reload="live",
    )
    stanza_bytes_before_login: int = key(
        10_240,
        "Greatest size of one XML element before login, in bytes.",
        ge=LEAST_STANZA_BYTES,
        le=16_777_216,
        reload="live",
    )
    stanza_bytes: int = key(
        262_144,
        "Greatest size of one stanza, in bytes. Raised by a reload, it counts for whoever logs in from then on.",
        ge=LEAST_STANZA_BYTES,
        le=16_777_216,
        reload="live",
    )
    presence_bytes: int = key(
        16_384,
        "Greatest size of one presence stanza, in bytes. It is sent on to everybody who sees it, and kept for those "
        "who come later.",
        ge=LEAST_STANZA_BYTES,
        le=16_777_216,
        reload="live",
    )
    output_bytes: int = key(
        4_194_304,
        "Bytes that may wait for a client that reads too slowly; beyond, its connection is closed.",
        ge=65_536,
        le=1_073_741_824,
        reload="live",
    )
    stanzas_per_second: int = key(
        100,
        "Stanzas one session may send each second for long; beyond, its connection is read more slowly. "
        "0 = off.",
        ge=0,
        le=MANY,
        reload="live",
    )
    stanza_burst: int = key(
        1000,
        "Stanzas one session may send at once before that limit counts.",
        ge=1,
        le=1_000_000,
        reload="live",
    )
    bytes_per_second: int = key(
        131_072,
        "Bytes one session may send each second for long; beyond, its connection is read more slowly. "
        "0 = off.",
        ge=0,
        le=MANY,
        reload="live",
    )
    byte_burst: int = key(
        2_097_152,
        "Bytes one session may send at once before that limit counts.",
        ge=LEAST_STANZA_BYTES,
        le=MANY,
        reload="live",
    )
    drain_timeout_s: int = key(
        8, "Seconds a stop may take; keep the service manager's patience longer.", ge=2, le=300, reload="live"
    )
    drain_notice_s: int = key(
        0,
        "Of these, seconds in which /readyz says that the server stops and nothing else happens, so that a load "
        "balancer sends nobody here any more when clients are let go. 1 behind one; 0 = off.",
        ge=0,
        le=60,
        reload="live",
    )
    drain_spread_s: int = key(
        0,
        "Of these, seconds over which clients are let go, a few at a time, so that they do not all come back elsewhere "
        "at once. Where nobody else serves them, 0 is best: all at once.",
        ge=0,
        le=240,
        reload="live",
    )
    goodbye_timeout_s: int = key(
        3,
        "Of these, seconds that clients have to answer the end of their stream.",
        ge=1,
        le=60,
        reload="live",
    )
    roster_items: int = key(2000, "Contacts in one person's roster.", ge=1, le=1_000_000, reload="live")
    resources_per_account: int = key(
        20,
        "Connections (devices, browser tabs) of one account at the same time.",
        ge=1,
        le=1000,
        reload="live",
    )
    xml: Xml = field(default=Xml())
    xml_before_login: XmlBeforeLogin = field(default=XmlBeforeLogin())

    def problems(self) -> Complaints:
        if self.stanza_bytes_before_login > self.stanza_bytes:
            yield "stanza_bytes_before_login", f"is more than stanza_bytes ({self.stanza_bytes})"
        if self.output_bytes < 2 * self.stanza_bytes:
            yield "output_bytes", f"is less than two stanzas of {self.stanza_bytes} bytes (stanza_bytes)"
        if self.goodbye_timeout_s >= self.drain_timeout_s:
            yield "goodbye_timeout_s", f"is not less than drain_timeout_s ({self.drain_timeout_s})"
        elif self.drain_notice_s + self.drain_spread_s + self.goodbye_timeout_s >= self.drain_timeout_s:
            yield (
                "drain_timeout_s",
                f"is {self.drain_timeout_s}, which drain_notice_s, drain_spread_s and goodbye_timeout_s use up",
            )
