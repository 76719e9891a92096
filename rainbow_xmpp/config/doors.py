"""`[listen]`, `[tls]`, `[websocket]`: where clients come in."""

from dataclasses import dataclass

from rainbow_xmpp.config.declare import Complaints, key
from rainbow_xmpp.config.hosts import (
    address_problems,
    inside_problems,
    is_host_and_port,
    network_problems,
    origin_problems,
)

MOST_PORT = 65_535


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
    proxy_from: tuple[str, ...] = key(
        (),
        'Load balancers that say whose connections they bring, by networks such as ["10.0.0.0/24"]. From there every '
        "connection to port and starttls_port must begin with a header of the PROXY protocol, version 2 (HAProxy: "
        "send-proxy-v2); from anywhere else none may.",
    )
    plain_port: int = key(
        0,
        "A port without TLS for load balancers that end it (HAProxy: send-proxy-v2-ssl). Only those of proxy_from get "
        "in, and only with clients that came by TLS. 0 = off.",
        ge=0,
        le=MOST_PORT,
    )
    plain_address: str = key(
        "127.0.0.1", "The address of plain_port: of this machine, or of a network that only servers reach."
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
        yield from address_problems("address", self.address)
        yield from network_problems("proxy_from", self.proxy_from)
        yield from inside_problems("plain_address", self.plain_address)
        if self.plain_port and not self.proxy_from:
            yield "plain_port", "is open to nobody: say in proxy_from which load balancers may use it"
        if self.drain_to and not is_host_and_port(self.drain_to):
            yield (
                "drain_to",
                f'is "{self.drain_to}"; give a host and its port, such as "node2.example.com:443"',
            )
        taken: dict[int, str] = {}
        for name in ("port", "redirect_port", "starttls_port", "plain_port"):
            number = getattr(self, name)
            if number and number in taken:
                yield name, f"is {number}, which {taken[number]} already uses"
            taken.setdefault(number, name)
        if self.public_url:
            yield from origin_problems("public_url", self.public_url, schemes=("https",))


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
            yield from origin_problems("origins", origin, schemes=("https", "http"))
