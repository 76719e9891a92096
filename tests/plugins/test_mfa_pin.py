"""Registering, being invited and setting a new password, as somebody does it who has nothing but a mailbox."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.store.values import Role
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.web import Answer
from tests.plugins.letters import login, pin_to
from tests.plugins.rest import Caller, call, logged_in, with_password

PASSWORD = "Purple-Kettle-93"
NEW = "Silver-Anchor-41"


async def server_with(**options: Any) -> TestServer:
    chosen = {"registration": "open", "per_source_per_hour": 10_000, **options}
    return TestServer(
        {
            RestApi: RestApi.Options(requests_per_minute=0),
            CompanyIsolation: CompanyIsolation.Options(),
            MfaPin: MfaPin.Options(**chosen),
        }
    )


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with await server_with() as running:
        yield running


async def asked(server: TestServer, purpose: str, address: str, **headers: str) -> dict[str, Any]:
    answer = await call(server, "POST", "/pin-requests", {"purpose": purpose, "address": address}, **headers)
    assert answer.status == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def wrong(pin: str) -> str:
    return f"{(int(pin) + 1) % 1_000_000:06d}"


async def register(server: TestServer, request_id: str, pin: str, password: str = PASSWORD) -> Answer:
    body = {"request_id": request_id, "pin": pin, "new_password": password, "name": "Zoë"}
    return await call(server, "POST", "/accounts", body)


async def reset(server: TestServer, request_id: str, pin: str, password: str = NEW) -> Answer:
    body = {"request_id": request_id, "pin": pin, "new_password": password}
    return await call(server, "POST", "/password-resets", body)


async def records(server: TestServer) -> str:
    return str(await server.audit())


# -- registering -----------------------------------------------------------------------------------------------


async def test_somebody_registers_and_logs_in_as_one_of_the_public_company(server: TestServer) -> None:
    request = await asked(server, "register", "Zoe@New.example")
    answer = await register(server, request["request_id"], await pin_to(server, "zoe@new.example"))
    assert answer.status == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "token" not in answer.text  # nobody is logged in by it
    assert await login(server, "zoe@new.example", PASSWORD) == 200
    account = await server.node.store.accounts.by_localpart(answer.json()["localpart"])
    assert account is not None and account.company.is_public and account.role is Role.USER
    assert account.name == "Zoë"


async def test_a_pin_is_good_once(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    assert (await register(server, request["request_id"], pin)).status == 201
    again = await register(server, request["request_id"], pin)
    assert again.status == 422 and "wrong-or-expired" in again.text


async def test_of_two_who_register_with_one_pin_at_once_one_does(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    answers = await asyncio.gather(*(register(server, request["request_id"], pin) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 422, 422, 422]


async def test_after_five_wrong_pins_the_right_one_is_worth_nothing(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    for _ in range(5):
        assert (await register(server, request["request_id"], wrong(pin))).status == 422
    assert (await register(server, request["request_id"], pin)).status == 422
    counters = server.node.counters
    assert (counters.pins_failed, counters.pins_void, counters.pins_used) == (6, 1, 0)


async def test_a_weak_password_is_told_in_words_and_spends_no_try(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    for password, words in (
        ("short", "at least 8 characters"),
        ("nouppercase-93", "upper-case letter"),
        ("NOLOWERCASE-93", "lower-case letter"),
        ("NoDigits-Here", "a digit"),
        ("NoSpecial93xyz", "neither letter nor digit"),
        ("Password-123", "everybody tries first"),
    ):
        for _ in range(3):
            answer = await register(server, request["request_id"], pin, password)
            assert answer.status == 422 and words in answer.text
    assert (await register(server, request["request_id"], pin)).status == 201


async def test_a_pin_is_over_after_ten_minutes(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    server.clock.advance(600)
    assert (await register(server, request["request_id"], pin)).status == 422


async def test_another_pin_replaces_the_one_before(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    first, path = await pin_to(server, "zoe@new.example"), f"/pin-requests/{request['request_id']}/resend"
    early = await call(server, "POST", path)
    assert early.status == 429 and 0 < int(early.headers["retry-after"]) <= 60
    server.clock.advance(60)
    again = await call(server, "POST", path)
    assert again.status == 202 and again.json()["resend_after_s"] == 120
    second = await pin_to(server, "zoe@new.example")
    if first != second:
        assert (await register(server, request["request_id"], first)).status == 422
    assert (await register(server, request["request_id"], second)).status == 201


async def test_a_pin_to_register_resets_no_password(server: TestServer) -> None:
    await with_password(server, "ann@acme")
    await server.node.store.accounts.for_login("ann")
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    assert (await reset(server, request["request_id"], pin)).status == 422
    assert (await register(server, request["request_id"], pin)).status == 201


async def test_a_pin_of_another_request_is_worth_nothing(server: TestServer) -> None:
    mine = await asked(server, "register", "eve@new.example")
    await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    if pin != await pin_to(server, "eve@new.example"):
        assert (await register(server, mine["request_id"], pin)).status == 422


@pytest.mark.parametrize("mode", ["invitation", "closed"])
async def test_where_registration_is_not_open_it_says_so_to_everybody(mode: str) -> None:
    async with await server_with(registration=mode) as server:
        for address in ("zoe@new.example", "ann@acme.example"):
            body = {"purpose": "register", "address": address}
            answer = await call(server, "POST", "/pin-requests", body)
            assert answer.status == 403 and "registration-closed" in answer.text
        assert server.mailbox.letters == []


async def test_only_listed_domains_may_register_and_the_others_learn_it_by_letter() -> None:
    async with await server_with(domains=("good.example",)) as server:
        refused = await asked(server, "register", "zoe@bad.example")
        assert "cannot register" in await server.mailbox.next_to("zoe@bad.example")
        assert (await register(server, refused["request_id"], "123456")).status == 422
        request = await asked(server, "register", "zoe@good.example")
        answer = await register(server, request["request_id"], await pin_to(server, "zoe@good.example"))
        assert answer.status == 201


@pytest.mark.parametrize("lets_in", [True, False])
async def test_people_of_a_companys_domain_land_there_or_nowhere(lets_in: bool) -> None:
    async with await server_with(company_domains=("acme.example=acme",)) as server:
        acme = (await server.person("ann@acme")).account.company
        wanted = CompanyChange(settings=replace(acme.settings, self_registration=lets_in))
        await server.node.companies.change(acme, wanted, actor="test")
        request = await asked(server, "register", "zoe@acme.example")
        if not lets_in:
            assert "cannot register" in await server.mailbox.next_to("zoe@acme.example")
            return
        answer = await register(server, request["request_id"], await pin_to(server, "zoe@acme.example"))
        account = await server.node.store.accounts.by_localpart(answer.json()["localpart"])
        assert account is not None and account.company.id == acme.id


@pytest.mark.parametrize(
    "address", ["nobody", "a@b", "a@b.example\nBcc: c@d.example", "a@b.example,c@d.example", "<a@b.example>"]
)
async def test_what_is_no_address_is_refused(server: TestServer, address: str) -> None:
    answer = await call(server, "POST", "/pin-requests", {"purpose": "register", "address": address})
    assert answer.status == 422 and server.mailbox.letters == []


async def test_letters_are_in_the_language_that_is_asked_for(server: TestServer) -> None:
    await asked(server, "register", "zoe@new.example", Accept_Language="fr-CA,en;q=0.5")
    assert "Votre code" in await server.mailbox.next_to("zoe@new.example")


# -- new passwords ---------------------------------------------------------------------------------------------


async def test_a_new_password_ends_every_login_and_is_told(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    phone = await server.login("ann@acme")
    address = await address_of(server, ann)
    request = await asked(server, "reset", address)
    answer = await reset(server, request["request_id"], await pin_to(server, address))
    assert answer.status == 204, answer.text
    assert "changed" in await server.mailbox.next_to(address)
    assert (await ann.call("GET", "/users/me")).status == 401
    renewed = await call(server, "POST", "/auth/refresh", {"refresh_token": ann.refresh})
    assert renewed.status == 401
    await server.settle()
    assert not phone.wire.is_open
    assert await login(server, address, NEW) == 200
    assert await login(server, address, "Correct-Horse-7") == 401


async def address_of(server: TestServer, caller: Caller) -> str:
    member = await server.node.store.accounts.member(
        caller.person.account.company.id, caller.person.account.id
    )
    assert member is not None
    return member.emails[0]


async def test_asking_and_failing_shuts_nobody_out(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    address = await address_of(server, ann)
    request = await asked(server, "reset", address)
    pin = await pin_to(server, address)
    for _ in range(8):
        await reset(server, request["request_id"], wrong(pin))
    assert (await ann.call("GET", "/users/me")).status == 200
    assert await login(server, address, "Correct-Horse-7") == 200


async def test_somebody_shut_out_is_told_by_letter_and_stays_out(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    address = await address_of(server, ann)
    await server.node.people.disable(ann.person.account, actor="test")
    request = await asked(server, "reset", address)
    assert "switched off" in await server.mailbox.next_to(address)
    assert (await reset(server, request["request_id"], "123456")).status == 422


async def test_an_address_has_no_more_letters_a_day_than_allowed(server: TestServer) -> None:
    answers = [await asked(server, "reset", "nobody@new.example") for _ in range(8)]
    assert len({tuple(sorted(answer)) for answer in answers}) == 1
    await server.settle()
    await until_carried(server)
    assert len(server.mailbox.letters) == 5


async def until_carried(server: TestServer) -> None:
    """Wait until no letter waits."""
    async with asyncio.timeout(10):
        while (await server.node.mail.depth()).letters:
            await asyncio.sleep(0.01)


async def test_a_network_may_ask_so_often_and_all_hear_the_same() -> None:
    async with await server_with(per_source_per_hour=3) as server:
        for number in range(3):
            await asked(server, "reset", f"p{number}@new.example")
        answer = await call(server, "POST", "/pin-requests", {"purpose": "reset", "address": "x@new.example"})
        assert answer.status == 429 and int(answer.headers["retry-after"]) > 0


# -- nobody learns who has an account --------------------------------------------------------------------------


async def test_known_unknown_disabled_and_taken_addresses_are_answered_alike(server: TestServer) -> None:
    """Byte for byte, but for the request's id, at every step."""
    addresses = {"unknown": "nobody@new.example"}
    for name in ("known", "disabled"):
        addresses[name] = await address_of(server, await logged_in(server, f"{name}@acme"))
    disabled = await server.node.store.accounts.by_localpart("disabled")
    assert disabled is not None
    await server.node.people.disable(disabled, actor="test")
    for purpose in ("register", "reset"):
        seen = set()
        for address in addresses.values():
            body = {"purpose": purpose, "address": address}
            first = await call(server, "POST", "/pin-requests", body)
            request_id = first.json()["request_id"]
            finish = register if purpose == "register" else reset
            wrong_pin = await finish(server, request_id, "000000")
            early = await call(server, "POST", f"/pin-requests/{request_id}/resend")
            server.clock.advance(60)
            again = await call(server, "POST", f"/pin-requests/{request_id}/resend")
            server.clock.advance(3000)
            late = await finish(server, request_id, "111111")
            seen.add(tuple(told(each, request_id) for each in (first, wrong_pin, early, again, late)))
        assert len(seen) == 1, purpose


