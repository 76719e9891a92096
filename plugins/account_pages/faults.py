"""What stands in the way of a form, in the reader's words."""

from __future__ import annotations

import dataclasses
import gettext
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rainbow_xmpp.auth.policy import Weakness, WeakPassword
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.languages import N_
from rainbow_xmpp.plugin import FactorCodeWanted, RegistrationClosed, TooMany, WrongCode, WrongOrExpired
from rainbow_xmpp.plugin.own_password import WrongPassword
from rainbow_xmpp.store.errors import InvalidName


@dataclass(frozen=True, slots=True)
class Fault:
    """Which field ("" for none), and why; `retry_after_s` where waiting helps."""

    field: str
    words: str
    facts: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
    status: int = 422
    problems: Sequence[Weakness] = ()
    retry_after_s: int = 0

    def text(self, words: gettext.NullTranslations) -> str:
        return words.gettext(self.words) % self.facts

    def reasons(self, words: gettext.NullTranslations) -> list[str]:
        return [words.gettext(each.words) % each.facts for each in self.problems]


class Hindered(RainbowError):
    """A form cannot do what it is for; the page is shown again and says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.words)
        self.fault = fault


ADDRESS = Fault("address", N_("Please give an e-mail address, such as name@example.com."))
PIN = Fault("pin", N_("The code is wrong or over. Look for the latest letter, or have another one sent."))
NAME = Fault("name", N_("The name is too long, or has characters that cannot be shown."))
NO_ROOM = Fault("", N_("The company has no room for more people. Please ask its administrator."))
CLOSED = Fault("", N_("Nobody can register here at present."), status=403)

WRONG_NAME_OR_PASSWORD = Fault("", N_("The name or the password is wrong."))
WRONG_PASSWORD = Fault("current", N_("This is not your password."))
PASSWORD_NEEDED = Fault("current", N_("Please type your password once more: you logged in a while ago."))
WRONG_CODE = Fault(
    "code", N_("The code is wrong, or was used already. Wait for the next one, or use a recovery code.")
)
WRONG_FIRST_CODE = Fault(
    "code",
    N_("The code is wrong. Wait for the next one, and see whether the clock of your telephone is right."),
)
CODE_WANTED = Fault(
    "code",
    N_(
        "Your account has a second step at login: type a code of your app or a recovery code, too, and the code of the "
        "letter and the password once more."
    ),
)
APP_NAME = Fault("name", N_("Please give a name, such as that of the device."))
APP_PASSWORDS_FULL = Fault("", N_("You have as many app passwords as there may be. Remove one first."))


def too_long(name: str) -> Fault:
    return Fault(name, N_("This is too long."))


def too_weak(problems: Sequence[Weakness]) -> Fault:
    return Fault("password", N_("The password will not do:"), problems=problems)


def too_many(seconds: int) -> Fault:
    words = N_("Too many attempts. Please try again in %(minutes)s minutes.")
    return Fault("", words, {"minutes": max(1, -(-seconds // 60))}, 429, retry_after_s=seconds)


def too_soon(seconds: int) -> Fault:
    words = N_(
        "Another letter can be sent in %(seconds)s seconds. Look into the folder for unwanted mail, too."
    )
    return Fault("", words, {"seconds": seconds}, 429, retry_after_s=seconds)


def fault_of(error: Exception) -> Fault | None:
    """What a refusal is in a reader's words; None for what is no refusal."""
    match error:
        case Hindered():
            return error.fault
        case WrongOrExpired():
            return PIN
        case WeakPassword():
            return too_weak(error.problems)
        case TooMany():
            return too_many(error.retry_after_s)
        case RegistrationClosed():
            return CLOSED
        case NotAllowed():
            return NO_ROOM
        case InvalidName():
            return NAME
        case FactorCodeWanted():
            return CODE_WANTED
        case WrongPassword():
            return WRONG_PASSWORD
        case WrongCode():
            return WRONG_CODE
    return None
