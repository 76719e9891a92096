"""The only schema of the configuration: one frozen dataclass for each section.

Names, types, defaults and documentation of every key stand here and nowhere else; the loader, `check`
and the commented example files are derived from it. Defaults are the safe choice for production.
Each section lists its own problems in an administrator's words; the loader adds file and line.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from rainbow_xmpp.config.declare import key
from rainbow_xmpp.config.limits import Limits
from rainbow_xmpp.config.problem import Origin, did_you_mean
from rainbow_xmpp.config.secret import Secret
from rainbow_xmpp.jid import JID

Complaints = Iterator[tuple[str, str]]

MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN")
MOST_PORT = 65_535

_SCHEME = re.compile(r"[a-z0-9+.]{1,40}")
_LABEL = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")


class LogLevel(StrEnum):
    """From which level on the log shows an event."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    HUMAN = "human"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """[listen]: where clients connect. Everything not named here is closed."""

    address: str = key(
        "127.0.0.1",
        "The address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for every IPv4 address, "
        ":: for IPv6 too.",
    )
    port: int = key(
        8443,
        "The one TLS port: web pages, WebSocket (/xmpp-websocket) and direct TLS for XMPP clients. "
        "Usually 443.",
        ge=1,
        le=MOST_PORT,
    )
    redirect_port: int = key(
        8080,
        "A plain-text port that does nothing but send browsers to HTTPS. Usually 80; 0 = off.",
        ge=0,
        le=MOST_PORT,
    )
    starttls_port: int = key(
        0,
        "For old clients that begin in plain text and switch to TLS. 5222 opens it; 0 = off.",
        ge=0,
        le=MOST_PORT,
    )
    public_url: str = key(
        "",
        "How clients reach the TLS port from outside, when a load balancer or another name stands before it, "
        'such as "https://chat.example.com". Empty = https://<domain>:<port>.',
    )
    drain_to: str = key(
        "",
        "Empties this server: another server of the same domain that clients are sent to, such as "
        '"node2.example.com:443". New clients go there at once, those who are connected when this server stops. '
        "Empty = off.",
        reload="live",
    )

    def problems(self) -> Complaints:
        yield from _address_problems("address", self.address)
        if self.drain_to and not _is_host_and_port(self.drain_to):
            yield (
                "drain_to",
                f'is "{self.drain_to}"; give a host and its port, such as "node2.example.com:443"',
            )
        taken: dict[int, str] = {}
        for name in ("port", "redirect_port", "starttls_port"):
            number = getattr(self, name)
            if number and number in taken:
                yield name, f"is {number}, which {taken[number]} already uses"
            taken.setdefault(number, name)
        if self.public_url:
            yield from _origin_problems("public_url", self.public_url, schemes=("https",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """[tls]: the certificate that clients see."""

    certificate: str = key(
        "dev/cert.pem",
        "The certificate chain as PEM, the server's own certificate first. It must name the domain.",
        reload="live",
    )
    key: str = key(
        "dev/key.pem",
        "Its private key as PEM (P-256, or RSA of at least 2048 bits); only the server may read it.",
        reload="live",
    )

    def problems(self) -> Complaints:
        for name in ("certificate", "key"):
            if not getattr(self, name):
                yield name, "is empty; give the path of a PEM file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """[storage]: the database of people, rosters and messages."""

    url: str = key(
        "sqlite+aiosqlite:///data/rainbow.db",
        "sqlite+aiosqlite:///FILE (a path without a leading slash begins at the directory the server is "
        "started in) or postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE. With a password in it, keep it "
        'elsewhere: url = { file = "/etc/rainbow/storage-url" }.',
        secret=True,
    )

    def problems(self) -> Complaints:
        scheme, _, rest = self.url.partition(":")
        known = ("sqlite+aiosqlite", "postgresql+asyncpg")
        if scheme not in known and rest.startswith("//") and _SCHEME.fullmatch(scheme):
            yield "url", f'begins with "{scheme}"; use {" or ".join(known)}{did_you_mean(scheme, known)}'
        elif scheme not in known:  # not shown: it may be a secret that does not belong here
            yield "url", f"is no URL; begin it with {known[0]}:///FILE or {known[1]}://"
        elif scheme == "sqlite+aiosqlite" and not self.sqlite_path:
            yield "url", "names no file; write sqlite+aiosqlite:///FILE, with three slashes before the path"

    @property
    def sqlite_path(self) -> str | None:
        """The file of an SQLite database; None for PostgreSQL."""
        scheme, _, rest = self.url.partition(":///")
        return rest.partition("?")[0] if scheme == "sqlite+aiosqlite" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """[metrics]: figures for Prometheus, in plain text and without a password; keep the address inside."""

    address: str = key("127.0.0.1", "The address to serve /metrics on.")
    port: int = key(0, "The port to serve /metrics on. 0 = off.", ge=0, le=MOST_PORT)

    def problems(self) -> Complaints:
        yield from _address_problems("address", self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Websocket:
    """[websocket]: who may use the WebSocket from a browser."""

    origins: tuple[str, ...] = key(
        (),
        'Web sites whose pages may connect, such as ["https://chat.example.com"]. The server\'s own address '
        "always may, and so may programs that are not browsers.",
        reload="live",
    )

    def problems(self) -> Complaints:
        for origin in self.origins:
            yield from _origin_problems("origins", origin, schemes=("https", "http"))


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
        "Ways to log in offered to clients. PLAIN sends the password itself, inside TLS; the others do not.",
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

    def problems(self) -> Complaints:
        if not self.mechanisms:
            yield "mechanisms", "is empty, so nobody could log in"
        if not self.sealing_key:
            yield "sealing_key", 'is not set; name its file: sealing_key = { file = "dev/sealing.key" }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """[log]: what the server writes to standard error. Never bodies, passwords or tokens."""

    level: LogLevel = key(LogLevel.INFO, "debug, info, warning or error.", reload="live")  # noqa: RUF009
    format: LogFormat = key(  # noqa: RUF009
        LogFormat.HUMAN, "human for reading, json for machines (one object a line).", reload="live"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """[observe]: how closely the server looks at itself."""

    stall_ms: int = key(
        500,
        "When the event loop stands still for so many milliseconds, the log says where. 0 = off.",
        ge=0,
        le=60_000,
        reload="live",
    )

    def problems(self) -> Complaints:
        if 0 < self.stall_ms < 50:
            yield "stall_ms", f"is {self.stall_ms}; 50 or more are allowed, or 0 = off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """[tracing]: the way of some stanzas, for OpenTelemetry. Identifiers and times, no content."""

    enabled: bool = key(False, "Send traces. It needs more packages: pip install 'rainbow-xmpp[tracing]'.")
    endpoint: str = key(
        "http://127.0.0.1:4318/v1/traces", "Where the collector takes OTLP over HTTP, with its path."
    )
    sample: float = key(
        0.01, "Which share of the stanzas is traced; 1.0 is all of them.", ge=0.000_01, le=1.0
    )
    service_name: str = key("rainbow-xmpp", "What this server is called in the traces.")

    def problems(self) -> Complaints:
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            yield "endpoint", f'is "{self.endpoint}"; give a URL such as http://127.0.0.1:4318/v1/traces'
        if self.enabled and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            yield "enabled", "needs more packages: pip install 'rainbow-xmpp[tracing]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """[audit]: the record of who changed what (rainbow-xmpp audit show)."""

    logins: bool = key(False, "Record every login that succeeds, too.", reload="live")
    keep_days: int = key(
        0,
        "Days after which records are dropped; the rest stays verifiable. 0 = never.",
        ge=0,
        le=36_500,
        reload="live",
    )


@dataclass(frozen=True, slots=True)
class PluginTable:
    """`[plugins.<name>]` as written; the plugin itself knows what its keys mean and checks them.

    References such as `{ file = … }` are resolved and stand here as `Secret`. `origins` tells where each key
    was written; the empty key stands for the table itself.
    """

    name: str
    enabled: bool = True
    values: Mapping[str, object] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration of one server process."""

    domain: str = field(
        metadata={
            "doc": "What stands after the @ in everybody's address. Changing it later changes every address."
        }
    )
    plugin_paths: tuple[str, ...] = key(
        (), "Directories with plugins of your own, each plugin a folder in them."
    )
    listen: Listen = field(default=Listen())
    tls: Tls = field(default=Tls())
    storage: Storage = field(default=Storage())
    metrics: Metrics = field(default=Metrics())
    websocket: Websocket = field(default=Websocket())
    auth: Auth = field(default=Auth())
    limits: Limits = field(default=Limits())
    log: Log = field(default=Log())
    audit: Audit = field(default=Audit())
    observe: Observe = field(default=Observe())
    tracing: Tracing = field(default=Tracing())
    plugins: Mapping[str, PluginTable] = field(default_factory=dict)

    def problems(self) -> Complaints:
        if not _is_domain(self.domain):
            yield "domain", f'is "{self.domain}"; give a host name in lower case, such as "chat.example.com"'
        elif self.domain != _as_in_addresses(self.domain):
            wanted = _as_in_addresses(self.domain)
            yield (
                "domain",
                f'is "{self.domain}", which addresses '
                + (f'write "{wanted}"; write it so here too' if wanted else "cannot have"),
            )
        for path in self.plugin_paths:
            if not path or not Path(path).is_dir():
                yield "plugin_paths", f'has "{path}", which is no directory'
        ports = {self.listen.port, self.listen.redirect_port, self.listen.starttls_port} - {0}
        if self.metrics.port in ports and self.metrics.address == self.listen.address:
            yield "metrics.port", f"is {self.metrics.port}, which [listen] already uses"

    @property
    def public_url(self) -> str:
        """Where clients reach the HTTPS side, without a slash at the end."""
        if self.listen.public_url:
            return self.listen.public_url.rstrip("/")
        return f"https://{self.domain}" + ("" if self.listen.port == 443 else f":{self.listen.port}")

    @property
    def websocket_url(self) -> str:
        """Where clients reach the WebSocket (RFC 7395), as announced by host-meta (XEP-0156)."""
        return f"wss://{self.public_url.removeprefix('https://')}/xmpp-websocket"

    @property
    def drain_websocket_url(self) -> str:
        """The WebSocket of the server that clients are sent to."""
        return f"wss://{self.listen.drain_to}/xmpp-websocket"

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """What the certificate must name: the domain for XMPP clients, the public host for browsers."""
        return tuple(dict.fromkeys((self.domain, urlsplit(self.public_url).hostname or self.domain)))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent
        return False


