"""Commands that wait for an answer: whose they are, how many there may be, and for how long."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from rainbow_xmpp.plugin import Condition, Session, StanzaError
from rainbow_xmpp.plugins.adhoc.conversation import Conversation, Question
from rainbow_xmpp.plugins.adhoc.payloads import refusal

REMEMBERED = 1000
"""So many ended talks are known to have been there."""


def new_talk_id() -> str:
    """Nobody guesses it."""
    return secrets.token_urlsafe(18)


@dataclass(eq=False, slots=True)
class Talk:
    """One command of one session that is under way (XEP-0050 §3.3)."""

    id: str
    session: Session
    node: str
    conversation: Conversation
    question: Question
    at: float
    """When it was last heard of (Unix time in seconds)."""


class Talks:
    """All of them, the one that was silent longest first."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: OrderedDict[str, Talk] = OrderedDict()
        self._ended: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self, session: Session, node: str, begun: tuple[Conversation, Question], at: float, *, most_each: int
    ) -> Talk:
        """A command waits for its first answer. Of too many of one session the oldest ends.

        Raises StanzaError (resource-constraint) when too many wait in all.
        """
        own = list(self._of(session))
        for talk in own[: max(0, len(own) - most_each + 1)]:
            self.end(talk)
        if len(self._open) >= self._most:
            begun[0].end()
            raise StanzaError(Condition.RESOURCE_CONSTRAINT)
        talk = Talk(new_talk_id(), session, node, *begun, at)
        self._open[talk.id] = talk
        return talk

    def find(self, id: str, session: Session, node: str) -> Talk:
        """The talk with this id, for the session and the command it belongs to. Raises StanzaError (§4.4)."""
        talk = self._open.get(id)
        if talk is not None and talk.session is session and talk.node == node:
            return talk
        if talk is None and self._ended.get(id) == session.full:
            raise refusal("session-expired", condition=Condition.NOT_ALLOWED)
        raise refusal("bad-sessionid")

    def asked(self, talk: Talk, question: Question, at: float) -> None:
        """It goes on with this question."""
        talk.question, talk.at = question, at
        self._open.move_to_end(talk.id)

    def end(self, talk: Talk) -> None:
        """It is over, however it came to that."""
        if self._open.pop(talk.id, None) is None:
            return
        talk.conversation.end()
        self._ended[talk.id] = talk.session.full
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def end_silent(self, before: float) -> None:
        """End those that were not heard of since this Unix time (seconds)."""
        while self._open and (talk := next(iter(self._open.values()))).at < before:
            self.end(talk)

    def end_of(self, session: Session) -> None:
        """The session is gone, and its commands with it."""
        for talk in list(self._of(session)):
            self.end(talk)

    def end_all(self) -> None:
        for talk in list(self._open.values()):
            self.end(talk)

    def _of(self, session: Session) -> Iterator[Talk]:
        return (talk for talk in self._open.values() if talk.session is session)
