"""The only schema of the configuration: one frozen dataclass for each section.

Names, types, bounds, defaults and documentation of every key stand here and in the modules of its sections, and
nowhere else; the loader, `check`, the reference page and the commented example files are derived from them. Defaults
are the safe choice for production. Each section lists its own problems in an administrator's words; the loader adds
file and line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from rainbow_xmpp.config.auth import Auth
from rainbow_xmpp.config.border import BorderConfig
from rainbow_xmpp.config.cluster import ClusterConfig
from rainbow_xmpp.config.declare import Complaints, key
from rainbow_xmpp.config.doors import MOST_PORT, Listen, Tls, Websocket
from rainbow_xmpp.config.elsewhere import ElsewhereConfig
from rainbow_xmpp.config.hosts import address_problems, as_in_addresses, is_domain
from rainbow_xmpp.config.levels import SHIPPED_LEVELS, ServiceLevel, misnamed
from rainbow_xmpp.config.limits import Limits
from rainbow_xmpp.config.mail import MailConfig
from rainbow_xmpp.config.problem import Origin, did_you_mean
from rainbow_xmpp.config.regions import ONLY_REGION, Region, border_problems, regions_problems
from rainbow_xmpp.config.sections import Sections, sections
from rainbow_xmpp.config.stream_management import StreamManagementConfig
from rainbow_xmpp.config.watching import Audit, Log, Observe, Tracing

_SCHEME = re.compile(r"[a-z0-9+.]{1,40}")


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
        yield from address_problems("address", self.address)


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
    region: str = key(
        "",
        "The region this server is of: what it keeps stays there. One of [regions.NAME]; empty = default_region. Of an "
        "edge, it keeps nothing, and needs no database.",
    )
    default_region: str = key(
        "",
        "The home of a company that nobody names another one for. One of [regions.NAME], where there are any.",
    )
    listen: Listen = field(default=Listen())
    tls: Tls = field(default=Tls())
    storage: Storage = field(default=Storage())
    cluster: ClusterConfig = field(default=ClusterConfig())
    elsewhere: ElsewhereConfig = field(default=ElsewhereConfig())
    border: BorderConfig = field(default=BorderConfig())
    metrics: Metrics = field(default=Metrics())
    websocket: Websocket = field(default=Websocket())
    auth: Auth = field(default=Auth())
    limits: Limits = field(default=Limits())
    stream_management: StreamManagementConfig = field(default=StreamManagementConfig())
    mail: MailConfig = field(default=MailConfig())
    log: Log = field(default=Log())
    audit: Audit = field(default=Audit())
    observe: Observe = field(default=Observe())
    tracing: Tracing = field(default=Tracing())
    service_levels: Sections[ServiceLevel] = sections(  # noqa: RUF009  # a value
        SHIPPED_LEVELS,
        "What companies and people get, by level. A company has one, and a person that of the company or another. "
        "The shipped ones may be changed, key by key, and others added: a table [service_levels.NAME] each.",
    )
    regions: Sections[Region] = sections(  # noqa: RUF009  # a value
        {},
        "Where data lies. All servers of all regions have the same tables, best in regions.toml beside this file, "
        "which is read after it: a table [regions.NAME] each. Without any there is one region.",
    )
    plugins: Mapping[str, PluginTable] = field(default_factory=dict)

    def problems(self) -> Complaints:
        if not is_domain(self.domain):
            yield "domain", f'is "{self.domain}"; give a host name in lower case, such as "chat.example.com"'
        elif self.domain != as_in_addresses(self.domain):
            wanted = as_in_addresses(self.domain)
            yield (
                "domain",
                f'is "{self.domain}", which addresses '
                + (f'write "{wanted}"; write it so here too' if wanted else "cannot have"),
            )
        for path in self.plugin_paths:
            if not path or not Path(path).is_dir():
                yield "plugin_paths", f'has "{path}", which is no directory'
        if not self.auth.sealing_key and not self.is_edge:
            yield "auth.sealing_key", 'is not set; name its file: sealing_key = { file = "dev/sealing.key" }'
        for name, text in misnamed(self.service_levels):
            yield f"service_levels.{name}", text
        yield from regions_problems(self.regions, self.default_region, self.region)
        if self.border.is_on:
            yield from border_problems(self.regions, self.cluster.is_on)
        elif self.elsewhere.log_in:
            yield (
                "elsewhere.log_in",
                "is set, and border.key is not: other regions would not believe this server",
            )
        elif self.cluster.is_on and self.storage.sqlite_path is not None:
            yield (
                "cluster.servers",
                "are set, and storage.url is SQLite; several nodes need one PostgreSQL database",
            )
        ports = {self.listen.port, self.listen.redirect_port, self.listen.starttls_port} - {0}
        if self.metrics.port in ports and self.metrics.address == self.listen.address:
            yield "metrics.port", f"is {self.metrics.port}, which [listen] already uses"
        inside = (self.listen.plain_address, self.listen.plain_port)
        if self.metrics.port and inside == (self.metrics.address, self.metrics.port):
            yield "metrics.port", f"is {self.metrics.port}, which listen.plain_port already uses"

    @property
    def home_region(self) -> str:
        """The region that this server is of, whose data it keeps unless that is an edge."""
        return self.region or self.default_region or ONLY_REGION

    @property
    def is_edge(self) -> bool:
        """This server keeps nothing: its region is an edge."""
        here = self.regions.get(self.home_region)
        return here is not None and not here.kind.keeps_data

    @property
    def passes_on(self) -> bool:
        """Connections that ask for a host of another region are passed on to it."""
        return self.elsewhere.pass_on or self.is_edge

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
