"""XEP-0077 for those who have not logged in, and the tokens of invitations (XEP-0445).

Stock clients know one form and one answer, and we have two steps. So the form has fields for both, and the first submit
is answered by an error of the type "modify" with the form of the second step: Gajim and slixmpp show or hand it on,
Converse begins a new connection and shows the first form again, by which the second step can be done as well.
"""

from __future__ import annotations

from rainbow_xmpp.languages import N_
from rainbow_xmpp.plugin import (
    Condition,
    Element,
    FormError,
    Purpose,
    RegistrationMode,
    StanzaError,
    Stranger,
    WrongOrExpired,
    before_login,
)
from rainbow_xmpp.plugins.inband_registration import forms
from rainbow_xmpp.plugins.inband_registration.forms import (
    Beginning,
    Finishing,
    Joining,
    Recovering,
    Submitted,
    shown,
)
from rainbow_xmpp.plugins.inband_registration.front import Front, asker
from rainbow_xmpp.plugins.inband_registration.refusals import NoAddress, notice_of, refusal_of
from rainbow_xmpp.words import translation
from rainbow_xmpp.xml import names, serialise

QUERY = f"{{{names.REGISTER}}}query"
_INSTRUCTIONS = f"{{{names.REGISTER}}}instructions"
_PREAUTH = f"{{{names.PARS}}}preauth"
_OOB, _URL = f"{{{names.OOB}}}x", f"{{{names.OOB}}}url"
_NO_FORMS = N_("Your client shows no forms. You can register on a page, too.")
# What is remembered of a stranger.
_ASKED = "asked"
_INVITED = "invited"


class EarlyRegistration:
    def __init__(self, front: Front) -> None:
        self._front = front

    @before_login("get", QUERY)
    async def ask_for_form(self, stranger: Stranger, query: Element) -> Element:
        """The form that fits, and where else people can register (XEP-0077 §3.1, §5)."""
        self._be_open()
        answer = Element(QUERY)
        told = Element(_INSTRUCTIONS)
        told.text = translation(stranger.language).gettext(_NO_FORMS)
        answer.append(told)
        answer.append(self._form(stranger))
        if url := self._front.page_url:
            elsewhere = Element(_OOB)
            page = Element(_URL)
            page.text = url
            elsewhere.append(page)
            answer.append(elsewhere)
        return answer

    @before_login("set", QUERY)
    async def submit(self, stranger: Stranger, query: Element) -> None:
        """One of the two steps. None: the account is made, or has its new password."""
        self._be_open()
        if query.find(f"{{{names.REGISTER}}}remove") is not None:
            raise StanzaError(Condition.UNEXPECTED_REQUEST)  # §3.2: nobody is registered here
        if forms.is_cancelled(query):
            stranger.memory.clear()
            return
        form = self._form
        try:
            answers = forms.submitted(query)
            if answers is None:
                raise FormError("a form is expected")
            if _INVITED in stranger.memory:
                await self._join(stranger, answers)
            elif answers.code:
                form = self._second_form
                await self._finish(stranger, answers)
            else:
                await self._begin(stranger, answers)
        except Exception as error:
            notice = notice_of(error, stranger.language)
            if not notice:
                raise
            refusal = refusal_of(error, notice, stranger.language)
            if refusal.condition is Condition.NOT_ACCEPTABLE:
                refusal.about = _with(form(stranger, notice))
            raise refusal from None
        stranger.memory.clear()

    @before_login("set", _PREAUTH)
    async def show_token(self, stranger: Stranger, preauth: Element) -> None:
        """XEP-0445 §4. When it expires is asked here, and not again; it counts once the account is made."""
        token, desk = preauth.get("token", ""), self._front.desk
        invited = await desk.invited(token) if token else None
        if invited is None or self._front.mode is RegistrationMode.CLOSED:
            raise _over(stranger)
        accepted_at = int(self._front.services.now())
        stranger.memory.clear()
        stranger.memory[_INVITED] = (token, accepted_at, invited.address)

    # -- steps -----------------------------------------------------------------------------------------

    async def _begin(self, stranger: Stranger, answers: Submitted) -> None:
        """Have a letter sent. It always ends in an error, since there is no account yet (raises StanzaError)."""
        purpose = self._purpose(answers)
        request_id = await self._front.ask(purpose, answers.email, stranger)
        stranger.memory[_ASKED] = (request_id, purpose, answers.email)
        form = self._second_form(stranger)
        sent = StanzaError(
            Condition.NOT_ACCEPTABLE,
            translation(stranger.language).gettext(Finishing.instructions),
            language=stranger.language,
        )
        sent.about = _with(form)
        raise sent

    async def _finish(self, stranger: Stranger, answers: Submitted) -> None:
        asked = stranger.memory.get(_ASKED)
        if asked is not None and answers.email in ("", asked[2]):
            request_id, purpose, _ = asked
        elif answers.email:  # on another connection
            purpose = self._purpose(answers)
            request_id = await self._front.latest(purpose, answers.email, stranger)
        else:
            raise NoAddress
        await self._front.finish(
            purpose, request_id, answers.code, answers.password, answers.name.strip(), stranger
        )

    async def _join(self, stranger: Stranger, answers: Submitted) -> None:
        token, accepted_at, _ = stranger.memory[_INVITED]
        name, who = answers.name.strip(), asker(stranger)
        try:
            await self._front.desk.join(
                token, answers.password, name=name, asker=who, accepted_at=accepted_at
            )
        except WrongOrExpired:  # somebody else was first
            stranger.memory.clear()
            raise _over(stranger) from None

    # -- forms -----------------------------------------------------------------------------------------

    def _form(self, stranger: Stranger, notice: str = "") -> Element:
        """The first form for this stranger."""
        invited = stranger.memory.get(_INVITED)
        if invited is not None:
            blank = Joining.blank(username=forms.as_localpart(invited[2]))
            return shown(blank, stranger.language, notice)
        if self._front.mode is RegistrationMode.OPEN:
            return shown(Beginning.blank(), stranger.language, notice)
        return shown(Recovering.blank(), stranger.language, notice)

    def _second_form(self, stranger: Stranger, notice: str = "") -> Element:
        """That of the second step; the first one again for somebody who came back on another connection."""
        asked = stranger.memory.get(_ASKED)
        if asked is None:
            return self._form(stranger, notice)
        username = forms.as_localpart(asked[2])
        return shown(Finishing.blank(username=username), stranger.language, notice)

    def _purpose(self, answers: Submitted) -> Purpose:
        """What is asked for; where people are invited it can be but one thing, if nothing is said."""
        if answers.purpose is not None:
            return answers.purpose
        return Purpose.REGISTER if self._front.mode is RegistrationMode.OPEN else Purpose.RESET

    def _be_open(self) -> None:
        if self._front.mode is RegistrationMode.CLOSED:  # §3.1: as a server without registration
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)


def _over(stranger: Stranger) -> StanzaError:
    words = translation(stranger.language).gettext(N_("This invitation is over"))
    return StanzaError(Condition.ITEM_NOT_FOUND, words, language=stranger.language)


def _with(form: Element) -> bytes:
    """The form inside `<query/>`, for an error (§3.2)."""
    query = Element(QUERY)
    query.append(form)
    return serialise(query)
