"""Pages behind a login: logging in and out, devices, the password; and what attackers try with them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from rainbow_xmpp.auth.people import AccountChange
from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.plugin import Role
from rainbow_xmpp.plugins.account_pages import AccountPages
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.testing import TestServer
from tests.plugins.browser import Browser
from tests.plugins.letters import login, pin_to
from tests.plugins.rest import PASSWORD, call, logged_in, with_password

OTHER = "Purple-Kettle-93"
PLUGINS = (RestApi, CompanyIsolation, AccountPages, MfaPin)
LOGIN = "__Host-login"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer(PLUGINS) as running:
        await with_password(running, "ann@acme")
        yield running


async def entered(server: TestServer, **headers: str) -> Browser:
    """Ann's browser, on the page of her account."""
    browser = Browser(server, **headers)
    await browser.get("/account")
    assert browser.path == "/login"
    assert await browser.submit(login="ann@acme.example", password=PASSWORD) == 200
    assert browser.path == "/account"
    return browser


async def is_in(browser: Browser) -> bool:
    await browser.get("/account")
    return browser.path == "/account"


async def test_somebody_logs_in_sees_the_account_and_logs_out(server: TestServer) -> None:
    browser = await entered(server)
    for text in ("ann@acme.example", f"ann@{server.domain}", "acme", "member", "this browser"):
        assert text in browser.text
    stolen = browser.cookies[LOGIN]
    assert await browser.submit("/logout") == 200
    assert browser.path == "/login" and "You are logged out" in browser.text
    assert LOGIN not in browser.cookies
    browser.cookies[LOGIN] = stolen  # a copy is worth nothing either
    assert not await is_in(browser)


async def test_the_address_of_the_chat_is_a_name_too(server: TestServer) -> None:
    for name in (f"ann@{server.domain}", "ann", " ANN@acme.example "):
        browser = Browser(server)
        await browser.get("/login")
        assert await browser.submit(login=name, password=PASSWORD) == 200, name
        assert browser.path == "/account"


async def test_a_refusal_is_the_same_whatever_was_wrong(server: TestServer) -> None:
    bob = await with_password(server, "bob@acme")
    await server.node.people.disable(bob.account, actor="test")
    seen = set()
    for name, password in (
        ("ann@acme.example", "Wrong-Horse-7"),
        ("nobody@acme.example", PASSWORD),
        ("bob@acme.example", PASSWORD),
        ("ann@acme.example", ""),
        ("\0", "\0"),
    ):
        browser = Browser(server)
        await browser.get("/login")
        status = await browser.submit(login=name, password=password)
        page = re.sub(r"[0-9a-f]{64}", "X", browser.page)
        seen.add((status, re.sub(r'(id="login"[^>]*value=")[^"]*', r"\1", page), LOGIN in browser.cookies))
    assert len(seen) == 1
    status, page, is_in = seen.pop()
    assert status == 422 and not is_in and "The name or the password is wrong." in page


