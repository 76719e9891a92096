"""What becomes of somebody who asks, by what is known of their address: which letter, and is there a PIN in it?"""

from __future__ import annotations

from dataclasses import dataclass

from rainbow_xmpp.mail.letter import is_mail_address
from rainbow_xmpp.plugin import Account, Company
from rainbow_xmpp.store.errors import InvalidAddress
from rainbow_xmpp.store.names import normalise_email


@dataclass(frozen=True, slots=True)
class Verdict:
    """`template` is what the mailbox's owner is told; only one that `is_real` has a PIN that will be right."""

    template: str
    is_real: bool
    company: Company
    account_id: str = ""


def for_registration(account: Account | None, home: Company, *, is_allowed: bool) -> Verdict:
    """`home` is the company they land in; `is_allowed`: people with such an address may."""
    if account is not None:
        return Verdict("register-taken", False, home)
    if not is_allowed:
        return Verdict("address-not-allowed", False, home)
    return Verdict("register-pin", True, home)


def for_reset(account: Account | None, home: Company) -> Verdict:
    """`home` is the company that a stranger is counted for."""
    if account is None:
        return Verdict("reset-unknown", False, home)
    if account.disabled or account.company.disabled:
        return Verdict("reset-disabled", False, account.company)
    return Verdict("reset-pin", True, account.company, account.id)


def mailbox_of(text: str) -> str:
    """An e-mail address in the one form in which it is kept. Raises ValueError for what no letter reaches."""
    try:
        address = normalise_email(text)
    except InvalidAddress:
        raise ValueError("this is no e-mail address") from None
    if not is_mail_address(address):
        raise ValueError("this is no e-mail address")
    return address
