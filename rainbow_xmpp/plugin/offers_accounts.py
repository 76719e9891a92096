"""What plugins offer each other of accounts: registration and reset by a PIN, second factors.

Streams before login, the web pages and the API all use what is offered here, so that each way has the same outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rainbow_xmpp.config.secret import Secret
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.store.values import Account, Company


class Purpose(StrEnum):
    """What a PIN is good for, and nothing else."""

    REGISTER = "register"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as far as that is known before anybody has logged in."""

    source: str = field(repr=False)
    """The network address; for limits, never for logs."""
    language: str = "en"
    how: str = "rest"
    """"xmpp", "rest" or "page"."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What everybody is told who asks for a PIN, whatever the address."""

    request_id: str
    resend_after_s: int


@dataclass(frozen=True, slots=True)
class InvitationFacts:
    """What the holder of an invitation's token may know of it. `expires_at` is Unix time in seconds."""

    company: str
    address: str = field(repr=False)
    expires_at: int


class WrongOrExpired(RainbowError):
    """A PIN, a request or a token that is worth nothing: wrong, used, void, over its time, or never there."""

    def __init__(self) -> None:
        super().__init__("wrong or expired")


class TooMany(RainbowError):
    """The network, the company or everybody together asked too much; the same for every address."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many requests; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class RegistrationClosed(RainbowError):
    """Nobody registers by themselves here: the same for every address."""

    def __init__(self) -> None:
        super().__init__("registration is closed")


class PinDesk(Offer):
    """Registration, reset and invitations.

    Passwords are judged before anything is spent: `rainbow_xmpp.auth.policy.WeakPassword` says what is missing, and
    costs no try.
    """

    def registration_mode(self) -> str:
        """ "open", "invitation" or "closed"."""
        raise NotImplementedError

    async def ask(self, purpose: Purpose, address: str, asker: Asker) -> Asked:
        """Let a PIN be sent to this address; the same answer, work and time whoever has the address.

        Raises TooMany, RegistrationClosed, and ValueError for what is no e-mail address.
        """
        raise NotImplementedError

    async def resend(self, request_id: str, asker: Asker) -> Asked:
        """Let another PIN be sent, which replaces the one before; nothing is sent before its time has come.

        Raises TooMany.
        """
        raise NotImplementedError

    async def register(
        self, request_id: str, pin: str, password: Secret | str, *, name: str = "", asker: Asker
    ) -> Account:
        """Make the account. Raises WeakPassword, WrongOrExpired, TooMany, RegistrationClosed."""
        raise NotImplementedError

    async def reset(
        self, request_id: str, pin: str, password: Secret | str, *, factor_code: str = "", asker: Asker
    ) -> Account:
        """Set another password: every session and token of the account ends, and nobody is logged in.

        Accounts with a second factor need its code too, or a recovery code. Raises WeakPassword, WrongOrExpired,
        TooMany.
        """
        raise NotImplementedError

    async def change_password(
        self, account: Account, old: Secret | str, new: Secret | str, asker: Asker
    ) -> None:
        """Set another password for who is logged in and knows the old one: everything of the account's ends.

        Raises WeakPassword, WrongOrExpired for a wrong old one, TooMany.
        """
        raise NotImplementedError

    async def invitation(self, token: str) -> InvitationFacts | None:
        """What an invitation says; None for a token that is worth nothing (any more)."""
        raise NotImplementedError

    async def join(self, token: str, password: Secret | str, *, name: str = "", asker: Asker) -> Account:
        """Make the account somebody was invited to: the token proves the address, and is spent by this only.

        Raises WeakPassword, WrongOrExpired, TooMany.
        """
        raise NotImplementedError

    async def invite(
        self,
        company: Company,
        address: str,
        *,
        inviter: Account | None,
        actor: str,
        language: str = "en",
        days: int | None = None,
    ) -> None:
        """Send an invitation to join the company. The same whether somebody has the address already.

        Raises ValueError for what is no e-mail address, and TooMany.
        """
        raise NotImplementedError

    async def start_reset(self, account: Account, *, actor: str, reason: str = "") -> None:
        """An administrator lets a PIN be sent to the account's own address, and never sees it. Raises TooMany."""
        raise NotImplementedError


# -- second factors ----------------------------------------------------------------------------------------


class WrongCode(RainbowError):
    """A code that is not right, or was used before."""

    def __init__(self) -> None:
        super().__init__("wrong code")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A second factor that is not active before it was confirmed by a code."""

    secret: str = field(repr=False)
    """In base32, for those who type it."""
    uri: str = field(repr=False)
    """otpauth:, for a QR code."""


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A password for one client that cannot ask for a second factor. Times are Unix time in seconds."""

    id: str
    label: str
    created_at: int
    last_used_at: int | None


class SecondFactor(Offer):
    """Codes from a device beside the password (RFC 6238), recovery codes, app passwords."""

    async def is_on(self, account: Account) -> bool:
        """The account has a confirmed second factor."""
        raise NotImplementedError

    async def is_required(self, account: Account) -> bool:
        """The account's company requires one."""
        raise NotImplementedError

    async def begin(self, account: Account) -> Enrolment:
        """A new secret; nothing is active before `confirm`."""
        raise NotImplementedError

    async def confirm(self, account: Account, code: str) -> Sequence[str]:
        """Turn it on; recovery codes, shown once. Raises WrongCode."""
        raise NotImplementedError

    async def verify(self, account: Account, code: str, source: str) -> bool:
        """A code or a recovery code, each good once; tries are limited as those of passwords."""
        raise NotImplementedError

    async def turn_off(self, account: Account, code: str, source: str) -> None:
        """Raises WrongCode."""
        raise NotImplementedError

    async def new_recovery_codes(self, account: Account, code: str, source: str) -> Sequence[str]:
        """Others in place of those before, shown once. Raises WrongCode."""
        raise NotImplementedError

    async def app_passwords(self, account: Account) -> Sequence[AppPassword]:
        """The oldest first."""
        raise NotImplementedError

    async def add_app_password(self, account: Account, label: str) -> str:
        """A generated password, shown once."""
        raise NotImplementedError

    async def drop_app_password(self, account: Account, id: str) -> None:
        """Nothing logs in with it any more."""
        raise NotImplementedError
