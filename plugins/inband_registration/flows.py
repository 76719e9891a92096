"""XEP-0389: registration and recovery in steps, as elements beside SASL; for those who are logged in there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from xml.etree.ElementTree import SubElement

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.languages import LANGUAGES, N_
from rainbow_xmpp.plugin import (
    Account,
    Blank,
    Condition,
    Context,
    EarlyReply,
    Element,
    Form,
    Purpose,
    RegistrationClosed,
    RegistrationMode,
    StanzaError,
    Stranger,
    before_login_element,
    on_iq,
)
from rainbow_xmpp.plugins.inband_registration import forms
from rainbow_xmpp.plugins.inband_registration.forms import (
    AddressAsked,
    CodeAndNameAsked,
    CodeAsked,
    shown,
)
from rainbow_xmpp.plugins.inband_registration.front import Front
from rainbow_xmpp.plugins.inband_registration.refusals import notice_of
from rainbow_xmpp.words import translation
from rainbow_xmpp.xml import names, serialise

_R = f"{{{names.REGISTER2}}}"
_LANG = f"{{{names.XML}}}lang"
_CANCEL = f"<cancel xmlns='{names.REGISTER2}'/>"
_CHALLENGE = names.DATA_FORM
"""The type of all our challenges (§8.1)."""
_FLOW_ID = "code"
_NAMES = {Purpose.REGISTER: N_("Make an account"), Purpose.RESET: N_("Set a new password")}
_ELEMENTS = {Purpose.REGISTER: "register", Purpose.RESET: "recovery"}
_FLOW = "flow"
"""What is remembered of a stranger."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that somebody chose, and how far it is."""

    purpose: Purpose
    request_id: str = ""
    """Once the letter is on its way."""

    @property
    def blank(self) -> Blank[Form]:
        """The form of the challenge that has to be answered now."""
        kind: type[Form] = AddressAsked
        if self.request_id:
            kind = CodeAndNameAsked if self.purpose is Purpose.REGISTER else CodeAsked
        return kind.blank()


class Flows:
    def __init__(self, front: Front) -> None:
        self._front = front

    def announcement(self) -> bytes:
        """The stream features (§6.1): recovery wherever there is a desk, registration where it is open."""
        return b"".join(serialise(self._listed(purpose)) for purpose in Purpose if self._offers(purpose))

    def _offers(self, purpose: Purpose) -> bool:
        if purpose is Purpose.REGISTER:
            return self._front.mode is RegistrationMode.OPEN
        return self._front.has_desk

    def _listed(self, purpose: Purpose) -> Element:
        el = Element(_R + _ELEMENTS[purpose])
        flow = SubElement(el, f"{_R}flow", {"id": _FLOW_ID})
        for language in LANGUAGES:
            name = SubElement(flow, f"{_R}name", {_LANG: language})
            name.text = translation(language).gettext(_NAMES[purpose])
        SubElement(flow, f"{_R}challenge", {"type": _CHALLENGE})
        return el

    # -- before login ----------------------------------------------------------------------------------

    @before_login_element(f"{_R}register", excuse=_CANCEL)
    async def register(self, stranger: Stranger, element: Element) -> EarlyReply:
        return self._select(Purpose.REGISTER, stranger, element)

    @before_login_element(f"{_R}recovery", excuse=_CANCEL)
    async def recover(self, stranger: Stranger, element: Element) -> EarlyReply:
        return self._select(Purpose.RESET, stranger, element)

    def _select(self, purpose: Purpose, stranger: Stranger, element: Element) -> EarlyReply:
        """§6.3."""
        flow = element.find(f"{_R}flow")
        if flow is None or flow.get("id") != _FLOW_ID or not self._offers(purpose):
            raise PeerViolation(StreamCondition.UNDEFINED_CONDITION, specific=f"{_R}invalid-flow")
        if _FLOW in stranger.memory:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="a second flow inside the first")
        return self._challenge(stranger, Flow(purpose))

    @before_login_element(f"{_R}response", excuse=_CANCEL)
    async def respond(self, stranger: Stranger, element: Element) -> EarlyReply:
        """§6.4: the next challenge, the same one again with what was wrong, or success."""
        flow = stranger.memory.pop(_FLOW, None)  # whatever fails from here on ends the flow
        if flow is None:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="a response to no challenge")
        if forms.is_cancelled(element):
            return EarlyReply(b"")
        try:
            return await self._step(stranger, flow, forms.form_in(element))
        except RegistrationClosed:
            return EarlyReply(_CANCEL.encode())
        except Exception as error:
            notice = notice_of(error, stranger.language)
            if not notice:
                raise
            return self._challenge(stranger, flow, notice)

    @before_login_element(f"{_R}cancel", excuse=_CANCEL)
    async def cancel(self, stranger: Stranger, element: Element) -> EarlyReply:
        """§6.5. It has no answer; one that crossed ours finds nothing to end."""
        stranger.memory.pop(_FLOW, None)
        return EarlyReply(b"")

    async def _step(self, stranger: Stranger, flow: Flow, form: Element) -> EarlyReply:
        if not flow.request_id:
            address = AddressAsked.from_xml(form).email
            request_id = await self._front.ask(flow.purpose, address, stranger)
            return self._challenge(stranger, replace(flow, request_id=request_id))
        # Read alike for both: a name that nobody asked for is ignored.
        answers = CodeAndNameAsked.from_xml(form)
        account = await self._front.finish(
            flow.purpose, flow.request_id, answers.code, answers.password, answers.name.strip(), stranger
        )
        return EarlyReply(self._success(account))

    def _challenge(self, stranger: Stranger, flow: Flow, notice: str = "") -> EarlyReply:
        stranger.memory[_FLOW] = flow
        challenge = Element(f"{_R}challenge", {"type": _CHALLENGE})
        challenge.append(shown(flow.blank, stranger.language, notice))
        return EarlyReply(serialise(challenge), is_question=True)

    def _success(self, account: Account) -> bytes:
        """Whom to log in as; nobody is logged in by it (§6.5)."""
        success = Element(f"{_R}success")
        SubElement(success, f"{_R}jid").text = self._front.services.bare_jid(account)
        SubElement(success, f"{_R}username").text = account.localpart
        return serialise(success)

    # -- after login -----------------------------------------------------------------------------------

    @on_iq("get", f"{_R}register", to=("server", "self"))
    def list_registrations(self, ctx: Context, element: Element) -> Element:
        """§6.2: an empty list is what there has to be where there are no flows."""
        return Element(f"{_R}register")

    @on_iq("get", f"{_R}recovery", to=("server", "self"))
    def list_recoveries(self, ctx: Context, element: Element) -> Element:
        return Element(f"{_R}recovery")

    @on_iq("set", f"{_R}register", to=("server", "self"))
    def select_registration(self, ctx: Context, element: Element) -> None:
        """§6.3: it was none of the list."""
        raise StanzaError(Condition.ITEM_NOT_FOUND)

    @on_iq("set", f"{_R}recovery", to=("server", "self"))
    def select_recovery(self, ctx: Context, element: Element) -> None:
        raise StanzaError(Condition.ITEM_NOT_FOUND)