def told(answer: Answer, request_id: str) -> tuple[object, ...]:
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status, str(sorted(headers.items())), answer.text.replace(request_id, "ID")


async def test_the_same_work_is_done_for_everybody(server: TestServer) -> None:
    """One letter, one row, one hash: whatever is known of the address."""
    known = await address_of(server, await logged_in(server, "ann@acme"))
    for purpose in ("register", "reset"):
        for address in (known, "nobody@new.example"):
            before = server.node.counters.mail_queued
            await asked(server, purpose, address)
            assert server.node.counters.mail_queued == before + 1
            await server.mailbox.next_to(address)


async def test_the_audit_log_knows_neither_address_nor_pin(server: TestServer) -> None:
    request = await asked(server, "register", "zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    await register(server, request["request_id"], wrong(pin))
    await register(server, request["request_id"], pin)
    text = await records(server)
    for kind in ("requested", "failed", "used"):
        assert f"mfa_pin.{kind}" in text
    assert "zoe@" not in text and pin not in text and PASSWORD not in text


# -- companies -------------------------------------------------------------------------------------------------


async def admin(server: TestServer, name: str) -> Caller:
    person = await server.person(name, role=Role.COMPANY_ADMIN)
    await server.node.people.set_password(person.account, "Correct-Horse-7", actor="test")
    return await logged_in(server, name)


def path_of(caller: Caller, rest: str) -> str:
    return f"/companies/{caller.person.account.company.id}{rest}"


async def invited(server: TestServer, ada: Caller, address: str) -> str:
    """The token in the letter."""
    answer = await ada.call("POST", path_of(ada, "/member-invitations"), {"address": address})
    assert answer.status == 201, answer.text
    found = re.search(r"/join/(\S+)", await server.mailbox.next_to(address))
    assert found is not None
    assert found[1] not in answer.text
    return found[1]


async def test_a_company_invites_somebody_by_letter_once() -> None:
    async with await server_with(registration="invitation") as server:
        ada = await admin(server, "ada@acme")
        token = await invited(server, ada, "zoe@anywhere.example")
        shown = (await call(server, "GET", f"/member-invitations/{token}")).json()
        assert (shown["company"], shown["address"]) == ("acme", "zoe@anywhere.example")
        body = {"new_password": PASSWORD, "name": "Zoë"}
        answers = await asyncio.gather(
            *(call(server, "POST", f"/member-invitations/{token}", body) for _ in range(3))
        )
        assert sorted(answer.status for answer in answers) == [201, 422, 422]
        account = (await server.node.store.accounts.for_login("zoe@anywhere.example")).account  # type: ignore[union-attr]
        assert account.company.name == "acme" and account.role is Role.USER
        assert (await call(server, "GET", f"/member-invitations/{token}")).status == 404
        assert await login(server, "zoe@anywhere.example", PASSWORD) == 200


async def test_an_invitation_is_over_after_its_days_or_when_taken_back() -> None:
    async with await server_with() as server:
        ada = await admin(server, "ada@acme")
        first = await invited(server, ada, "zoe@anywhere.example")
        listed = await ada.get(path_of(ada, "/member-invitations"))
        assert [each["address"] for each in listed["items"]] == ["zoe@anywhere.example"]
        one = path_of(ada, f"/member-invitations/{listed['items'][0]['id']}")
        assert (await ada.call("DELETE", one)).status == 204
        assert (await ada.call("DELETE", one)).status == 404
        second = await invited(server, ada, "zoe@anywhere.example")
        server.clock.advance(7 * 86_400)
        for token in (first, second, "nonsense"):
            answer = await call(server, "POST", f"/member-invitations/{token}", {"new_password": PASSWORD})
            assert answer.status == 422 and "wrong-or-expired" in answer.text


async def test_inviting_tells_nobody_who_has_an_account() -> None:
    async with await server_with() as server:
        ada = await admin(server, "ada@acme")
        carol = await address_of(server, await logged_in(server, "carol@globex"))
        path = path_of(ada, "/member-invitations")
        answers = [await ada.call("POST", path, {"address": each}) for each in (carol, "x@new.example")]
        assert [answer.status for answer in answers] == [201, 201]
        assert answers[0].json().keys() == answers[1].json().keys()
        assert "registered" in await server.mailbox.next_to(carol)


async def test_only_a_companys_administrator_invites_and_only_into_it() -> None:
    async with await server_with() as server:
        ada, bob = await admin(server, "ada@acme"), await logged_in(server, "bob@acme")
        carol = await logged_in(server, "carol@globex")
        body = {"address": "zoe@new.example"}
        assert (await bob.call("POST", path_of(ada, "/member-invitations"), body)).status == 403
        assert (await carol.call("POST", path_of(ada, "/member-invitations"), body)).status == 404
        assert (await ada.call("POST", path_of(carol, "/member-invitations"), body)).status == 404
        assert server.mailbox.letters == []


async def test_an_administrator_starts_a_reset_and_sees_nothing_of_it(server: TestServer) -> None:
    ada, bob = await admin(server, "ada@acme"), await logged_in(server, "bob@acme")
    path = path_of(ada, f"/users/{bob.person.account.id}/password-reset")
    answer = await ada.call("POST", path, {"reason": "lost phone"})
    assert answer.status == 202
    assert not re.search(r"\d{6}|[0-9a-f]{32}", answer.text)
    address = await address_of(server, bob)
    letter = await server.mailbox.next_to(address)
    pin, request = re.search(r"^\d{6}$", letter, re.M), re.search(r"/reset/([0-9a-f]{32})", letter)
    assert pin is not None and request is not None
    assert (await bob.call("GET", "/users/me")).status == 200  # nothing has changed yet
    assert (await reset(server, request[1], pin[0])).status == 204
    assert await login(server, address, NEW) == 200
    text = await records(server)
    assert "mfa_pin.reset_started" in text and "lost phone" in text


# -- accounts that an administrator made -----------------------------------------------------------------------


async def made(server: TestServer, ada: Caller, address: str) -> tuple[dict[str, Any], str]:
    """A new account, and the token in the letter to its owner."""
    answer = await ada.call("POST", path_of(ada, "/users"), {"email": address, "reason": "new"})
    assert answer.status == 201, answer.text
    found = re.search(r"/join/(\S+)", await server.mailbox.next_to(address))
    assert found is not None and found[1] not in answer.text and "password" not in answer.text
    user: dict[str, Any] = answer.json()["user"]
    return user, found[1]


async def first_password(server: TestServer, token: str, password: str, name: str = "") -> Answer:
    body = {"new_password": password, "name": name}
    return await call(server, "POST", f"/member-invitations/{token}", body)


async def test_whoever_was_added_by_an_administrator_chooses_the_first_password(server: TestServer) -> None:
    ada = await admin(server, "ada@acme")
    user, token = await made(server, ada, "zoe@new.example")
    weak = await first_password(server, token, "short")
    assert weak.status == 422 and "at least 8 characters" in weak.text
    answers = await asyncio.gather(*(first_password(server, token, PASSWORD, "Zoë") for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 422, 422]
    assert await login(server, "zoe@new.example", PASSWORD) == 200
    account = await server.store.accounts.by_id(user["id"])
    assert account is not None and account.name == "Zoë"
    (invited,) = await server.audit("mfa_pin.invited")
    assert invited.entry.reason == "new"


@pytest.mark.parametrize("way", ["reset", "disabled", "removed", "taken back"])
async def test_a_first_password_is_not_chosen_for_an_account_that_does_not_wait_for_it(
    server: TestServer, way: str
) -> None:
    ada = await admin(server, "ada@acme")
    user, token = await made(server, ada, "zoe@new.example")
    account = await server.store.accounts.by_id(user["id"])
    assert account is not None
    if way == "reset":
        request = await asked(server, "reset", "zoe@new.example")
        pin = await pin_to(server, "zoe@new.example")
        assert (await reset(server, request["request_id"], pin)).status == 204
    elif way == "disabled":
        await server.node.people.disable(account, actor="test")
    elif way == "removed":
        await server.node.people.remove(account, actor="test")
    else:
        (open_one,) = (await ada.get(path_of(ada, "/member-invitations")))["items"]
        one = path_of(ada, f"/member-invitations/{open_one['id']}")
        assert (await ada.call("DELETE", one)).status == 204
    assert (await first_password(server, token, "Golden-Bridge-17")).status == 422
    assert await login(server, "zoe@new.example", "Golden-Bridge-17") == 401


async def test_who_is_added_must_be_somebody_whom_a_letter_reaches(server: TestServer) -> None:
    ada = await admin(server, "ada@acme")
    answer = await ada.call("POST", path_of(ada, "/users"), {"email": "zoe@localhost"})
    assert answer.status == 422 and "email" in answer.json()["errors"]
    assert await server.store.accounts.for_login("zoe@localhost") is None


async def test_a_changed_password_is_told_by_letter_and_to_the_devices() -> None:
    """They were logged out, so the message waits for them."""
    options = RestApi.Options(requests_per_minute=0)
    plugins = {RestApi: options, MfaPin: MfaPin.Options(), Offline: Offline.Options()}
    async with TestServer(plugins) as server:
        ann = await logged_in(server, "ann@acme")
        body = {"old_password": "Correct-Horse-7", "new_password": NEW}
        assert (await ann.call("POST", "/users/me/password", body, Accept_Language="fr")).status == 204
        assert "mot de passe" in (await server.mailbox.next_to("ann@acme.example")).lower()
        await server.settle()
        phone = await server.login("ann@acme")
        assert "Le mot de passe de votre compte" in b"".join(await phone.rest_bytes()).decode()
