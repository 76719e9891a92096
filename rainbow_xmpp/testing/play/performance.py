"""Performing a scene: who sits where, what is known so far, and what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rainbow_xmpp.testing.play.comparison import Reader, compare, written
from rainbow_xmpp.testing.play.failure import Place, PlayError, PlayFailed
from rainbow_xmpp.testing.play.script import Device, Scene
from rainbow_xmpp.testing.play.venue import Seat, Venue
from rainbow_xmpp.testing.play.wording import filled
from rainbow_xmpp.xml import Element, names, serialise


class Sent(NamedTuple):
    """A stanza with an id, of which somebody may get the answer."""

    tag: str
    to: str


async def perform(scene: Scene, venue: Venue) -> None:
    """Act a scene out. PlayFailed when the server does otherwise; PlayError when the play makes no sense."""
    try:
        await _act(scene, venue)
    except (PlayError, PlayFailed) as failure:
        raise failure.with_traceback(None) from None  # what matters are the play's lines


async def _act(scene: Scene, venue: Venue) -> None:
    on = Performance(scene, venue)
    for member in scene.cast:
        on.known[member.name] = await venue.admit(member)
    for step in scene.steps:
        try:
            await step.perform(on)
        except KeyError as error:
            raise PlayError(step.place, f"{{{error.args[0]}}} stands for nothing yet") from None
    end = Place(scene.file, scene.steps[-1].place.line if scene.steps else scene.line)
    await on.expect_nothing(on.seats, end, "at the end ")


class Performance:
    """One scene in one venue."""

    def __init__(self, scene: Scene, venue: Venue) -> None:
        self.scene = scene
        self.venue = venue
        self.known: dict[str, str] = {"domain": venue.domain}
        """What names in braces stand for."""
        self.seats: dict[Device, Seat] = {}
        self.sent: dict[tuple[Device, str], Sent] = {}
        self.optional: dict[Device, list[Element]] = {}
        """What may come or not: it is left out wherever it comes."""
        self._held: dict[Device, list[Element]] = {}
        self._unsettled: Seat | None = None

    # -- coming and going ------------------------------------------------------------------------------

    async def log_in(self, device: Device, place: Place) -> Seat:
        """Let a device in."""
        await self.next_turn(None)
        if device in self.seats:
            raise PlayError(place, f"{device} is logged in already")
        seat = self.seats[device] = await self.venue.log_in(device)
        self.known[device.reference] = seat.jid
        return seat

    async def leave(self, device: Device, place: Place, *, cut: bool) -> None:
        """Let a device go."""
        seat = self.seat(device, place)
        await self.next_turn(None)
        del self.seats[device]
        await (seat.cut() if cut else seat.close())

    def seat(self, device: Device, place: Place) -> Seat:
        """Where a device sits; PlayError when it is not logged in."""
        try:
            return self.seats[device]
        except KeyError:
            raise PlayError(place, f"{device} is not logged in") from None

    async def next_turn(self, seat: Seat | None) -> None:
        """Somebody else does something: what was sent before shall have been handled before."""
        if self._unsettled is not None and self._unsettled is not seat:
            await self._unsettled.settle()
        self._unsettled = seat

    # -- sending ---------------------------------------------------------------------------------------

    async def send(self, device: Device, stanza: Element, place: Place) -> None:
        """Send a stanza of the play, with what its names stand for."""
        seat = self.seat(device, place)
        await self.next_turn(seat)
        stanza = filled_in(stanza, self.known)
        if stanza_id := stanza.get("id"):
            to = stanza.get("to", self.known[device.person])
            self.sent[device, stanza_id] = Sent(stanza.tag, to)
        await seat.send(serialise(stanza, names.CLIENT).decode())

    # -- reading ---------------------------------------------------------------------------------------

    def reader(self, device: Device) -> Reader:
        return Reader(self.known[device.person], self.known[device.reference])

    async def _next(self, device: Device, place: Place) -> Element | None:
        held = self._held.get(device)
        if held:
            return held.pop(0)
        seat = self.seat(device, place)
        while (came := await seat.next()) is not None and self._is_optional(device, came):
            pass
        return came

    async def rest(self, device: Device, place: Place) -> list[Element]:
        """What has come and was not expected yet."""
        came = self._held.pop(device, []) + await self.seat(device, place).rest()
        return [stanza for stanza in came if not self._is_optional(device, stanza)]

    def _is_optional(self, device: Device, came: Element) -> bool:
        reader = self.reader(device)
        patterns = self.optional.get(device, ())
        return any(not compare(pattern, came, self.known, reader).differences for pattern in patterns)

    async def expect(self, device: Device, pattern: Element, place: Place) -> Element:
        """The next stanza, which must be as the pattern says."""
        came = await self._next(device, place)
        if came is None:
            raise PlayFailed(place, f"{device} received nothing", self._expected([pattern]))
        comparison = compare(pattern, came, self.known, self.reader(device))
        if comparison.differences:
            raise PlayFailed(
                place,
                f"{device} received something else",
                self._expected([pattern]) + self._came([came]) + _listed("differs", comparison.differences),
            )
        self.known |= comparison.found
        return came

    async def expect_answer(self, device: Device, pattern: Element, place: Place) -> None:
        """The answer to an IQ, as the pattern says; what came before it is still to be read."""
        before: list[Element] = []
        while (came := await self._next(device, place)) is not None:
            if came.tag == pattern.tag and came.get("id") == pattern.get("id"):
                break
            before.append(came)
        self._held[device] = ([] if came is None else [came]) + before
        await self.expect(device, pattern, place)

    async def expect_in_any_order(self, device: Device, patterns: Iterable[Element], place: Place) -> None:
        """The next stanzas, as many as there are patterns."""
        waiting = list(patterns)
        while waiting:
            came = await self._next(device, place)
            if came is None:
                raise PlayFailed(place, f"{device} received nothing more", self._expected(waiting))
            for pattern in waiting:
                comparison = compare(pattern, came, self.known, self.reader(device))
                if not comparison.differences:
                    self.known |= comparison.found
                    waiting.remove(pattern)
                    break
            else:
                raise PlayFailed(
                    place, f"{device} received something else", self._expected(waiting) + self._came([came])
                )

    async def expect_nothing(self, devices: Iterable[Device], place: Place, when: str = "") -> None:
        """Nothing is left to be read by any of these, however long one waits."""
        await self.settle()
        for device in devices:
            came = await self.rest(device, place)
            if came:
                raise PlayFailed(place, f"{when}{device} received more than was expected", self._came(came))

    async def settle(self) -> None:
        """Wait until the server has handled what everybody sent."""
        self._unsettled = None
        for seat in list(self.seats.values()):
            await seat.settle()

    # -- telling ---------------------------------------------------------------------------------------

    def _expected(self, patterns: Iterable[Element]) -> str:
        return _listed("expected", [written(pattern, self.known) for pattern in patterns])

    def _came(self, stanzas: Iterable[Element]) -> str:
        return _listed("came", [written(stanza, self.known) for stanza in stanzas])


def _listed(what: str, lines: Iterable[str]) -> str:
    return "".join(f"  {what:9} {line}\n" for line in lines)


def filled_in(pattern: Element, known: Mapping[str, str]) -> Element:
    """The element with all its names replaced and without the white space of its layout."""
    element = Element(pattern.tag, {key: filled(value, known) for key, value in pattern.items()})
    is_layout = len(pattern) > 0
    element.text = _said(pattern.text, known, is_layout=is_layout)
    for child in pattern:
        copy = filled_in(child, known)
        copy.tail = _said(child.tail, known, is_layout=is_layout)
        element.append(copy)
    return element


def _said(text: str | None, known: Mapping[str, str], *, is_layout: bool) -> str | None:
    if text is None or (is_layout and not text.strip()):
        return None
    return filled(text, known)