async def test_guesses_are_counted_with_those_of_every_other_login(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/login")
    statuses = [await browser.submit(login="ann", password="Wrong-Horse-7") for _ in range(12)]
    assert statuses[0] == 422 and statuses[-1] == 429
    assert browser.answer is not None and int(browser.answer.headers["retry-after"]) > 0
    assert await browser.submit(login="ann", password=PASSWORD) == 429
    assert await login(server, "ann", PASSWORD) == 429


async def test_the_password_is_changed_and_every_login_ends(server: TestServer) -> None:
    browser, other = await entered(server), await entered(server)
    phone = await server.login("ann@acme")
    await browser.get("/account/password")
    assert await browser.submit(current="Wrong-Horse-7", password=OTHER) == 422
    assert "This is not your password" in browser.text and 'id="current-why"' in browser.page
    assert await browser.submit(current=PASSWORD, password="weak") == 422
    assert "needs at least 8 characters" in browser.text
    assert await browser.submit(password=OTHER) == 422  # the login is fresh, and it is asked for all the same
    assert await browser.submit(current=PASSWORD, password=OTHER) == 200
    assert browser.path == "/login" and "Your password was changed" in browser.text
    assert not await is_in(browser) and not await is_in(other)
    assert phone.wire.violation is not None
    assert await login(server, "ann", OTHER) == 200
    assert "was changed" in await server.mailbox.next_to("ann@acme.example")


async def test_guesses_at_the_old_password_are_counted(server: TestServer) -> None:
    browser = await entered(server)
    await browser.get("/account/password")
    statuses = [await browser.submit(current="Wrong-Horse-7", password=OTHER) for _ in range(12)]
    assert statuses[0] == 422 and statuses[-1] == 429


@pytest.mark.parametrize("how", ["reset", "disable", "logout", "role", "company"])
async def test_a_login_ends_with_whatever_ends_the_others(server: TestServer, how: str) -> None:
    browser, people = await entered(server), server.node.people
    ann = (await server.person("ann@acme")).account
    match how:
        case "reset":
            other = Browser(server)
            await other.get("/reset")
            await other.submit(address="ann@acme.example")
            pin = await pin_to(server, "ann@acme.example")
            assert await other.submit(pin=pin, password=OTHER) == 200
        case "disable":
            await people.disable(ann, actor="test")
        case "logout":
            await people.end_sessions(ann, actor="test")
        case "role":
            await people.change(ann, AccountChange(role=Role.COMPANY_ADMIN), actor="test")
        case "company":
            await server.node.companies.change(ann.company, CompanyChange(disabled=True), actor="test")
    assert not await is_in(browser)


async def test_a_login_ends_when_it_is_idle_and_after_some_hours(server: TestServer) -> None:
    browser = await entered(server)
    for _ in range(3):
        server.clock.advance(29 * 60)
        assert await is_in(browser)
    server.clock.advance(31 * 60)
    assert not await is_in(browser)
    browser = await entered(server)
    for _ in range(12 * 2 + 4):
        server.clock.advance(25 * 60)
        await browser.get("/account")
    server.clock.advance(25 * 60)
    assert not await is_in(browser)


# -- devices ---------------------------------------------------------------------------------------------------


async def test_devices_are_listed_and_ended_one_by_one(server: TestServer) -> None:
    api = await logged_in(server, "ann@acme")
    other, browser = await entered(server), await entered(server)
    for name in ("phone", "laptop"):
        await server.login("ann@acme", resource=name)
    await browser.get("/account")
    assert "phone" in browser.text and "laptop" in browser.text and "Program (API)" in browser.text
    kinds = [item["kind"] for item in (await api.get("/users/me/sessions"))["items"]]
    assert sorted(kinds) == ["api", "page", "page", "xmpp", "xmpp"]
    ends = re.findall(r'action="(/account/devices/[0-9a-f]{24}/end)"', browser.page)
    assert len(ends) == 4  # not this browser itself
    for path in ends:
        await browser.get("/account")
        assert await browser.submit(path) == 200 and "was logged out" in browser.text
    assert server.node.sessions.by_full == {}
    assert (await api.call("GET", "/users/me")).status == 401
    assert not await is_in(other) and await is_in(browser)


async def test_all_others_are_ended_at_once(server: TestServer) -> None:
    api, other = await logged_in(server, "ann@acme"), await entered(server)
    browser, phone = await entered(server), await server.login("ann@acme")
    before = browser.cookies[LOGIN]
    await browser.get("/account/end-others")
    assert await browser.submit() == 200 and browser.path == "/account"
    assert browser.cookies[LOGIN] != before
    assert phone.wire.violation is not None and (await api.call("GET", "/users/me")).status == 401
    assert not await is_in(other) and await is_in(browser)


async def test_after_a_while_the_password_is_asked_for_again(server: TestServer) -> None:
    browser = await entered(server)
    await browser.get("/account/end-others")
    assert 'name="current"' not in browser.page
    server.clock.advance(301)
    assert await browser.submit() == 422 and "Please type your password once more" in browser.text
    assert await browser.submit(current="Wrong-Horse-7") == 422
    assert await browser.submit(current=PASSWORD) == 200 and browser.path == "/account"


async def test_nobody_ends_somebody_elses_login(server: TestServer) -> None:
    await with_password(server, "bob@acme")
    bob = Browser(server)
    await bob.get("/login")
    await bob.submit(login="bob", password=PASSWORD)
    other, browser = await entered(server), await entered(server)
    path = re.search(r'action="(/account/devices/[0-9a-f]{24}/end)"', browser.page)
    assert path is not None
    fields = dict(re.findall(r'name="(form)" value="([^"]*)"', bob.page))
    assert await bob.post(path[1], fields) == 200
    assert await is_in(other)


# -- attacks ---------------------------------------------------------------------------------------------------

FORMS = ("/logout", "/account/password", "/account/end-others", "/account/devices/" + "0" * 24 + "/end")


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_of_others_does_nothing_behind_the_login(server: TestServer, path: str) -> None:
    ours = await entered(server)
    fields = {"current": PASSWORD, "password": OTHER}
    form = re.search(r'name="form" value="([0-9a-f]{64})"', ours.page)
    assert form is not None
    stranger = Browser(server)
    await stranger.get("/login")
    theirs = re.search(r'name="form" value="([0-9a-f]{64})"', stranger.page)
    assert theirs is not None
    assert await ours.post(path, fields) == 403
    assert "Nothing was changed" in ours.text
    back = re.search(r'<a class="button" href="([^"]+)">', ours.page)
    assert back is not None and back[1] == ("/account" if path.endswith("/end") else path)
    assert await ours.post(path, fields | {"form": theirs[1]}) == 403
    for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        other = Browser(server, **header)
        other.cookies = ours.cookies
        assert await other.post(path, fields | {"form": form[1]}) == 403
    # The form of the same browser from before the login is not that of the login.
    before = Browser(server)
    before.cookies = {"__Host-form": ours.cookies["__Host-form"]}
    await before.get("/login")
    old = re.search(r'name="form" value="([0-9a-f]{64})"', before.page)
    assert old is not None and old[1] != form[1]
    assert await ours.post(path, fields | {"form": old[1]}) == 403
    assert await is_in(ours) and await login(server, "ann", PASSWORD) == 200


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/",
        "//evil.example/account",
        "/\\evil.example",
        "/account/../../evil",
        "/account//evil.example",
        "/account?x=//evil.example",
        "javascript:alert(1)",
        "/account\r\nLocation: https://evil.example",
        "/logout",
        "/api/v1/users/me",
    ],
)
async def test_a_link_to_the_login_leads_nowhere_else(server: TestServer, link: str) -> None:
    browser = Browser(server)
    await browser.get("/login?" + urlencode({"next": link}))
    assert "evil" not in browser.page and "javascript" not in browser.page
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', browser.page))
    given = fields | {"login": "ann", "password": PASSWORD, "next": link}
    assert await browser.post("/login", given) == 200
    assert browser.path == "/account"


