"""RFC 8489 against a relay: messages, Binding, and the long-term credential mechanism."""

from __future__ import annotations

import hmac
import os
import struct

import pytest

from rainbow_xmpp.plugins.webrtc_relay import stun
from tests.plugins.webrtc_relay.checks import check
from tests.plugins.webrtc_relay.turn_client import (
    REQUESTED_UDP,
    Credential,
    TurnClient,
    code_of,
    relayed,
)

UNKNOWN_REQUIRED = (0x7FF0, b"what")
UNKNOWN_OPTIONAL = (0xBFF0, b"what")


def types(message: stun.Message) -> list[int]:
    return [kind for kind, _ in message.attributes]


@check("RFC 8489 §6.3.1, §7")
def binding_tells_the_client_its_address_and_nothing_else(world):
    client = world.client()
    answer = client.ask(stun.BINDING)
    mapped = answer.get(stun.XOR_MAPPED_ADDRESS)
    assert stun.read_xor_address(mapped, answer.transaction) == (
        stun.family_of(client.wire.client[0]),
        client.wire.client,
    )
    assert types(answer) == [stun.XOR_MAPPED_ADDRESS] and not answer.has_integrity()


@check("RFC 8489 §7")
def an_answer_has_a_fingerprint_when_the_request_had_one(world):
    client = world.client()
    assert client.ask(stun.BINDING, fingerprint=True).fingerprint
    assert not client.ask(stun.BINDING).fingerprint
    assert client.allocate(fingerprint=True).fingerprint
    assert client.call(stun.REFRESH, [UNKNOWN_REQUIRED], fingerprint=True).fingerprint


@check("RFC 8489 §14.7", datagrams=True)
def a_wrong_fingerprint_is_not_answered(world):
    data = bytearray(stun.encode(stun.BINDING, stun.REQUEST, os.urandom(12), fingerprint=True))
    data[-1] ^= 1
    assert world.wire().transact(bytes(data)) is None


@check("RFC 8489 §5, §6.3", datagrams=True)
def what_is_no_stun_message_is_not_answered(world):
    wire = world.wire()
    whole = stun.encode(stun.BINDING, stun.REQUEST, os.urandom(12), [UNKNOWN_OPTIONAL])
    for data in (
        whole[:19],
        whole[:-4],
        whole + bytes(4),
        b"\x80" + whole[1:],
        b"\xc0" + whole[1:],
        whole[:4] + b"\x21\x12\xa4\x43" + whole[8:],  # RFC 3489 clients have no cookie
        whole[:2] + b"\0\x06" + whole[4:26],
        whole[:22] + b"\xff\xff" + whole[24:],
    ):
        assert wire.transact(data) is None
    assert wire.transact(whole) is not None


@check("RFC 8489 §6.3", datagrams=True)
def unknown_methods_and_classes_that_a_server_does_not_get_are_not_answered(world):
    wire = world.wire()
    for method, cls in (
        (0x002, stun.REQUEST),
        (stun.SEND, stun.REQUEST),
        (stun.DATA_METHOD, stun.REQUEST),
        (0xFFF, stun.REQUEST),
        (stun.BINDING, stun.INDICATION),
        (stun.BINDING, stun.SUCCESS),
        (stun.BINDING, stun.ERROR),
        (stun.ALLOCATE, stun.INDICATION),
        (stun.DATA_METHOD, stun.INDICATION),
    ):
        assert wire.transact(stun.encode(method, cls, os.urandom(12))) is None, (method, cls)


@check("RFC 8489 §6.3.1")
def an_unknown_attribute_that_must_be_understood_gives_420_and_its_number(world):
    client = world.client()
    for answer in (
        client.ask(stun.BINDING, [UNKNOWN_OPTIONAL, UNKNOWN_REQUIRED, (0x7FF1, b"")]),
        client.allocate(UNKNOWN_OPTIONAL, UNKNOWN_REQUIRED, (0x7FF1, b"")),
    ):
        assert code_of(answer) == 420
        assert answer.get(stun.UNKNOWN_ATTRIBUTES) == b"\x7f\xf0\x7f\xf1"
    assert code_of(client.ask(stun.BINDING, [UNKNOWN_OPTIONAL])) == 0
    assert code_of(client.allocate(UNKNOWN_OPTIONAL)) == 0


