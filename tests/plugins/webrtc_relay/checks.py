"""What every check of the relay is: a function of a world, with the rule it proves.

A world is a relay with clients and peers: `SimulatedWorld` (no sockets, a clock to move) or `RunningWorld` (a relay
that runs, over UDP, TCP or TLS). The same checks run in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from tests.plugins.webrtc_relay.turn_client import Credential, TurnClient, Wire


class Peer(Protocol):
    """Somebody with a UDP socket, whom the policy lets people reach."""

    address: tuple[str, int]

    def send(self, relay: tuple[str, int], data: bytes) -> None: ...

    def receive(self) -> tuple[tuple[str, int], bytes] | None:
        """From where, and what; None when nothing comes."""


class World(Protocol):
    """A relay, with default limits, that allows peers at `peer_ip` and `other_peer_ip`, else none of loopback."""

    has_clock: bool
    has_ipv6: bool
    peer_ip: str
    other_peer_ip: str
    peer_ipv6: str
    denied_peer: tuple[str, int]

    def wire(self) -> Wire: ...

    def credential(self, userid: str = ..., ttl_s: int = ..., secret: bytes = ...) -> Credential: ...

    def client(self, userid: str = ..., *, ttl_s: int = ...) -> TurnClient: ...

    def peer(self, ip: str | None = None) -> Peer: ...

    def advance(self, seconds: float) -> None: ...


class Check(NamedTuple):
    rule: str
    run: Callable[[Any], None]
    needs_clock: bool
    needs_ipv6: bool
    datagrams_only: bool

    @property
    def name(self) -> str:
        return f"{self.rule}: {self.run.__name__}"

    def fits(self, world: World, is_stream: bool) -> bool:
        """Can this world show it?"""
        return (
            (world.has_clock or not self.needs_clock)
            and (world.has_ipv6 or not self.needs_ipv6)
            and not (is_stream and self.datagrams_only)
        )


CHECKS: list[Check] = []


def check(
    rule: str, *, clock: bool = False, ipv6: bool = False, datagrams: bool = False
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Adds a function to the list."""

    def add(run: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS.append(Check(rule, run, clock, ipv6, datagrams))
        return run

    return add
