"""The control plane, through its public face, with a data plane of dictionaries: what no RFC says."""

import os
from dataclasses import replace

import pytest

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control import Limits, Traffic
from rainbow_xmpp.plugins.webrtc_relay.control.ports import Ports
from rainbow_xmpp.plugins.webrtc_relay.control.quotas import Strangers
from rainbow_xmpp.plugins.webrtc_relay.credentials import password_of
from tests.plugins.webrtc_relay.simulated import SECRET, WALL, SimulatedWorld
from tests.plugins.webrtc_relay.turn_client import (
    REQUESTED_UDP,
    Credential,
    TurnClient,
    code_of,
    family,
    lifetime,
    relayed,
)


def test_one_call_is_reported_from_its_beginning_to_its_end():
    world = SimulatedWorld()
    ann, peer = world.client("acme-ann"), world.peer()
    relay = ann.allocated()
    assert code_of(ann.permit(peer.address)) == 0
    ann.send_indication(peer.address, b"hello")
    assert peer.receive() == (relay, b"hello")
    assert code_of(ann.bind(0x4000, peer.address)) == 0
    peer.send(relay, b"and back")
    assert ann.channel_data() == (0x4000, b"and back")
    assert world.control.has_allocation(ann.wire.five_tuple)
    world.advance(600)
    assert not world.control.has_allocation(ann.wire.five_tuple)
    assert not world.plane.relays
    assert world.reported == [
        ("refused", "unauthenticated"),
        ("opened", "acme-ann"),
        ("closed", "acme-ann", 600.0, Traffic(1, 2, 3, 4), "expired"),
    ]


def test_the_traffic_of_both_relays_of_a_dual_allocation_is_added_up():
    world = SimulatedWorld()
    client = world.client()
    client.allocate(family(2, stun.ADDITIONAL_ADDRESS_FAMILY))
    client.refresh(0)
    assert world.reported[-1] == ("closed", "acme-ann", 0.0, Traffic(2, 4, 6, 8), "deleted")


def test_a_client_whose_connection_ends_has_no_allocation_any_more():
    world = SimulatedWorld()
    client = world.client()
    client.allocated()
    world.control.client_gone(client.wire.five_tuple, world.now + 5)
    world.control.client_gone(client.wire.five_tuple, world.now + 6)
    assert world.reported[-1] == ("closed", "acme-ann", 5.0, Traffic(1, 2, 3, 4), "gone")
    assert not world.plane.relays and world.control.allocations == 0


@pytest.mark.parametrize("whole_company", [False, True])
def test_who_is_shut_out_is_cut_off_at_once_and_comes_back_with_a_newer_credential_only(whole_company):
    world = SimulatedWorld()
    ann, bob, eve = world.client("acme-ann"), world.client("acme-bob"), world.client("other-eve")
    for client in (ann, bob, eve):
        client.allocated()
    until = WALL + 36_000
    if whole_company:
        assert world.control.close_company("acme", until, world.now) == 2
    else:
        assert world.control.close_user("acme-ann", until, world.now) == 1
    assert code_of(ann.refresh()) == code_of(ann.allocate()) == 401
    assert code_of(bob.refresh()) == (401 if whole_company else 0)
    assert code_of(eve.refresh()) == 0
    world.advance(1)
    assert code_of(world.client("acme-ann").allocate()) == 0
    assert [each[-1] for each in world.reported if each[0] == "closed"] == ["revoked"] * (1 + whole_company)


def test_what_was_revoked_is_forgotten_when_it_has_ended():
    world = SimulatedWorld()
    world.control.close_user("acme-ann", WALL + 2, world.now)
    world.advance(1)
    assert world.control._authentication._revoked
    world.advance(2)
    assert not world.control._authentication._revoked


def test_two_secrets_are_good_during_a_rotation_and_one_after_it():
    world = SimulatedWorld()
    old, new = world.client("acme-ann"), TurnClient(world.wire(), world.credential(secret=b"a new secret"))
    assert code_of(new.allocate()) == 401
    world.control.set_secrets([b"a new secret", SECRET])
    assert code_of(new.allocate()) == code_of(old.allocate()) == 0
    world.control.set_secrets([b"a new secret"])
    assert (code_of(new.refresh()), code_of(old.refresh())) == (0, 401)


