"""What HAProxy needs to stand in front of the nodes of a region: its configuration, written from ours.

For HAProxy 2.6 and later. docs/admin/load-balancer.md says what happens with it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from rainbow_xmpp.config.hosts import is_host_and_port
from rainbow_xmpp.config.schema import Config

SYSTEM_CA = "@system-ca"
CHECK_MS = 200
FAST_CHECK_MS = 100
"""Once a check has failed."""
FAILED_CHECKS = 3
TIMES_OF_SILENCE = 2
"""A connection is silent for as long as the server waits for a sign of life; HAProxy waits for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One HAProxy in front of some nodes."""

    nodes: Sequence[str]
    """HOST:PORT of each: its `listen.port`, or its `listen.plain_port` when HAProxy ends TLS."""
    domain: str
    public_url: str
    silence_s: int
    """So long may nothing be said on a connection."""
    port: int = 443
    redirect_port: int = 80
    """0: browsers are not sent from plain HTTP to HTTPS."""
    starttls_port: int = 0
    """Of HAProxy and of the nodes; 0: none."""
    ends_tls: bool = False
    ca: str = SYSTEM_CA
    """Who signed the nodes' certificates."""
    certificate: str = ""
    """Where HAProxy ends TLS: the chain and its key in one file."""

    @classmethod
    def of(cls, config: Config, nodes: Sequence[str], *, ends_tls: bool, ca: str, certificate: str) -> Front:
        """For nodes that are configured like this."""
        limits, url = config.limits, urlsplit(config.public_url)
        return cls(
            nodes=nodes,
            domain=config.domain,
            public_url=config.public_url,
            silence_s=TIMES_OF_SILENCE * (limits.idle_ping_s + limits.ping_timeout_s),
            port=url.port or 443,
            redirect_port=80 if config.listen.redirect_port else 0,
            starttls_port=0 if ends_tls else config.listen.starttls_port,
            ends_tls=ends_tls,
            ca=ca,
            certificate=certificate or f"/etc/haproxy/certs/{config.domain}.pem",
        )


EXAMPLE = Front(
    nodes=("10.0.0.11:443", "10.0.0.12:443"),
    domain="example.com",
    public_url="https://chat.example.com",
    silence_s=480,
)
"""What `conf/haproxy/haproxy.cfg` shows."""
EXAMPLE_WITH_TLS = Front(
    nodes=("10.0.0.11:8081", "10.0.0.12:8081"),
    domain="example.com",
    public_url="https://chat.example.com",
    silence_s=480,
    ends_tls=True,
    certificate="/etc/haproxy/certs/example.com.pem",
)
"""What `conf/haproxy/haproxy-tls.cfg` shows."""


def node_problems(nodes: Sequence[str]) -> Iterator[str]:
    """What is wrong with these as nodes, in an administrator's words."""
    for node in nodes:
        if not is_host_and_port(node) or urlsplit(f"//{node}").port is None:
            yield f"{node} is no node: give its host or address and its port, such as 10.0.0.11:443"


def haproxy(front: Front) -> str:
    """The whole file."""
    return "\n\n".join("\n".join(part) for part in _parts(front)) + "\n"


def _parts(front: Front) -> Iterator[list[str]]:
    yield _intro(front)
    yield _global(front)
    yield _defaults(front)
    yield _frontend(front)
    if front.redirect_port:
        yield [
            "frontend http",
            "    # Sends browsers to HTTPS, and does nothing else.",
            f"    bind :::{front.redirect_port} v4v6",
            "    mode http",
            "    timeout client 10s",
            f"    http-request redirect prefix {front.public_url} code 301",
        ]
    if front.starttls_port:
        yield [
            "frontend starttls",
            f"    bind :::{front.starttls_port} v4v6",
            "    default_backend starttls",
        ]
    yield _backend(front)
    if front.starttls_port:
        yield [
            "backend starttls",
            "    balance leastconn",
            "    default-server send-proxy-v2 on-marked-down shutdown-sessions",
            *(
                f"    server {name} {_host(node)}:{front.starttls_port} track nodes/{name}"
                for name, node in _named(front.nodes)
            ),
        ]


