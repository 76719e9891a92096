"""Who answers those who have not logged in yet (XEP-0077, XEP-0389)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass

from rainbow_xmpp.errors import Condition, LocalMisuse, PeerViolation, StanzaError, StreamCondition
from rainbow_xmpp.router.faults import excuse
from rainbow_xmpp.session.early import EarlyReply, Stranger
from rainbow_xmpp.stanza import error_reply, iq_result
from rainbow_xmpp.stream import EarlyName, EarlyRequest
from rainbow_xmpp.xml import Element, View, serialise

log = logging.getLogger(__name__)

AnswersIq = Callable[[Stranger, Element], Awaitable[Element | None]]
"""The payload of the result, None for an empty one; a StanzaError becomes the error."""
AnswersElement = Callable[[Stranger, Element], Awaitable[EarlyReply]]


@dataclass(frozen=True, slots=True)
class _Iq:
    owner: str
    handler: AnswersIq


@dataclass(frozen=True, slots=True)
class _Top:
    owner: str
    handler: AnswersElement
    excuse: bytes
    """What is said when the handler fails: such elements have no errors."""


class EarlyRegistry:
    """Handlers by what is asked. Streams that begin later know of what is added."""

    def __init__(self) -> None:
        self._entries: dict[EarlyName, _Iq | _Top] = {}

    @property
    def names(self) -> frozenset[EarlyName]:
        """What is answered."""
        return frozenset(self._entries)

    def owners(self) -> set[str]:
        return {entry.owner for entry in self._entries.values()}

    def add_iq(self, owner: str, kind: str, name: str, handler: AnswersIq) -> Callable[[], None]:
        """Answer IQ requests with the payload `{namespace}name`; returns what undoes it."""
        return self._add(kind, name, _Iq(owner, handler))

    def add_element(
        self, owner: str, name: str, handler: AnswersElement, excuse: bytes
    ) -> Callable[[], None]:
        """Answer an element at the top of the stream; returns what undoes it."""
        return self._add("", name, _Top(owner, handler, excuse))

    def _add(self, kind: str, name: str, entry: _Iq | _Top) -> Callable[[], None]:
        namespace, _, local = name.removeprefix("{").rpartition("}")
        key = EarlyName(kind, namespace, local)
        if key in self._entries:
            known = self._entries[key].owner
            raise LocalMisuse(f"plugin {entry.owner}: {name} is answered before login by {known} already")
        self._entries[key] = entry

        def undo() -> None:
            self._entries.pop(key, None)

        return undo

    async def answer(
        self, request: EarlyRequest, strangers: MutableMapping[str, Stranger], new: Callable[[], Stranger]
    ) -> EarlyReply:
        """As `AnswersStrangers.answer`."""
        entry = self._entries.get(request.name)
        if entry is None:  # its plugin stopped after the stream had begun
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, detail="nobody answers this any more")
        stranger = strangers.get(entry.owner)
        if stranger is None:
            stranger = strangers[entry.owner] = new()
        if isinstance(entry, _Iq):
            return EarlyReply(await _answer_iq(entry, stranger, request.view))
        return await _answer_element(entry, stranger, request.view)


async def _answer_iq(entry: _Iq, stranger: Stranger, view: View) -> bytes:
    asked = view.attrs.get("to", "")  # the answer comes from where it went; its addressee has no name yet
    try:
        if not view.attrs.get("id"):  # RFC 6120 §8.1.3
            raise StanzaError(Condition.BAD_REQUEST)
        payload = await entry.handler(stranger, view.child_element(view.children[0]))
    except PeerViolation:
        raise
    except Exception as error:  # around one request
        if not isinstance(error, StanzaError):
            error = excuse("request before login", error, plugin=entry.owner)
        refusal = error_reply(view, error, from_=asked, to="")
        assert refusal is not None, "requests have answers"
        return refusal
    return iq_result(view, from_=asked, to="", payload=b"" if payload is None else serialise(payload))


async def _answer_element(entry: _Top, stranger: Stranger, view: View) -> EarlyReply:
    try:
        return await entry.handler(stranger, view.element())
    except PeerViolation:
        raise
    except StanzaError as refusal:  # it took too long, which is in the log
        log.debug("a request before login: %s", refusal, extra={"plugin": entry.owner})
        return EarlyReply(entry.excuse)
    except Exception as error:  # around one element
        excuse("request before login", error, plugin=entry.owner)  # which is for the log
        return EarlyReply(entry.excuse)
