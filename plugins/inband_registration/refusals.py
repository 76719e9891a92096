"""What the desk of PINs refuses, in a reader's words: the same whoever has the address."""

from __future__ import annotations

from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.errors import Condition, ErrorType, RainbowError, StanzaError
from rainbow_xmpp.languages import N_
from rainbow_xmpp.plugin import (
    FactorCodeWanted,
    FormError,
    RegistrationClosed,
    TooMany,
    WrongOrExpired,
    WrongPassword,
)
from rainbow_xmpp.store.errors import InvalidName
from rainbow_xmpp.words import translation


class NoAddress(RainbowError):
    """What was given is no e-mail address."""


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (NoAddress, N_("Please give an e-mail address, such as name@example.com.")),
    (WrongOrExpired, N_("The code is wrong or over. Look for the latest letter, or have another one sent.")),
    (
        FactorCodeWanted,
        N_(
            "Your account has a second step at login. Please set the new password on the web page of this server."
        ),
    ),
    (WrongPassword, N_("The old password is wrong.")),
    (NotAllowed, N_("The company has no room for more people. Please ask its administrator.")),
    (InvalidName, N_("The name is too long, or has characters that cannot be shown.")),
    (
        RegistrationClosed,
        N_("Companies invite their people to this server by letter. Please ask the administrator of yours."),
    ),
)


def notice_of(error: Exception, language: str) -> str:
    """Why something cannot be done, and what to do; "" for what is no refusal, but a fault."""
    gettext = translation(language).gettext
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return gettext(words)
    match error:
        case FormError():
            return error.text
        case WeakPassword():
            reasons = "; ".join(gettext(each.words) % each.facts for each in error.problems)
            return f"{gettext(N_('The password will not do:'))} {reasons}"
        case TooMany():
            minutes = max(1, -(-error.retry_after_s // 60))
            words = N_("Too many attempts. Please try again in %(minutes)s minutes.")
            return gettext(words) % {"minutes": minutes}
    return ""


def refusal_of(error: Exception, notice: str, language: str) -> StanzaError:
    """The same as a stanza error: what can be mended is of the type "modify"."""
    match error:
        case TooMany():
            return StanzaError(Condition.RESOURCE_CONSTRAINT, notice, type=ErrorType.WAIT, language=language)
        case RegistrationClosed():
            return StanzaError(Condition.NOT_ALLOWED, notice, language=language)
        case WrongPassword():
            return StanzaError(Condition.NOT_AUTHORIZED, notice, type=ErrorType.MODIFY, language=language)
    return StanzaError(Condition.NOT_ACCEPTABLE, notice, type=ErrorType.MODIFY, language=language)
