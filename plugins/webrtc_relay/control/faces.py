"""What the control plane says to what moves the packets, and what it reports: values and two protocols."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from rainbow_xmpp.plugins.webrtc_relay.stun import Address

Transport = Literal["udp", "tcp", "tls"]


class FiveTuple(NamedTuple):
    """What tells one client's way to us from every other (RFC 8656 §2)."""

    transport: Transport
    client: Address
    server: Address


class Opening(NamedTuple):
    """A relayed transport address that shall come to life."""

    relay: Address
    """What to bind, UDP. It is the name of this relay in every later call."""
    advertised: Address
    """What the client and its peers know it by; another IP than `relay` behind a 1:1 NAT."""
    client: FiveTuple
    userid: str
    """Whose it is; what stands before its first `-` is shared by the people of one company (byte budgets)."""


class Traffic(NamedTuple):
    """Payload that one relay has carried since it was opened, seen from its client."""

    bytes_in: int = 0
    """From the client to peers."""
    bytes_out: int = 0
    """From peers to the client."""
    packets_in: int = 0
    packets_out: int = 0


class DataPlane(Protocol):
    """Carries packets between clients and peers. Every call is synchronous and made from `Control`.

    A client (FiveTuple) has one relay, or one of each address family; a channel number stands for one of them.
    Expiries (`until`) are on the clock of `Control.handle(…, now)`; `Control.sweep` takes back what has expired
    (`forbid`, `unbind_channel`, `close_relay`), so comparing `until` a packet is allowed and not needed.

    Rules it keeps, since only it sees each packet:

    - A peer whose address is the `advertised` address of a live relay is served internally, never through a socket:
      the other relay must permit our advertised IP, and gets the packet with our advertised address as its source.
    - Any other peer is sent to only while its IP is permitted with `by_socket`; so nothing reaches another service
      of the host. A datagram from a socket counts only when its source IP is permitted with `by_socket`.
    - Bytes a second of an allocation, of a company and of all, both directions together: what is more is dropped.
    """

    def hold_relay(self, relay: Address) -> bool:
        """Bind it, and drop what comes: reserved for a later `open_relay`. False: the host does not give it."""
        ...

    def open_relay(self, opening: Opening) -> bool:
        """Bind it (or take the held one) and relay for this client. False: the host does not give it."""
        ...

    def close_relay(self, relay: Address) -> Traffic:
        """Stop at once, forget its permissions and channels, give the port back. Also for a held one."""
        ...

    def permit(self, relay: Address, peer_ip: str, until: float, by_socket: bool) -> None:
        """Packets from and to this IP may pass, or may pass for longer. `by_socket=False`: internally only."""
        ...

    def forbid(self, relay: Address, peer_ip: str) -> None:
        """They may pass no more."""
        ...

    def bind_channel(self, relay: Address, number: int, peer: Address, until: float) -> None:
        """This channel of the relay's client stands for this peer, or does so for longer."""
        ...

    def unbind_channel(self, relay: Address, number: int) -> None:
        """It stands for nothing."""
        ...

    def send(self, relay: Address, peer: Address, data: bytes) -> None:
        """A Send indication that control has let pass: to the peer, by the rules above."""
        ...


class Reports(Protocol):
    """Hears what becomes of allocations: for accounting and figures."""

    def opened(self, userid: str, client: FiveTuple) -> None:
        """An allocation came to life."""
        ...

    def closed(self, userid: str, client: FiveTuple, seconds: float, traffic: Traffic, reason: str) -> None:
        """It ended: `expired`, `deleted` (by the client), `gone` (its connection), `revoked`, `drained`."""
        ...

    def refused(self, kind: str) -> None:
        """Something was refused, such as `unauthenticated`, `quota`, `peer`, `capacity`, `rate`."""
        ...
