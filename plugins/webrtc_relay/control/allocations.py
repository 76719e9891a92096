"""What is alive: allocations with their relays, permissions and channels (RFC 8656 §2, §9, §12)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rainbow_xmpp.plugins.webrtc_relay.control.faces import DataPlane, FiveTuple, Opening, Reports, Traffic
from rainbow_xmpp.plugins.webrtc_relay.control.ports import Ports
from rainbow_xmpp.plugins.webrtc_relay.control.quotas import Quotas
from rainbow_xmpp.plugins.webrtc_relay.control.settings import RelayIp, Settings
from rainbow_xmpp.plugins.webrtc_relay.peers import PeerPolicy, Verdict
from rainbow_xmpp.plugins.webrtc_relay.stun import Address, family_of

PERMISSION_S = 300
CHANNEL_S = 600
"""RFC 8656 §9 and §12: not a matter of configuration."""


NO_TRAFFIC = Traffic()


class Channel(NamedTuple):
    """What a channel number stands for, and until when."""

    peer: Address
    until: float


@dataclass(slots=True, eq=False)
class Relay:
    """One relayed transport address of an allocation."""

    local: Address
    advertised: Address
    family: int
    expires: float
    permissions: dict[str, float] = field(default_factory=dict)
    """Peer IP to the end of the permission."""
    channels: dict[int, Channel] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Allocation:
    """One client's. With relays of both address families it is a dual allocation; each ends by itself."""

    five_tuple: FiveTuple
    userid: str
    transaction: bytes
    """Of the Allocate request: when that comes again, so does its answer."""
    opened: float
    relays: list[Relay]
    token: bytes | None = None
    failed_family: int = 0
    """The family that was asked for in addition and could not be had, and why."""
    failed_code: int = 0
    due: float = 0.0
    """When a sweep must look at it, at the latest."""
    traffic: Traffic = NO_TRAFFIC

    def relay_of(self, family: int) -> Relay | None:
        """Its relay of this address family."""
        for relay in self.relays:
            if relay.family == family:
                return relay
        return None

    def channel(self, number: int, now: float) -> Channel | None:
        """What the channel stands for now."""
        for relay in self.relays:
            channel = relay.channels.get(number)
            if channel is not None and channel.until > now:
                return channel
        return None


class Reservation(NamedTuple):
    """A port that is held for who shows the token (EVEN-PORT with R)."""

    relay: Address
    advertised: Address
    userid: str
    until: float


