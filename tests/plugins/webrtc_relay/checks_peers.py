"""RFC 8656 §9 to §12 against a relay: permissions, channels, and what passes between clients and peers."""

from __future__ import annotations

import os
import struct

from rainbow_xmpp.plugins.webrtc_relay import stun
from tests.plugins.webrtc_relay.checks import check
from tests.plugins.webrtc_relay.ranges import DENIED_IPV4, DENIED_IPV6, in_ipv6_clothes, samples
from tests.plugins.webrtc_relay.turn_client import (
    channel_number,
    code_of,
    family,
    peer_attribute,
)


@check("RFC 8656 §10.2")
def a_permission_needs_at_least_one_well_formed_address(world):
    client, peer = world.client(), world.peer()
    client.allocated()
    assert code_of(client.permit()) == 400
    transaction = os.urandom(12)
    right = peer_attribute(peer.address, transaction)
    for malformed in (b"", b"\0\1\0\0", b"\0\7" + bytes(6), b"\0\1" + bytes(18), b"\0\2" + bytes(6)):
        wrong = (stun.XOR_PEER_ADDRESS, malformed)
        for attributes in ([wrong], [right, wrong]):
            assert code_of(client.call(stun.CREATE_PERMISSION, attributes, transaction=transaction)) == 400
    client.send_indication(peer.address, b"not installed")
    assert peer.receive() is None


@check("RFC 8656 §10.2, §11.2")
def permissions_are_for_an_address_whatever_the_port(world):
    client, peer, sibling, other = world.client(), world.peer(), world.peer(), world.peer(world.other_peer_ip)
    relay = client.allocated()
    for silent in (peer, other):
        client.send_indication(silent.address, b"too early")
        silent.send(relay, b"too early")
    assert client.wire.receive() is None  # before the permission, so that it is not overtaken by it
    assert code_of(client.permit((peer.address[0], 1), other.address)) == 0
    for known in (peer, sibling, other):
        client.send_indication(known.address, b"hello")
        assert known.receive() == (relay, b"hello")
        known.send(relay, b"and back")
        assert client.data_indication() == (known.address, b"and back")
    assert client.wire.receive() is None


@check("RFC 8656 §9")
def permissions_of_one_allocation_are_nothing_to_another(world):
    client, other, peer = world.client(), world.client(), world.peer()
    client.allocated()
    relay = other.allocated()
    assert code_of(client.permit(peer.address)) == 0
    other.send_indication(peer.address, b"not permitted")
    peer.send(relay, b"not permitted")
    assert peer.receive() is None and other.wire.receive() is None


@check("RFC 8656 §10.2")
def of_a_request_with_one_forbidden_address_nothing_is_installed(world):
    client, peer = world.client(), world.peer()
    client.allocated()
    assert code_of(client.permit(peer.address, world.denied_peer)) == 403
    assert code_of(client.permit(world.denied_peer, peer.address)) == 403
    client.send_indication(peer.address, b"not installed")
    assert peer.receive() is None


@check("RFC 8656 §10.2, §12.2")
def a_peer_of_the_other_family_is_refused(world):
    client, peer = world.client(), world.peer()
    client.allocated()
    six = ("2001:4860:4860::8888", 4000)
    assert code_of(client.permit(six)) == 443
    assert code_of(client.permit(peer.address, six)) == 443
    assert code_of(client.bind(0x4000, six)) == 443
    client.send_indication(peer.address, b"not installed")
    assert peer.receive() is None


