"""Questions of the server's to clients: IQ requests that it sends, and their answers (RFC 6120 §8.2.3)."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from rainbow_xmpp import ids
from rainbow_xmpp.errors import Condition, ErrorType, LocalMisuse, StanzaError
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza import iq_request
from rainbow_xmpp.xml import Element, View, names

MOST_AT_ONCE = 16
"""Questions that one session has not answered yet."""


class _Asked(NamedTuple):
    session: Session
    answer: asyncio.Future[Element | None]
    task: asyncio.Task[Any] | None
    """Who waits for it."""


class Questions:
    """What was asked and not answered yet. Only the session that was asked can answer."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._open: dict[str, _Asked] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waiting(self) -> set[asyncio.Task[Any]]:
        """The tasks that go on when a client answers."""
        waiting = (asked for asked in self._open.values() if not asked.answer.done())
        return {asked.task for asked in waiting if asked.task is not None}

    async def ask(
        self, session: Session, type_: str, payload: bytes, *, timeout_s: float = 30.0
    ) -> Element | None:
        """The payload of the client's result; raises StanzaError with what it, or its silence, says.

        LocalMisuse where the answer could not come: in what the client's own stanzas wait for.
        """
        if session.waits_for_us:
            raise LocalMisuse(
                "a client's answer waits behind the stanza that is being handled; ask in a task: services.spawn"
            )
        if session not in session.home.sessions:
            raise StanzaError(Condition.RECIPIENT_UNAVAILABLE)
        if sum(asked.session is session for asked in self._open.values()) >= MOST_AT_ONCE:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT)
        stanza_id = f"ask-{ids.new_stream_id()}"
        answer: asyncio.Future[Element | None] = asyncio.get_running_loop().create_future()
        self._open[stanza_id] = _Asked(session, answer, asyncio.current_task())
        try:
            session.wire.send(
                iq_request(type_, stanza_id, from_=self._domain, to=session.full, payload=payload)
            )
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise StanzaError(Condition.REMOTE_SERVER_TIMEOUT, detail="the client did not answer") from None
        finally:
            del self._open[stanza_id]

    def answered(self, session: Session, view: View) -> None:
        """A result or an error came; what nobody asked for is ignored."""
        asked = self._open.get(view.attrs.get("id", ""))
        if asked is None or asked.session is not session or asked.answer.done():
            return
        stanza = view.element()
        if view.attrs["type"] == "error":
            asked.answer.set_exception(_error_in(stanza))
        else:
            asked.answer.set_result(stanza[0] if len(stanza) else None)

    def ended(self, session: Session) -> None:
        """The session is gone, and will not answer."""
        for asked in self._open.values():
            if asked.session is session and not asked.answer.done():
                asked.answer.set_exception(StanzaError(Condition.RECIPIENT_UNAVAILABLE))


def _error_in(stanza: Element) -> StanzaError:
    error = stanza.find(f"{{{names.CLIENT}}}error")
    conditions = [] if error is None else [child.tag.rpartition("}")[2] for child in error]
    found = next((Condition(name) for name in conditions if name in set(Condition)), None)
    kind = "" if error is None else error.get("type", "")
    return StanzaError(
        found or Condition.UNDEFINED_CONDITION, type=ErrorType(kind) if kind in set(ErrorType) else None
    )
