"""RFC 8656 §5 to §8 against a relay: allocations and their lifetimes."""

from __future__ import annotations

import os

from rainbow_xmpp.plugins.webrtc_relay import stun
from tests.plugins.webrtc_relay.checks import check
from tests.plugins.webrtc_relay.checks_stun import types
from tests.plugins.webrtc_relay.turn_client import (
    REQUESTED_UDP,
    channel_number,
    code_of,
    family,
    lifetime,
    peer_attribute,
    relayed,
)

ADDITIONAL = stun.ADDITIONAL_ADDRESS_FAMILY
EVEN, EVEN_AND_NEXT = (stun.EVEN_PORT, b"\0"), (stun.EVEN_PORT, b"\x80")


@check("RFC 8656 §7.2")
def a_success_has_the_relayed_and_the_mapped_address_and_the_lifetime(world):
    client = world.client()
    answer = client.allocate()
    assert 49152 <= relayed(answer)[1] <= 65535
    mapped = stun.read_xor_address(answer.get(stun.XOR_MAPPED_ADDRESS), answer.transaction)
    assert mapped[1] == client.wire.client
    assert lifetime(answer) == 600
    assert types(answer) == [stun.XOR_RELAYED_ADDRESS, stun.LIFETIME, stun.XOR_MAPPED_ADDRESS]


@check("RFC 8656 §7.2 point 2")
def a_second_allocate_on_the_five_tuple_is_a_mismatch(world):
    client = world.client()
    client.allocated()
    assert code_of(client.allocate()) == 437
    assert code_of(client.refresh()) == 0


@check("RFC 8656 §7.2, RFC 8489 §6.3.1")
def the_same_allocate_again_has_the_same_answer(world):
    client = world.client()
    client.challenge()
    transaction = os.urandom(12)
    answers = [client.allocate(EVEN_AND_NEXT, transaction=transaction) for _ in range(3)]
    assert len({answer.data for answer in answers}) == 1 and code_of(answers[0]) == 0
    other = world.client("acme-bob")
    other.wire, other.realm, other.nonce = client.wire, client.realm, client.nonce
    assert code_of(other.allocate(EVEN_AND_NEXT, transaction=transaction)) == 437


@check("RFC 8656 §7.2 point 3")
def the_transport_must_be_named_and_be_udp(world):
    client = world.client()
    assert code_of(client.call(stun.ALLOCATE)) == 400
    for malformed in (b"", b"\x11", b"\x11\0\0\0\0"):
        assert code_of(client.call(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, malformed)])) == 400
    for other in (0, 6, 132, 255):
        assert (
            code_of(client.call(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, bytes((other, 0, 0, 0)))])) == 442
        )
    assert code_of(client.call(stun.ALLOCATE, [(stun.REQUESTED_TRANSPORT, b"\x11\1\2\3")])) == 0  # reserved


@check("RFC 8656 §7.2 point 4")
def dont_fragment_is_an_unknown_attribute(world):
    client = world.client()
    answer = client.allocate((stun.DONT_FRAGMENT, b""))
    assert code_of(answer) == 420
    assert answer.get(stun.UNKNOWN_ATTRIBUTES) == stun.DONT_FRAGMENT.to_bytes(2, "big")
    assert code_of(client.call(stun.ALLOCATE, [(stun.DONT_FRAGMENT, b"")])) == 400  # point 3 comes first


@check("RFC 8656 §7.2 point 5")
def a_reservation_token_stands_alone_and_must_be_held(world):
    client, token = world.client(), (stun.RESERVATION_TOKEN, os.urandom(8))
    for other in (EVEN, EVEN_AND_NEXT, family(1), family(2), family(2, ADDITIONAL)):
        assert code_of(client.allocate(token, other)) == 400, other
    assert code_of(client.allocate((stun.RESERVATION_TOKEN, b"short"))) == 400
    assert code_of(client.allocate(token)) == 508


@check("RFC 8656 §7.2 points 6 to 9")
def families_that_contradict_each_other_or_do_not_exist_are_refused(world):
    client = world.client()
    assert code_of(client.allocate(family(1), family(2, ADDITIONAL))) == 400
    assert code_of(client.allocate(EVEN_AND_NEXT, family(2, ADDITIONAL))) == 400
    assert code_of(client.allocate(family(1, ADDITIONAL))) == 400
    assert code_of(client.allocate(family(3))) == 440
    assert code_of(client.allocate(family(0))) == 440
    assert code_of(client.allocate((stun.REQUESTED_ADDRESS_FAMILY, b"\1"))) == 400
    assert code_of(client.allocate((stun.EVEN_PORT, b""))) == 400
    assert code_of(client.allocate(family(1))) == 0