@check("RFC 8656 §9", clock=True)
def a_permission_lasts_for_300_seconds_unless_it_is_refreshed(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated((stun.LIFETIME, (3600).to_bytes(4, "big")))
    assert code_of(client.permit(peer.address)) == 0
    world.advance(299)
    client.send_indication(peer.address, b"1")
    assert peer.receive() == (relay, b"1")
    assert code_of(client.permit(peer.address)) == 0
    world.advance(299)
    peer.send(relay, b"2")
    assert client.data_indication() == (peer.address, b"2")
    world.advance(1)
    client.send_indication(peer.address, b"3")
    peer.send(relay, b"3")
    assert peer.receive() is None and client.wire.receive() is None


@check("RFC 8656 §12.6", clock=True)
def data_refreshes_neither_permission_nor_channel(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated((stun.LIFETIME, (3600).to_bytes(4, "big")))
    assert code_of(client.bind(0x4000, peer.address)) == 0
    for _ in range(299):
        world.advance(1)
        client.send_channel(0x4000, b"x")
        assert peer.receive() == (relay, b"x")
        peer.send(relay, b"y")
        assert client.channel_data() == (0x4000, b"y")
    world.advance(1)
    client.send_channel(0x4000, b"x")
    peer.send(relay, b"y")
    assert peer.receive() is None and client.wire.receive() is None
    assert code_of(client.permit(peer.address)) == 0
    world.advance(299)
    client.send_channel(0x4000, b"x")
    assert peer.receive() == (relay, b"x")
    world.advance(1)
    assert code_of(client.permit(peer.address)) == 0
    client.send_channel(0x4000, b"x")
    assert peer.receive() is None
    peer.send(relay, b"y")
    assert client.data_indication() == (peer.address, b"y")


@check("RFC 8656 §12", clock=True)
def a_channel_lasts_for_600_seconds_and_is_free_for_another_peer_then(world):
    client, peer, other = world.client(), world.peer(), world.peer()
    client.allocated((stun.LIFETIME, (3600).to_bytes(4, "big")))
    assert code_of(client.bind(0x4000, peer.address)) == 0
    world.advance(599)
    assert code_of(client.bind(0x4000, other.address)) == 400
    assert code_of(client.bind(0x4001, peer.address)) == 400
    assert code_of(client.bind(0x4000, peer.address)) == 0
    world.advance(599)
    assert code_of(client.bind(0x4000, other.address)) == 400
    world.advance(1)
    assert code_of(client.bind(0x4000, other.address)) == 0
    assert code_of(client.bind(0x4001, peer.address)) == 0


@check("RFC 8656 §12.2, §9", clock=True)
def binding_a_channel_again_refreshes_the_permission(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated((stun.LIFETIME, (3600).to_bytes(4, "big")))
    assert code_of(client.bind(0x4000, peer.address)) == 0
    world.advance(290)
    assert code_of(client.bind(0x4000, peer.address)) == 0
    world.advance(299)
    client.send_channel(0x4000, b"still")
    assert peer.receive() == (relay, b"still")


@check("RFC 8656 §12.2")
def channel_numbers_are_0x4000_to_0x4fff(world):
    client = world.client()
    client.allocated()
    for number in (0, 0x3FFF, 0x5000, 0x7FFE, 0x7FFF, 0x8000, 0xFFFF):
        assert code_of(client.bind(number, world.peer().address)) == 400, number
    for number in (0x4000, 0x4FFF):
        assert code_of(client.bind(number, world.peer().address)) == 0, number


@check("RFC 8656 §12.2")
def a_channel_needs_number_and_peer_and_has_one_of_each(world):
    client, peer, other = world.client(), world.peer(), world.peer()
    client.allocated()
    transaction = os.urandom(12)
    number, address = channel_number(0x4000), peer_attribute(peer.address, transaction)
    for attributes in (
        [number],
        [address],
        [],
        [(stun.CHANNEL_NUMBER, b"\x40\0"), address],
        [number, (stun.XOR_PEER_ADDRESS, b"\0\1")],
    ):
        assert code_of(client.call(stun.CHANNEL_BIND, attributes, transaction=transaction)) == 400
    assert code_of(client.bind(0x4000, peer.address)) == 0
    assert code_of(client.bind(0x4000, other.address)) == 400
    assert code_of(client.bind(0x4001, peer.address)) == 400
    assert code_of(client.bind(0x4000, peer.address)) == 0
    assert code_of(client.bind(0x4001, other.address)) == 0


@check("RFC 8656 §12.5, §12.6, §12.7")
def channel_data_passes_both_ways_and_brings_its_permission(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated()
    assert code_of(client.bind(0x4001, peer.address)) == 0
    for data in (b"", b"a", b"ab", b"abc", b"abcd", os.urandom(1200)):
        client.send_channel(0x4001, data)
        assert peer.receive() == (relay, data)
        peer.send(relay, data)
        assert client.channel_data() == (0x4001, data)
    client.send_indication(peer.address, b"as well")
    assert peer.receive() == (relay, b"as well")


@check("RFC 8656 §12.6")
def data_of_a_channel_that_is_not_bound_goes_nowhere(world):
    client, other, peer = world.client(), world.client(), world.peer()
    client.allocated()
    other.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == 0
    client.send_channel(0x4001, b"not bound")
    other.send_channel(0x4000, b"bound by somebody else")
    assert peer.receive() is None


@check("RFC 8656 §12.6", datagrams=True)
def channel_data_that_is_shorter_than_it_says_goes_nowhere_and_padding_is_allowed(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == 0
    client.wire.send(struct.pack("!HH", 0x4000, 5) + b"four")
    client.wire.send(struct.pack("!HH", 0x4000, 0xFFFF) + b"four")
    client.wire.send(struct.pack("!HH", 0x5000, 4) + b"four")
    assert peer.receive() is None
    client.wire.send(struct.pack("!HH", 0x4000, 5) + b"five!\0\0\0")
    assert peer.receive() == (relay, b"five!")


@check("RFC 8656 §11.2")
def an_indication_needs_peer_and_data_and_nothing_that_nobody_understands(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated()
    assert code_of(client.permit(peer.address)) == 0
    transaction = os.urandom(12)
    address, data = peer_attribute(peer.address, transaction), (stun.DATA, b"payload")
    for attributes in (
        [address],
        [data],
        [(stun.XOR_PEER_ADDRESS, b"\0\1\0\0"), data],
        [address, data, (0x7FF0, b"")],
        [address, data, (stun.DONT_FRAGMENT, b"")],
    ):
        client.wire.send(stun.encode(stun.SEND, stun.INDICATION, transaction, attributes))
    assert peer.receive() is None
    client.send_indication(peer.address, b"payload", (0xBFF0, b"optional"))
    client.send_indication(peer.address, b"")
    assert (peer.receive(), peer.receive()) == ((relay, b"payload"), (relay, b""))


@check("RFC 8656 §10.2, §12.2")
def an_allocation_has_64_permissions_and_64_channels(world):
    client = world.client()
    client.allocated()
    public = [(f"8.8.{number}.8", 4000) for number in range(65)]
    assert code_of(client.permit(*public)) == 508
    assert code_of(client.permit(*public[:40])) == 0
    assert code_of(client.permit(*public[:64])) == 0
    assert code_of(client.permit(public[64])) == 508
    assert code_of(client.permit(*public[:64])) == 0
    assert code_of(client.bind(0x4000, public[64])) == 508
    for number in range(64):
        assert code_of(client.bind(0x4000 + number, (public[0][0], 5000 + number))) == 0
    assert code_of(client.bind(0x4100, (public[0][0], 6000))) == 508
    assert code_of(client.bind(0x4000, (public[0][0], 5000))) == 0


ALLOWED_HERE = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"}
"""Of the peers of the worlds; everything else of loopback is denied."""


@check("RFC 8656 §10.2, §12.2, §21.4")
def what_is_not_public_is_refused_over_the_wire(world):
    client, peer = world.client(), world.peer()
    client.allocated()
    for network in DENIED_IPV4:
        for ip in samples(network):
            if ip not in ALLOWED_HERE:
                assert code_of(client.permit((ip, 4000))) == 403, ip
                assert code_of(client.permit(peer.address, (ip, 4000))) == 403, ip
                assert code_of(client.bind(0x4000, (ip, 4000))) == 403, ip
    client.send_indication(peer.address, b"nothing was installed")
    assert peer.receive() is None
    assert code_of(client.permit(("8.8.8.8", 4000))) == 0


@check("RFC 8656 §10.2, §12.2, §21.4", ipv6=True)
def nor_is_it_permitted_in_ipv6(world):
    client = world.client()
    client.allocated(family(2))
    clothed = {ip for network in DENIED_IPV4 for ip in in_ipv6_clothes(samples(network)[-1]).values()}
    plain = {ip for network in DENIED_IPV6 for ip in samples(network)} - {world.peer_ipv6, "fd00::2"}
    for ip in (clothed | plain) - ALLOWED_HERE:
        assert code_of(client.permit((ip, 4000))) == 403, ip
        assert code_of(client.bind(0x4000, (ip, 4000))) == 403, ip
    assert code_of(client.permit(("2001:4860:4860::8888", 4000))) == 0


@check("hairpin")
def two_callers_behind_one_relay_reach_each_other(world):
    ann, bob = world.client("acme-ann"), world.client("acme-bob")
    of_ann, of_bob = ann.allocated(), bob.allocated()
    assert code_of(ann.permit(of_bob)) == 0
    ann.send_indication(of_bob, b"bob does not permit it")
    assert bob.wire.receive() is None
    assert code_of(bob.bind(0x4000, of_ann)) == 0
    ann.send_indication(of_bob, b"one")
    assert bob.channel_data() == (0x4000, b"one")
    bob.send_channel(0x4000, b"two")
    assert ann.data_indication() == (of_bob, b"two")
    assert code_of(ann.bind(0x4FFF, of_bob)) == 0
    bob.send_indication(of_ann, b"three")
    assert ann.channel_data() == (0x4FFF, b"three")


@check("hairpin")
def at_our_own_address_nothing_is_reached_but_live_relays(world):
    ann, bob = world.client("acme-ann"), world.client("acme-bob")
    of_ann, of_bob = ann.allocated(), bob.allocated()
    service = world.peer(of_ann[0])  # something else of this host
    assert code_of(ann.permit(of_bob)) == 0
    ann.send_indication(service.address, b"not through a socket")
    service.send(of_ann, b"nor in")
    assert service.receive() is None and ann.wire.receive() is None
    assert code_of(ann.bind(0x4000, service.address)) == 403
    assert code_of(ann.bind(0x4001, of_bob)) == 0
    assert code_of(bob.refresh(0)) == 0
    ann.send_indication(of_bob, b"nobody lives there")
    ann.send_channel(0x4001, b"nobody lives there")
    assert code_of(ann.bind(0x4002, of_bob)) in (400, 403)
    assert code_of(ann.refresh()) == 0


@check("RFC 8656 §11.2", ipv6=True)
def ipv6_peers_are_reached_from_an_ipv6_relay(world):
    client, peer = world.client(), world.peer(world.peer_ipv6)
    relay = client.allocated(family(2))
    assert code_of(client.bind(0x4000, peer.address)) == 0
    client.send_channel(0x4000, b"six")
    assert peer.receive() == (relay, b"six")
    peer.send(relay, b"back")
    assert client.channel_data() == (0x4000, b"back")
    assert code_of(client.permit((world.peer_ip, 1))) == 443
