"""Directed presence: who got it from a session, outside of any subscription (RFC 6121 §4.6)."""

from __future__ import annotations

from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.session import Home, Session

LIMIT = 1000
"""So many people may have directed presence of one session at a time; somebody has to tell them all of its end."""

LIMIT_CHARS = 200_000
"""The same for their addresses together, which may be long: what one session can make the server remember."""


def note(session: Session, to: str, type_: str) -> None:
    """The session sends directed presence of this type: "" or "unavailable"."""
    known = session.directed
    if type_:
        if known is not None:
            known.discard(to)
    elif known is None:
        session.directed = {to}
    elif to in known or (len(known) < LIMIT and sum(map(len, known)) + len(to) <= LIMIT_CHARS):
        known.add(to)
    else:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT)


def has_seen(session: Session, viewer: str) -> bool:
    """The full JID `viewer` has directed presence of this session, for itself or for its account."""
    known = session.directed
    return known is not None and (viewer in known or viewer.partition("/")[0] in known)


def end_of(session: Session, *, was_available: bool) -> list[str]:
    """Who has to be told that the session goes, apart from those who hear it as subscribers (§4.6.3)."""
    known, session.directed = session.directed, None
    if not known:
        return []
    if not was_available:
        return list(known)
    home = session.home
    return [to for to in known if not home.is_seen_by(bare := to.partition("/")[0]) and bare != home.bare]


def hide_from(session: Session, jid: str) -> None:
    """Somebody's devices, or the one with this full JID, were told that the session goes from their sight."""
    if session.directed:
        session.directed = {to for to in session.directed if jid not in (to, to.partition("/")[0])}


def take_back(session: Session, bare: str) -> set[str]:
    """The addresses of an account to which the session directed presence; from now on it has not."""
    shown = {to for to in session.directed or () if to.partition("/")[0] == bare}
    if session.directed is not None:
        session.directed -= shown
    return shown


def has_gone(viewers: Home | None, full: str) -> None:
    """The resource `full` told this account that it goes; it need not hear of their end any more (§4.6.1)."""
    for session in viewers.sessions if viewers is not None else ():
        if session.directed:
            session.directed.discard(full)