@check("RFC 8656 §7.2 point 7", ipv6=True)
def an_ipv6_relay_can_be_had(world):
    client = world.client()
    address = client.allocated(family(2))
    assert stun.family_of(address[0]) == stun.IPV6


@check("RFC 8656 §7.2 point 9, §8.2", ipv6=True)
def a_dual_allocation_has_one_of_each_and_they_end_apart(world):
    client, peer, peer6 = world.client(), world.peer(), world.peer(world.peer_ipv6)
    answer = client.allocate(family(2, ADDITIONAL))
    four, six = relayed(answer), relayed(answer, 1)
    assert (stun.family_of(four[0]), stun.family_of(six[0])) == (stun.IPV4, stun.IPV6)
    assert answer.get(stun.ADDRESS_ERROR_CODE) is None
    assert code_of(client.permit(peer.address, peer6.address)) == 0
    client.send_indication(peer.address, b"4")
    client.send_indication(peer6.address, b"6")
    assert (peer.receive(), peer6.receive()) == ((four, b"4"), (six, b"6"))
    assert code_of(client.bind(0x4000, peer.address)) == 0
    assert code_of(client.bind(0x4000, peer6.address)) == 400  # one number, one peer
    assert code_of(client.bind(0x4001, peer6.address)) == 0
    assert lifetime(client.refresh(0, family(1))) == 0
    client.send_channel(0x4000, b"gone")
    client.send_channel(0x4001, b"still")
    assert (peer.receive(), peer6.receive()) == (None, (six, b"still"))
    assert code_of(client.refresh(None, family(1))) == 443
    assert code_of(client.permit(peer.address)) == 443
    assert code_of(client.refresh(0)) == 0
    assert code_of(client.refresh()) == 437


@check("RFC 8656 §7.2 point 9, §8.2", ipv6=True, clock=True)
def of_a_dual_allocation_one_family_may_be_refreshed_alone(world):
    client, peer, peer6 = world.client(), world.peer(), world.peer(world.peer_ipv6)
    client.allocate(family(2, ADDITIONAL))
    world.advance(300)
    assert lifetime(client.refresh(600, family(2))) == 600
    world.advance(301)
    assert code_of(client.permit(peer.address)) == 443
    assert code_of(client.permit(peer6.address)) == 0
    world.advance(300)
    assert code_of(client.permit(peer6.address)) == 437


@check("RFC 8656 §8.2")
def a_refresh_of_a_family_that_is_not_there_is_refused(world):
    client = world.client()
    client.allocated()
    for other in (2, 0, 7):
        assert code_of(client.refresh(None, family(other))) == 443
    assert code_of(client.refresh(None, (stun.REQUESTED_ADDRESS_FAMILY, b"\1"))) == 400
    assert code_of(client.refresh(None, family(1))) == 0


@check("RFC 8656 §7.2 point 8")
def even_ports_and_reserved_next_ones(world):
    first, second, third = world.client(), world.client(), world.client()
    assert first.allocated(EVEN)[1] % 2 == 0
    assert all(world.client(f"acme-even{at}").allocated(EVEN)[1] % 2 == 0 for at in range(6))
    answer = second.allocate(EVEN_AND_NEXT)
    token = answer.get(stun.RESERVATION_TOKEN)
    ip, port = relayed(answer)
    assert port % 2 == 0 and len(token) == 8
    stranger = world.client("acme-bob")
    assert code_of(stranger.allocate((stun.RESERVATION_TOKEN, token))) == 508
    assert third.allocated((stun.RESERVATION_TOKEN, token)) == (ip, port + 1)
    fourth, peer = world.client(), world.peer()
    assert code_of(fourth.allocate((stun.RESERVATION_TOKEN, token))) == 508
    assert code_of(third.permit(peer.address)) == 0
    third.send_indication(peer.address, b"from the reserved one")
    assert peer.receive() == ((ip, port + 1), b"from the reserved one")