def test_a_name_that_was_never_issued_is_refused_even_when_its_password_is_right():
    world = SimulatedWorld()
    for name in ("nobody", "", "9999999999", "x:acme-ann", "9999999999:", "9999999999:a b", "9999999999:\n"):
        client = TurnClient(world.wire(), Credential(name, password_of(SECRET, name)))
        assert code_of(client.allocate()) == 401, name
    assert not world.plane.opened


@pytest.mark.parametrize("name", [b"\xff\xfe", b"9999999999:\xed\xa0\x80", b"\0" * 763, b"9" * 60_000])
def test_a_name_that_is_no_text_is_the_name_of_nobody(name):
    world = SimulatedWorld()
    client = world.client()
    client.challenge()
    for sha256 in (False, True):
        client.sha256 = sha256
        login = [(stun.USERNAME, name), *client.login()[1:]]
        assert code_of(client.ask(stun.ALLOCATE, [REQUESTED_UDP, *login], key=b"k", sha256=sha256)) == 401


def test_a_known_key_is_checked_like_an_unknown_one():
    world = SimulatedWorld()
    client = world.client()
    client.allocated()
    client.credential = Credential(client.credential.username, "wrong")
    assert code_of(client.refresh()) == 401


def test_no_new_allocations_while_draining_and_none_at_all_after_it():
    world = SimulatedWorld()
    client = world.client()
    client.allocated()
    world.control.drain()
    assert code_of(client.refresh()) == 0
    assert code_of(world.client().allocate()) == 508
    world.control.close_all(world.now)
    assert world.reported[-1][-1] == "drained" and world.control.allocations == 0


@pytest.mark.parametrize(
    ("limits", "users", "codes"),
    [
        (Limits(per_user=2), ["acme-ann"] * 3, [0, 0, 486]),
        (Limits(per_company=2), ["acme-ann", "acme-bob", "acme-eve", "other-eve"], [0, 0, 486, 0]),
        (Limits(company_allocations={"acme": 0}), ["acme-ann", "other-eve"], [486, 0]),
        (Limits(company_allocations={"acme": 2}, per_company=1), ["acme-ann"] * 3, [0, 0, 486]),
        (Limits(per_source=2), ["acme-ann", "other-eve", "acme-bob"], [0, 0, 486]),
        (Limits(allocations=2), ["acme-ann", "other-eve", "acme-bob"], [0, 0, 508]),
    ],
)
def test_there_are_so_many_allocations_of_a_person_a_company_a_place_and_at_all(limits, users, codes):
    world = SimulatedWorld(limits=limits)
    clients = [world.client(userid) for userid in users]
    assert [code_of(client.allocate()) for client in clients] == codes
    for client, code in zip(clients, codes, strict=True):
        if not code:
            assert code_of(client.refresh(0)) == 0
    again = [code_of(client.allocate()) for client in clients]
    assert again == codes
    assert world.control.allocations == codes.count(0)


def test_one_place_of_ipv6_is_a_64_and_of_ipv4_an_address():
    world = SimulatedWorld(limits=Limits(per_source=1))
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.2"]
    codes = [code_of(world.client(f"acme-{at}", ip).allocate()) for at, ip in enumerate(addresses)]
    assert codes == [0, 486, 0, 0, 0]


def test_nobody_uses_up_the_ports_by_opening_and_closing():
    world = SimulatedWorld(limits=Limits(ports_per_user=5))
    client = world.client()
    for _ in range(5):
        client.allocated()
        client.refresh(0)
    assert code_of(client.allocate()) == 486
    assert code_of(world.client("acme-bob").allocate()) == 0
    world.advance(121)
    assert code_of(client.allocate()) == 0


def test_a_port_rests_for_two_minutes_and_what_the_host_has_is_never_taken():
    world = SimulatedWorld(first_port=50_000, last_port=50_003, ipv6=False)
    world.plane.taken.add(("127.0.0.1", 50_002))
    clients = [world.client() for _ in range(4)]
    answers = [client.allocate() for client in clients]
    assert sorted(map(code_of, answers)) == [0, 0, 0, 508]
    assert {relayed(answer)[1] for answer in answers if not code_of(answer)} == {50_000, 50_001, 50_003}
    first = next(client for client, answer in zip(clients, answers, strict=True) if not code_of(answer))
    first.refresh(0)
    world.advance(119)
    assert code_of(first.allocate()) == 508
    world.advance(2)
    assert code_of(first.allocate()) == 0


