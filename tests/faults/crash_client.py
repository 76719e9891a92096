"""A client of the crash test: it says numbers, comes back, and remembers what was acknowledged and what it saw."""

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from tests.conformance.wire import NAMESPACES, ConnectionEnded, Over, SaslFailure, Wire, connect
from tests.faults.crash_screen import WAIT, Screen, Tally
from tests.faults.troubles import Reached
from tests.process import Person

SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
MESSAGE = "{jabber:client}message"
IQ = "{jabber:client}iq"
STANZAS = frozenset(f"{{jabber:client}}{name}" for name in ("message", "presence", "iq"))
LOST = (ConnectionEnded, OSError, TimeoutError, asyncio.IncompleteReadError)
PAGE = 100
PADDING = f"<padding xmlns='urn:example:padding'>{'.' * 2000}</padding>"
"""Who does not read is sent more, so that it is felt."""
SAID = "urn:example:said"
"""In which of its sessions a client said something: of two copies of a message one is kept."""
REST_CHANCE, VANISH_CHANCE = 0.02, 0.002
"""After each element that was read."""
FORGETS_WITHIN_S = 5.0
"""Later, what it said may have been refused, of which it would not hear: it would say that again, out of order."""
MOST_LEFT = 3
"""So many connections that nobody closed lie about for one client."""


def taken_back_by(number: int) -> int:
    """Which message the one with this number takes back (XEP-0424); 0 for none."""
    return number - 7 if number % 25 == 0 else 0


class Vanished(ConnectionEnded):
    """The client has gone by itself."""