@check("RFC 8489 §14")
def of_an_attribute_that_stands_twice_the_first_counts(world):
    client = world.client()
    client.allocated()
    answer = client.call(stun.REFRESH, [stun.u32(stun.LIFETIME, 1200), stun.u32(stun.LIFETIME, 0)])
    assert answer.get(stun.LIFETIME) == (1200).to_bytes(4, "big")


@check("RFC 8489 §9.2.4")
def without_integrity_a_request_is_challenged(world):
    client = world.client()
    for method in (stun.ALLOCATE, stun.REFRESH, stun.CREATE_PERMISSION, stun.CHANNEL_BIND):
        answer = client.ask(method, [(stun.USERNAME, client.credential.username.encode())])
        assert code_of(answer) == 401
        assert types(answer) == [stun.ERROR_CODE, stun.REALM, stun.NONCE, stun.PASSWORD_ALGORITHMS]
        assert not answer.has_integrity()


@check("RFC 8489 §9.2, §18.1")
def the_nonce_begins_with_the_cookie_and_says_that_there_are_password_algorithms(world):
    client = world.client()
    client.challenge()
    assert client.nonce.startswith(b"obMatJos2gAAA") and len(client.nonce) <= 128
    assert client.algorithms == b"\0\2\0\0\0\1\0\0"


@check("RFC 8489 §9.2.4")
def two_clients_never_get_the_same_nonce(world):
    clients = [world.client() for _ in range(5)]
    for client in clients:
        client.challenge()
    assert len({client.nonce for client in clients}) == len(clients)


@check("RFC 8489 §9.2.4")
def integrity_without_user_realm_or_nonce_is_a_bad_request_that_tells_nothing(world):
    client = world.client()
    client.challenge()
    login = client.login()
    for missing in range(3):
        given = [REQUESTED_UDP, *login[:missing], *login[missing + 1 :]]
        answer = client.ask(stun.ALLOCATE, given, key=client.key())
        assert code_of(answer) == 400
        assert types(answer) == [stun.ERROR_CODE] and not answer.has_integrity()


@check("RFC 8489 §9.2.4")
def a_wrong_password_and_an_unknown_user_are_told_the_same(world):
    right = world.credential()
    wrong = [
        Credential(right.username, right.password + "x"),
        Credential("9999999999:acme-nobody", right.password),
        Credential("nobody", right.password),
        Credential("", ""),
        Credential("x" * 500, "x"),
        Credential("9999999999999999999999:acme-ann", right.password),
        Credential("١٢٣٤٥٦٧٨٩٠:acme-ann", right.password),
        Credential("-1:acme-ann", right.password),
        world.credential(secret=b"another secret than that of the relay"),
    ]
    for credential in wrong:
        client = TurnClient(world.wire(), credential)
        client.challenge()
        answer = client.allocate()
        assert code_of(answer) == 401, credential
        assert types(answer) == [stun.ERROR_CODE, stun.REALM, stun.NONCE, stun.PASSWORD_ALGORITHMS]
        assert not answer.has_integrity() and len(answer.data) == len(client.challenge().data)
    assert code_of(TurnClient(world.wire(), right).allocate()) == 0


@check("RFC 8489 §9.2.4")
def a_user_hash_is_nobodys_name_here(world):
    client = world.client()
    client.challenge()
    name = (stun.USERHASH, stun.userhash(client.credential.username, client.realm.decode()))
    answer = client.ask(stun.ALLOCATE, [REQUESTED_UDP, name, *client.login()[1:]], key=client.key())
    assert code_of(answer) == 401


@check("RFC 8489 §14.5")
def a_changed_request_is_not_authentic(world):
    client = world.client()
    client.challenge()
    transaction = os.urandom(12)
    attributes = [REQUESTED_UDP, stun.u32(stun.LIFETIME, 700), *client.login()]
    data = bytearray(stun.encode(stun.ALLOCATE, stun.REQUEST, transaction, attributes, key=client.key()))
    data[35] ^= 1  # the lifetime
    assert code_of(client.answer(client.wire.transact(bytes(data)), transaction)) == 401


