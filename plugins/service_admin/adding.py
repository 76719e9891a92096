"""A new account from what an administrator wrote into the form (XEP-0133 §4.1)."""

from __future__ import annotations

from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.auth.pool import PoolFull
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.plugin import (
    JID,
    CommandAnswer,
    Condition,
    Form,
    FormError,
    Services,
    StanzaError,
    form_field,
)
from rainbow_xmpp.plugins.service_admin.forms import AddUser, AddUserSomewhere
from rainbow_xmpp.plugins.service_admin.scope import Scope
from rainbow_xmpp.store.errors import AlreadyExists, InvalidAddress
from rainbow_xmpp.store.values import NewAccount
from rainbow_xmpp.xml import names

TAKEN = "the address or the e-mail address belongs to another account"
"""What is told to who may not know whose."""


class AddedUser(Form, form_type=names.ADMIN, title="A new user"):
    """The answer; a password that was made is shown only here."""

    accountjid: JID = form_field("Address (JID)")
    email: str = form_field("E-mail address")
    password: str = form_field("Password, shown only now", default="")


async def add_person(services: Services, scope: Scope, asked: AddUser) -> CommandAnswer:
    """Add somebody. Raises FormError for answers that can be corrected, StanzaError (conflict) for what is taken."""
    reason = scope.judge_reason(asked.reason)
    if asked.password != asked.verify:
        raise FormError("the two passwords are not the same", field="password-verify")
    wanted = asked.company if isinstance(asked, AddUserSomewhere) else ""
    new = _new_account(services, asked, company=(await scope.company_called(wanted)).name)
    try:
        added = await services.people.add(new, asked.password, actor=scope.admin.id, reason=reason)
    except PoolFull:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT, detail="too many passwords are hashed") from None
    except WeakPassword as weak:
        raise FormError(str(weak), field="password") from None
    except InvalidAddress as wrong:
        raise FormError(str(wrong), field="email") from None
    except NotAllowed as full:
        raise StanzaError(Condition.NOT_ALLOWED, str(full)) from None
    except AlreadyExists as taken:
        told = f"the {taken.field} belongs to another account" if scope.is_everything else TAKEN
        raise StanzaError(Condition.CONFLICT, told) from None
    jid = JID(added.account.localpart, services.domain)
    return AddedUser(accountjid=jid, email=asked.email, password=added.password)


def _new_account(services: Services, asked: AddUser, *, company: str) -> NewAccount:
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
