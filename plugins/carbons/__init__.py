"""Every device sees both sides of a conversation (XEP-0280)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from rainbow_xmpp.plugin import (
    Context,
    Element,
    Newcomer,
    Outcome,
    Passage,
    Plugin,
    PluginOptions,
    Services,
    Session,
    SessionElsewhere,
    SessionEnded,
    SessionKept,
    SessionRestored,
    Stage,
    hook,
    on,
    on_iq,
    with_binding,
)
from rainbow_xmpp.plugins.carbons.eligible import is_eligible
from rainbow_xmpp.router.delivery import message_receivers
from rainbow_xmpp.xml import escape_attr, names

_ENABLE, _DISABLE = f"{{{names.CARBONS}}}enable", f"{{{names.CARBONS}}}disable"
_NOTE = "carbons"


class Carbons(Plugin, name="carbons", implements={"XEP-0280": "1.0.1"}, features=(names.CARBONS,)):
    """Hands copies of messages to those of the two accounts' sessions that asked for them and got no original."""

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._wanted: dict[str, list[Session]] = {}
        """The sessions that want copies, by bare JID; nothing for accounts without any."""

    async def stop(self) -> None:
        self._wanted.clear()

    # -- who wants them --------------------------------------------------------------------------------------

    @on_iq("set", _ENABLE, to="self")
    def enable(self, ctx: Context, request: Element) -> None:
        """§4; twice is no error (§9.1)."""
        if ctx.session is not None:
            self._want(ctx.session)

    @on_iq("set", _DISABLE, to="self")
    def disable(self, ctx: Context, request: Element) -> None:
        """§5."""
        if ctx.session is not None:
            self._want_no_more(ctx.session)

    @with_binding(_ENABLE, feature=names.CARBONS)
    async def enable_at_once(
        self, newcomer: Newcomer, requests: Sequence[Element]
    ) -> Callable[[Session], bytes] | None:
        """Together with the binding of a resource (XEP-0386)."""
        return self._want if requests else None

    def _want(self, session: Session) -> bytes:
        wanted = self._wanted.setdefault(session.bare, [])
        if session not in wanted:
            wanted.append(session)
            self.services.sessions.watch.changed(session)
        return b""

    def _want_no_more(self, session: Session) -> None:
        wanted = self._wanted.get(session.bare)
        if wanted is not None and session in wanted:
            wanted.remove(session)
            self.services.sessions.watch.changed(session)
            if not wanted:
                del self._wanted[session.bare]

    @on(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        self._want_no_more(event.session)

    @on(SessionKept)
    def note(self, event: SessionKept) -> None:
        """A session that is resumed after a restart still wants what it wanted."""
        if event.session in self._wanted.get(event.session.bare, ()):
            event.notes[_NOTE] = b""

    @on(SessionRestored)
    def remember(self, event: SessionRestored) -> None:
        if _NOTE in event.notes:
            self._want(event.session)

    @on(SessionElsewhere)
    def mirror(self, event: SessionElsewhere) -> None:
        """A session of another node; what it wants may have changed."""
        if _NOTE in event.notes:
            self._want(event.session)
        else:
            self._want_no_more(event.session)

    # -- copies ----------------------------------------------------------------------------------------------

    @hook(Stage.DELIVER)
    def copy(self, p: Passage, outcome: Outcome) -> None:
        """§7 and §8: whoever has the original gets no copy; of a message to oneself there are only sent ones."""
        if not self._wanted:
            return
        writer, reader = p.sender_jid.partition("/")[0], p.to.partition("/")[0]
        of_writer = () if p.session is None else self._wanted.get(writer, ())
        of_reader = () if writer == reader else self._wanted.get(reader, ())
        if not (of_writer or of_reader) or not is_eligible(p):
            return
        have_it: Collection[Session] = message_receivers(p) if p.target is None else (p.target,)
        for session in of_reader:
            if session not in have_it:
                session.wire.send(_wrapped("received", p.type, session, p.data))
        if of_writer:
            original = p.data if p.kept is None else p.kept.for_sender()
            for session in of_writer:
                if session is not p.session and session not in have_it:
                    session.wire.send(_wrapped("sent", p.type, session, original))


def _wrapped(name: str, type_: str, session: Session, original: bytes) -> bytes:
    """The copy for one session: from its own account, of the same type (§7, XEP-0297)."""
    from_, to = escape_attr(session.bare), escape_attr(session.full)
    head = (
        f"<message xmlns='{names.CLIENT}' from='{from_}' to='{to}' type='{type_}'>"
        f"<{name} xmlns='{names.CARBONS}'><forwarded xmlns='{names.FORWARD}'>"
    )
    return head.encode() + original + f"</forwarded></{name}></message>".encode()
