"""What an operator decides about the relay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_address, ip_network

from rainbow_xmpp.config import Secret
from rainbow_xmpp.plugin import PluginOptions, option
from rainbow_xmpp.plugins.webrtc_relay.addresses import RelayAddress

LEAST_SECRET_BYTES = 16
_REALM = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,127}")


class Mode(StrEnum):
    """Who relays."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"


class RelayOptions(PluginOptions):
    """`[plugins.webrtc_relay]`"""

    mode: str = option(
        "embedded",
        "Who relays. embedded: this server, in a process of its own; external: coturn or another TURN server that "
        "has the same secret (use-auth-secret).",
        choices=tuple(Mode),
    )
    secret: Secret = option(
        Secret(),
        "The secret of the time-limited credentials, 16 bytes or more. Not set, there is no relay.",
        secret=True,
        reload="live",
    )
    previous_secret: Secret = option(
        Secret(),
        "The secret before that one: credentials made with it are good until they end. Drop it after lifetime_hours.",
        secret=True,
        reload="live",
    )
    address: str = option("127.0.0.1", "The address on which the relay listens, UDP and TCP.")
    port: int = option(
        3478, "The port on which it listens, UDP and TCP; TLS on the TCP port too.", ge=1, le=65535
    )
    relay_address: str = option(
        "127.0.0.1",
        "The address on which relayed ports live, as this machine has it. 0.0.0.0 (or ::) = that of the default route, "
        "for containers.",
    )
    external_address: str = option(
        "",
        "The address under which those are reached from outside, where a NAT stands before. Empty = the same.",
    )
    first_relay_port: int = option(49152, "The first of the relayed ports (UDP).", ge=1024, le=65535)
    last_relay_port: int = option(65535, "The last of them.", ge=1024, le=65535)
    realm: str = option("", "The realm that clients are told. Empty = the domain.")
    services: tuple[str, ...] = option(
        (),
        'What clients are told, such as ["turn:turn.example.com:3478?transport=udp", '
        '"turns:turn.example.com:443?transport=tcp", "stun:turn.example.com"], in this order. With "eu=" before an '
        "entry, people of the region eu get it first. Empty = this server by the name of its public_url: UDP, TCP "
        "and TLS.",
        reload="live",
    )
    allow_peers: tuple[str, ...] = option(
        (),
        'Networks that people may reach through the relay though they are private or local, such as ["10.1.0.0/16"].',
        reload="live",
    )
    deny_peers: tuple[str, ...] = option(
        (),
        "More networks that nobody reaches through it, beside the private, local and special ones.",
        reload="live",
    )
    lifetime_hours: int = option(12, "Hours for which credentials are good.", ge=1, le=24, reload="live")
    credentials_per_minute: int = option(
        20, "How often one account may ask for credentials in a minute.", ge=1, le=10_000, reload="live"
    )
    minutes_per_company: int = option(
        0,
        "Minutes that the people of one company have in a month, all together, beside relay_minutes of each. "
        "0 = no limit.",
        ge=0,
        le=1_000_000_000,
        reload="live",
    )
    allocations: int = option(4000, "Allocations at one time, of everybody.", ge=1, le=60_000, reload="live")
    allocations_per_person: int = option(10, "Allocations of one person.", ge=1, le=1000, reload="live")
    allocations_per_company: int = option(
        1000, "Allocations of the people of one company.", ge=1, le=60_000, reload="live"
    )
    allocations_per_address: int = option(
        200,
        "Allocations from one network address; many people may stand behind one.",
        ge=1,
        le=60_000,
        reload="live",
    )
    permissions_per_allocation: int = option(
        64, "Peers that one allocation may speak with.", ge=1, le=1000, reload="live"
    )
    channels_per_allocation: int = option(
        64, "Channels that one allocation may bind.", ge=1, le=1000, reload="live"
    )
    kbit_per_allocation: int = option(
        4000,
        "Kilobits a second through one allocation, both directions together; what is more is dropped.",
        ge=64,
        le=1_000_000,
        reload="live",
    )
    kbit_per_company: int = option(
        0,
        "Kilobits a second through the allocations of one company. 0 = no limit.",
        ge=0,
        le=100_000_000,
        reload="live",
    )
    kbit_total: int = option(
        0, "Kilobits a second through the whole relay. 0 = no limit.", ge=0, le=100_000_000, reload="live"
    )
    drain_s: int = option(
        5,
        "Seconds for which calls may go on when the server stops. A service manager must wait longer than that.",
        ge=0,
        le=3600,
        reload="live",
    )
    unauthenticated_per_second: int = option(
        20,
        "Answers a second to one network address that has shown no credentials; more of its requests get none.",
        ge=1,
        le=10_000,
        reload="live",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from self._secret_problems()
        yield from self._address_problems()
        yield from self._network_problems()
        if self.first_relay_port > self.last_relay_port:
            yield "last_relay_port", f"is {self.last_relay_port}, before first_relay_port"
        if self.realm and not _REALM.fullmatch(self.realm):
            yield (
                "realm",
                "may have at most 127 printable ASCII characters, without quotation marks and backslashes",
            )
        for entry in self.services:
            try:
                RelayAddress.parse(entry)
            except ValueError as error:
                yield "services", f'has "{entry}": {error}'
        if self.mode == Mode.EXTERNAL and self.secret and not self.services:
            yield (
                "services",
                'is empty; name the TURN server, such as ["turn:turn.example.com:3478?transport=udp"]',
            )

    @property
    def is_embedded(self) -> bool:
        return self.mode == Mode.EMBEDDED

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Those whose credentials are good, the one that new ones are made with first; none: there is no relay."""
        if not self.secret:
            return ()
        return tuple(each.reveal().encode() for each in (self.secret, self.previous_secret) if each)

    def _secret_problems(self) -> Iterator[tuple[str, str]]:
        for name, secret in (("secret", self.secret), ("previous_secret", self.previous_secret)):
            if secret and len(secret.reveal().encode()) < LEAST_SECRET_BYTES:
                yield name, f"is too short to be a secret; {LEAST_SECRET_BYTES} bytes are the least"

    def _address_problems(self) -> Iterator[tuple[str, str]]:
        for name in ("address", "relay_address", "external_address"):
            text = getattr(self, name)
            if not text and name == "external_address":
                continue
            try:
                parsed = ip_address(text)
            except ValueError:
                yield name, f'is "{text}"; give an IP address'
            else:
                if parsed.is_unspecified and name == "external_address":
                    yield name, f"is {text}; clients are told this address, so give one that packets reach"

    def _network_problems(self) -> Iterator[tuple[str, str]]:
        for name in ("allow_peers", "deny_peers"):
            for text in getattr(self, name):
                try:
                    ip_network(text)
                except ValueError:
                    yield name, f'has "{text}"; give a network such as 10.1.0.0/16'