def _intro(front: Front) -> list[str]:
    port = "plain_port" if front.ends_tls else "port"
    who = "ends TLS, and staples OCSP" if front.ends_tls else "passes TLS on unread"
    return [
        f"# Rainbow XMPP: HAProxy 2.6 or later in front of the nodes of a region. It {who}.",
        f"# Written by `rainbow-xmpp region haproxy-config{' --ends-tls' if front.ends_tls else ''} NODE...`.",
        "#",
        f"# Each node names this machine in listen.proxy_from, listens on the listen.{port} below, and gives a stop",
        "# some time: limits.drain_notice_s = 1, limits.drain_spread_s = 3 (docs/admin/load-balancer.md).",
    ]


def _global(front: Front) -> list[str]:
    lines = [
        "global",
        "    log /dev/log local0 notice",
        "    user haproxy",
        "    group haproxy",
        "    stats socket /run/haproxy/admin.sock mode 660 level admin",
    ]
    if front.ends_tls:
        lines += [
            "    # As the servers' own TLS: 1.2 with ECDHE and AEAD, 1.3, no resumption. HSTS comes from the servers.",
            "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
            "    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20",
            "    tune.ssl.cachesize 0",
            f"    # {front.certificate}.ocsp beside the certificate is stapled; {front.certificate}.issuer",
            "    # is who signed it, unless the chain has that.",
            "    ssl-load-extra-files ocsp issuer",
        ]
    return lines


def _defaults(front: Front) -> list[str]:
    return [
        "defaults",
        "    mode tcp",
        "    log global",
        "    # Without the addresses of people.",
        '    log-format "%f %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc"',
        "    option dontlognull",
        "    timeout connect 2s",
        "    timeout check 2s",
        "    # Longer than the servers wait for a sign of life; a client is asked for one before.",
        f"    timeout client {front.silence_s}s",
        f"    timeout server {front.silence_s}s",
        f"    timeout tunnel {front.silence_s}s",
        "    timeout client-fin 30s",
        "    timeout server-fin 30s",
        "    # Whoever meets a node that has just died goes to another one at once.",
        "    retries 3",
        "    option redispatch 1",
    ]


def _frontend(front: Front) -> list[str]:
    bind = f"    bind :::{front.port} v4v6"
    if front.ends_tls:
        bind += f" ssl crt {front.certificate} curves X25519:P-256:P-384 alpn http/1.1,xmpp-client,stun.turn"
    return ["frontend tls", bind, "    default_backend nodes"]


def _backend(front: Front) -> list[str]:
    host = urlsplit(front.public_url).netloc
    server = [("send-proxy-v2-ssl" if front.ends_tls else "send-proxy-v2") + " check check-send-proxy"]
    if not front.ends_tls:
        server += [
            f"check-ssl check-sni {front.domain} check-alpn http/1.1",
            f"verify required ca-file {front.ca} verifyhost {front.domain}",
        ]
    server += [
        f"inter {CHECK_MS}ms fastinter {FAST_CHECK_MS}ms fall {FAILED_CHECKS} rise 2"
        " on-marked-down shutdown-sessions",
    ]
    return [
        "backend nodes",
        "    balance leastconn",
        "    # 200: well. 503: no new clients, and those who are there stay (it is being stopped, or has no database).",
        "    # Anything else, three times: it is dead, and its connections are closed so that clients come back.",
        "    option httpchk",
        f"    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host {host} hdr Connection close",
        "    http-check expect ! status 503 error-status L7OKC",
        "    http-check expect status 200",
        *(f"    default-server {options}" for options in server),
        *(f"    server {name} {node}" for name, node in _named(front.nodes)),
    ]


def _named(nodes: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"node{number}", node) for number, node in enumerate(nodes, 1))


def _host(node: str) -> str:
    host = urlsplit(f"//{node}").hostname or ""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