@check("RFC 8656 §7.2 point 8", clock=True)
def a_reservation_is_held_for_thirty_seconds(world):
    first, second, third = world.client(), world.client(), world.client()
    one, two = (client.allocate(EVEN_AND_NEXT).get(stun.RESERVATION_TOKEN) for client in (first, second))
    world.advance(29)
    third.allocated((stun.RESERVATION_TOKEN, one))
    world.advance(2)
    assert code_of(world.client().allocate((stun.RESERVATION_TOKEN, two))) == 508
    assert len(world.plane.relays) == 3


@check("RFC 8656 §7.2, §8.2")
def lifetimes_are_between_ten_minutes_and_an_hour(world):
    for asked, given in (
        (None, 600),
        (0, 600),
        (1, 600),
        (599, 600),
        (1200, 1200),
        (3600, 3600),
        (2**32 - 1, 3600),
    ):
        client = world.client()
        wanted = [] if asked is None else [stun.u32(stun.LIFETIME, asked)]
        assert lifetime(client.allocate(*wanted)) == given
        if asked != 0:
            assert lifetime(client.refresh(asked)) == given
        assert lifetime(client.refresh(0)) == 0
    client.allocated()
    for malformed in (b"", b"\0\0", bytes(8)):
        assert code_of(client.call(stun.REFRESH, [(stun.LIFETIME, malformed)])) == 400


@check("RFC 8656 §8.2")
def refresh_zero_ends_the_relaying_at_once(world):
    client, peer = world.client(), world.peer()
    relay = client.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == 0
    assert lifetime(client.refresh(0)) == 0
    client.send_channel(0x4000, b"late")
    client.send_indication(peer.address, b"late")
    peer.send(relay, b"late")
    assert peer.receive() is None and client.wire.receive() is None
    assert code_of(client.refresh(0)) == 437
    assert client.allocated() != relay


@check("RFC 8656 §7, §8", clock=True)
def an_allocation_lives_as_long_as_it_was_said(world):
    client = world.client()
    client.allocated()
    world.advance(599)
    assert lifetime(client.refresh(700)) == 700
    world.advance(699)
    assert code_of(client.permit(world.peer().address)) == 0
    world.advance(1)
    assert code_of(client.refresh()) == 437 and not world.plane.relays


@check("RFC 8656 §5")
def without_an_allocation_there_is_nothing_to_refresh_permit_or_bind(world):
    client, peer = world.client(), world.peer()
    assert code_of(client.refresh()) == 437
    assert code_of(client.permit(peer.address)) == 437
    assert code_of(client.bind(0x4000, peer.address)) == 437
    client.send_indication(peer.address, b"from nowhere")
    client.send_channel(0x4000, b"from nowhere")
    assert peer.receive() is None


@check("RFC 8656 §5")
def another_person_on_the_five_tuple_has_wrong_credentials(world):
    client, peer = world.client(), world.peer()
    client.allocated()
    other = world.client("acme-bob")
    other.wire, other.realm, other.nonce = client.wire, client.realm, client.nonce
    assert code_of(other.refresh(0)) == 441
    assert code_of(other.permit(peer.address)) == 441
    assert code_of(other.bind(0x4000, peer.address)) == 441
    assert code_of(other.allocate()) == 437
    assert code_of(client.refresh()) == 0


@check("RFC 8656 §7.2 point 10")
def one_person_has_ten_allocations_whatever_addresses_they_come_from(world):
    clients = [world.client("acme-carl") for _ in range(11)]
    codes = [code_of(client.allocate()) for client in clients]
    assert codes == [0] * 10 + [486]
    assert code_of(world.client("acme-dora").allocate()) == 0
    assert code_of(clients[3].refresh(0)) == 0
    assert code_of(clients[10].allocate()) == 0


@check("RFC 8656 §5")
def nothing_of_turn_is_done_for_who_is_not_authenticated(world):
    client, peer = world.client(), world.peer()
    client.allocated()
    transaction = os.urandom(12)
    for method, attributes in (
        (stun.ALLOCATE, [REQUESTED_UDP]),
        (stun.REFRESH, [stun.u32(stun.LIFETIME, 0)]),
        (stun.CREATE_PERMISSION, [peer_attribute(peer.address, transaction)]),
        (stun.CHANNEL_BIND, [channel_number(0x4000), peer_attribute(peer.address, transaction)]),
    ):
        assert code_of(client.ask(method, attributes, transaction=transaction)) == 401
    client.send_indication(peer.address, b"no permission")
    client.send_channel(0x4000, b"no channel")
    assert peer.receive() is None
    assert code_of(client.refresh()) == 0
