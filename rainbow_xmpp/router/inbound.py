"""`admit`: what a session sends is judged, stamped and sent on its way (RFC 6120 §8.1, §10.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from copy import copy

from rainbow_xmpp.errors import Condition, PeerViolation, StanzaError, StreamCondition
from rainbow_xmpp.jid import JID
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.router.faults import being_moved, excuse
from rainbow_xmpp.router.iq import IqService, Target, check_iq
from rainbow_xmpp.router.kept import until_settled
from rainbow_xmpp.router.listeners import PresenceListeners, ServerMessages
from rainbow_xmpp.router.nonzas import Nonzas
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.router.pipeline import Absent, Pipeline, normal_address
from rainbow_xmpp.router.sampling import Sampler
from rainbow_xmpp.router.traced import ForPresence, Span, TracedAnswers, TracedPipeline, TracedPresence
from rainbow_xmpp.session import Session, SessionTable, Settling
from rainbow_xmpp.stanza import error_reply
from rainbow_xmpp.xml import DEFAULT_LIMITS, View, XmlLimits, names, scan, stamp

_MESSAGE_TYPES = frozenset(("chat", "error", "groupchat", "headline", "normal"))


class Inbound:
    """The entrance for every stanza of every session."""

    def __init__(
        self,
        domain: str,
        sessions: SessionTable,
        pipeline: Pipeline,
        iqs: IqService,
        presence: ForPresence,
        counters: Counters,
        listeners: PresenceListeners,
        server_messages: ServerMessages,
        nonzas: Nonzas,
        limits: XmlLimits = DEFAULT_LIMITS,
        presence_bytes: int = 16_384,
    ) -> None:
        """`limits` hold for stanzas; the transport may have lower ones."""
        self._domain = domain
        self._by_full = sessions.by_full
        self._pipeline = pipeline
        self._iqs = iqs
        self._presence = presence
        self._counters = counters
        self._listeners = listeners
        self._server_messages = server_messages
        self._nonzas = nonzas
        self.limits = limits
        """For stanzas from now on; a reload puts others here."""
        self.presence_bytes = presence_bytes
        """The same for the size of presence, which many get and which is kept."""
        self.frozen: Collection[str] = ()
        """Accounts that must not change: their sessions are told to wait (`rainbow_xmpp.moving.frozen`)."""
        self._sampler: Sampler | None = None
        self._unsampled = -1
        """Stanzas until the next one that is looked at closely; negative for never."""

    def sample(self, sampler: Sampler) -> None:
        """Let some stanzas be looked at closely."""
        self._sampler = sampler
        self._unsampled = sampler.unseen()

    def traced(self, root: Span) -> Inbound:
        """A twin, for one stanza, which leaves a trace."""
        twin = copy(self)
        twin._unsampled = -1
        twin._pipeline = TracedPipeline(self._pipeline, root)
        twin._iqs = TracedAnswers(self._iqs, root)
        twin._presence = TracedPresence(self._presence, root)
        return twin

    def _handle_sampled(self, session: Session, data: bytes) -> Awaitable[None] | None:
        assert self._sampler is not None
        self._unsampled = self._sampler.unseen()
        return self._sampler.handle(self, session, data)

    def handle(self, session: Session, data: bytes) -> Awaitable[None] | None:
        """One element from a bound session. Raises PeerViolation; everything else becomes a reply."""
        if not self._unsampled:
            return self._handle_sampled(session, data)
        self._unsampled -= 1
        wire = session.wire
        view = scan(data, wire.stanza_ns, wire.prefixes, self.limits)
        if view.ns != names.CLIENT:
            return self._nonzas.take(session, view)
        if session.unsettled is not None and view.name != "message" and not session.unsettled.is_settled:
            return self._handle_behind(session, view, session.unsettled)
        return self._judge(session, view)

    async def _handle_behind(self, session: Session, view: View, commit: Settling) -> None:
        """A query or presence behind a message that is not kept yet: what was said first counts first."""
        await until_settled(commit)
        pending = self._judge(session, view)
        if pending is not None:
            await pending

    def _judge(self, session: Session, view: View) -> Awaitable[None] | None:
        sender = view.attrs.get("from")
        if sender is not None and sender not in (session.full, session.bare):
            _check_spelling(session, sender)
        try:
            if self.frozen and session.account.id in self.frozen:
                raise being_moved()
            match view.name:
                case "message":
                    self._counters.messages_in += 1
                    return self._message(session, view)
                case "presence":
                    self._counters.presences_in += 1
                    return self._presence_stanza(session, view)
                case "iq":
                    self._counters.iqs_in += 1
                    return self._iq(session, view)
        except StanzaError as error:
            self._reply(session, view, error)
            return None
        except PeerViolation:
            raise
        except Exception as error:  # around one stanza: everyone else is served on
            self._excuse(session, view, error)
            return None
        raise PeerViolation(StreamCondition.UNSUPPORTED_STANZA_TYPE, detail="unknown top-level element")

    def _message(self, session: Session, view: View) -> Awaitable[None] | None:
        attrs = view.attrs
        to = attrs.get("to")
        type_ = attrs.get("type", "normal")
        if type_ not in _MESSAGE_TYPES:
            type_ = "normal"  # RFC 6121 §5.2.2
        if to is None:  # RFC 6120 §10.3.1
            return self._route(session, view, type_, session.bare, session.signed(view, session.bare))
        data = stamp(view, from_=session.full)  # as `signed` does, without a call for what is sent most
        if session.lang:
            data = session.in_own_language(view, data)
        return self._route(session, view, type_, to, data)

    def _route(
        self, session: Session, view: View, type_: str, to: str, data: bytes
    ) -> Awaitable[None] | None:
        target = self._by_full.get(to)
        if target is not None:
            account, home = target.account, target.home
            p = Passage(
                view.name,
                type_,
                view,
                data,
                session.full,
                session.account,
                session,
                to,
                account,
                home,
                target,
            )
        else:
            to = normal_address(to)
            if to == self._domain or to.startswith(self._domain + "/"):
                return self._to_server(session, view)
            p = Passage(
                view.name, type_, view, data, session.full, session.account, session, to, None, None, None
            )
        return self._pipeline.route(p)

    def _to_server(self, session: Session, view: View) -> Awaitable[None] | None:
        """A message, or an IQ to a resource, for the server itself (RFC 6120 §10.5.1)."""
        if view.name != "message":
            raise Absent()
        taken = self._server_messages.take(session, view)
        if taken is False:
            raise Absent()
        return None if taken is True else self._answered(session, view, taken)

    def _presence_stanza(self, session: Session, view: View) -> Awaitable[None] | None:
        if len(view.data) > self.presence_bytes:
            raise StanzaError(Condition.POLICY_VIOLATION, "this presence is too large")
        type_ = view.attrs.get("type", "")
        to = view.attrs.get("to")
        for listen in self._listeners.all:
            view = listen(session, view) or view
        if to is None:
            if type_ in ("", "unavailable"):
                return self._answered(session, view, self._presence.broadcast(session, view))
            if type_ == "error":
                return None
            raise StanzaError(Condition.BAD_REQUEST)
        to = normal_address(to)
        if to == self._domain or to.startswith(self._domain + "/"):
            return None
        match type_:
            case "" | "unavailable":
                return self._presence.directed(session, view, to)
            case "subscribe" | "subscribed" | "unsubscribe" | "unsubscribed":
                return self._answered(session, view, self._presence.subscription(session, view, to))
            case "probe" | "error":
                return self._route(session, view, type_, to, session.signed(view))
        raise StanzaError(Condition.BAD_REQUEST)

    def _iq(self, session: Session, view: View) -> Awaitable[None] | None:
        check_iq(view)
        to = view.attrs.get("to")
        if to is None or to == session.bare:
            return self._iqs.ask(session, Target.SELF, view)
        if to == self._domain:
            return self._iqs.ask(session, Target.SERVER, view)
        if to not in self._by_full:
            plain = normal_address(to)
            if plain == session.bare:
                return self._iqs.ask(session, Target.SELF, view)
            if plain == self._domain:
                return self._iqs.ask(session, Target.SERVER, view)
        return self._route(session, view, view.attrs["type"], to, session.signed(view))

    def _answered(
        self, session: Session, view: View, pending: Awaitable[None] | None
    ) -> Awaitable[None] | None:
        return None if pending is None else self._answered_later(session, view, pending)

    async def _answered_later(self, session: Session, view: View, pending: Awaitable[None]) -> None:
        """What waited may fail as well; its sender hears of it."""
        try:
            await pending
        except StanzaError as error:
            self._reply(session, view, error)
        except PeerViolation:
            raise
        except Exception as error:  # around one stanza
            self._excuse(session, view, error)

    def _excuse(self, session: Session, view: View, error: Exception) -> None:
        self._reply(session, view, excuse(view.name, error))

    def _reply(self, session: Session, view: View, error: StanzaError) -> None:
        data = error_reply(view, error, from_=view.attrs.get("to") or session.bare, to=session.full)
        if data is not None and not (view.name == "presence" and isinstance(error, Absent)):
            session.wire.send(data)


def _check_spelling(session: Session, sender: str) -> None:
    """The sender's own address may be written in another way (RFC 6120 §8.1.2.1, RFC 7622); nothing else may."""
    try:
        is_own = str(JID.parse(sender)) in (session.full, session.bare)
    except ValueError:
        is_own = False
    if not is_own:
        raise PeerViolation(StreamCondition.INVALID_FROM, detail="stanza claims to be from somebody else")
