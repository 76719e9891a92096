"""A new password for a forgotten one, where the account has a second factor: the letter alone does not suffice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.account_pages import AccountPages
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.second_factor import SecondFactorAtLogin
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.web import Answer
from tests.plugins.browser import Browser
from tests.plugins.letters import pin_to
from tests.plugins.rest import basic, call, with_password
from tests.plugins.test_second_factor import App, enrolled

ADDRESS = "ann@acme.example"
NEW = "Silver-Anchor-41"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([RestApi, CompanyIsolation, MfaPin, SecondFactorAtLogin, AccountPages]) as running:
        yield running


@pytest.fixture
async def ann(server: TestServer) -> tuple[Account, App, tuple[str, ...]]:
    """Somebody with a factor."""
    account = (await with_password(server, "ann@acme")).account
    found = await enrolled(server, server.plugin(SecondFactorAtLogin), account)
    await server.mailbox.next_to(ADDRESS)
    return found


async def asked(server: TestServer) -> tuple[str, str]:
    """A request for a new password, and its PIN."""
    answer = await call(server, "POST", "/pin-requests", {"purpose": "reset", "address": ADDRESS})
    return answer.json()["request_id"], await pin_to(server, ADDRESS)


async def reset(server: TestServer, request_id: str, pin: str, **more: str) -> Answer:
    body = {"request_id": request_id, "pin": pin, "new_password": NEW} | more
    return await call(server, "POST", "/password-resets", body)


def kind(answer: Answer) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


def wrong(pin: str) -> str:
    return f"{(int(pin) + 1) % 1_000_000:06d}"


async def logs_in(server: TestServer, password: str) -> int:
    return (await call(server, "POST", "/auth/login", Authorization=basic("ann", password))).status


async def test_a_letter_alone_does_not_go_around_it(
    server: TestServer, ann: tuple[Account, App, tuple[str, ...]]
) -> None:
    _, app, recovery = ann
    request_id, pin = await asked(server)
    for _ in range(6):  # none of them is a try
        assert kind(await reset(server, request_id, pin)) == "factor-code-wanted"
    assert kind(await reset(server, request_id, pin, factor_code=app.wrong())) == "wrong-factor-code"
    assert await logs_in(server, NEW) == 401
    assert (await reset(server, request_id, pin, factor_code=app.code())).status == 204
    assert await logs_in(server, NEW) == 202  # the factor is on as before
    assert "was changed" in await server.mailbox.next_to(ADDRESS)
    server.clock.advance(60)
    request_id, pin = await asked(server)
    assert (await reset(server, request_id, pin, factor_code=recovery[0])).status == 204


async def test_who_has_one_is_not_told_before_the_pin_is_right(
    server: TestServer, ann: tuple[Account, App, tuple[str, ...]]
) -> None:
    _, app, recovery = ann
    await with_password(server, "ben@acme")
    request_id, pin = await asked(server)
    hers = await reset(server, request_id, wrong(pin))
    with_code = await reset(server, request_id, wrong(pin), factor_code=app.code())
    answer = await call(server, "POST", "/pin-requests", {"purpose": "reset", "address": "ben@acme.example"})
    his = await reset(server, answer.json()["request_id"], wrong(await pin_to(server, "ben@acme.example")))
    nobodys = await reset(server, "0" * 32, "123456", factor_code=recovery[0])
    assert hers.body == with_code.body == his.body == nobodys.body
    assert kind(hers) == "wrong-or-expired"
    assert (await reset(server, request_id, pin, factor_code=app.code())).status == 204  # nothing was used up


async def test_codes_are_not_guessed_with_one_pin(
    server: TestServer, ann: tuple[Account, App, tuple[str, ...]]
) -> None:
    _, app, _ = ann
    request_id, pin = await asked(server)
    found = [kind(await reset(server, request_id, pin, factor_code=app.wrong())) for _ in range(6)]
    assert found == ["wrong-factor-code"] * 5 + ["wrong-or-expired"]
    assert kind(await reset(server, request_id, pin, factor_code=app.code())) == "wrong-or-expired"


async def test_a_weak_password_costs_no_code(
    server: TestServer, ann: tuple[Account, App, tuple[str, ...]]
) -> None:
    _, _, recovery = ann
    request_id, pin = await asked(server)
    weak = await reset(server, request_id, pin, new_password="Acme-acme-1", factor_code=recovery[0])
    assert kind(weak) == "weak-password"
    assert (await reset(server, request_id, pin, factor_code=recovery[0])).status == 204


async def test_the_page_asks_for_the_code_once_the_pin_is_right(
    server: TestServer, ann: tuple[Account, App, tuple[str, ...]]
) -> None:
    _, app, _ = ann
    browser = Browser(server)
    await browser.get("/reset")
    await browser.submit(address=ADDRESS)
    pin = await pin_to(server, ADDRESS)
    assert await browser.submit(pin=wrong(pin), password=NEW) == 422
    assert 'name="code"' not in browser.page
    assert await browser.submit(pin=pin, password=NEW) == 422
    assert 'name="code"' in browser.page
    assert re.search("second step", browser.text)
    assert await browser.submit(pin=pin, password=NEW, code=app.wrong()) == 422
    assert 'name="code"' in browser.page
    assert await browser.submit(pin=pin, password=NEW, code=app.code()) == 200
    assert browser.path == "/reset-done"