@check("RFC 8489 §14.5")
def what_stands_behind_the_integrity_is_ignored(world):
    client = world.client()
    client.challenge()
    transaction = os.urandom(12)
    attributes = [REQUESTED_UDP, *client.login()]
    data = stun.encode(stun.ALLOCATE, stun.REQUEST, transaction, attributes, key=client.key())
    more = struct.pack("!HHI", stun.LIFETIME, 4, 1200) + struct.pack("!HH", 0x7FF0, 0)
    data = data[:2] + (len(data) - 20 + len(more)).to_bytes(2, "big") + data[4:] + more
    answer = client.answer(client.wire.transact(data), transaction)
    assert code_of(answer) == 0 and answer.get(stun.LIFETIME) == (600).to_bytes(4, "big")


@check("RFC 8489 §9.2.4")
def a_nonce_that_is_not_ours_is_stale_and_the_new_one_works(world):
    client, other = world.client(), world.client("acme-bob")
    client.challenge()
    other.allocated()  # so that its nonce is known to be right, for somebody else
    own = client.nonce
    for nonce in (
        b"x",
        b"obMatJos2gAAA",
        b"obMatJos2gAAA" + b"!" * 16,
        b"obMatJos2gAAA" + b"A" * 16,
        b"obMatJos2AAAA" + own[13:],
        own[:-1] + (b"A" if own[-1:] != b"A" else b"B"),
        own + b"A",
        other.nonce,
    ):
        client.nonce = nonce
        answer = client.allocate()
        assert code_of(answer) == 438, nonce
        assert types(answer) == [stun.ERROR_CODE, stun.REALM, stun.NONCE, stun.PASSWORD_ALGORITHMS]
    client.learn(answer)
    client.allocated()


@check("RFC 8656 §5", clock=True)
def a_nonce_is_good_for_an_hour_at_most(world):
    client = world.client()
    client.allocated()
    for _ in range(6):
        world.advance(590)
        assert code_of(client.refresh()) == 0
    world.advance(61)
    answer = client.refresh()
    assert code_of(answer) == 438
    client.learn(answer)
    assert code_of(client.refresh()) == 0


@check("RFC 8489 §9.2.4, §14.6")
def sha256_is_taken_up_and_answered_in_kind(world):
    client = world.client()
    client.sha256 = True
    client.allocated()
    answer = client.refresh(1200)
    assert answer.get(stun.LIFETIME) == (1200).to_bytes(4, "big")
    assert code_of(client.call(stun.REFRESH, [UNKNOWN_REQUIRED])) == 420


@check("RFC 8489 §9.2.4")
def md5_may_be_chosen_from_the_list_and_is_answered_with_sha256_integrity(world):
    client = world.client()
    client.challenge()
    chosen = [(stun.PASSWORD_ALGORITHM, b"\0\1\0\0"), (stun.PASSWORD_ALGORITHMS, client.algorithms)]
    answer = client.ask(
        stun.ALLOCATE, [REQUESTED_UDP, *client.login(), *chosen], key=client.key(), sha256=True
    )
    assert code_of(answer) == 0 and answer.sha256_at and not answer.sha1_at
    assert answer.signed_with(client.key())


@check("RFC 8489 §9.2.4")
def a_client_that_takes_up_no_algorithm_is_answered_with_sha1_whatever_it_signs_with(world):
    client = world.client()
    client.challenge()
    answer = client.ask(stun.ALLOCATE, [REQUESTED_UDP, *client.login()], key=client.key(), sha256=True)
    assert code_of(answer) == 0 and answer.sha1_at and not answer.sha256_at
    assert answer.signed_with(client.key())


