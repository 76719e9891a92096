"""How accounts come into being and get new passwords, as an interface: forms, pages and the API ask it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.store.values import Account, Company


class Purpose(StrEnum):
    """What a PIN is good for, and for nothing else."""

    REGISTER = "register"
    RESET = "reset"


class RegistrationMode(StrEnum):
    """Who may register without being asked."""

    OPEN = "open"
    INVITATION = "invitation"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Asker:
    """Where a request comes from; `source` is a network address, for limits and never for logs."""

    source: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to everybody who asks for a PIN, whoever has the address."""

    request_id: str
    resend_after_s: int


@dataclass(frozen=True, slots=True)
class Invited:
    """What somebody is told who has the token of an invitation."""

    company: str
    address: str
    expires_at: int


class WrongOrExpired(RainbowError):
    """The PIN, the request or the token is worth nothing; which of them, and why, is not told."""


class TooMany(RainbowError):
    """Too many requests; the same for everybody who asks from there."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests")
        self.retry_after_s = retry_after_s


class FactorCodeWanted(RainbowError):
    """The PIN is right and was not used up: the account has a second factor, and a code of it is wanted too."""


class RegistrationClosed(RainbowError):
    """Nobody can register by themselves here."""


class ClientLinks(Offer):
    """Links that a chat client opens, for what pages do as well."""

    def join_uri(self, token: str) -> str:
        """Accept an invitation in a client (XEP-0445 §3.2, XEP-0401)."""
        raise NotImplementedError


class PinDesk(Offer):
    """Registration and new passwords by a PIN that is sent to an e-mail address."""

    @property
    def registration(self) -> RegistrationMode:
        """Who may register."""
        raise NotImplementedError

    async def ask(self, purpose: Purpose, address: str, asker: Asker) -> Asked:
        """Send a PIN to this address if it is for somebody; the answer and its cost do not tell.

        Raises ValueError for what is no e-mail address, TooMany and RegistrationClosed.
        """
        raise NotImplementedError

    async def latest(self, purpose: Purpose, address: str, asker: Asker) -> str:
        """The newest request for this address that was made from the asker's network, for those who lost its id.

        Where there is none: an id that no request has. Raises ValueError for what is no e-mail address.
        """
        raise NotImplementedError

    async def resend(self, request_id: str, asker: Asker) -> Asked:
        """Send another PIN in the place of the one before. Raises TooMany when it is too soon, or too often."""
        raise NotImplementedError

    async def register(
        self, request_id: str, pin: str, password: str, *, name: str = "", asker: Asker
    ) -> Account:
        """Make an account. Raises WrongOrExpired, WeakPassword (no try is spent then) and TooMany."""
        raise NotImplementedError

    async def reset(
        self, request_id: str, pin: str, password: str, *, factor_code: str = "", asker: Asker
    ) -> Account:
        """Set a new password; every login of the account ends. Raises as `register` does.

        Whoever has a second factor gives a code of it, too: raises FactorCodeWanted without one, and WrongCode; neither
        before the PIN is right.
        """
        raise NotImplementedError

    async def start_reset(self, account: Account, *, actor: str, reason: str = "") -> None:
        """An administrator lets somebody set a new password: a PIN goes to their address, and nowhere else."""
        raise NotImplementedError

    async def invite(
        self, company: Company, address: str, *, actor: str, language: str = "en", reason: str = ""
    ) -> str:
        """Invite an address into a company; the invitation's id. Raises ValueError for what is no address."""
        raise NotImplementedError

    async def welcome(self, account: Account, *, actor: str, language: str = "en", reason: str = "") -> None:
        """Let somebody choose the first password of an account that was made for them, by a link in a letter."""
        raise NotImplementedError

    async def tell_of_new_password(self, account: Account, language: str = "en") -> None:
        """Letters to all addresses of an account, and a message to its devices: its password is another now."""
        raise NotImplementedError

    async def invited(self, token: str) -> Invited | None:
        """What an invitation says; None when it is over, used, or none."""
        raise NotImplementedError

    async def join(
        self, token: str, password: str, *, name: str = "", asker: Asker, accepted_at: int = 0
    ) -> Account:
        """Make the account that an invitation is for. Raises WrongOrExpired, WeakPassword and TooMany.

        `accepted_at` is when the token was found good, if it may have expired since (XEP-0445 §4): Unix time.
        """
        raise NotImplementedError
