"""Who is logged in on the pages: a cookie that names a login of a browser, and one for between password and code.

The login is a family of the same tokens that the API gives out (`store.refresh_tokens`), so whatever ends those ends
it: a new password, a second factor, a role, a forced logout, the person's own list of devices.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.auth.token_logins import TokenLogins
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin import Account, Services
from rainbow_xmpp.plugins.account_pages.faults import PASSWORD_NEEDED, WRONG_PASSWORD, Hindered, too_many
from rainbow_xmpp.plugins.account_pages.forms import CURRENT, Form
from rainbow_xmpp.sasl import FailureCondition

COOKIE = "__Host-login"
"""Strict: no page of others leads behind the login, and none of our letters does."""
STEP_COOKIE = "__Host-step"
STEP_S = 300
"""So long somebody may look for the code after the password."""
FRESH_S = 300
"""So long a login counts as just proved: nobody is asked for the password again."""
LATER_S = 30
"""When somebody who tried too often may try again, as the API says too."""
SECOND_FACTOR = "/account/second-factor"


class Elsewhere(RainbowError):
    """The reader has to go on at another page first."""

    def __init__(self, path: str) -> None:
        super().__init__(f"go on at {path}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is logged in; `began` is Unix time in seconds."""

    account: Account
    family: str
    began: int
    is_fresh: bool
    """The password was typed a moment ago."""


@dataclass(frozen=True, slots=True)
class VisitRules:
    """How long a login may be idle, and last at all, in seconds."""

    idle_s: int
    longest_s: int


class Visits:
    """`rules` is asked each time, since a reload may change it."""

    def __init__(self, services: Services, rules: Callable[[], VisitRules]) -> None:
        self._services = services
        self._tokens = services.store.refresh_tokens
        self._rules = rules
        self._key = services.secret_for("account_pages steps")

    @property
    def logins(self) -> TokenLogins:
        """Where passwords are judged. Without a key for tokens nobody logs in here. Raises HTTPNotFound."""
        if self._services.token_logins is None:
            raise web.HTTPNotFound
        return self._services.token_logins

    def need_logins(self) -> None:
        """Raises HTTPNotFound where nobody can log in."""
        _ = self.logins

    # -- logged in -------------------------------------------------------------------------------------

    async def of(self, request: web.Request) -> Visit | None:
        """Who asks; None for somebody who is not logged in, or not any more."""
        text, rules = request.cookies.get(COOKIE, ""), self._rules()
        if not text or len(text) > 100:
            return None
        login = await self._tokens.stay(text, rules.idle_s, rules.longest_s)
        account = None if login is None else await self._services.store.accounts.by_id(login.account_id)
        if login is None or account is None or not account.may_log_in:
            return None
        is_fresh = self._services.now() - login.began < FRESH_S
        return Visit(account, login.family, login.began, is_fresh)

    async def enter(self, request: web.Request, *, without_factor: bool = False) -> Visit:
        """Who asks, as far as they may see this page. Raises Elsewhere.

        Where the company wants a second factor that is not there yet, nothing is shown but what makes one
        (`without_factor`).
        """
        self.need_logins()
        visit = await self.of(request)
        if visit is None:
            raise Elsewhere("/login?" + urlencode({"next": request.path}))
        if visit.account.must_enrol and not without_factor:
            raise Elsewhere(f"{SECOND_FACTOR}/begin")
        return visit

    async def begin(self, request: web.Request, account: Account, response: web.Response) -> None:
        """Let somebody in who has proved everything; the browser gets a cookie that it never had before."""
        if (before := await self.of(request)) is not None:
            await self._tokens.end_family(before.family)
        issued = await self._tokens.begin_in_browser(account, self._rules().idle_s)
        self._set(response, COOKIE, issued.text)
        self._drop(response, STEP_COOKIE)

    async def renewed(self, visit: Visit) -> tuple[Visit, str]:
        """A new login in the place of this one, which may have ended with what was done; `keep` gives it out."""
        await self._tokens.end_family(visit.family)
        account = await self._services.store.accounts.by_id(visit.account.id)
        if account is None or not account.may_log_in:
            raise Elsewhere("/login")
        issued = await self._tokens.begin_in_browser(account, self._rules().idle_s)
        return Visit(account, issued.family, int(self._services.now()), is_fresh=True), issued.text

    def keep(self, response: web.Response, text: str) -> None:
        """The browser of a login that was renewed goes on with it."""
        self._set(response, COOKIE, text)

    async def prove_again(self, visit: Visit, form: Form, source: str) -> None:
        """The person is still there, and not somebody who found an open browser. Raises Hindered."""
        if visit.is_fresh:
            return
        if not form.get(CURRENT):
            raise Hindered(PASSWORD_NEEDED)
        await self.prove(visit.account, form[CURRENT], source)

    async def prove(self, account: Account, password: str, source: str) -> None:
        """This is the account's password. Raises Hindered; wrong ones are counted as at every login."""
        found = await self.logins.check(account, password, source)
        if isinstance(found, Refused):
            is_wrong = found.condition is FailureCondition.NOT_AUTHORIZED
            raise Hindered(WRONG_PASSWORD if is_wrong else too_many(LATER_S))

    async def end(self, visit: Visit, response: web.Response) -> None:
        """Let somebody out: the cookie is worth nothing, whoever has a copy of it."""
        await self._tokens.end_family(visit.family)
        self._drop(response, COOKIE)

    # -- between the password and the code -------------------------------------------------------------

    def wait_for_code(self, account: Account, response: web.Response) -> None:
        """The password was right: for some minutes this browser may type a code, and do nothing else."""
        text = f"{account.id}.{account.epoch}.{int(self._services.now()) + STEP_S}"
        self._set(response, STEP_COOKIE, f"{text}.{self._seal(text)}", max_age=STEP_S)

    async def who_waits(self, request: web.Request) -> Account | None:
        """Whose password was right a moment ago in this browser."""
        text, _, seal = request.cookies.get(STEP_COOKIE, "").rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(text).encode()):
            return None
        account_id, epoch, expires_at = text.split(".")
        account = await self._services.store.accounts.by_id(account_id)
        if account is None or not account.may_log_in or account.epoch != int(epoch):
            return None
        return account if self._services.now() < int(expires_at) else None

    def _seal(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()

    # -- cookies ---------------------------------------------------------------------------------------

    @staticmethod
    def _set(response: web.Response, name: str, value: str, max_age: int | None = None) -> None:
        response.set_cookie(
            name, value, max_age=max_age, path="/", secure=True, httponly=True, samesite="Strict"
        )

    @staticmethod
    def _drop(response: web.Response, name: str) -> None:
        # As it was set, or browsers do not believe it of a name that begins with __Host-.
        response.del_cookie(name, path="/", secure=True, httponly=True, samesite="Strict")
