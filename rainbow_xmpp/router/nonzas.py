"""Elements of bound sessions that are no stanzas (XEP-0360): acknowledgements, client state, the end of the stream."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from rainbow_xmpp.errors import LocalMisuse, PeerViolation, StreamCondition
from rainbow_xmpp.session import Session
from rainbow_xmpp.xml import View, names

log = logging.getLogger(__name__)

TakeNonza = Callable[[Session, View], Awaitable[None] | None]
"""Called in the order in which the peer sent it, among its stanzas; what is returned, they wait for."""


class Nonzas:
    """Who takes which; whatever nobody takes ends the stream (RFC 6120 §4.9.3.24)."""

    def __init__(self) -> None:
        self._takers: dict[tuple[str, str], tuple[str, TakeNonza]] = {}
        self.met: Callable[[Session], None] = lambda session: None
        """Told of each, before whoever takes it."""

    def add(self, owner: str, ns: str, name: str, take: TakeNonza) -> Callable[[], None]:
        """Take this element of everybody; returns what undoes it."""
        key = (ns, name)
        if key in self._takers or ns in (names.CLIENT, names.STREAM, names.FRAMING):
            raise LocalMisuse(f"plugin {owner}: {{{ns}}}{name} is taken already")
        self._takers[key] = (owner, take)

        def undo() -> None:
            self._takers.pop(key, None)

        return undo

    def owners(self) -> set[str]:
        return {owner for owner, _ in self._takers.values()}

    def take(self, session: Session, view: View) -> Awaitable[None] | None:
        """An element of a namespace that is not the stanzas'. Raises PeerViolation."""
        self.met(session)
        taker = self._takers.get((view.ns, view.name))
        if taker is not None:
            try:
                pending = taker[1](session, view)
            except PeerViolation:
                raise
            except Exception:
                log.exception("a plugin failed on <%s/>", view.name, extra={"plugin": taker[0]})
                return None
            return None if pending is None else _bearing(taker[0], view.name, pending)
        if (view.ns, view.name) in ((names.STREAM, "error"), (names.FRAMING, "close")):
            session.wire.peer_closed()
            return None
        if view.name in ("message", "presence", "iq"):
            raise PeerViolation(StreamCondition.INVALID_NAMESPACE, detail="stanza in a foreign namespace")
        raise PeerViolation(StreamCondition.UNSUPPORTED_STANZA_TYPE, detail="unknown top-level element")


async def _bearing(owner: str, name: str, pending: Awaitable[None]) -> None:
    """Wait for this; a failure of a plugin's ends no stream."""
    try:
        await pending
    except PeerViolation:
        raise
    except Exception:
        log.exception("a plugin failed on <%s/>", name, extra={"plugin": owner})