@check("RFC 8489 §9.2.1, §9.2.4")
def a_bid_down_of_the_algorithms_is_refused(world):
    client = world.client()
    client.challenge()
    one, all_of_them = (stun.PASSWORD_ALGORITHM, b"\0\2\0\0"), (stun.PASSWORD_ALGORITHMS, client.algorithms)
    client.sha256 = True
    key, login = client.key(), client.login()[:3]
    for given in (
        [one],
        [all_of_them],
        [(stun.PASSWORD_ALGORITHM, b"\0\1\0\0"), (stun.PASSWORD_ALGORITHMS, b"\0\1\0\0")],
        [one, (stun.PASSWORD_ALGORITHMS, b"\0\1\0\0\0\2\0\0")],
        [one, (stun.PASSWORD_ALGORITHMS, b"")],
        [(stun.PASSWORD_ALGORITHM, b"\0\3\0\0"), all_of_them],
        [(stun.PASSWORD_ALGORITHM, b""), all_of_them],
    ):
        answer = client.ask(stun.ALLOCATE, [REQUESTED_UDP, *login, *given], key=key, sha256=True)
        assert code_of(answer) == 400, given
        assert types(answer) == [stun.ERROR_CODE]


@check("RFC 8489 §14.6")
def sha256_integrity_may_not_be_truncated(world):
    client = world.client()
    client.challenge()
    client.sha256 = True
    transaction = os.urandom(12)
    plain = stun.encode(stun.ALLOCATE, stun.REQUEST, transaction, [REQUESTED_UDP, *client.login()])
    data = plain[:2] + (len(plain) - 20 + 20).to_bytes(2, "big") + plain[4:]
    mac = hmac.digest(client.key(), data, "sha256")[:16]
    data += struct.pack("!HH", stun.MESSAGE_INTEGRITY_SHA256, 16) + mac
    assert code_of(client.answer(client.wire.transact(data), transaction)) == 401


@check("RFC 8489 §9.2.4")
def of_two_integrities_the_better_one_counts(world):
    client = world.client()
    client.challenge()
    client.sha256 = True
    transaction = os.urandom(12)
    attributes = [REQUESTED_UDP, *client.login()]
    data = stun.encode(stun.ALLOCATE, stun.REQUEST, transaction, attributes, key=client.key())
    data = data[:2] + (len(data) - 20 + 36).to_bytes(2, "big") + data[4:]
    for key, code in ((b"wrong", 401), (client.key(), 0)):
        mac = hmac.digest(key, data, "sha256")
        whole = data + struct.pack("!HH", stun.MESSAGE_INTEGRITY_SHA256, 32) + mac
        assert code_of(client.answer(client.wire.transact(whole), transaction)) == code


@check("draft-uberti-behave-turn-rest §2.2")
def a_credential_that_has_ended_allocates_nothing(world):
    client = world.client(ttl_s=-1)
    answer = client.allocate()
    assert code_of(answer) == 401 and not answer.has_integrity()
    assert code_of(world.client(ttl_s=30).allocate()) == 0


@check("RFC 8656 §5", clock=True)
def a_call_outlives_its_credential_up_to_a_day(world):
    client = world.client(ttl_s=1000)
    client.allocated()
    for _ in range(4):
        world.advance(500)
        assert code_of(client.refresh()) == 0
    assert code_of(TurnClient(world.wire(), client.credential).allocate()) == 401
    with pytest.raises(AssertionError, match="401"):
        for _ in range(200):
            world.advance(590)
            answer = client.refresh()
            if code_of(answer) == 438:
                client.learn(answer)
                answer = client.refresh()
            assert code_of(answer) == 0, code_of(answer)
    assert world.wall() - int(client.credential.username.partition(":")[0]) >= 24 * 3600 - 600
    world.advance(600)
    assert not world.plane.relays


@check("RFC 8656 §5")
def a_newer_credential_of_the_same_person_goes_on_with_the_allocation(world):
    client = world.client(ttl_s=1000)
    client.allocated()
    client.credential = world.credential(ttl_s=2000)
    assert code_of(client.refresh()) == 0


@check("CVE-2020-4067")
def padding_is_zeros(world):
    client = world.client()
    answers = [
        client.challenge(),
        client.allocate(),
        client.refresh(),
        client.call(0x004, [UNKNOWN_REQUIRED]),
    ]
    for answer in answers:
        at = 20
        while at < len(answer.data):
            length = int.from_bytes(answer.data[at + 2 : at + 4], "big")
            end = at + 4 + length
            at = (end + 3) & ~3
            assert not any(answer.data[end:at])
    assert relayed(answers[1])
