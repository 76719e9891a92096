"""What can happen in a scene: each kind of step is a sentence, see `sentences`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.testing.play.failure import Place, PlayError
from rainbow_xmpp.testing.play.performance import Performance
from rainbow_xmpp.testing.play.script import ONLY_DEVICE, Device
from rainbow_xmpp.testing.play.wording import ABSENT, ANYTHING
from rainbow_xmpp.xml import Element, names

IQ = f"{{{names.CLIENT}}}iq"
PRESENCE = f"{{{names.CLIENT}}}presence"
QUERY = f"{{{names.ROSTER}}}query"
STANZA_ERROR = f"{{{names.CLIENT}}}error"


class Step(Protocol):
    """Something that happens in a scene."""

    @property
    def place(self) -> Place:
        """Where it is written."""

    async def perform(self, on: Performance) -> None:
        """Let it happen; PlayFailed when the server does otherwise."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """`ann logs in`, and `ann comes online`: with presence, and the echo of it (RFC 6121 §4.2.2) read."""

    place: Place
    who: tuple[Device, ...]
    is_online: bool

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            await on.log_in(device, self.place)
            if self.is_online:
                await on.send(device, Element(PRESENCE), self.place)
                echo = Element(PRESENCE, {"from": f"{{{device.reference}}}"})
                await on.expect(device, echo, self.place)


@dataclass(frozen=True, slots=True)
class Leave:
    """`ann disconnects`, `ann loses the connection`."""

    place: Place
    who: tuple[Device, ...]
    is_cut: bool

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            await on.leave(device, self.place, cut=self.is_cut)


@dataclass(frozen=True, slots=True)
class Send:
    """`ann sends:` and stanzas."""

    place: Place
    who: tuple[Device, ...]
    stanzas: tuple[Element, ...]

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            for stanza in self.stanzas:
                await on.send(device, stanza, self.place)


@dataclass(frozen=True, slots=True)
class Receive:
    """`ann receives:` and patterns: these are the next stanzas that come, in this order."""

    place: Place
    who: tuple[Device, ...]
    patterns: tuple[Element, ...]

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            for pattern in self.patterns:
                await on.expect(device, pattern, self.place)


@dataclass(frozen=True, slots=True)
class ReceiveInAnyOrder:
    """`ann receives in any order:` and patterns."""

    place: Place
    who: tuple[Device, ...]
    patterns: tuple[Element, ...]

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            await on.expect_in_any_order(device, self.patterns, self.place)


@dataclass(frozen=True, slots=True)
class ReceiveNothing:
    """`ann receives nothing`, `nobody receives anything` (then `who` is empty)."""

    place: Place
    who: tuple[Device, ...]

    async def perform(self, on: Performance) -> None:
        await on.expect_nothing(self.who or tuple(on.seats), self.place)


@dataclass(frozen=True, slots=True)
class MayReceive:
    """`ann may receive:` and patterns: from here on such stanzas may come or not, at any time."""

    place: Place
    who: tuple[Device, ...]
    patterns: tuple[Element, ...]

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            on.optional.setdefault(device, []).extend(self.patterns)


@dataclass(frozen=True, slots=True)
class Skip:
    """`ann skips the rest`: what else has come is not what this scene is about."""

    place: Place
    who: tuple[Device, ...]

    async def perform(self, on: Performance) -> None:
        await on.settle()
        for device in self.who:
            await on.rest(device, self.place)


@dataclass(frozen=True, slots=True)
class Answer:
    """`ann gets a result for q1` (an empty one), `ann gets item-not-found for q1`: from whom she sent q1 to."""

    place: Place
    who: tuple[Device, ...]
    stanza_id: str
    condition: Condition | None

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            await on.expect(device, self._pattern(on, device), self.place)

    def _pattern(self, on: Performance, device: Device) -> Element:
        try:
            sent = on.sent[device, self.stanza_id]
        except KeyError:
            raise PlayError(self.place, f"{device} has sent nothing with the id {self.stanza_id}") from None
        sender = sent.to + (f" | {ABSENT}" if sent.to == on.known[device.person] else "")
        type_ = "result" if self.condition is None else "error"
        pattern = Element(sent.tag, {"type": type_, "id": self.stanza_id, "from": sender})
        if self.condition is not None:
            error = Element(STANZA_ERROR, {"type": self.condition.usual_type, "by": f"{ABSENT} | {ANYTHING}"})
            error.text = "..."  # a text, and conditions of other namespaces (RFC 6120 §8.3.2)
            error.append(Element(f"{{{names.STANZAS}}}{self.condition}"))
            pattern.text = "..."  # what was refused may be repeated (RFC 6120 §8.3.1)
            pattern.append(error)
        return pattern


@dataclass(frozen=True, slots=True)
class FetchRoster:
    """`ann fetches the roster`; with items behind it, it holds these and no others. What came before is read later."""

    place: Place
    who: tuple[Device, ...]
    items: tuple[Element, ...] | None = None

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            request = Element(IQ, {"type": "get", "id": "roster"})
            request.append(Element(QUERY))
            await on.send(device, request, self.place)
            await on.expect_answer(device, self._pattern(), self.place)

    def _pattern(self) -> Element:
        query = Element(QUERY, {"ver": f"{ABSENT} | {ANYTHING}"})
        query.extend(self.items or ())
        if self.items is None:
            query.text = "..."
        answer = Element(IQ, {"type": "result", "id": "roster"})
        answer.append(query)
        return answer


@dataclass(frozen=True, slots=True)
class ChangeRoster:
    """`ann changes the roster:` and an item; a push may come before the answer or behind it, and is read later."""

    place: Place
    who: tuple[Device, ...]
    items: tuple[Element, ...]

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            for item in self.items:
                request = Element(IQ, {"type": "set", "id": "change"})
                query = Element(QUERY)
                query.append(item)
                request.append(query)
                await on.send(device, request, self.place)
                await on.expect_answer(device, Element(IQ, {"type": "result", "id": "change"}), self.place)


@dataclass(frozen=True, slots=True)
class RosterPush:
    """`ann receives a roster push:` and an item; it is acknowledged (RFC 6121 §2.1.6)."""

    place: Place
    who: tuple[Device, ...]
    items: tuple[Element, ...]

    async def perform(self, on: Performance) -> None:
        for device in self.who:
            for item in self.items:
                push = Element(IQ, {"type": "set", "id": ANYTHING})
                query = Element(QUERY, {"ver": f"{ABSENT} | {ANYTHING}"})
                query.append(item)
                push.append(query)
                came = await on.expect(device, push, self.place)
                await on.send(device, Element(IQ, {"type": "result", "id": came.get("id", "")}), self.place)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`ann is subscribed to bob`: it has been so since before the scene; nobody is logged in yet."""

    place: Place
    pairs: tuple[tuple[str, str], ...]

    async def perform(self, on: Performance) -> None:
        if on.seats:
            raise PlayError(self.place, "subscriptions of old are told before somebody logs in")
        for viewer, seen in self.pairs:
            await self._say(on, viewer, "subscribe", seen)
            await self._say(on, seen, "subscribed", viewer)

    async def _say(self, on: Performance, speaker: str, kind: str, to: str) -> None:
        """Through a device without presence, which hears nothing."""
        device = Device(speaker, ONLY_DEVICE)
        await on.log_in(device, self.place)
        await on.send(device, Element(PRESENCE, {"type": kind, "to": f"{{{to}}}"}), self.place)
        await on.settle()
        await on.leave(device, self.place, cut=False)