def test_ports_are_taken_at_random():
    world = SimulatedWorld()
    ports = [world.client(f"acme-{at}").allocated()[1] for at in range(100)]
    assert len(set(ports)) == 100
    assert len({port >> 12 for port in ports}) == 4 and ports != sorted(ports)


def test_even_ports_are_even_and_pairs_have_both():
    for first in (50_000, 50_001):
        ports = Ports("127.0.0.1", first, first + 9, 120)
        even = [ports.take("ann", 0, lambda port: True, even=True) for _ in range(6)]
        assert sorted(filter(None, even)) == [port for port in range(first, first + 10) if port % 2 == 0]
        ports = Ports("127.0.0.1", first, first + 9, 120)
        pairs = [ports.take("ann", 0, lambda port: True, pair=True) for _ in range(6)]
        last = first + 9
        assert sorted(filter(None, pairs)) == [port for port in range(first, last) if port % 2 == 0]
        assert ports.held_by("ann") == 2 * len(list(filter(None, pairs)))


def test_a_pair_whose_upper_port_is_not_to_be_had_is_given_up_whole():
    world = SimulatedWorld(first_port=50_000, last_port=50_003, ipv6=False)
    world.plane.taken |= {("127.0.0.1", 50_001), ("127.0.0.1", 50_003)}
    assert code_of(world.client().allocate((stun.EVEN_PORT, b"\x80"))) == 508
    assert not world.plane.relays


def test_a_host_that_gives_no_port_is_not_asked_for_all_of_them_nor_twice_for_one():
    asked: list[int] = []
    ports = Ports("127.0.0.1", 50_000, 50_999, 120)
    for _ in range(300):
        assert ports.take("ann", 0, lambda port: True) is not None
    assert ports.take("bob", 0, lambda port: bool(asked.append(port))) is None
    assert 0 < len(asked) <= 64
    while ports.take("bob", 0, lambda port: bool(asked.append(port))) is None and len(asked) < 700:
        pass
    assert len(set(asked)) == len(asked) == 700
    asked.clear()
    assert ports.take("bob", 0, lambda port: bool(asked.append(port))) is None and not asked
    assert ports.held_by("bob") == 0


def test_no_lifetime_goes_beyond_what_a_credential_is_good_for():
    world = SimulatedWorld(after_expiry_s=100)
    client = world.client(ttl_s=1000)
    assert lifetime(client.allocate(stun.u32(stun.LIFETIME, 3600))) == 1100
    world.advance(900)
    assert lifetime(client.refresh(3600)) == 200
    assert lifetime(client.refresh()) == 200


def test_of_a_dual_allocation_without_ipv6_the_client_is_told_what_is_missing():
    world = SimulatedWorld(ipv6=False)
    answer = world.client().allocate(family(2, stun.ADDITIONAL_ADDRESS_FAMILY))
    assert len(answer.all(stun.XOR_RELAYED_ADDRESS)) == 1
    assert answer.get(stun.ADDRESS_ERROR_CODE) == bytes((2, 0, 4, 40))
    assert code_of(world.client().allocate(family(2))) == 440
    world = SimulatedWorld()
    for port in range(49_152, 65_536):
        world.plane.taken.add(("::1", port))
    answer = world.client().allocate(family(2, stun.ADDITIONAL_ADDRESS_FAMILY))
    assert answer.get(stun.ADDRESS_ERROR_CODE) == bytes((2, 0, 5, 8))


def test_behind_a_nat_clients_are_told_the_outside_address_and_callers_meet_there():
    world = SimulatedWorld(advertised="8.8.4.4")
    ann, bob = world.client("acme-ann"), world.client("acme-bob")
    of_ann, of_bob = ann.allocated(), bob.allocated()
    assert of_ann[0] == "8.8.4.4" and world.plane.opened[0][0] == "127.0.0.1"
    assert code_of(ann.permit(of_bob)) == code_of(bob.permit(of_ann)) == 0
    ann.send_indication(of_bob, b"hello")
    assert bob.data_indication() == (of_ann, b"hello")
    assert code_of(ann.permit(("127.0.0.1", of_bob[1]))) == 403


