"""XEP-0077 for those who are logged in: they see that they are registered, and change their password."""

from __future__ import annotations

from rainbow_xmpp.languages import N_, choose_language
from rainbow_xmpp.plugin import (
    Asker,
    Condition,
    Context,
    Element,
    ErrorType,
    Services,
    StanzaError,
    change_own_password,
    on_iq,
)
from rainbow_xmpp.plugins.inband_registration import forms
from rainbow_xmpp.plugins.inband_registration.forms import PasswordChange, shown
from rainbow_xmpp.plugins.inband_registration.refusals import notice_of, refusal_of
from rainbow_xmpp.sasl import login_names
from rainbow_xmpp.words import translation
from rainbow_xmpp.xml import names, serialise

_R = f"{{{names.REGISTER}}}"
QUERY = f"{_R}query"
_WHO_IS_ASKED = ("server", "self")
_REGISTERED = N_("You have an account. To change the password, send another one.")


class Members:
    def __init__(self, services: Services) -> None:
        self._services = services

    @on_iq("get", QUERY, to=_WHO_IS_ASKED)
    def tell(self, ctx: Context, query: Element) -> Element:
        """§3.1. The e-mail address is not among it: what stands there would have to be sent back (ibidem)."""
        answer = Element(QUERY)
        for name, text in (
            ("registered", ""),
            ("instructions", translation(choose_language(ctx.lang)).gettext(_REGISTERED)),
            ("username", ctx.sender.localpart),
            ("password", ""),
        ):
            el = Element(_R + name)
            el.text = text or None
            answer.append(el)
        return answer

    @on_iq("set", QUERY, to=_WHO_IS_ASKED)
    async def change(self, ctx: Context, query: Element) -> None:
        """§3.3. The account itself is not removed in this way (§3.2): nobody should do that by one stanza."""
        if query.find(f"{_R}remove") is not None:
            raise StanzaError(Condition.BAD_REQUEST if len(query) > 1 else Condition.NOT_ALLOWED)
        if forms.is_cancelled(query):
            return
        language = choose_language(ctx.lang)
        if query.find(forms.FORM) is None:
            await self._judge_name(ctx, query.findtext(f"{_R}username") or "")
            if not query.findtext(f"{_R}password"):  # "MUST NOT change the password to a null value"
                raise StanzaError(Condition.BAD_REQUEST)
            raise _form_first(ctx, language)
        try:
            answers = PasswordChange.from_xml(forms.form_in(query))
            await self._judge_name(ctx, answers.username)
            asker = Asker(ctx.session.wire.source if ctx.session is not None else "", language)
            await change_own_password(
                self._services,
                ctx.sender,
                answers.old_password,
                answers.password,
                asker=asker,
                keeping=ctx.session,
            )
        except Exception as error:
            notice = notice_of(error, language)
            if not notice:
                raise
            refusal = refusal_of(error, notice, language)
            if refusal.type is ErrorType.MODIFY:
                refusal.about = _with(ctx, language)
            raise refusal from None

    async def _judge_name(self, ctx: Context, name: str) -> None:
        """It has to be their own: a localpart, a bare JID or an e-mail address, as at a login."""
        account = ctx.sender
        member = await self._services.store.accounts.member(account.company.id, account.id)
        known = {account.localpart, *(member.emails if member is not None else ())}
        if known.isdisjoint(login_names(name, self._services.domain)):
            raise StanzaError(Condition.BAD_REQUEST)


def _form_first(ctx: Context, language: str) -> StanzaError:
    """The old password is asked for by a form (§3.3)."""
    error = StanzaError(Condition.NOT_AUTHORIZED, type=ErrorType.MODIFY)
    error.about = _with(ctx, language)
    return error


def _with(ctx: Context, language: str) -> bytes:
    query = Element(QUERY)
    query.append(shown(PasswordChange.blank(username=ctx.sender.localpart), language))
    return serialise(query)
