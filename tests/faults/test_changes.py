"""Accounts are changed by another process while their owners are connected."""

import json
import time

import pytest

from rainbow_xmpp.store import Store
from tests.conformance.rosters import bare, befriend, presence_from
from tests.conformance.wire import SaslFailure
from tests.doors import Door
from tests.process import Person, RainbowServer

PROMPTLY_S = 20.0
"""Within about three seconds on a machine of one's own; those that run tests are busy."""


def command_line(door: Door) -> RainbowServer:
    assert isinstance(door.server, RainbowServer)
    return door.server


async def test_a_new_password_ends_every_session(door: Door) -> None:
    person = door.server.new_person()
    desk, phone, bob = await door.log_in(person), await door.log_in(person), await door.log_in()
    await befriend(desk, bob)
    command_line(door).cli("user", "passwd", person.email, "--password-stdin", stdin="Another-1 password\n")
    began = time.monotonic()
    for wire in (desk, phone):
        await wire.expect_stream_error("reset", PROMPTLY_S)
        await presence_from(bob, wire.jid, "unavailable")
    assert time.monotonic() - began < PROMPTLY_S
    wire = await door.opened()
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        with pytest.raises(SaslFailure, match="not-authorized"):
            await wire.authenticate(person.localpart, person.password, mechanism)
    new = Person(person.localpart, person.email, person.company, "Another-1 password", person.domain)
    assert (await door.log_in(new)).jid.startswith(person.jid)


async def test_who_logs_in_with_the_new_password_stays(door: Door) -> None:
    """Also when the server has not yet heard of the change at that moment."""
    person = door.server.new_person()
    old = await door.log_in(person)
    command_line(door).cli("user", "passwd", person.email, "--password-stdin", stdin="Another-1 password\n")
    new = Person(person.localpart, person.email, person.company, "Another-1 password", person.domain)
    wire = await door.log_in(new)
    await old.expect_stream_error("reset", PROMPTLY_S)
    await wire.settle()
    assert not wire.ended


async def test_a_removed_person_is_gone(door: Door) -> None:
    person = door.server.new_person()
    ann, bob = await door.log_in(person), await door.log_in()
    await befriend(ann, bob)
    command_line(door).cli("user", "remove", person.email, "--yes")
    await ann.expect_stream_error("not-authorized", PROMPTLY_S)
    await presence_from(bob, ann.jid, "unavailable")
    await bob.send(f"<message to='{bare(ann)}' id='m' type='chat'><body>still there?</body></message>")
    assert await bob.expect("message[@id='m'][@type='error']") is not None
    wire = await door.opened()
    with pytest.raises(SaslFailure, match="not-authorized"):
        await wire.authenticate(person.email, person.password)


async def test_a_disabled_person_is_gone_until_enabled_again(door: Door, server_store: Store) -> None:
    person = door.server.new_person()
    ann = await door.log_in(person)
    account = await server_store.accounts.by_localpart(person.localpart)
    assert account is not None
    await server_store.accounts.set_disabled(account.company.id, account.id, True)
    await ann.expect_stream_error("not-authorized", PROMPTLY_S)
    await server_store.accounts.set_disabled(account.company.id, account.id, False)
    assert (await door.log_in(person)).jid.startswith(person.jid)


async def test_a_person_added_while_the_server_runs_is_there_at_once(door: Door) -> None:
    ann, bob = await door.log_in(), door.server.new_person()
    unknown = "not-yet-there-" + bob.localpart
    await ann.send(f"<message to='{unknown}@localhost' id='m1'><body>x</body></message>")
    await ann.expect("message[@id='m1'][@type='error']")
    added = Person(unknown, f"{unknown}@acme.example", bob.company, bob.password, bob.domain)
    command_line(door).add_people([added])
    wire = await door.log_in(added)
    await ann.send(f"<message to='{added.jid}' id='m2'><body>welcome</body></message>")
    assert await wire.expect("message[@id='m2']") is not None


async def test_replacing_an_imported_password_hash_ends_nothing(door: Door, server_store: Store) -> None:
    """The server does so itself, at the first login with PLAIN."""
    person = door.server.new_person()
    watcher = door.server.new_person()
    wire, other = await door.log_in(person), await door.log_in(watcher)
    account = await server_store.accounts.by_localpart(person.localpart)
    second = await server_store.accounts.by_localpart(watcher.localpart)
    assert account is not None
    assert second is not None
    record = await server_store.accounts.for_login(person.localpart)
    assert record is not None
    assert record.sealed is not None
    assert record.key_id is not None
    await server_store.credentials.replace_imported(account, record.sealed, record.key_id)
    await server_store.accounts.bump_epoch(second.company.id, second.id)
    await other.expect_stream_error("reset", PROMPTLY_S)  # so the server has heard of both
    await wire.settle()
    assert not wire.ended


async def test_somebody_who_is_kicked_hears_why_and_may_come_back(door: Door) -> None:
    person = door.server.new_person()
    wire = await door.log_in(person)
    cli = command_line(door).cli
    (told,) = json.loads(cli("user", "sessions", person.email, "--json"))
    assert (told["resource"], told["available"]) == (wire.jid.partition("/")[2], True)
    cli("user", "kick", person.localpart)
    await wire.expect_stream_error("policy-violation", PROMPTLY_S)
    assert (await door.log_in(person)).jid
