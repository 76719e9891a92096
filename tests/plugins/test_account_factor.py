"""Pages for two-step login: making a factor, logging in with it, changing it, app passwords; and attacks on them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from html import unescape

import pyotp
import pytest

from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.plugin import FactorRule, Role
from rainbow_xmpp.plugins.account_pages import AccountPages
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.second_factor import SecondFactorAtLogin
from rainbow_xmpp.testing import TestServer
from tests.plugins.browser import Browser
from tests.plugins.rest import PASSWORD, with_password

PLUGINS = (RestApi, CompanyIsolation, AccountPages, MfaPin, SecondFactorAtLogin)
LOGIN, STEP = "__Host-login", "__Host-step"
FACTOR = "/account/second-factor"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer(PLUGINS) as running:
        await with_password(running, "ann@acme")
        yield running


async def at_login(server: TestServer, name: str = "ann") -> Browser:
    """A browser in which the password was typed."""
    browser = Browser(server)
    await browser.get("/login")
    await browser.submit(login=name, password=PASSWORD)
    return browser


class Ann:
    """Her browser, her app, her recovery codes."""

    def __init__(self, server: TestServer, browser: Browser, secret: str, codes: list[str]) -> None:
        self.server = server
        self.browser = browser
        self.secret = secret
        self.codes = codes

    def code(self) -> str:
        """The next of the app."""
        self.server.clock.advance(30)
        return pyotp.TOTP(self.secret).at(int(self.server.clock()))


async def enrol(server: TestServer) -> Ann:
    browser = await at_login(server)
    await browser.get(f"{FACTOR}/begin")
    return await confirmed(server, browser)


async def confirmed(server: TestServer, browser: Browser, **fields: str) -> Ann:
    assert await browser.submit(**fields) == 200
    secret = secret_on(browser)
    ann = Ann(server, browser, secret, [])
    assert await browser.submit(f"{FACTOR}/confirm", code=ann.code()) == 200
    ann.codes = re.findall(r"<li><code>([^<]+)</code></li>", browser.page)
    return ann


def secret_on(browser: Browser) -> str:
    found = re.search(r'<p class="secret"><code>([A-Z2-7 ]+)</code>', browser.page)
    assert found is not None, browser.text
    return found[1].replace(" ", "")


async def is_in(browser: Browser) -> bool:
    await browser.get("/account")
    return browser.path == "/account"


# -- making one ------------------------------------------------------------------------------------------------


async def test_a_factor_is_made_with_a_picture_or_by_typing_and_asked_for_at_the_login(
    server: TestServer,
) -> None:
    other, phone = await at_login(server), await server.login("ann@acme")
    browser = await at_login(server)
    await browser.get(f"{FACTOR}/begin")
    assert await browser.submit() == 200
    uri = re.search(r'name="uri" value="([^"]+)"', browser.page)
    assert uri is not None and unescape(uri[1]).startswith("otpauth://totp/")
    assert secret_on(browser) in uri[1] and 'class="qr" role="img"' in browser.page and "<svg" in browser.page
    first = secret_on(browser)
    assert await browser.submit(f"{FACTOR}/confirm", code="000000") == 422
    assert secret_on(browser) == first and "<svg" in browser.page  # nobody has to scan again
    assert 'id="code-why"' in browser.page and "recovery" not in browser.text  # there are none yet
    ann = Ann(server, browser, first, [])
    assert await browser.submit(f"{FACTOR}/confirm", code=ann.code()) == 200
    assert "Two-step login is on" in browser.text
    codes = re.findall(r"<li><code>([^<]+)</code></li>", browser.page)
    assert len(set(codes)) == len(codes) >= 8
    assert await is_in(browser) and not await is_in(other)
    assert phone.wire.violation is not None

    again = await at_login(server)
    assert again.path == "/login/code" and LOGIN not in again.cookies
    assert await again.submit(code="000000") == 422 and 'id="code-why"' in again.page
    assert await again.submit(code=ann.code()) == 200 and again.path == "/account"
    assert STEP not in again.cookies
    assert await again.submit("/logout") == 200


async def test_what_is_shown_once_is_kept_nowhere_and_shown_never_again(server: TestServer) -> None:
    browser = await at_login(server)
    await browser.get(f"{FACTOR}/begin")
    for step in ("", f"{FACTOR}/confirm"):
        code = {"code": Ann(server, browser, secret_on(browser), []).code()} if step else {}
        assert await browser.submit(step, **code) == 200
        assert browser.answer is not None
        assert browser.answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in browser.answer.headers["content-security-policy"]
        assert "unsafe" not in browser.answer.headers["content-security-policy"]
        assert "style=" not in browser.page and "<script" not in browser.page
    codes = re.findall(r"<li><code>([^<]+)</code></li>", browser.page)
    for path in (f"{FACTOR}/confirm", f"{FACTOR}/begin", FACTOR, f"{FACTOR}/codes", "/account"):
        await browser.get(path)
        assert not any(code in browser.page for code in codes) and "otpauth" not in browser.page


async def test_a_recovery_code_lets_somebody_in_once(server: TestServer) -> None:
    ann = await enrol(server)
    for expected in (200, 422):
        browser = await at_login(server)
        assert await browser.submit(code=ann.codes[0].upper()) == expected
    await ann.browser.get(FACTOR)
    assert f"{len(ann.codes) - 1} left" in ann.browser.text


async def test_recovery_codes_are_made_anew(server: TestServer) -> None:
    ann = await enrol(server)
    await ann.browser.get(f"{FACTOR}/codes")
    assert await ann.browser.submit(code="000000") == 422
    assert await ann.browser.submit(code=ann.code()) == 200
    new = re.findall(r"<li><code>([^<]+)</code></li>", ann.browser.page)
    assert not set(new) & set(ann.codes)
    browser = await at_login(server)
    assert await browser.submit(code=ann.codes[0]) == 422
    assert await browser.submit(code=new[0]) == 200


async def test_another_app_takes_the_place_of_the_first_one_with_a_code_of_it(server: TestServer) -> None:
    ann = await enrol(server)
    await ann.browser.get(f"{FACTOR}/begin")
    assert await ann.browser.submit(code="000000") == 422
    other = await confirmed(server, ann.browser, code=ann.code())
    browser = await at_login(server)
    assert await browser.submit(code=ann.code()) == 422
    assert await browser.submit(code=other.code()) == 200


async def test_it_is_turned_off_with_password_and_code(server: TestServer) -> None:
    ann = await enrol(server)
    server.clock.advance(400)
    browser = ann.browser
    await browser.get(f"{FACTOR}/off")
    assert await browser.submit(code=ann.code()) == 422 and 'id="current-why"' in browser.page
    assert await browser.submit(current=PASSWORD, code="000000") == 422 and 'id="code-why"' in browser.page
    assert await browser.submit(current=PASSWORD, code=ann.code()) == 200
    assert browser.path == "/account" and "Two-step login is off" in browser.text
    assert (await at_login(server)).path == "/account"


# -- between password and code ---------------------------------------------------------------------------------


async def test_the_password_alone_opens_nothing(server: TestServer) -> None:
    await enrol(server)
    browser = await at_login(server)
    assert browser.path == "/login/code"
    for path in (
        "/account",
        "/account/password",
        FACTOR,
        f"{FACTOR}/begin",
        "/account/app-passwords",
        "/logout",
    ):
        await browser.get(path)
        assert browser.path == "/login", path
    browser.cookies[LOGIN] = browser.cookies[STEP]
    assert not await is_in(browser)


async def test_between_password_and_code_there_are_five_minutes_and_a_seal(server: TestServer) -> None:
    ann = await enrol(server)
    browser = await at_login(server)
    good = browser.cookies[STEP]
    bob = (await with_password(server, "bob@acme")).account
    account_id, epoch, expires, seal = good.split(".")
    for forged in (
        "",
        "x",
        "...",
        f"{bob.id}.{epoch}.{expires}.{seal}",
        f"{account_id}.{epoch}.{int(expires) + 1}.{seal}",
        f"{account_id}.{epoch}.{expires}.",
        f"{account_id}.{epoch}.{expires}.{'0' * 64}",
        "ü.1.2.3",
    ):
        browser.cookies[STEP] = forged
        await browser.get("/login/code")
        assert browser.path == "/login", forged
    browser.cookies[STEP] = good
    assert await browser.get("/login/code") == 200 and browser.path == "/login/code"
    server.clock.advance(301)
    await browser.submit(code=ann.code())
    assert browser.path == "/login" and not await is_in(browser)


async def test_it_ends_with_the_password_that_was_typed(server: TestServer) -> None:
    ann = await enrol(server)
    browser = await at_login(server)
    account = (await server.person("ann@acme")).account
    await server.node.people.set_password(account, "Purple-Kettle-93", actor="test")
    await browser.submit(code=ann.code())
    assert browser.path == "/login" and not await is_in(browser)


async def test_codes_cannot_be_guessed_without_end(server: TestServer) -> None:
    ann = await enrol(server)
    browser = await at_login(server)
    statuses = [await browser.submit(code=f"{number:06d}") for number in range(30)]
    assert statuses[0] == 422 and statuses[-1] == 429
    assert browser.answer is not None and int(browser.answer.headers["retry-after"]) > 0
    assert await browser.submit(code=ann.codes[0]) == 429


async def test_without_who_checks_codes_nobody_comes_in() -> None:
    async with TestServer([plugin for plugin in PLUGINS if plugin is not SecondFactorAtLogin]) as server:
        ann = (await with_password(server, "ann@acme")).account
        await server.store.accounts.set_second_factor(ann.company.id, ann.id, True)
        await server.node.watch.poll()
        browser = await at_login(server)
        assert await browser.submit(code="000000") == 503 and not await is_in(browser)


# -- where the company says so ---------------------------------------------------------------------------------


async def rule(server: TestServer, wanted: FactorRule) -> None:
    company = (await server.person("ann@acme")).account.company
    settings = dataclasses.replace(company.settings, second_factor=wanted)
    await server.node.companies.change(company, CompanyChange(settings=settings), actor="test")


async def test_where_the_company_requires_it_there_is_nothing_else_to_do_first(server: TestServer) -> None:
    early = await at_login(server)
    await rule(server, FactorRule.REQUIRED)
    for browser in (early, await at_login(server)):
        for path in (
            "/account",
            "/account/password",
            "/account/end-others",
            FACTOR,
            "/account/app-passwords",
        ):
            await browser.get(path)
            assert browser.path == f"{FACTOR}/begin", path
        assert "Your company wants" in browser.text and "Cancel" not in browser.text
    ann = await confirmed(server, browser)
    assert await is_in(browser)
    await browser.get(FACTOR)
    assert "cannot be turned off" in browser.text and f"{FACTOR}/off" not in browser.page
    await browser.get(f"{FACTOR}/off")
    assert await browser.submit(code=ann.code()) == 200 and browser.path == "/account"
    assert (await at_login(server)).path == "/login/code"


async def test_where_the_company_has_none_none_is_made(server: TestServer) -> None:
    await rule(server, FactorRule.OFF)
    browser = await at_login(server)
    assert "Two-step login" not in browser.text
    await browser.get(f"{FACTOR}/begin")
    await browser.submit()
    assert browser.path == "/account"


# -- app passwords ---------------------------------------------------------------------------------------------


async def test_app_passwords_are_made_shown_once_and_removed(server: TestServer) -> None:
    ann = await enrol(server)
    browser = ann.browser
    await browser.get("/account/app-passwords")
    for name in ("", " ", "x" * 61, "a\u202eb"):
        assert await browser.submit(name=name) == 422 and 'id="name-why"' in browser.page
    assert await browser.submit(name="Gajim <b>at home</b>") == 200
    found = re.search(r'<p class="secret"><code>([^<]+)</code>', browser.page)
    assert found is not None and browser.answer is not None
    assert browser.answer.headers["cache-control"] == "no-store" and "<b>at" not in browser.page
    await browser.get("/account/app-passwords")
    assert found[1] not in browser.page and "Gajim <b>at home</b>" in browser.text
    page = Browser(server)
    await page.get("/login")
    assert await page.submit(login="ann", password=found[1]) == 422  # it is for chat clients only
    drop = re.search(r'action="(/account/app-passwords/[0-9a-f]+/drop)"', browser.page)
    assert drop is not None
    assert await browser.submit(drop[1]) == 200 and "is gone" in browser.text
    assert "Gajim" not in browser.text
    server.clock.advance(301)
    assert await browser.submit(name="Dino") == 422 and 'id="current-why"' in browser.page
    assert await browser.submit(name="Dino", current=PASSWORD) == 200


async def test_without_a_factor_there_are_no_app_passwords(server: TestServer) -> None:
    browser = await at_login(server)
    for path in ("/account/app-passwords", f"{FACTOR}/codes", f"{FACTOR}/off"):
        await browser.get(path)
        assert browser.path == FACTOR and "It is off" in browser.text
    fields = dict(re.findall(r'name="(form)" value="([^"]*)"', browser.page))
    await browser.post("/account/app-passwords", fields | {"name": "Gajim"})
    assert browser.path == FACTOR


# -- attacks ---------------------------------------------------------------------------------------------------

FORMS = ("begin", "confirm", "codes", "off")


@pytest.mark.parametrize(
    "path",
    [*(f"{FACTOR}/{form}" for form in FORMS), "/account/app-passwords", "/account/app-passwords/x/drop"],
)
async def test_a_form_of_others_changes_no_factor(server: TestServer, path: str) -> None:
    ann = await enrol(server)
    fields = {"current": PASSWORD, "code": ann.code(), "name": "evil"}
    await ann.browser.get("/account")
    form = dict(re.findall(r'name="(form)" value="([^"]*)"', ann.browser.page))
    assert await ann.browser.post(path, fields) == 403
    for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "same-site"}):
        other = Browser(server, **header)
        other.cookies = ann.browser.cookies
        assert await other.post(path, fields | form) == 403
    await ann.browser.get(FACTOR)
    assert "It is on" in ann.browser.text and "App passwords 0" in ann.browser.text


async def test_a_form_for_the_code_of_others_does_nothing(server: TestServer) -> None:
    ann = await enrol(server)
    browser = await at_login(server)
    assert await browser.post("/login/code", {"code": ann.code()}) == 403
    assert not await is_in(browser)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://evil.example/?secret=ABCDEFGHABCDEFGH",
        "otpauth://totp/x?secret=short",
        "otpauth://totp/x?secret=<script>",
        "otpauth://totp/x?secret=" + "A" * 200,
        "otpauth://totp/" + "x" * 700 + "?secret=ABCDEFGHABCDEFGH",
        "javascript:alert(1)",
        "otpauth://[",
    ],
)
async def test_the_picture_shows_nothing_but_a_secret(server: TestServer, uri: str) -> None:
    browser = await at_login(server)
    await browser.get(f"{FACTOR}/begin")
    await browser.submit()
    assert await browser.submit(f"{FACTOR}/confirm", code="000000", uri=uri) == 200
    assert browser.path == f"{FACTOR}/begin" and "evil" not in browser.page and "<script" not in browser.page


async def test_a_role_that_came_meanwhile_ends_the_login(server: TestServer) -> None:
    ann = await enrol(server)
    await server.person("ann@acme", role=Role.COMPANY_ADMIN)
    assert not await is_in(ann.browser)
