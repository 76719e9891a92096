"""The forms of registration, in the reader's language (XEP-0004, XEP-0068)."""

from __future__ import annotations

import re
from typing import Any

from rainbow_xmpp.languages import N_
from rainbow_xmpp.plugin import Blank, Element, Form, FormError, Purpose, form_field
from rainbow_xmpp.words import translation
from rainbow_xmpp.xml import names

FORM = f"{{{names.DATA_FORM}}}x"
_TEXTS = (f"{{{names.DATA_FORM}}}title", f"{{{names.DATA_FORM}}}instructions")
_LABELLED = (f"{{{names.DATA_FORM}}}field", f"{{{names.DATA_FORM}}}option")
_PURPOSES = {
    Purpose.REGISTER.value: N_("Make an account"),
    Purpose.RESET.value: N_("Set a new password"),
}
MOST_ADDRESS, MOST_CODE, MOST_PASSWORD, MOST_NAME = 254, 20, 1024, 200
_NO_LOCALPART = re.compile(r"[\s\"&'/:<>\\]")
"""What XEP-0106 would escape beside the @."""

_ADDRESS = N_("E-mail address")
_CODE = N_("Code from the letter; empty at first")
_PASSWORD = N_("New password")
_NAME = N_("Your name")
_BOTH_STEPS = N_(
    "Give your e-mail address and leave code and password empty: a letter with a code comes. Then fill in all of them."
)
_SENT = N_(
    "One step is left: a letter with a code is on its way, if one can be sent to the address you gave."
)


class Beginning(Form, form_type=names.REGISTER, title=N_("Make an account"), instructions=_BOTH_STEPS):
    """XEP-0077 before login: one form for both steps, since some clients show no second one.

    `username` is there for Gajim, which lets no form be sent without it.
    """

    username: str = form_field(default="", hidden=True, max_len=MOST_ADDRESS)

    purpose: Purpose = form_field(
        N_("What for?"), var="x-purpose", default=Purpose.REGISTER, options=_PURPOSES
    )
    email: str = form_field(_ADDRESS, max_len=MOST_ADDRESS)
    code: str = form_field(_CODE, var="x-pin", default="", max_len=MOST_CODE)
    password: str = form_field(_PASSWORD, default="", private=True, max_len=MOST_PASSWORD)
    name: str = form_field(_NAME, default="", max_len=MOST_NAME)


class Recovering(Form, form_type=names.REGISTER, title=N_("Set a new password"), instructions=_BOTH_STEPS):
    """The same where people are invited: whoever has an account may have forgotten the password."""

    username: str = form_field(default="", hidden=True, max_len=MOST_ADDRESS)
    email: str = form_field(_ADDRESS, max_len=MOST_ADDRESS)
    code: str = form_field(_CODE, var="x-pin", default="", max_len=MOST_CODE)
    password: str = form_field(_PASSWORD, default="", private=True, max_len=MOST_PASSWORD)


class Finishing(Form, form_type=names.REGISTER, title=N_("Choose a password"), instructions=_SENT):
    """The second step, for clients that show it; `username` is what they log in by afterwards."""

    username: str = form_field(N_("Log in as"), default="", max_len=MOST_ADDRESS)
    code: str = form_field(N_("Code"), var="x-pin", max_len=MOST_CODE)
    password: str = form_field(_PASSWORD, private=True, max_len=MOST_PASSWORD)
    name: str = form_field(_NAME, default="", max_len=MOST_NAME)


class Joining(Form, form_type=names.REGISTER, title=N_("Make an account")):
    """For those who showed the token of an invitation (XEP-0445)."""

    username: str = form_field(N_("Log in as"), default="", max_len=MOST_ADDRESS)
    password: str = form_field(_PASSWORD, private=True, max_len=MOST_PASSWORD)
    name: str = form_field(_NAME, default="", max_len=MOST_NAME)


class Submitted(Form, form_type=names.REGISTER):
    """Whatever of these comes back; what is not there is empty."""

    purpose: Purpose | None = form_field(var="x-purpose", default=None)
    email: str = form_field(default="", max_len=MOST_ADDRESS)
    code: str = form_field(default="", var="x-pin", max_len=MOST_CODE)
    password: str = form_field(default="", private=True, max_len=MOST_PASSWORD)
    name: str = form_field(default="", max_len=MOST_NAME)


class AddressAsked(Form, form_type=names.REGISTER2, title=N_("Send the code")):
    """The first challenge of a flow (XEP-0389)."""

    email: str = form_field(_ADDRESS, max_len=MOST_ADDRESS)


class CodeAsked(Form, form_type=names.REGISTER2, title=N_("Choose a password"), instructions=_SENT):
    """The second one; a name is asked for where an account is made."""

    code: str = form_field(N_("Code"), var="pin", max_len=MOST_CODE)
    password: str = form_field(_PASSWORD, private=True, max_len=MOST_PASSWORD)


class CodeAndNameAsked(CodeAsked):
    name: str = form_field(_NAME, default="", max_len=MOST_NAME)


class PasswordChange(Form, form_type="jabber:iq:register:changepassword", title=N_("Set a new password")):
    """XEP-0077 §3.3: the old one proves that it is not somebody who found an open device."""

    username: str = form_field(N_("Log in as"), max_len=MOST_ADDRESS)
    old_password: str = form_field(N_("Old password"), private=True, max_len=MOST_PASSWORD)
    password: str = form_field(_PASSWORD, private=True, max_len=MOST_PASSWORD)


def shown(blank: Blank[Any], language: str, notice: str = "") -> Element:
    """A form to be filled in; `notice`, in that language already, stands above what it says of itself."""
    el, words = blank.to_xml(), translation(language)
    for each in el.iter():
        if each.tag in _TEXTS and each.text:
            each.text = words.gettext(each.text)
        elif each.tag in _LABELLED and each.get("label"):
            each.set("label", words.gettext(each.get("label", "")))
    if notice:
        told = Element(_TEXTS[1])
        told.text = notice
        el.insert(1, told)
    return el


def submitted(query: Element) -> Submitted | None:
    """The answers in a request; None when it has no form. Raises FormError."""
    form = query.find(FORM)
    return None if form is None else Submitted.from_xml(form)


def is_cancelled(query: Element) -> bool:
    """Whoever was asked does not want to go on (XEP-0004 §3.2)."""
    form = query.find(FORM)
    return form is not None and form.get("type") == "cancel"


def form_in(el: Element) -> Element:
    """The form that has to be there. Raises FormError."""
    form = el.find(FORM)
    if form is None:
        raise FormError("a form is expected")
    return form


def as_localpart(address: str) -> str:
    """What a client that wants a localpart logs in as (XEP-0106); "" where the address cannot be written so."""
    address = address.strip().lower()
    return "" if _NO_LOCALPART.search(address) else address.replace("@", "\\40")
