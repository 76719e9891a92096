"""Pages for registering, joining and new passwords, as a browser without scripts uses them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugins.account_pages import AccountPages
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.store.errors import DatabaseUnreachable
from rainbow_xmpp.testing import TestServer
from tests.plugins.browser import Browser
from tests.plugins.letters import login, pin_to
from tests.plugins.rest import logged_in

PASSWORD = "Purple-Kettle-93"
PLUGINS = (RestApi, CompanyIsolation, AccountPages)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    options = MfaPin.Options(registration="open", per_source_per_hour=10_000)
    chosen = {plugin: plugin.Options() for plugin in PLUGINS} | {MfaPin: options}
    async with TestServer(chosen) as running:
        yield running


async def test_somebody_registers_on_the_page(server: TestServer) -> None:
    browser = Browser(server)
    assert await browser.get("/register") == 200
    assert await browser.submit(address="zoe@new.example") == 200
    assert re.fullmatch(r"/register/[0-9a-f]{32}", browser.path)
    pin = await pin_to(server, "zoe@new.example")
    assert await browser.submit(pin=pin, password="weak", name="Zoë") == 422
    assert "needs at least 8 characters" in browser.text and 'value="Zoë"' in browser.page
    assert "weak" not in browser.page  # a password is never sent back
    assert await browser.submit(pin=pin, password=PASSWORD, name="Zoë") == 200
    assert browser.path == "/register-done"
    assert await login(server, "zoe@new.example", PASSWORD) == 200


async def test_a_wrong_code_is_told_beside_its_field(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/register")
    await browser.submit(address="zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    assert await browser.submit(pin=f"{(int(pin) + 1) % 10**6:06d}", password=PASSWORD) == 422
    assert "wrong or over" in browser.text
    assert 'aria-invalid="true"' in browser.page and 'id="pin-why"' in browser.page
    assert await browser.submit(again="1") == 429
    assert browser.answer is not None and int(browser.answer.headers["retry-after"]) == 60
    server.clock.advance(60)
    seen = len(browser.hops)
    assert await browser.submit(again="1") == 200 and "Another letter is on its way" in browser.text
    assert browser.hops[seen:] == [303, 200]  # loading anew sends no third letter
    assert await browser.submit(pin=await pin_to(server, "zoe@new.example"), password=PASSWORD) == 200


async def test_a_password_is_set_anew_on_the_page(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    member = await server.node.store.accounts.member(ann.person.account.company.id, ann.person.account.id)
    assert member is not None
    browser = Browser(server)
    await browser.get("/reset")
    await browser.submit(address=member.emails[0])
    pin = await pin_to(server, member.emails[0])
    assert await browser.submit(pin=pin, password=PASSWORD) == 200 and browser.path == "/reset-done"
    assert await login(server, member.emails[0], PASSWORD) == 200
    assert (await ann.call("GET", "/users/me")).status == 401


async def test_somebody_accepts_an_invitation_once(server: TestServer) -> None:
    acme = (await server.person("ann@acme")).account.company
    desk = server.plugin(MfaPin)
    await desk.invite(acme, "zoe@new.example", actor="test")
    link = re.search(r"/join/\S+", await server.mailbox.next_to("zoe@new.example"))
    assert link is not None
    browser = Browser(server)
    assert await browser.get(link[0]) == 200
    assert "acme invites you" in browser.text and "zoe@new.example" in browser.text
    assert await browser.submit(password=PASSWORD, name="Zoë") == 200 and browser.path == "/register-done"
    assert await login(server, "zoe@new.example", PASSWORD) == 200
    assert await browser.get(link[0]) == 404 and "invitation is over" in browser.text


async def test_pages_are_alike_for_known_and_unknown_addresses(server: TestServer) -> None:
    await logged_in(server, "ann@acme")
    ann = await server.node.store.accounts.by_localpart("ann")
    assert ann is not None
    member = await server.node.store.accounts.member(ann.company.id, ann.id)
    assert member is not None
    for path in ("/register", "/reset"):
        seen = set()
        for address in (member.emails[0], "nobody@new.example"):
            browser = Browser(server)
            await browser.get(path)
            cookie = browser.cookies["__Host-form"]
            await browser.submit(address=address)
            first = _plain(browser)
            await browser.submit(pin="000000", password=PASSWORD)
            seen.add((first, _plain(browser)))
            assert cookie == browser.cookies["__Host-form"]
        assert len(seen) == 1


def _plain(browser: Browser) -> str:
    return re.sub(r"[0-9a-f]{32,64}", "X", browser.page)


async def test_what_is_too_long_is_told_and_not_taken_for_nothing(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/reset")
    assert await browser.submit(address="a" * 1100 + "@new.example") == 422
    assert "This is too long." in browser.text and 'id="address-why"' in browser.page
    await browser.submit(address="zoe@new.example")
    assert await browser.submit(pin="123456", password="Aa1!" * 300) == 422
    assert "This is too long." in browser.text and 'id="password-why"' in browser.page


async def test_a_name_that_will_not_do_is_told_beside_its_field(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/register")
    await browser.submit(address="zoe@new.example")
    pin = await pin_to(server, "zoe@new.example")
    assert await browser.submit(pin=pin, password=PASSWORD, name="Zo\u202eë") == 422
    assert "cannot be shown" in browser.text and 'id="name-why"' in browser.page


async def test_while_the_database_is_away_pages_say_so_and_blame_nobody(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise DatabaseUnreachable("gone")

    browser = Browser(server, Accept_Language="fr")
    await browser.get("/register")
    await browser.submit(address="zoe@new.example")
    for name in ("register", "reset", "ask", "join", "invited"):
        monkeypatch.setattr(server.plugin(MfaPin), name, away)
    assert await browser.submit(pin="123456", password=PASSWORD, name="Zoë") == 503
    assert browser.answer is not None and browser.answer.headers["retry-after"] == "5"
    assert "Réessayez dans un instant" in browser.text and "aria-invalid" not in browser.page
    for path in ("/reset", "/register"):
        await browser.get(path)
        assert await browser.submit(address="zoe@new.example") == 503
    assert await browser.get("/join/x") == 503


async def test_the_style_is_kept_for_long_and_its_address_changes_with_it(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/register")
    found = re.search(r'href="(/account-pages\.css\?v=[0-9a-f]{10})"', browser.page)
    assert found is not None
    answer = await server.http("GET", found[1])
    assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
    assert hashlib.sha256(answer.body).hexdigest().startswith(found[1].partition("=")[2])


# -- forms of others -------------------------------------------------------------------------------------------


async def test_a_form_without_our_signature_does_nothing(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/register")
    form = re.search(r'name="form" value="([0-9a-f]{64})"', browser.page)
    assert form is not None
    fields = {"address": "zoe@new.example"}
    assert await browser.post("/register", fields) == 403
    assert await browser.post("/register", fields | {"form": "0" * 64}) == 403
    browser.cookies.clear()  # somebody else's signature, without the cookie
    assert await browser.post("/register", fields | {"form": form[1]}) == 403
    browser.cookies["__Host-form"] = "A" * 32
    assert await browser.post("/register", fields | {"form": form[1]}) == 403
    assert server.mailbox.letters == []


@pytest.mark.parametrize(
    "header",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}],
)
async def test_a_form_of_another_site_does_nothing(server: TestServer, header: dict[str, str]) -> None:
    own = Browser(server)
    await own.get("/register")
    other = Browser(server, **header)
    other.cookies, other.page, other.path = own.cookies, own.page, own.path
    assert await other.submit(address="zoe@new.example") == 403
    assert server.mailbox.letters == []


async def test_forms_of_our_own_origin_are_taken(server: TestServer) -> None:
    browser = Browser(server, Origin=server.node.config.public_url, Sec_Fetch_Site="same-origin")
    await browser.get("/register")
    assert await browser.submit(address="zoe@new.example") == 200


async def test_links_in_letters_do_not_follow_the_host_header(server: TestServer) -> None:
    acme = (await server.person("ann@acme")).account.company
    browser = Browser(server, Host="evil.example")
    await browser.get("/register")
    assert "evil.example" not in browser.page
    await server.plugin(MfaPin).invite(acme, "zoe@new.example", actor="test")
    letter = await server.mailbox.next_to("zoe@new.example")
    assert f"{server.node.config.public_url}/join/" in letter and "evil" not in letter


@pytest.mark.parametrize(
    "path", ["/register", "/reset", f"/reset/{'0' * 32}", "/join/none", "/register-done"]
)
async def test_every_page_is_closed_to_scripts_and_frames_and_kept_nowhere(
    server: TestServer, path: str
) -> None:
    browser = Browser(server)
    await browser.get(path)
    assert browser.answer is not None
    headers = browser.answer.headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"  # with no-referrer, browsers send forms from "null"
    assert "strict-transport-security" in headers
    cookie = headers["set-cookie"]
    for flag in ("__Host-form=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
        assert flag in cookie
    assert "<script" not in browser.page and "style=" not in browser.page and "onclick" not in browser.page


async def test_what_people_type_is_shown_as_text(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/register")
    assert await browser.submit(address='"><script>alert(1)</script>') == 422
    assert "<script" not in browser.page


# -- languages -------------------------------------------------------------------------------------------------


async def test_pages_and_letters_are_in_the_readers_language(server: TestServer) -> None:
    browser = Browser(server, Accept_Language="fr-FR,fr;q=0.9")
    await browser.get("/register")
    assert '<html lang="fr">' in browser.page and "Créer un compte" in browser.text
    await browser.submit(address="zoe@new.example")
    assert "Votre code" in await server.mailbox.next_to("zoe@new.example")
    assert await browser.submit(pin="000000", password="x") == 422
    assert "doit avoir au moins 8 caractères" in browser.text
    await browser.get("/register?lang=zh")
    await browser.get("/register")
    assert '<html lang="zh">' in browser.page


async def test_a_language_that_is_not_there_is_english(server: TestServer) -> None:
    browser = Browser(server)
    await browser.get("/register?lang=%2e%2e%2fetc")
    assert '<html lang="en">' in browser.page


# -- as configured ---------------------------------------------------------------------------------------------


async def test_where_people_are_invited_the_page_says_so() -> None:
    chosen = {plugin: plugin.Options() for plugin in PLUGINS} | {MfaPin: MfaPin.Options()}
    async with TestServer(chosen) as server:
        browser = Browser(server)
        assert await browser.get("/register") == 200
        assert "invite their people" in browser.text and "<form" not in browser.page
        landing = (await server.http("GET", "/")).text
        assert 'href="/reset"' in landing and 'href="/register"' not in landing
        server.reconfigure({MfaPin: MfaPin.Options(registration="closed")})
        await browser.get("/register")
        assert "Nobody can register here" in browser.text and "invite" not in browser.text
        server.reconfigure({MfaPin: MfaPin.Options(registration="open")})
        landing = (await server.http("GET", "/")).text
        assert 'href="/reset"' in landing and 'href="/register"' in landing


async def test_without_pins_there_are_no_pages() -> None:
    async with TestServer([AccountPages]) as server:
        for path in ("/register", "/reset", "/join/x"):
            assert (await server.http("GET", path)).status == 404
        assert "/reset" not in (await server.http("GET", "/")).text


async def test_an_invitation_that_was_open_before_registration_was_closed_is_told_to_be_over() -> None:
    chosen = {plugin: plugin.Options() for plugin in PLUGINS} | {MfaPin: MfaPin.Options()}
    async with TestServer(chosen) as server:
        acme = (await server.person("ann@acme")).account.company
        await server.plugin(MfaPin).invite(acme, "zoe@new.example", actor="test")
        link = re.search(r"/join/\S+", await server.mailbox.next_to("zoe@new.example"))
        assert link is not None
        browser = Browser(server)
        assert await browser.get(link[0]) == 200
        server.reconfigure({MfaPin: MfaPin.Options(registration="closed")})
        assert await browser.submit(password=PASSWORD, name="Zoë") in (403, 404)
