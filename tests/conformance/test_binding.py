"""Resource binding (RFC 6120 §7), and a password that is changed before it."""

import pytest

from rainbow_xmpp.store import Store
from tests.conformance.wire import NAMESPACES, child
from tests.doors import Door


@pytest.mark.parametrize("wish", ["", "<resource/>", "<resource> </resource>"])
async def test_without_a_wish_the_server_makes_a_resource(door: Door, wish: str) -> None:
    wire = await door.authenticated()
    answer = await wire.iq("set", f"<bind xmlns='{NAMESPACES['bind']}'>{wish}</bind>")
    jid = child(answer, "bind:bind/bind:jid").text or ""
    assert len(jid.partition("/")[2]) >= 12


@pytest.mark.parametrize("wish", ["phone", "Müller's Büro", "a/b@c", "日本"])
async def test_the_wish_is_the_beginning_of_the_resource(door: Door, wish: str) -> None:
    wire = await door.authenticated()
    bound = await wire.bind(wish.replace("'", "&apos;"))
    assert bound.partition("/")[2].startswith(f"{wish}.")


@pytest.mark.parametrize("wish", ["x" * 201, "a&#x9;b", "\u0378", "ä" * 120])
async def test_a_resource_that_cannot_be_is_refused_and_the_client_may_ask_again(
    door: Door, wish: str
) -> None:
    wire = await door.authenticated()
    answer = await wire.iq("set", f"<bind xmlns='{NAMESPACES['bind']}'><resource>{wish}</resource></bind>")
    assert child(answer, "error/stanzas:bad-request") is not None
    assert await wire.bind("phone")


async def test_a_request_without_an_id_is_refused_and_the_client_may_ask_again(door: Door) -> None:
    wire = await door.authenticated()
    await wire.send(f"<iq type='set'><bind xmlns='{NAMESPACES['bind']}'/></iq>")
    refused = await wire.expect("iq[@type='error']")
    assert child(refused, "error/stanzas:bad-request") is not None
    assert "id" not in refused.attrib
    assert await wire.bind()


async def test_the_fifth_request_in_vain_ends_the_stream(door: Door) -> None:
    wire = await door.authenticated()
    for _ in range(5):
        await wire.iq("set", f"<bind xmlns='{NAMESPACES['bind']}'><resource>{'x' * 300}</resource></bind>")
    await wire.expect_stream_error("policy-violation")


async def test_a_bound_stream_gets_no_second_resource(door: Door) -> None:
    wire = await door.log_in()
    answer = await wire.iq("set", f"<bind xmlns='{NAMESPACES['bind']}'/>")
    assert child(answer, "error[@type='cancel']/stanzas:not-allowed") is not None
    assert (await wire.iq("get", "<ping xmlns='urn:xmpp:ping'/>")).get("type") == "result"


async def test_the_session_of_old_is_granted(door: Door) -> None:
    wire = await door.log_in()
    for to in ("", "localhost"):
        answer = await wire.iq("set", f"<session xmlns='{NAMESPACES['session']}'/>", to=to)
        assert answer.get("type") == "result"


# The password changes while somebody is logging in


async def test_a_changed_password_ends_a_login_that_has_not_bound_yet(
    door: Door, server_store: Store
) -> None:
    person = door.server.new_person()
    watcher = await door.log_in(person)
    waiting = await door.authenticated(person)
    account = await server_store.accounts.by_localpart(person.localpart)
    assert account is not None
    await server_store.accounts.bump_epoch(account.company.id, account.id)
    await watcher.expect_stream_error("reset")  # so the server has heard of it
    await waiting.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    await waiting.expect_stream_error("not-authorized")


async def test_a_change_of_somebody_else_does_not_disturb_a_login(door: Door, server_store: Store) -> None:
    person = door.server.new_person()
    watcher, waiting = await door.log_in(person), await door.authenticated()
    account = await server_store.accounts.by_localpart(person.localpart)
    assert account is not None
    await server_store.accounts.bump_epoch(account.company.id, account.id)
    await watcher.expect_stream_error("reset")
    assert await waiting.bind()
