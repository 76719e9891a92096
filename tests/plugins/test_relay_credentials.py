"""Credentials of the relay, and the options that say where it is."""

import pytest

from rainbow_xmpp.config import Secret
from rainbow_xmpp.plugins.webrtc_relay.addresses import RelayAddress, addresses_of_own, nearest_first
from rainbow_xmpp.plugins.webrtc_relay.credentials import (
    company_part,
    issue,
    parse_username,
    password_of,
    userid_of,
)
from rainbow_xmpp.plugins.webrtc_relay.options import RelayOptions

SECRET = b"north of the river"


def test_the_password_is_what_coturn_and_openssl_say():
    # printf 1790000000:0123-4567 | openssl dgst -sha1 -hmac 'north of the river' -binary | base64
    assert issue(SECRET, "0123-4567", 1_790_000_000).password == "j+LwjdtL67qd/pa1TqyWZ51r3iA="
    assert password_of(SECRET, "1790000000:0123-4567") == "j+LwjdtL67qd/pa1TqyWZ51r3iA="


def test_a_user_name_says_when_it_ends_and_whose_it_is():
    made = issue(SECRET, userid_of(b"key", "a" * 24, "b" * 24), 1_790_000_000)
    assert parse_username(made.username) == (1_790_000_000, userid_of(b"key", "a" * 24, "b" * 24))
    assert made.password not in repr(made)


@pytest.mark.parametrize(
    "username",
    [
        "",
        ":a",
        "1:",
        "1",
        "-1:a",
        "+1:a",
        " 1:a",
        "1 :a",
        "1:a:b",
        "1:a\n",
        "１:a",
        "1_0:a",
        "0x1:a",
        "1" * 13 + ":a",
        "1:" + "a" * 127,
        "1:ä",
        "1:a b",
        "1:\udcff",
    ],
)
def test_other_user_names_are_nobodys(username):
    assert parse_username(username) is None
    assert password_of(SECRET, username), "and cost as much"


def test_a_userid_is_stable_tells_companies_apart_and_shows_no_id():
    one, other = "a1" * 12, "b2" * 12
    ann, bob = userid_of(b"key", one, "c3" * 12), userid_of(b"key", one, "d4" * 12)
    assert ann == userid_of(b"key", one, "c3" * 12) != bob
    assert company_part(ann) == company_part(bob) != company_part(userid_of(b"key", other, "c3" * 12))
    assert ann != userid_of(b"another key", one, "c3" * 12)
    assert "a1" * 4 not in ann and "c3" * 4 not in ann


@pytest.mark.parametrize(
    ("entry", "uri"),
    {
        "turn:turn.example.com": "turn:turn.example.com:3478?transport=udp",
        "turn:turn.example.com:99?transport=tcp": "turn:turn.example.com:99?transport=tcp",
        "turns:Turn.example.com:443?transport=tcp": "turns:turn.example.com:443?transport=tcp",
        "turns:turn.example.com": "turns:turn.example.com:5349?transport=tcp",
        "turn:[2001:db8::1]:3478": "turn:[2001:db8::1]:3478?transport=udp",
        "stun:192.0.2.1": "stun:192.0.2.1:3478",
    }.items(),
)
def test_where_a_relay_is_is_written_as_browsers_take_it(entry, uri):
    assert RelayAddress.parse(entry).uri == uri


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "turn:",
        "turn://host",
        "http://host",
        "turn:host:0",
        "turn:host:65536",
        "turn:host?transport=sctp",
        "stun:host?transport=udp",
        "turns:host?transport=udp",
        "turn:-",
        "turn:[host]",
        "turn:a b",
        "EU=turn:host",
    ],
)
def test_what_no_client_understands_is_refused(entry):
    with pytest.raises(ValueError):  # whatever it says
        RelayAddress.parse(entry)


def test_the_nearest_relay_comes_first():
    entries = [RelayAddress.parse(each) for each in ("eu=turn:eu", "turn:all", "us=turn:us", "us=turns:us")]
    assert [each.host for each in nearest_first(entries, "us")] == ["us", "us", "all", "eu"]
    assert [each.host for each in nearest_first(entries, "")] == ["all", "eu", "us", "us"]


def test_without_a_list_clients_are_sent_to_this_server():
    uris = [each.uri for each in addresses_of_own("https://chat.example.com:8443", 3478)]
    assert uris == [
        "stun:chat.example.com:3478",
        "turn:chat.example.com:3478?transport=udp",
        "turn:chat.example.com:3478?transport=tcp",
        "turns:chat.example.com:8443?transport=tcp",
    ]


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"secret": Secret("short")}, "secret"),
        ({"previous_secret": Secret("short")}, "previous_secret"),
        ({"address": "localhost"}, "address"),
        ({"external_address": "0.0.0.0"}, "external_address"),
        ({"external_address": "here"}, "external_address"),
        ({"allow_peers": ("10.0.0.1/8",)}, "allow_peers"),
        ({"deny_peers": ("everything",)}, "deny_peers"),
        ({"first_relay_port": 50_000, "last_relay_port": 49_999}, "last_relay_port"),
        ({"services": ("turn:",)}, "services"),
        ({"mode": "external", "secret": Secret("s" * 16)}, "services"),
        ({"realm": 'a"b'}, "realm"),
    ],
)
def test_options_say_what_is_wrong_with_them(wrong, key):
    assert [name for name, _ in RelayOptions(**wrong).problems()] == [key]


def test_two_secrets_are_good_while_one_follows_the_other_and_none_means_no_relay():
    both = RelayOptions(secret=Secret("new" * 8), previous_secret=Secret("old" * 8))
    assert both.secrets == (b"new" * 8, b"old" * 8)
    assert RelayOptions().secrets == RelayOptions(previous_secret=Secret("old" * 8)).secrets == ()
    assert "newnew" not in repr(both)
