"""CreatePermission, ChannelBind and Send (RFC 8656 §10 to §12): whom an allocation speaks with."""

from __future__ import annotations

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control.allocations import Allocation, Allocations, Relay
from rainbow_xmpp.plugins.webrtc_relay.control.refusal import Refusal, bad_request
from rainbow_xmpp.plugins.webrtc_relay.peers import Verdict
from rainbow_xmpp.plugins.webrtc_relay.stun import Address

FIRST_CHANNEL, LAST_CHANNEL = 0x4000, 0x4FFF


def create_permission(
    allocations: Allocations, allocation: Allocation, message: stun.Message, now: float
) -> None:
    """All of the addresses, or none of them (§10.2). Raises Refusal.

    Ports do not count here, so our own relayed IP may be named whatever lives there; each Send and each channel is
    looked at with its port.
    """
    values = message.all(stun.XOR_PEER_ADDRESS)
    if not values:
        raise bad_request()
    wanted: dict[str, Relay] = {}
    for value in values:
        relay, peer = _peer(allocation, value, message.transaction)
        wanted[peer[0]] = relay
    if len(wanted) > allocations.settings.limits.permissions * len(allocation.relays):
        raise Refusal(508, "capacity")
    if any(allocations.policy.verdict(ip) is Verdict.DENIED for ip in wanted):
        raise Refusal(403, "peer")
    for relay in allocation.relays:
        _check_room(allocations, relay, [ip for ip, of in wanted.items() if of is relay], now)
    for ip, relay in wanted.items():
        allocations.permit(allocation, relay, ip, now)


def bind_channel(allocations: Allocations, allocation: Allocation, message: stun.Message, now: float) -> None:
    """§12.2. Raises Refusal."""
    value, address = message.get(stun.CHANNEL_NUMBER), message.get(stun.XOR_PEER_ADDRESS)
    if value is None or address is None or len(value) != 4:
        raise bad_request()
    number = int.from_bytes(value[:2], "big")
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise bad_request()
    relay, peer = _peer(allocation, address, message.transaction)
    bound = allocation.channel(number, now)
    if not peer[1] or (bound is not None and bound.peer != peer):
        raise bad_request()
    for other, channel in relay.channels.items():
        if channel.peer == peer and other != number and channel.until > now:
            raise bad_request()
    if not allocations.may_reach(peer):
        raise Refusal(403, "peer")
    live = sum(channel.until > now for channel in relay.channels.values())
    if bound is None and live >= allocations.settings.limits.channels:
        raise Refusal(508, "capacity")
    _check_room(allocations, relay, [peer[0]], now)
    allocations.bind_channel(allocation, relay, number, peer, now)


def send(allocations: Allocations, allocation: Allocation, message: stun.Message, now: float) -> bool:
    """A Send indication (§11.2): to the peer, or nowhere, silently. Was it let pass?"""
    address, data = message.get(stun.XOR_PEER_ADDRESS), message.get(stun.DATA)
    if address is None or data is None:
        return False
    read = stun.read_xor_address(address, message.transaction)
    relay = allocation.relay_of(read[0]) if read is not None else None
    if read is None or relay is None:
        return False
    peer = read[1]
    if relay.permissions.get(peer[0], 0.0) <= now or not peer[1] or not allocations.may_reach(peer):
        return False
    allocations.data_plane.send(relay.local, peer, data)
    return True


def _peer(allocation: Allocation, value: bytes, transaction: bytes) -> tuple[Relay, Address]:
    read = stun.read_xor_address(value, transaction)
    if read is None:
        raise bad_request()
    relay = allocation.relay_of(read[0])
    if relay is None:
        raise Refusal(443, "family")
    return relay, read[1]


def _check_room(allocations: Allocations, relay: Relay, ips: list[str], now: float) -> None:
    live = {ip for ip, until in relay.permissions.items() if until > now}
    if len(live.union(ips)) > allocations.settings.limits.permissions:
        raise Refusal(508, "capacity")
