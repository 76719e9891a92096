"""What the person behind a client of the crash test is shown: each message once, known by its stanza-id."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from tests.conformance.wire import NAMESPACES

DELAY = "{urn:xmpp:delay}delay"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
WAIT = "error[@type='wait']"
"""Not now, but later."""
LIKE_NOBODY = "error/stanzas:service-unavailable"
"""What a gate says that cannot be asked: it stays closed, and looks as it does to strangers."""


@dataclass
class Tally:
    """What happened in a run, of all clients together."""

    sent: int = 0
    sent_again: int = 0
    acknowledged: int = 0
    resumed: int = 0
    began_anew: int = 0
    vanished: int = 0
    rested: int = 0
    """Clients did not read for seconds."""
    caught_up: int = 0
    refused: int = 0
    refused_like_nobody: int = 0
    back_s: list[float] = field(default_factory=list)
    """From the server's end until a client had a session again."""
    away_s: list[float] = field(default_factory=list)
    """From the loss of a connection, brought about by the server, until the client had a session again."""
    faults: list[str] = field(default_factory=list)


class Screen:
    """One application. What comes live while it reads its history is shown behind that."""

    def __init__(self, owner: str, tally: Tally) -> None:
        """`owner` is the bare JID."""
        self.owner = owner
        self.tally = tally
        self.seen: dict[int, tuple[str, int]] = {}
        """Sender and number by stanza-id, in the order in which they were shown; "" and 0 for its own words."""
        self.trace: list[tuple[str, int]] = []
        """How each message was shown, and what became of connections, for whoever looks for a fault."""
        self.refused: dict[int, int] = {}
        """In which of its sessions the owner heard that a number of theirs had failed."""
        self.session = 0
        self.is_holding = False
        self._held: list[tuple[int, str, int, str]] = []

    @property
    def last(self) -> int:
        """The greatest id that was seen."""
        return max(self.seen, default=0)

    def get(self, message: Element) -> None:
        """A message arrived by itself."""
        if message.get("type") == "error":
            self._get_refusal(message)
            return
        ids = [
            int(mark.get("id") or 0) for mark in message.findall(STANZA_ID) if mark.get("by") == self.owner
        ]
        if len(ids) != 1:
            self.tally.faults.append(f"{self.owner} got a message with {len(ids)} ids of its own log")
            return
        how = "live" if message.find(DELAY) is None else "late"
        got = (ids[0], _sender(message), int(message.get("id") or 0), how)
        if self.is_holding:
            self._held.append(got)
        else:
            self._show(*got)

    def _get_refusal(self, message: Element) -> None:
        self.tally.refused += 1
        self.refused[int(message.get("id") or 0)] = self.session
        if message.find(LIKE_NOBODY, dict(NAMESPACES)) is not None:
            self.tally.refused_like_nobody += 1
        elif message.find(WAIT, dict(NAMESPACES)) is None:
            self.tally.faults.append(
                f"{self.owner} was refused otherwise than for a while: {list(message.iter())}"
            )

    def get_from_history(self, stanza_id: int, message: Element) -> None:
        """A message stood in the history."""
        sender = _sender(message)
        if sender == self.owner:
            self.note(stanza_id)
        elif stanza_id not in self.seen:
            self.tally.caught_up += 1
            self._show(stanza_id, sender, int(message.get("id") or 0), "archive")

    def note(self, stanza_id: int) -> None:
        """It is of our own words, which need not be shown."""
        self.seen.setdefault(stanza_id, ("", 0))

    def release(self) -> None:
        """The history has been read."""
        self.is_holding = False
        held, self._held = self._held, []
        for got in held:
            self._show(*got)

    def _show(self, stanza_id: int, sender: str, number: int, how: str) -> None:
        if stanza_id not in self.seen:
            self.trace.append((how, number))
        self.seen.setdefault(stanza_id, (sender, number))

    def shown(self) -> dict[int, tuple[str, int]]:
        """Everything of others."""
        return {stanza_id: said for stanza_id, said in self.seen.items() if said[0]}

    def around(self, number: int) -> str:
        """How this message came, and what came before and behind it."""
        at = next((i for i, (_, shown) in enumerate(self.trace) if shown == number), 0)
        return _listed(self.trace[max(0, at - 12) : at + 5])


def _sender(message: Element) -> str:
    return (message.get("from") or "").partition("/")[0]


def _listed(trace: Iterable[tuple[str, int]]) -> str:
    return " ".join(f"{how}:{number}" for how, number in trace)