class Allocations:
    """All of them, and the only place where one begins, changes or ends: the data plane is told here."""

    def __init__(
        self, settings: Settings, policy: PeerPolicy, data_plane: DataPlane, reports: Reports
    ) -> None:
        self.by_client: dict[FiveTuple, Allocation] = {}
        self.by_address: dict[Address, Allocation] = {}
        """By the advertised addresses of their relays."""
        self.reservations: dict[bytes, Reservation] = {}
        self.policy = policy
        self.data_plane = data_plane
        self.reports = reports
        self.quotas = Quotas(settings.limits)
        self.ports: dict[int, tuple[RelayIp, Ports]] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Other settings; ports of an address that stays keep their rest."""
        self.settings = settings
        self.quotas.limits = settings.limits
        before, self.ports = self.ports, {}
        for ip in settings.relays:
            family = family_of(ip.ip)
            _, ports = before.get(family, (None, None))
            new = Ports(ip.ip, settings.first_port, settings.last_port, settings.port_rest_s)
            if ports is None or (ports.ip, ports.first, ports.last) != (new.ip, new.first, new.last):
                ports = new
            self.ports[family] = ip, ports

    def add(self, allocation: Allocation) -> None:
        """It lives: its relays are open already."""
        self.by_client[allocation.five_tuple] = allocation
        for relay in allocation.relays:
            self.by_address[relay.advertised] = allocation
        allocation.due = min(relay.expires for relay in allocation.relays)
        self.quotas.add(allocation.userid, allocation.five_tuple.client[0])
        self.reports.opened(allocation.userid, allocation.five_tuple)

    def open_relay(self, opening: Opening) -> bool:
        """Bind a relay for a client."""
        return self.data_plane.open_relay(opening)

    def drop_held(self, relay: Address, now: float) -> None:
        """A relay that belongs to no allocation is closed, and its port rests."""
        self.data_plane.close_relay(relay)
        self._give_back(relay, now)

    def permit(self, allocation: Allocation, relay: Relay, peer_ip: str, now: float) -> None:
        """RFC 8656 §9: for 300 seconds from now."""
        until = relay.permissions[peer_ip] = now + PERMISSION_S
        allocation.due = min(allocation.due, until)
        self.data_plane.permit(relay.local, peer_ip, until, self.policy.by_socket(peer_ip))

    def bind_channel(
        self, allocation: Allocation, relay: Relay, number: int, peer: Address, now: float
    ) -> None:
        """RFC 8656 §12: for 600 seconds from now; the permission begins anew with it."""
        self.permit(allocation, relay, peer[0], now)
        until = now + CHANNEL_S
        relay.channels[number] = Channel(peer, until)
        self.data_plane.bind_channel(relay.local, number, peer, until)

    def may_reach(self, peer: Address) -> bool:
        """Does the policy let packets go to this address? At our own relayed addresses only to what lives there."""
        verdict = self.policy.verdict(peer[0])
        if verdict is Verdict.OWN_RELAY:
            return peer in self.by_address or self.policy.by_socket(peer[0])
        return verdict is Verdict.OPEN

    def end_relay(self, allocation: Allocation, relay: Relay, now: float, reason: str) -> None:
        """It ends; with the last one the allocation does."""
        more = self.data_plane.close_relay(relay.local)
        sums = (one + other for one, other in zip(allocation.traffic, more, strict=True))
        allocation.traffic = Traffic(*sums)
        self._give_back(relay.local, now)
        self.by_address.pop(relay.advertised, None)
        allocation.relays.remove(relay)
        if allocation.relays:
            return
        del self.by_client[allocation.five_tuple]
        client = allocation.five_tuple.client[0]
        self.quotas.remove(allocation.userid, client)
        self.reports.closed(
            allocation.userid, allocation.five_tuple, now - allocation.opened, allocation.traffic, reason
        )

    def end(self, allocation: Allocation, now: float, reason: str) -> None:
        """All of it ends, at once."""
        for relay in list(allocation.relays):
            self.end_relay(allocation, relay, now, reason)

    def sweep(self, now: float) -> None:
        """Ends what has expired."""
        for allocation in [each for each in self.by_client.values() if each.due <= now]:
            self._sweep_one(allocation, now)
        for token in [token for token, each in self.reservations.items() if each.until <= now]:
            self.drop_held(self.reservations.pop(token).relay, now)
        for _, ports in self.ports.values():
            ports.sweep(now)

    def apply_policy(self, policy: PeerPolicy) -> None:
        """Another policy: what it denies ends at once, what it allows is told anew."""
        self.policy = policy
        for allocation in self.by_client.values():
            for relay in allocation.relays:
                for ip, until in list(relay.permissions.items()):
                    if policy.verdict(ip) is Verdict.DENIED:
                        self._forbid(relay, ip)
                    else:
                        self.data_plane.permit(relay.local, ip, until, policy.by_socket(ip))

    def _forbid(self, relay: Relay, ip: str) -> None:
        del relay.permissions[ip]
        self.data_plane.forbid(relay.local, ip)
        for number in [number for number, channel in relay.channels.items() if channel.peer[0] == ip]:
            self._unbind(relay, number)

    def _unbind(self, relay: Relay, number: int) -> None:
        del relay.channels[number]
        self.data_plane.unbind_channel(relay.local, number)

    def _sweep_one(self, allocation: Allocation, now: float) -> None:
        for relay in list(allocation.relays):
            if relay.expires <= now:
                self.end_relay(allocation, relay, now, "expired")
                continue
            for number in [each for each, channel in relay.channels.items() if channel.until <= now]:
                self._unbind(relay, number)
            for ip in [ip for ip, until in relay.permissions.items() if until <= now]:
                del relay.permissions[ip]
                self.data_plane.forbid(relay.local, ip)
        allocation.due = min(
            (
                until
                for relay in allocation.relays
                for until in (
                    relay.expires,
                    *relay.permissions.values(),
                    *(channel.until for channel in relay.channels.values()),
                )
            ),
            default=now,
        )

    def _give_back(self, relay: Address, now: float) -> None:
        ip, port = relay
        for _, ports in self.ports.values():
            if ports.ip == ip:
                ports.give_back(port, now)
