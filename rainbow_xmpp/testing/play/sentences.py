"""The sentences of plays: how each is written, and the step it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.testing.play import steps
from rainbow_xmpp.testing.play.failure import Place, PlayError
from rainbow_xmpp.testing.play.script import Device, Member
from rainbow_xmpp.testing.play.steps import Step
from rainbow_xmpp.xml import Element, names

_AND = re.compile(r",\s*(?:and\s+)?|\s+and\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a scene, taken apart."""

    place: Place
    found: re.Match[str]
    cast: Sequence[Member]
    block: tuple[Element, ...]

    @property
    def who(self) -> tuple[Device, ...]:
        """The devices at the sentence's beginning."""
        return tuple(self._device(name) for name in _AND.split(self.found["who"]))

    @property
    def people(self) -> tuple[str, ...]:
        """The people at the sentence's beginning."""
        return tuple(self.person(name) for name in _AND.split(self.found["who"]))

    def person(self, name: str) -> str:
        if all(member.name != name for member in self.cast):
            raise PlayError(self.place, f"{name} is not in the cast")
        return name

    def _device(self, text: str) -> Device:
        devices = {str(device): device for member in self.cast for device in member.devices}
        try:
            return devices[text]
        except KeyError:
            raise PlayError(self.place, f"{text} is not one of {', '.join(devices)}") from None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A way to say something. `namespace` is that of the elements in the block behind it; "" = there is none."""

    text: str
    pattern: re.Pattern[str]
    step: Callable[[Line], Step]
    namespace: str = ""


def _sentence(text: str, step: Callable[[Line], Step], namespace: str = "") -> Sentence:
    """`text` as it is written: WHO, and other names in capitals, stand for a word or more."""
    pattern = re.sub(r"\b[A-Z]{2,}\b", lambda found: f"(?P<{found[0].lower()}>.+?)", text)
    return Sentence(text.replace("(?:", "(").replace("|", "/"), re.compile(pattern), step, namespace)


def _answer(line: Line) -> Step:
    text = line.found["answer"]
    if text == "a result":
        return steps.Answer(line.place, line.who, line.found["id"], None)
    try:
        condition = Condition(text)
    except ValueError:
        raise PlayError(line.place, f"{text} is no condition of RFC 6120 §8.3.3, nor 'a result'") from None
    return steps.Answer(line.place, line.who, line.found["id"], condition)


def _subscribed(line: Line) -> Step:
    seen = line.person(line.found["contact"])
    return steps.Subscribe(line.place, tuple((viewer, seen) for viewer in line.people))


def _subscribed_mutually(line: Line) -> Step:
    pairs = tuple((a, b) for a in line.people for b in line.people if a != b)
    return steps.Subscribe(line.place, pairs)


SENTENCES: Sequence[Sentence] = (
    _sentence("nobody receives anything", lambda s: steps.ReceiveNothing(s.place, ())),
    _sentence("WHO (?:logs|log) in", lambda s: steps.LogIn(s.place, s.who, is_online=False)),
    _sentence("WHO (?:comes|come) online", lambda s: steps.LogIn(s.place, s.who, is_online=True)),
    _sentence("WHO (?:disconnects|disconnect)", lambda s: steps.Leave(s.place, s.who, is_cut=False)),
    _sentence("WHO (?:loses|lose) the connection", lambda s: steps.Leave(s.place, s.who, is_cut=True)),
    _sentence("WHO (?:sends|send):", lambda s: steps.Send(s.place, s.who, s.block), names.CLIENT),
    _sentence("WHO may receive:", lambda s: steps.MayReceive(s.place, s.who, s.block), names.CLIENT),
    _sentence("WHO (?:receives|receive):", lambda s: steps.Receive(s.place, s.who, s.block), names.CLIENT),
    _sentence(
        "WHO (?:receives|receive) in any order:",
        lambda s: steps.ReceiveInAnyOrder(s.place, s.who, s.block),
        names.CLIENT,
    ),
    _sentence("WHO (?:receives|receive) nothing", lambda s: steps.ReceiveNothing(s.place, s.who)),
    _sentence("WHO (?:skips|skip) the rest", lambda s: steps.Skip(s.place, s.who)),
    _sentence("WHO (?:gets|get) ANSWER for ID", _answer),
    _sentence("WHO (?:fetches|fetch) the roster", lambda s: steps.FetchRoster(s.place, s.who)),
    _sentence(
        "WHO (?:fetches|fetch) the roster, which is empty",
        lambda s: steps.FetchRoster(s.place, s.who, ()),
    ),
    _sentence(
        "WHO (?:fetches|fetch) the roster:",
        lambda s: steps.FetchRoster(s.place, s.who, s.block),
        names.ROSTER,
    ),
    _sentence(
        "WHO (?:changes|change) the roster:",
        lambda s: steps.ChangeRoster(s.place, s.who, s.block),
        names.ROSTER,
    ),
    _sentence(
        "WHO (?:receives|receive) a roster push:",
        lambda s: steps.RosterPush(s.place, s.who, s.block),
        names.ROSTER,
    ),
    _sentence("WHO (?:is|are) subscribed to each other", _subscribed_mutually),
    _sentence("WHO (?:is|are) subscribed to CONTACT", _subscribed),
)
"""In this order they are tried."""
