"""Which peers people may reach: every range, however it is written, by all three ways to name a peer."""

import itertools
from ipaddress import IPv4Address

import pytest

from rainbow_xmpp.plugins.webrtc_relay.peers import PeerPolicy, Verdict, interface_addresses
from tests.plugins.webrtc_relay.ranges import (
    DENIED_IPV4,
    DENIED_IPV6,
    ENCODINGS,
    PUBLIC,
    PUBLIC_IPV6,
    in_ipv6_clothes,
    samples,
)
from tests.plugins.webrtc_relay.simulated import SimulatedWorld
from tests.plugins.webrtc_relay.turn_client import code_of, family

NUMBERS = itertools.count()
OWN = ("9.9.9.9", "2620:fe::fe", "fe80::1%eth0")
DENIED = [*DENIED_IPV4, *DENIED_IPV6, "9.9.9.9/32", "2620:fe::fe/128"]


def refusals_of(world: SimulatedWorld, ip: str) -> tuple[int, int, bool]:
    """What CreatePermission and ChannelBind say, and whether a Send passes for which a permission stands."""
    client = world.client(f"acme-{next(NUMBERS)}")
    six = ":" in ip
    client.allocated(family(2 if six else 1))
    permission, channel = code_of(client.permit((ip, 4000))), code_of(client.bind(0x4000, (ip, 4000)))
    allocation = world.control._allocations.by_client[client.wire.five_tuple]
    allocation.relays[0].permissions[ip] = world.now + 300
    del world.plane.sent[:]
    client.send_indication((ip, 4000), b"x")
    return permission, channel, bool(world.plane.sent)


@pytest.fixture(scope="module")
def world() -> SimulatedWorld:
    world = SimulatedWorld(allow=())
    own = PeerPolicy(own=OWN, relay_ips=("198.20.0.1", "2a00::ffff"))
    world.control.set_policy(own, world.now)
    return world


@pytest.fixture(autouse=True)
def _none_left(world: SimulatedWorld):
    yield
    world.control.close_all(world.now)
    world.advance(121)


@pytest.mark.parametrize("network", DENIED)
def test_what_is_not_public_is_refused_by_all_three_ways(world: SimulatedWorld, network: str):
    for ip in samples(network):
        assert refusals_of(world, ip) == (403, 403, False), ip


@pytest.mark.parametrize("clothes", ENCODINGS)
def test_an_ipv4_address_does_not_pass_in_ipv6_clothes(world: SimulatedWorld, clothes: str):
    for network in (*DENIED_IPV4, "9.9.9.9/32"):
        ip = in_ipv6_clothes(samples(network)[-1])[clothes]
        assert refusals_of(world, ip) == (403, 403, False), (network, ip)


@pytest.mark.parametrize("ip", PUBLIC + PUBLIC_IPV6)
def test_what_is_public_is_permitted(world: SimulatedWorld, ip: str):
    assert refusals_of(world, ip) == (0, 0, True)


@pytest.mark.parametrize("name", ["mapped", "compatible", "translated", "6to4", "Teredo"])
def test_forms_that_no_peer_has_are_refused_whatever_is_in_them(world: SimulatedWorld, name: str):
    ip = in_ipv6_clothes("8.8.8.8")[name]
    assert refusals_of(world, ip) == (403, 403, False)


def test_a_send_without_permission_does_not_even_come_to_the_data_plane(world: SimulatedWorld):
    client = world.client()
    client.allocated()
    del world.plane.sent[:]
    client.send_indication(("8.8.8.8", 4000), b"x")
    assert code_of(client.permit(("8.8.8.8", 0))) == 0
    client.send_indication(("8.8.8.8", 0), b"x")
    client.send_indication(("8.8.4.4", 4000), b"x")
    assert not world.plane.sent
    client.send_indication(("8.8.8.8", 4000), b"x")
    assert len(world.plane.sent) == 1


def test_what_an_operator_allows_wins_over_what_is_denied_and_his_denials_over_what_is_public():
    policy = PeerPolicy(allow=["10.1.0.0/16", "fd00::/8"], deny=["8.8.0.0/16", "2a00::/16"], own=["10.1.0.1"])
    allowed = {
        ip
        for ip in ("10.1.2.3", "10.2.0.1", "fd00::1", "fe80::1", "10.1.0.1", "8.8.8.8", "2a00::1")
        if policy.verdict(ip) is Verdict.OPEN
    }
    assert allowed == {"10.1.2.3", "fd00::1", "10.1.0.1"}
    assert policy.verdict("64:ff9b::a01:203") is Verdict.OPEN  # 10.1.2.3 by NAT64
    assert policy.verdict("64:ff9b::808:808") is Verdict.DENIED
    assert policy.verdict("::ffff:10.1.2.3") is Verdict.DENIED


def test_a_list_that_does_not_parse_makes_no_policy():
    for wrong in ("10.0.0.0/33", "10.0.0.1/8", "everything", "", "::1/129"):
        with pytest.raises(ValueError):
            PeerPolicy(allow=[wrong])
        with pytest.raises(ValueError):
            PeerPolicy(deny=[wrong])


def test_own_relayed_addresses_are_for_live_relays_and_by_socket_only_when_allowed():
    policy = PeerPolicy(own=["8.8.8.8"], relay_ips=["8.8.8.8"])
    assert (policy.verdict("8.8.8.8"), policy.by_socket("8.8.8.8")) == (Verdict.OWN_RELAY, False)
    policy = PeerPolicy(allow=["127.0.0.0/8"], relay_ips=["127.0.0.1"])
    assert (policy.verdict("127.0.0.1"), policy.by_socket("127.0.0.1")) == (Verdict.OWN_RELAY, True)


def test_a_policy_remembers_no_more_than_so_much():
    policy = PeerPolicy()
    for number in range(8300):
        policy.verdict(str(IPv4Address(0x0808_0000 + number)))
    assert len(policy._remembered) <= 8192


def test_the_addresses_of_this_host_are_found(tmp_path):
    assert "127.0.0.1" in interface_addresses()
    (tmp_path / "fib_trie").write_text(
        "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n"
        "     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n"
    )
    (tmp_path / "if_inet6").write_text("fe80000000000000021122fffe334455 02 40 20 80     eth0\n")
    assert interface_addresses(tmp_path) == {"10.0.0.7", "fe80::211:22ff:fe33:4455"}
    assert interface_addresses(tmp_path / "none") == frozenset()


def test_another_policy_ends_what_it_denies_at_once():
    world = SimulatedWorld(allow=("127.0.0.2", "127.0.0.3"))
    client, peer, other = world.client(), world.peer(), world.peer(world.other_peer_ip)
    relay = client.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == code_of(client.permit(other.address)) == 0
    world.control.set_policy(PeerPolicy(allow=["127.0.0.3"]), world.now)
    assert world.plane.permissions[relay].keys() == {"127.0.0.3"} and not world.plane.channels[relay]
    client.send_channel(0x4000, b"x")
    client.send_indication(peer.address, b"x")
    peer.send(relay, b"x")
    assert peer.receive() is None and client.wire.receive() is None
    client.send_indication(other.address, b"x")
    assert other.receive() == (relay, b"x")
    assert code_of(client.bind(0x4000, peer.address)) == 403