def test_other_settings_hold_for_what_comes_and_ports_keep_their_rest():
    world = SimulatedWorld(first_port=50_000, last_port=50_000, ipv6=False)
    client = world.client()
    client.allocated()
    client.refresh(0)
    world.control.configure(replace(world.settings, max_lifetime_s=900), world.now)
    assert code_of(client.allocate()) == 508
    world.control.configure(replace(world.settings, realm="other.example"), world.now)
    assert code_of(client.allocate()) == 401
    world.advance(121)
    client.challenge()
    assert client.realm == b"other.example" and code_of(client.allocate()) == 0


@pytest.mark.parametrize("method", [stun.BINDING, stun.ALLOCATE])
def test_strangers_get_so_many_answers_a_second_from_each_place(method):
    world = SimulatedWorld(limits=Limits(unauthenticated_per_second=20))
    clients = [world.client() for _ in range(30)]
    answered = [client.ask(method, [REQUESTED_UDP]) is not None for client in clients]
    assert answered == [True] * 20 + [False] * 10
    assert world.client(ip="192.0.2.7").ask(method) is not None
    assert world.reported.count(("refused", "rate")) == 10
    world.advance(1)
    assert clients[0].ask(method) is not None


def test_who_is_authenticated_is_not_counted_as_a_stranger():
    world = SimulatedWorld(limits=Limits(unauthenticated_per_second=1))
    client = world.client()
    client.allocated()
    assert [code_of(client.refresh()) for _ in range(50)] == [0] * 50


def test_a_stale_nonce_cannot_be_used_to_flood_somebody():
    world = SimulatedWorld(limits=Limits(unauthenticated_per_second=5))
    client = world.client()
    client.allocated()
    client.nonce = b"stale"
    answers = [client.ask(stun.REFRESH, client.login(), key=client.key()) for _ in range(20)]
    assert sum(answer is not None for answer in answers) == 4  # and the challenge before


def test_a_flood_from_everywhere_costs_no_more_memory():
    strangers = Strangers()
    for number in range(70_000):
        strangers.may_be_answered(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1", 1.0, 20)
    assert len(strangers._answered) <= 0x10000


def largest_need(method: int, request: int, realm: bytes) -> int:
    """Bytes of the smallest answer that the RFCs let us give to who shows no credentials."""
    if method == stun.BINDING:
        return 20 + 12  # XOR-MAPPED-ADDRESS
    padded_realm = 4 + (len(realm) + 3 & ~3)
    return 20 + 8 + padded_realm + 4 + 32 + 12  # ERROR-CODE, REALM, NONCE of 29 bytes, PASSWORD-ALGORITHMS


@pytest.mark.parametrize(
    "method", [stun.BINDING, stun.ALLOCATE, stun.REFRESH, stun.CREATE_PERMISSION, stun.CHANNEL_BIND]
)
def test_no_answer_to_a_stranger_is_larger_than_the_rfcs_make_it(method):
    world = SimulatedWorld()
    client = world.client()
    for attributes in ([], [REQUESTED_UDP], [(stun.USERNAME, b"x" * 100)], [(stun.SOFTWARE, b"x" * 100)]):
        answer = client.ask(method, attributes)
        assert len(answer.data) <= max(20, largest_need(method, 0, b"example.org"))
    unknown = [(0x7000 + number, b"") for number in range(60)]
    answer = client.ask(stun.BINDING, unknown)
    assert len(answer.data) < 20 + 4 * 60  # smaller than what asked for it
    client.challenge()
    bad = client.ask(method, client.login()[:2], key=b"x") if method != stun.BINDING else None
    assert bad is None or len(bad.data) == 28


def test_indications_are_never_answered_whatever_is_in_them():
    world = SimulatedWorld()
    client = world.client()
    client.allocated()
    for method in range(16):
        data = stun.encode(method, stun.INDICATION, os.urandom(12), [(0x7FFF, b"x")])
        assert client.wire.transact(data) is None
