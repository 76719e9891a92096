"""The server's pages in headless Chromium, from registering to a new password; each looked at by axe on the way.

With RAINBOW_SCREENSHOTS=1 every page is saved in tests/.cache/screenshots, wide and narrow, light and dark.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import re
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyotp
import pytest

from rainbow_xmpp.languages import LANGUAGES
from rainbow_xmpp.words import translation
from tests import setup_clients
from tests.interop.client import PAGES, Client, running
from tests.process import RainbowServer

SCREENSHOTS = setup_clients.CACHE / "screenshots"
WIDE, NARROW = (1100, 800), (360, 740)
OLD, NEW = "Purple-Kettle-93", "Yellow-Teapot-47"
IS_ALBUM = bool(os.environ.get("RAINBOW_SCREENSHOTS"))
CODE = r"^[a-z0-9]{4}-[a-z0-9-]+$"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """A server on which people may register."""
    server = RainbowServer(
        tmp_path_factory.mktemp("pages"), settings={"plugins": {"mfa_pin": {"registration": "open"}}}
    )
    server.start()
    yield server
    server.stop()


class Reader:
    """Somebody with a browser, who reads the pages in a language."""

    def __init__(self, client: Client, server: RainbowServer, language: str) -> None:
        self._client = client
        self._server = server
        self._language = language
        self._words = translation(language).gettext
        self.page: dict[str, Any] = {}

    async def open(self) -> None:
        """A new browser: it knows no cookie."""
        endpoint = self._server.endpoint
        await self._client.do(
            "open", origin=f"https://{endpoint.domain}:{endpoint.port}", locale=self._language
        )

    async def go(self, path: str) -> None:
        await self._client.do("go", path=path)
        self.page = await self._client.wait("page")

    async def fill(self, label: str, value: str) -> None:
        await self._client.do("fill", label=self._words(label), value=value)

    async def press(self, name: str, nth: int = 0) -> None:
        await self._client.do("press", name=self._words(name), nth=nth)
        self.page = await self._client.wait("page")

    async def keys(self, *keys: str) -> None:
        """Press these keys, one after the other."""
        await self._client.do("keys", keys=keys)
        self.page = await self._client.wait("page")

    def says(self, text: str) -> bool:
        return self._words(text) in self.page["text"]

    @property
    def path(self) -> str:
        return str(self.page["path"])

    async def look(self, name: str) -> None:
        """Nothing is wrong with the page, however wide and in whichever colours."""
        assert self.page["language"] == self._language
        headings = [int(tag[1]) for tag, _ in self.page["headings"]]
        assert headings.count(1) == 1 and headings[0] == 1, headings
        assert all(b - a <= 1 for a, b in pairwise(headings)), headings
        for (width, height), scheme, rules, least in (
            (WIDE, "light", None, 15),
            (NARROW, "dark", ["color-contrast"], 1),
        ):
            await self._client.do("look", width=width, height=height, scheme=scheme)
            await self._client.do("judge", rules=rules)
            seen = await self._client.wait("judged")
            assert seen["checks"] >= least
            assert seen["violations"] == [], (name, scheme)
            assert seen["excess"] <= 0, f"{name} is {seen['excess']} pixels wider than the window"
            # Whoever leaves a page makes the browser give up what it was still loading for it.
            problems = [problem for problem in seen["problems"] if not problem.endswith("net::ERR_ABORTED")]
            assert problems == [], name
        if IS_ALBUM:
            await self._take_pictures(name)
        await self._client.do("look", width=WIDE[0], height=WIDE[1], scheme="light")

    async def _take_pictures(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for (width, height), size in ((WIDE, "wide"), (NARROW, "narrow")):
            for scheme in ("light", "dark"):
                await self._client.do("look", width=width, height=height, scheme=scheme)
                file = SCREENSHOTS / f"{name}-{self._language}-{size}-{scheme}.png"
                await self._client.do("screenshot", path=str(file))

    async def pin_in_letter_to(self, address: str) -> str:
        """The PIN of the only letter to an address; it is taken out."""
        return await letter(self._server.folder / "data/mail", address, r"^\d{6}$")


async def letter(folder: Path, address: str, wanted: str) -> str:
    """What a letter to an address has; it is taken out."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for file in folder.rglob("new/*"):
                message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                body = message.get_body(("plain",))
                text = "\n".join(body.get_content().splitlines()) if body is not None else ""
                if message["To"] == address and (found := re.search(wanted, text, re.MULTILINE)):
                    file.unlink()
                    return found[0]
            await asyncio.sleep(0.05)


@pytest.fixture
async def browser(open_server: RainbowServer, tmp_path: Path) -> AsyncIterator[Client]:
    try:
        setup_clients.chromium_program()
    except setup_clients.SetupFailed as missing:
        pytest.skip(str(missing))
    async with running(PAGES, open_server.endpoint, tmp_path) as client:
        yield client


@pytest.mark.parametrize("language", LANGUAGES if IS_ALBUM else LANGUAGES[:1])
async def test_somebody_registers_logs_in_with_a_code_and_sets_a_new_password(
    open_server: RainbowServer, browser: Client, language: str
) -> None:
    address = f"zoe-{language}@new.example"
    zoe = Reader(browser, open_server, language)
    await zoe.open()
    await register(zoe, address)
    await log_in(zoe, address)
    codes = await enrol(zoe)
    await make_app_password(zoe)
    await zoe.press("Log out")
    assert zoe.path == "/login?out=1"
    await zoe.look("logged-out")
    await log_in_with_code(zoe, address, codes[0])
    await change_things(zoe)
    await reset(zoe, address, codes[1])
    await zoe.go("/account")
    assert zoe.path.startswith("/login?next=")  # the old login is gone


async def register(zoe: Reader, address: str) -> None:
    await zoe.go("/register")
    await zoe.look("register")
    await zoe.fill("E-mail address", "zoe@localhost@")
    await zoe.fill("E-mail address", address)
    await zoe.press("Send the code")
    await zoe.look("register-pin")
    pin = await zoe.pin_in_letter_to(address)
    await zoe.fill("Code", f"{(int(pin) + 1) % 10**6:06d}")
    await zoe.fill("New password", OLD)
    await zoe.press("Make the account")
    assert zoe.page["status"] == 422 and zoe.page["focused"] == "fault"
    await zoe.look("register-wrong-code")
    await zoe.fill("Code", pin)
    await zoe.fill("New password", "weak")
    await zoe.press("Make the account")
    assert zoe.page["status"] == 422 and zoe.says("needs a digit")
    await zoe.look("register-weak-password")
    await zoe.press("Send another letter")
    assert zoe.page["status"] == 429
    await zoe.look("register-too-soon")
    await zoe.fill("Code", pin)
    await zoe.fill("New password", OLD)
    await zoe.fill("Your name", "Zoë Example")
    await zoe.press("Make the account")
    assert zoe.path == "/register-done"
    await zoe.look("register-done")


async def log_in(zoe: Reader, address: str) -> None:
    await zoe.go("/account")
    await zoe.look("login")
    await zoe.fill("E-mail address", address)
    await zoe.fill("Password", "Wrong-Horse-7")
    await zoe.press("Log in")
    assert zoe.page["status"] == 422 and zoe.page["focused"] == "fault"
    await zoe.look("login-wrong")
    await zoe.fill("Password", OLD)
    await zoe.press("Log in")
    assert zoe.path == "/account"
    await zoe.look("account")


async def enrol(zoe: Reader) -> list[str]:
    """The recovery codes."""
    await zoe.press("Turn two-step login on")
    await zoe.look("factor-begin")
    await zoe.press("Continue")
    await zoe.look("factor-enrol")
    secret = re.search(r"(?:[A-Z2-7]{4} ?){8}", zoe.page["text"])
    assert secret is not None
    totp = pyotp.TOTP(secret[0].replace(" ", ""))
    await zoe.fill("Code", f"{(int(totp.now()) + 1) % 10**6:06d}")
    await zoe.press("Turn it on")
    assert zoe.page["status"] == 422
    await zoe.look("factor-enrol-wrong")
    await zoe.fill("Code", totp.now())
    await zoe.press("Turn it on")
    assert zoe.says("Two-step login is on. All other devices were logged out.")
    await zoe.look("factor-recovery")
    codes = re.findall(CODE, zoe.page["text"], re.MULTILINE)
    assert len(codes) >= 8
    await zoe.press("I have kept them")
    assert zoe.path == "/account"
    await zoe.look("account-with-factor")
    return codes


async def make_app_password(zoe: Reader) -> None:
    await zoe.press("Manage app passwords")
    await zoe.look("app-passwords-none")
    await zoe.fill("Name of the client or device", "Gajim at home")
    await zoe.press("Make an app password")
    await zoe.look("app-password-made")
    await zoe.press("Done")
    assert zoe.says("Gajim at home")
    await zoe.look("app-passwords")


async def log_in_with_code(zoe: Reader, address: str, code: str) -> None:
    await zoe.fill("E-mail address", address)
    await zoe.fill("Password", OLD)
    await zoe.press("Log in")
    assert zoe.path.startswith("/login/code")
    await zoe.look("login-code")
    await zoe.go("/account")
    assert zoe.path.startswith("/login?next=")  # the password alone lets nobody in
    await zoe.go("/login/code")
    await zoe.fill("Code", "000000")
    await zoe.press("Log in")
    assert zoe.page["status"] == 422
    await zoe.look("login-code-wrong")
    await zoe.fill("Code", code)
    await zoe.press("Log in")
    assert zoe.path == "/account"


async def change_things(zoe: Reader) -> None:
    for path, name in (
        ("/account/password", "password"),
        ("/account/end-others", "end-others"),
        ("/account/second-factor", "factor"),
        ("/account/second-factor/codes", "factor-codes"),
        ("/account/second-factor/off", "factor-off"),
        ("/account/second-factor/begin", "factor-begin-again"),
        ("/logout", "logout"),
    ):
        await zoe.go(path)
        assert zoe.path == path
        await zoe.look(name)
    await zoe.go("/account/password")
    await zoe.fill("Your password", "Wrong-Horse-7")
    await zoe.fill("New password", NEW)
    await zoe.press("Change the password")
    assert zoe.page["status"] == 422
    await zoe.look("password-wrong")


async def reset(zoe: Reader, address: str, code: str) -> None:
    await zoe.go("/reset")
    await zoe.look("reset")
    await zoe.fill("E-mail address", address)
    await zoe.press("Send the code")
    await zoe.look("reset-pin")
    pin = await zoe.pin_in_letter_to(address)
    for typed in ("", "000000", code):
        await zoe.fill("Code", pin)
        await zoe.fill("New password", NEW)
        if typed:
            await zoe.fill("Code of your app", typed)
        await zoe.press("Set the password")
        if typed != code:
            assert zoe.page["status"] == 422
            await zoe.look("reset-wrong-code" if typed else "reset-code-wanted")
    assert zoe.path == "/reset-done"
    await zoe.look("reset-done")


async def test_pages_can_be_used_with_the_keyboard_alone(open_server: RainbowServer, browser: Client) -> None:
    ann = Reader(browser, open_server, "en")
    await ann.open()
    await ann.go("/login")
    await ann.keys("Tab", "Enter")
    assert ann.path == "/login#main"
    person = open_server.new_person()
    await ann.keys("Tab", *person.email, "Tab", *person.password, "Enter")
    assert ann.path == "/account"


async def test_other_pages_are_well_in_every_language(open_server: RainbowServer, browser: Client) -> None:
    for language in LANGUAGES:
        reader = Reader(browser, open_server, language)
        await reader.open()
        for path, name in (
            ("/login", "login"),
            ("/register/" + "0" * 32, "register-pin"),
            ("/join/none", "join-over"),
        ):
            await reader.go(path)
            await reader.look(name)