async def test_after_the_login_somebody_is_where_they_wanted_to_be(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/account/password")
    assert browser.path == "/login"
    assert await browser.submit(login="ann", password="Wrong-Horse-7") == 422
    assert await browser.submit(login="ann", password=PASSWORD) == 200
    assert browser.path == "/account/password"


async def test_no_cookie_from_before_the_login_is_that_of_the_login(server: TestServer) -> None:
    mallory = Browser(server)
    await mallory.get("/login")
    mallory.cookies[LOGIN] = "A" * 43  # planted
    await mallory.get("/login")
    await mallory.submit(login="ann", password=PASSWORD)
    assert mallory.cookies[LOGIN] != "A" * 43
    first = mallory.cookies[LOGIN]
    form = dict(re.findall(r'name="(form)" value="([^"]*)"', (await fresh(server, mallory)).page))
    await mallory.post("/login", form | {"login": "ann", "password": PASSWORD})
    assert mallory.cookies[LOGIN] != first
    mallory.cookies[LOGIN] = first  # the one before ended
    assert not await is_in(mallory)


async def fresh(server: TestServer, like: Browser) -> Browser:
    """The page of the login, in the same browser without the login."""
    browser = Browser(server)
    browser.cookies = {"__Host-form": like.cookies["__Host-form"]}
    await browser.get("/login")
    return browser


async def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_text(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/login")
    fields = dict(re.findall(r'name="(form|next)" value="([^"]*)"', browser.page))
    body = urlencode(fields | {"login": "ann", "password": PASSWORD}).encode()
    headers = {
        "Cookie": f"__Host-form={browser.cookies['__Host-form']}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = await server.http("POST", "/login", headers=headers, body=body)
    assert answer.status == 303
    (cookie,) = [each for each in answer.set_cookies if each.startswith(f"{LOGIN}=")]
    flags = {part.strip() for part in cookie.split(";")[1:]}
    assert flags == {
        "HttpOnly",
        "Secure",
        "SameSite=Strict",
        "Path=/",
    }  # no Domain, and for this session only


async def test_a_token_of_the_pages_is_none_of_the_api_and_the_reverse(server: TestServer) -> None:
    api, browser = await logged_in(server, "ann@acme"), await entered(server)
    cookie = browser.cookies[LOGIN]
    assert (await call(server, "POST", "/auth/refresh", {"refresh_token": cookie})).status == 401
    assert (await call(server, "GET", "/users/me", Authorization=f"Bearer {cookie}")).status == 401
    for token in (api.refresh, api.token):
        browser.cookies[LOGIN] = token
        assert not await is_in(browser)
    browser.cookies[LOGIN] = cookie
    assert await is_in(browser)


@pytest.mark.parametrize(
    "path", ["/login", "/account", "/account/password", "/account/end-others", "/logout"]
)
async def test_pages_behind_the_login_are_kept_nowhere_and_in_no_frame(server: TestServer, path: str) -> None:
    browser = Browser(server) if path == "/login" else await entered(server)
    await browser.get(path)
    assert browser.answer is not None and browser.path == path
    headers = browser.answer.headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert "<script" not in browser.page and "style=" not in browser.page and "onclick" not in browser.page


async def test_without_a_key_for_tokens_nobody_logs_in_and_the_other_pages_stay() -> None:
    plugins = (CompanyIsolation, AccountPages, MfaPin)
    async with TestServer(plugins, token_key="") as server:
        for path in ("/login", "/account", "/logout"):
            assert (await server.http("GET", path)).status == 404
        assert (await server.http("GET", "/reset")).status == 200
        assert "/account" not in (await server.http("GET", "/")).text
