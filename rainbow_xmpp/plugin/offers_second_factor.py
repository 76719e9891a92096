"""The second factor at login, as an interface: pages, the API, forms and whoever resets passwords ask it.

    factor = self.services.offered(SecondFactor)
    if factor is not None and (await factor.status(account)).is_on:
        if not await factor.check(account, code, source=source): ...

A code is six digits of the person's authenticator app (RFC 6238), or one of their recovery codes; each counts once,
whoever asks. What is typed may have spaces and dashes in it. An e-mailed PIN is never a second factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.plugin.offers_accounts import Asker
from rainbow_xmpp.store.values import Account


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A password that the server made for one client that knows no second factor; itself it is shown once only."""

    id: str
    name: str
    """What its owner calls the client."""
    created_at: int
    """Unix time, seconds, as all times here."""
    used_at: int | None
    """When a client logged in with it last, to the hour or so; None: never."""


@dataclass(frozen=True, slots=True)
class FactorStatus:
    """What its owner may know of an account's second factor."""

    is_on: bool
    is_offered: bool
    """The company lets its people turn it on."""
    is_required: bool
    """The company wants it: it cannot be turned off, and whoever has none is let in nowhere but to make one."""
    recovery_codes_left: int = 0
    on_since: int | None = None
    app_passwords: Sequence[AppPassword] = ()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret for the authenticator app. It counts for nothing until a code of it is confirmed."""

    uri: str = field(repr=False)
    """`otpauth://totp/…`, for a QR code."""
    secret: str = field(repr=False)
    """The same secret for typing: base32 in groups of four."""
    expires_at: int
    """Until then it can be confirmed."""


class WrongCode(RainbowError):
    """The code is wrong, was used before, or belongs to another time; which of them is not told."""


class NotOffered(RainbowError):
    """The person's company has no second factors."""


class NotBegun(RainbowError):
    """There is nothing to confirm: `begin` was not called, or too long ago."""


class NotOn(RainbowError):
    """The account has no second factor."""


class IsRequired(RainbowError):
    """The company wants a second factor: it cannot be turned off by its owner."""


class SecondFactor(Offer):
    """Codes at login, recovery codes, and app passwords for clients that know no codes.

    `asker` says where a request comes from: wrong codes are counted for the account at that source and, with a
    higher bound, for the account alone, for codes only: whoever has no password never comes as far as a code.
    Whatever takes a code raises TooMany when there were too many wrong ones.

    Methods that change something let the account's letters and devices know, and the audit log; none of them asks
    for the password: whoever offers them to people does, where a login may be an old one.
    """

    async def status(self, account: Account) -> FactorStatus:
        """What the account has by now."""
        raise NotImplementedError

    async def begin(self, account: Account, code: str = "", *, asker: Asker) -> Enrolment:
        """Draw a secret, which replaces one that was drawn before and not confirmed. What is on stays on meanwhile.

        Whoever has a factor already (another telephone) needs a `code` of it. Raises NotOffered, WrongCode, TooMany.
        """
        raise NotImplementedError

    async def confirm(self, account: Account, code: str, *, asker: Asker) -> tuple[str, ...]:
        """Turn it on by the first code of the secret that `begin` drew; the recovery codes, to be shown once.

        In the place of another one, that one and its recovery codes end. Raises NotBegun, WrongCode, TooMany.
        """
        raise NotImplementedError

    async def turn_off(self, account: Account, code: str, *, asker: Asker) -> None:
        """End the factor, its recovery codes, and the app passwords with the sessions that were opened with them.

        Raises NotOn, IsRequired, WrongCode, TooMany.
        """
        raise NotImplementedError

    async def turn_off_for(self, account: Account, *, actor: str, reason: str = "") -> bool:
        """As `turn_off`, by an administrator, for somebody who has lost everything; False when nothing was on.

        Where the company requires a factor the person makes another one at the next login.
        """
        raise NotImplementedError

    async def new_recovery_codes(self, account: Account, code: str, *, asker: Asker) -> tuple[str, ...]:
        """Other recovery codes in the place of those there are, to be shown once. Raises NotOn, WrongCode, TooMany."""
        raise NotImplementedError

    async def check(self, account: Account, code: str, *, asker: Asker) -> bool:
        """Use a code up: True once for each, and never for an account without a factor. Raises TooMany."""
        raise NotImplementedError

    async def new_app_password(self, account: Account, name: str, *, asker: Asker) -> tuple[str, str]:
        """The id and the password, to be shown once, for a client that its owner calls `name`.

        Raises NotOn, ValueError for what is no name, NotAllowed (`rainbow_xmpp.company.agreements`) when there are
        too many.
        """
        raise NotImplementedError

    async def drop_app_password(self, account: Account, app_password_id: str, *, asker: Asker) -> bool:
        """End an app password, and the sessions that were opened with it; False when there is none with this id."""
        raise NotImplementedError
