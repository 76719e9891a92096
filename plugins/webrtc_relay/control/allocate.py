"""Allocate and Refresh (RFC 8656 §7.2 and §8.2), check by check in the order written there."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control.allocations import (
    Allocation,
    Allocations,
    Relay,
    Reservation,
)
from rainbow_xmpp.plugins.webrtc_relay.control.authentication import Signer
from rainbow_xmpp.plugins.webrtc_relay.control.faces import FiveTuple, Opening
from rainbow_xmpp.plugins.webrtc_relay.control.refusal import Refusal, bad_request
from rainbow_xmpp.plugins.webrtc_relay.stun import Attribute

_TOKEN_BYTES = 8
_R_BIT = 0x80


class Wish(NamedTuple):
    """What an Allocate request asks for, once it makes sense."""

    family: int
    additional: bool
    even: bool
    pair: bool
    token: bytes | None


_PLAIN = Wish(stun.IPV4, False, False, False, None)
"""What nearly everybody asks for."""
_SPECIAL = frozenset(
    {
        stun.RESERVATION_TOKEN,
        stun.EVEN_PORT,
        stun.REQUESTED_ADDRESS_FAMILY,
        stun.ADDITIONAL_ADDRESS_FAMILY,
    }
)
"""With one of these it is something else."""


def allocate(
    allocations: Allocations,
    message: stun.Message,
    five_tuple: FiveTuple,
    signer: Signer,
    now: float,
    wall: float,
) -> list[Attribute]:
    """The attributes of the success response. Raises Refusal."""
    there = allocations.by_client.get(five_tuple)
    if there is not None:
        if there.transaction != message.transaction or there.userid != signer.userid:
            raise Refusal(437, "mismatch")
        return _answer(there, message.transaction, now)  # the same request again: our answer was lost
    wish = _read(allocations, message)
    lifetime = lifetime_of(allocations, message, signer, wall)
    _check_quotas(allocations, signer, five_tuple)
    expires = now + (lifetime or allocations.settings.default_lifetime_s)
    allocation = Allocation(five_tuple, signer.userid, message.transaction, now, [])
    if wish.token is not None:
        allocation.relays.append(_redeemed(allocations, wish.token, five_tuple, signer, now, expires))
    else:
        allocation.relays.append(_opened(allocations, wish, wish.family, allocation, expires))
        if wish.additional:
            _add_ipv6(allocations, wish, allocation, expires)
    allocations.add(allocation)
    return _answer(allocation, message.transaction, now)


def refresh(
    allocations: Allocations,
    allocation: Allocation,
    message: stun.Message,
    signer: Signer,
    now: float,
    wall: float,
) -> list[Attribute]:
    """The attributes of the success response. Raises Refusal."""
    relays = list(allocation.relays)
    family = message.get(stun.REQUESTED_ADDRESS_FAMILY)
    if family is not None:
        if len(family) != 4:
            raise bad_request()
        relays = [relay for relay in relays if relay.family == family[0]]
        if not relays:
            raise Refusal(443, "family")
    lifetime = lifetime_of(allocations, message, signer, wall)
    for relay in relays:
        if lifetime:
            relay.expires = now + lifetime
            allocation.due = min(allocation.due, relay.expires)
        else:
            allocations.end_relay(allocation, relay, now, "deleted")
    return [stun.u32(stun.LIFETIME, lifetime)]


def lifetime_of(allocations: Allocations, message: stun.Message, signer: Signer, wall: float) -> int:
    """Seconds from now; 0 when the client asks for 0. Never beyond what its credential is good for."""
    settings, value = allocations.settings, message.get(stun.LIFETIME)
    if value is None:
        lifetime = settings.default_lifetime_s
    elif len(value) != 4:
        raise bad_request()
    else:
        asked = int.from_bytes(value, "big")
        if not asked:
            return 0
        lifetime = max(min(asked, settings.max_lifetime_s), settings.default_lifetime_s)
    return max(1, min(lifetime, int(signer.ends + settings.after_expiry_s - wall)))


def _read(allocations: Allocations, message: stun.Message) -> Wish:
    get = message.get
    transport = get(stun.REQUESTED_TRANSPORT)
    if transport is None or len(transport) != 4:
        raise bad_request()
    if transport[0] != stun.UDP:
        raise Refusal(442, "transport")
    if stun.DONT_FRAGMENT in message.first:
        raise Refusal(420, "malformed", [stun.unknown_attributes([stun.DONT_FRAGMENT])])
    if message.first.keys().isdisjoint(_SPECIAL):
        if stun.IPV4 not in allocations.ports:
            raise Refusal(440, "family")
        return _PLAIN
    token, even = get(stun.RESERVATION_TOKEN), get(stun.EVEN_PORT)
    family, additional = get(stun.REQUESTED_ADDRESS_FAMILY), get(stun.ADDITIONAL_ADDRESS_FAMILY)
    if token is not None and (len(token) != _TOKEN_BYTES or not (even is family is additional is None)):
        raise bad_request()
    if token is not None and token not in allocations.reservations:
        raise Refusal(508, "capacity")
    if family is not None and (additional is not None or len(family) != 4):
        raise bad_request()
    wanted = family[0] if family is not None else stun.IPV4
    if token is None and wanted not in allocations.ports:
        raise Refusal(440, "family")
    if even is not None and len(even) != 1:
        raise bad_request()
    pair = even is not None and bool(even[0] & _R_BIT)
    if additional is not None and (pair or len(additional) != 4 or additional[0] != stun.IPV6):
        raise bad_request()
    return Wish(wanted, additional is not None, even is not None, pair, token)


def _check_quotas(allocations: Allocations, signer: Signer, five_tuple: FiveTuple) -> None:
    quotas = allocations.quotas
    if quotas.full():
        raise Refusal(508, "capacity")
    used = 0
    for _, ports in allocations.ports.values():
        used += ports.held_by(signer.userid)
    if used >= quotas.limits.ports_per_user or not quotas.may_have_another(
        signer.userid, five_tuple.client[0]
    ):
        raise Refusal(486, "quota")


def _redeemed(
    allocations: Allocations, token: bytes, five_tuple: FiveTuple, signer: Signer, now: float, expires: float
) -> Relay:
    """The relay that was reserved, by the same person (§7.2 point 5)."""
    reservation = allocations.reservations[token]
    if reservation.userid != signer.userid:
        raise Refusal(508, "capacity")
    del allocations.reservations[token]
    relay, advertised = reservation.relay, reservation.advertised
    if not allocations.open_relay(Opening(relay, advertised, five_tuple, signer.userid)):
        allocations.drop_held(relay, now)
        raise Refusal(508, "capacity")
    return Relay(relay, advertised, stun.family_of(relay[0]), expires)


def _opened(
    allocations: Allocations, wish: Wish, family: int, allocation: Allocation, expires: float
) -> Relay:
    """A relay of this family with a port as wished. Raises Refusal (508)."""
    where, ports = allocations.ports[family]
    data_plane, userid = allocations.data_plane, allocation.userid

    def bind(port: int) -> bool:
        opening = Opening((where.ip, port), (where.advertised, port), allocation.five_tuple, userid)
        if not allocations.open_relay(opening):
            return False
        if wish.pair and not data_plane.hold_relay((where.ip, port + 1)):
            data_plane.close_relay(opening.relay)
            return False
        return True

    port = ports.take(userid, allocation.opened, bind, even=wish.even, pair=wish.pair)
    if port is None:
        raise Refusal(508, "capacity")
    if wish.pair:
        allocation.token = secrets.token_bytes(_TOKEN_BYTES)
        allocations.reservations[allocation.token] = Reservation(
            (where.ip, port + 1),
            (where.advertised, port + 1),
            userid,
            allocation.opened + allocations.settings.reservation_s,
        )
    return Relay((where.ip, port), (where.advertised, port), family, expires)


def _add_ipv6(allocations: Allocations, wish: Wish, allocation: Allocation, expires: float) -> None:
    """The second relay of a dual allocation, or why there is none (§7.2 point 9)."""
    if stun.IPV6 not in allocations.ports:
        allocation.failed_family, allocation.failed_code = stun.IPV6, 440
        return
    try:
        allocation.relays.append(_opened(allocations, wish, stun.IPV6, allocation, expires))
    except Refusal as refusal:
        allocation.failed_family, allocation.failed_code = stun.IPV6, refusal.code


def _answer(allocation: Allocation, transaction: bytes, now: float) -> list[Attribute]:
    attributes = [
        (stun.XOR_RELAYED_ADDRESS, stun.xor_address(relay.advertised, transaction))
        for relay in allocation.relays
    ]
    left = max(1, round(max(relay.expires for relay in allocation.relays) - now))
    attributes.append(stun.u32(stun.LIFETIME, left))
    attributes.append((stun.XOR_MAPPED_ADDRESS, stun.xor_address(allocation.five_tuple.client, transaction)))
    if allocation.token is not None:
        attributes.append((stun.RESERVATION_TOKEN, allocation.token))
    if allocation.failed_family:
        code = allocation.failed_code
        value = bytes((allocation.failed_family, 0, code // 100, code % 100))
        attributes.append((stun.ADDRESS_ERROR_CODE, value))
    return attributes