def _is_domain(text: str) -> bool:
    labels = text.split(".")
    return (
        len(text.encode()) <= 253
        and text == text.lower()
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def _as_in_addresses(domain: str) -> str:
    """The domain as everybody's address has it (RFC 7622 §3.2); "" when none can."""
    try:
        return JID("", domain).domain
    except ValueError:
        return ""


def _is_host_and_port(text: str) -> bool:
    """What stands in a URL between the slashes: a name, an IPv4 address or [an IPv6 address], and maybe a port."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
        if parts.netloc.startswith("["):
            ipaddress.IPv6Address(host)
    except ValueError:
        return False
    named = f"[{host}]" if parts.netloc.startswith("[") else host
    is_name = named != host or _is_domain(host)
    return is_name and text.lower() == (named if port is None else f"{named}:{port}")


def _address_problems(name: str, address: str) -> Complaints:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        yield name, f'is "{address}"; give an IP address such as 127.0.0.1, 0.0.0.0 or ::'


def _origin_problems(name: str, url: str, *, schemes: tuple[str, ...]) -> Complaints:
    example = f"{schemes[0]}://chat.example.com"
    try:
        parts = urlsplit(url)
        whole = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
        parts = urlsplit("")
    if not whole or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        yield name, f'has "{url}"; give scheme and host only, such as "{example}"'
