"""A new account from what an administrator wrote into the form (XEP-0133 §4.1)."""

from __future__ import annotations

from rainbow_xmpp.auth.pool import PoolFull
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.mail.letter import is_mail_address
from rainbow_xmpp.plugin import (
    JID,
    Account,
    CommandAnswer,
    Condition,
    Form,
    FormError,
    PinDesk,
    Services,
    StanzaError,
    TooMany,
    form_field,
)
from rainbow_xmpp.plugins.service_admin.forms import AddUser, AddUserSomewhere
from rainbow_xmpp.plugins.service_admin.scope import Scope
from rainbow_xmpp.store.errors import AlreadyExists, InvalidAddress
from rainbow_xmpp.store.names import normalise_email
from rainbow_xmpp.store.values import NewAccount
from rainbow_xmpp.xml import names

TAKEN = "the address or the e-mail address belongs to another account"
"""What is told to who may not know whose."""


class AddedUser(Form, form_type=names.ADMIN, title="A new user"):
    """The answer. Nobody but the new user ever knows the password."""

    accountjid: JID = form_field("Address (JID)")
    email: str = form_field("A letter with a link to choose a password goes to")


async def add_person(services: Services, scope: Scope, asked: AddUser) -> CommandAnswer:
    """Add somebody, who gets a letter and chooses a password: as everywhere, no administrator makes or sees one.

    Raises FormError for answers that can be corrected, StanzaError (conflict) for what is taken.
    """
    reason = scope.judge_reason(asked.reason)
    desk = services.offered(PinDesk)
    if desk is None:
        raise StanzaError(Condition.NOT_ALLOWED, "no letters are sent here: the plugin mfa_pin does not run")
    wanted = asked.company if isinstance(asked, AddUserSomewhere) else ""
    new = _new_account(services, asked, company=(await scope.company_called(wanted)).name)
    try:
        added = await services.people.add(new, actor=scope.admin.id, reason=reason)
    except PoolFull:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT, detail="too many passwords are hashed") from None
    except NotAllowed as full:
        raise StanzaError(Condition.NOT_ALLOWED, str(full)) from None
    except AlreadyExists as taken:
        told = f"the {taken.field} belongs to another account" if scope.is_everything else TAKEN
        raise StanzaError(Condition.CONFLICT, told) from None
    await _welcome(desk, added.account, scope.admin.id, reason)
    return AddedUser(accountjid=JID(added.account.localpart, services.domain), email=new.email)


async def _welcome(desk: PinDesk, account: Account, actor: str, reason: str) -> None:
    try:
        await desk.welcome(account, actor=actor, reason=reason)
    except TooMany:
        raise StanzaError(
            Condition.RESOURCE_CONSTRAINT,
            "the user was added, but the company has sent too many letters lately: start a reset for them later",
        ) from None


def _new_account(services: Services, asked: AddUser, *, company: str) -> NewAccount:
    try:
        is_reached = is_mail_address(normalise_email(asked.email))
    except InvalidAddress as wrong:
        raise FormError(str(wrong), field="email") from None
    if not is_reached:
        raise FormError("no letter could be sent to this address", field="email")
    name = f"{asked.given_name} {asked.surname}".strip()
    new = NewAccount(company=company, email=asked.email, name=name)
    jid = asked.accountjid
    if jid is None:
        return new
    if jid.domain != services.domain or not jid.local or jid.resource:
        raise FormError(
            f"Address (accountjid) must be of the form name@{services.domain}", field="accountjid"
        )
    return NewAccount(company=company, email=asked.email, name=name, localpart=jid.local)