class CrashClient:
    """One account on one device, that writes to `peer` while `is_talking`."""

    def __init__(self, server: Reached, person: Person, seed: int, tally: Tally, pace: float) -> None:
        """`pace` is how many messages it says in a second."""
        self.server = server
        self.person = person
        self.peer: CrashClient
        self.tally = tally
        self.pace = pace
        self.random = random.Random(seed)
        self.over: Over = self.random.choice(("wss", "tls"))
        self.is_slow = self.random.random() < 0.2
        self.is_talking = True
        self.screen = Screen(person.jid, tally)
        self.wire: Wire | None = None
        self.said = 0
        self.said_at: list[float] = []
        """When it said each number for the first time (monotonic clock)."""
        self.sessions = 0
        """So many it has begun."""
        self.acknowledged: set[int] = set()
        self.down_at = 0.0
        """When the server was ended that it came back to last (monotonic clock)."""
        self._lost_at = 0.0
        """Since when it is without a connection that it has not given up itself."""
        self._burst = 0
        self._hurried = asyncio.Event()
        self._left: deque[Wire] = deque()
        self._is_caught_up = False
        self._queries = 0
        self._resume_id = ""
        self._unacked: deque[int | None] = deque()
        """Stanzas since the last acknowledgement: the number that was said; None for what need not be said again."""
        self._oldest_at = 0.0
        """So long something has been unacknowledged, or longer: since the last time when nothing was."""
        self._doubtful: list[int] = []
        """What a resumption acknowledged. Whether it was refused stands in what follows, up to the next `<a/>`."""
        self._counted = 0
        """How many of ours the server has acknowledged in this session."""
        self._handled = 0
        """How many stanzas of the server we have handled in this session."""

    # -- the connection --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Talk, and come back, until it is told to be quiet and everything is acknowledged."""
        while self.is_talking or not self.is_done:
            try:
                await self._connect()
                await self._talk()
            except ET.ParseError as error:
                assert self.wire is not None
                self.tally.faults.append(f"{error}: {bytes(self.wire.received)[-1500:]!r}")
                self._drop()
            except (*LOST, SaslFailure) as lost:
                if not isinstance(lost, Vanished) and not self._lost_at:
                    self._lost_at = time.monotonic()
                self._drop()
                is_down = isinstance(lost, ConnectionRefusedError)
                await asyncio.sleep(
                    self.random.uniform(0.2, 1.0) if is_down else self.random.uniform(0.02, 0.2)
                )
        self._drop()
        for wire in self._left:
            wire.abort()

    @property
    def is_done(self) -> bool:
        return not self._doubtful and not any(number is not None for number in self._unacked)

    async def catch_up_at_last(self) -> None:
        """Once more from the archive, when nobody talks any more."""
        await self._connect()
        await self._catch_up()
        self._drop()

    def _drop(self) -> None:
        if self.wire is not None:
            self.wire.abort()
            self.wire = None

    async def _connect(self) -> None:
        wire = await connect(self.server.endpoint, self.over)
        self.wire = wire
        await wire.open()
        await wire.authenticate(self.person.localpart, self.person.password, "PLAIN")
        await wire.open()
        if not (self._resume_id and await self._resume(wire)):
            await self._begin(wire)
        if not self._is_caught_up:
            await self._catch_up()

    async def _resume(self, wire: Wire) -> bool:
        await wire.send(f"<resume xmlns='{SM}' previd='{self._resume_id}' h='{self._handled}'/>")
        answer = await wire.expect(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))
        if answer.tag == f"{{{SM}}}failed":
            return False
        self.tally.resumed += 1
        self.screen.trace.append(("resumed", self._handled))
        self._is_back()
        self._doubtful += self._acknowledged(int(answer.get("h") or 0))
        await self._say_again(wire)
        await wire.send(f"<r xmlns='{SM}'/>")
        return True

    async def _begin(self, wire: Wire) -> None:
        """A new session, which reads what it missed before it takes messages, or while it does."""
        self.tally.began_anew += 1
        self.sessions += 1
        self.screen.session = self.sessions
        self.screen.trace.append(("began", 0))
        self._resume_id = ""
        self._is_caught_up = False
        await wire.bind()
        await wire.send(f"<enable xmlns='{SM}' resume='true'/>")
        enabled = await wire.expect(f"{{{SM}}}enabled")
        self._is_back()
        self._resume_id = enabled.get("id") or ""
        self._counted = self._handled = 0
        self._unacked = deque(n for n in (*self._doubtful, *self._unacked) if n is not None)
        self._doubtful.clear()
        self.screen.is_holding = True
        await self._say_again(wire)
        self._unacked.append(None)
        await wire.send("<presence/>")

    def _is_back(self) -> None:
        down_at, self.down_at = self.down_at, 0.0
        if down_at:
            self.tally.back_s.append(time.monotonic() - down_at)
        lost_at, self._lost_at = self._lost_at, 0.0
        if lost_at:
            self.tally.away_s.append(time.monotonic() - lost_at)

    async def _say_again(self, wire: Wire) -> None:
        """In their order, under their ids: the server knows whether it has them."""
        for number in list(self._unacked):
            if number is None:
                await wire.send("<presence/>")
            else:
                self.tally.sent_again += 1
                await wire.send(self._message(number))

    def _message(self, number: int) -> str:
        origin = f"<origin-id xmlns='urn:xmpp:sid:0' id='{self.person.localpart}-{number}'/>"
        more = PADDING if self.peer.is_slow else ""
        if gone := taken_back_by(number):
            more += f"<retract xmlns='urn:xmpp:message-retract:1' id='{gone}'/>"
        more += f"<said xmlns='{SAID}' session='{self.sessions}'/>"
        return (
            f"<message to='{self.peer.person.jid}' type='chat' id='{number}'>"
            f"<body>{number}</body>{origin}{more}</message>"
        )

    def _vanish(self) -> None:
        """Be gone without a word: cut off, or with a connection that stays as though somebody were there."""
        assert self.wire is not None
        self.tally.vanished += 1
        if self.random.random() < 0.5:
            self._left.append(self.wire)
            self.wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one of both ways
            self.wire = None
            if len(self._left) > MOST_LEFT:
                self._left.popleft().abort()
        if self.random.random() < 0.3 and time.monotonic() - self._oldest_at < FORGETS_WITHIN_S:
            self._resume_id = ""  # it has forgotten its session as well
        self._lost_at = 0.0
        raise Vanished

    def hurry(self, number: int) -> None:
        """Say so many messages now, in one go."""
        self._burst = number
        self._hurried.set()

    @property
    def in_flight(self) -> int:
        """Messages that were said and are not acknowledged."""
        return sum(number is not None for number in (*self._doubtful, *self._unacked))

    # -- talking ---------------------------------------------------------------------------------------------

    async def _talk(self) -> None:
        assert self.wire is not None
        wire = self.wire
        speaking = asyncio.create_task(self._speak(wire))
        try:
            while not (speaking.done() and not self.is_talking and self.is_done):
                try:
                    await self._take(wire, await wire.recv(timeout=0.5))
                except TimeoutError:
                    await wire.send(f"<r xmlns='{SM}'/>")
                if not self.is_talking:
                    continue
                if self.is_slow and self.random.random() < REST_CHANCE:
                    await self._rest(wire)
                if self.random.random() < VANISH_CHANCE:
                    self._vanish()
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError, *LOST):
                await speaking

    async def _rest(self, wire: Wire) -> None:
        """Read nothing for some seconds, as a phone does that is out of reach."""
        self.tally.rested += 1
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one of both ways
        await asyncio.sleep(self.random.uniform(0.5, 4.0))
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def _speak(self, wire: Wire) -> None:
        while self.is_talking:
            burst, self._burst = self._burst, 0
            self._hurried.clear()
            for _ in range(number := burst or self.random.randrange(1, 6)):
                self.said += 1
                self.said_at.append(time.monotonic())
                self.tally.sent += 1
                if self.is_done:
                    self._oldest_at = time.monotonic()
                self._unacked.append(self.said)
                await wire.send(self._message(self.said))
            await wire.send(f"<r xmlns='{SM}'/>")
            with suppress(TimeoutError):
                async with asyncio.timeout(number / self.pace * self.random.uniform(0.5, 1.5)):
                    await self._hurried.wait()

    async def _take(self, wire: Wire, element: Element) -> None:
        if element.tag == f"{{{SM}}}a":
            self._keep(self._doubtful)
            self._doubtful.clear()
            self._keep(self._acknowledged(int(element.get("h") or 0)))
        elif element.tag == f"{{{SM}}}r":
            await wire.send(f"<a xmlns='{SM}' h='{self._handled}'/>")
        elif element.tag in STANZAS:
            self._handled += 1
            if element.tag == MESSAGE:
                self._read(element)

    def _read(self, message: Element) -> None:
        result = message.find(f"{{{MAM}}}result")
        if result is None:
            self.screen.get(message)
            if message.get("type") == "error":
                self._give_up(int(message.get("id") or 0))
            return
        inside = result.find(f".//{MESSAGE}")
        assert inside is not None
        self.screen.get_from_history(int(result.get("id") or 0), inside)

    def _give_up(self, number: int) -> None:
        """It was refused, which the person behind it is told: it is not said again."""
        self._unacked = deque(None if n == number else n for n in self._unacked)
        self._doubtful = [n for n in self._doubtful if n != number]

    def _acknowledged(self, h: int) -> list[int]:
        """The messages that the server has handled, up to this count."""
        handled = [self._unacked.popleft() for _ in range(h - self._counted)]
        self._counted = h
        return [number for number in handled if number is not None]

    def _keep(self, numbers: list[int]) -> None:
        """These are on the server's disk, so it says."""
        self.tally.acknowledged += len(numbers)
        self.acknowledged.update(numbers)

    # -- the archive -----------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Everything behind the last id that was seen (XEP-0313 §5)."""
        assert self.wire is not None
        self.screen.is_holding = True
        while (fin := await self._page(self.wire)) is not None and fin.get("complete") != "true":
            last = fin.findtext(f"{{{RSM}}}set/{{{RSM}}}last")
            assert last is not None
            self.screen.note(int(last))  # of a page of our own words
        self._is_caught_up = fin is not None
        self.screen.release()

    async def _page(self, wire: Wire) -> Element | None:
        self._queries += 1
        last, name = self.screen.last, f"mam{self._queries}"
        after = f"<after>{last}</after>" if last else ""
        self._unacked.append(None)
        await wire.send(
            f"<iq type='set' id='{name}'><query xmlns='{MAM}' queryid='q'>"
            f"<set xmlns='{RSM}'><max>{PAGE}</max>{after}</set></query></iq>"
        )
        while True:
            element = await wire.recv()
            await self._take(wire, element)
            if element.tag == IQ and element.get("id") == name:
                break
        if element.get("type") != "result":
            if element.find(WAIT, dict(NAMESPACES)) is None:
                self.tally.faults.append(
                    f"the archive said {[part.tag for part in element.iter()]} behind {last}"
                )
            raise ConnectionEnded("no history now")
        return element.find(f"{{{MAM}}}fin")
