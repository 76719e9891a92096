"""A client of the crash test: it says numbers, comes back, and remembers what was acknowledged and what it saw."""

import asyncio
import random
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from tests.conformance.wire import ConnectionEnded, Over, SaslFailure, Wire, connect
from tests.process import Person, RainbowServer

SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
DELAY = "{urn:xmpp:delay}delay"
BODY = "{jabber:client}body"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
MESSAGE = "{jabber:client}message"
STANZAS = frozenset(f"{{jabber:client}}{name}" for name in ("message", "presence", "iq"))
LOST = (ConnectionEnded, OSError, TimeoutError, asyncio.IncompleteReadError)
PAGE = 100


@dataclass
class Tally:
    """What happened in a run."""

    sent: int = 0
    sent_again: int = 0
    acknowledged: int = 0
    resumed: int = 0
    began_anew: int = 0
    vanished: int = 0
    caught_up: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


class CrashClient:
    """One account on one device, that writes to `peer` while `is_talking`."""

    def __init__(self, server: RainbowServer, person: Person, seed: int, tally: Tally) -> None:
        self.server = server
        self.person = person
        self.peer: CrashClient
        self.tally = tally
        self.random = random.Random(seed)
        self.over: Over = self.random.choice(("wss", "tls"))
        self.is_slow = self.random.random() < 0.1
        self.is_talking = True
        self.wire: Wire | None = None
        self.said = 0
        self.acknowledged: set[int] = set()
        self.refused: set[int] = set()
        self.seen: dict[int, tuple[str, int]] = {}
        """What the application was shown: sender and number by stanza-id, in the order in which it was shown."""
        self.trace: list[tuple[str, int]] = []
        """How each message was shown, and what became of connections, for whoever looks for a fault."""
        self._resume_id = ""
        self._unacked: deque[int | None] = deque()
        """Stanzas since the last acknowledgement: the number that was said, None for what is no message."""
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
            except (*LOST, SaslFailure):
                self._drop()
                await asyncio.sleep(self.random.uniform(0.02, 0.2))
        self._drop()

    @property
    def is_done(self) -> bool:
        return not any(number is not None for number in self._unacked)

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
        if self._resume_id:
            await wire.send(f"<resume xmlns='{SM}' previd='{self._resume_id}' h='{self._handled}'/>")
            answer = await wire.expect(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))
            if answer.tag == f"{{{SM}}}resumed":
                self.tally.resumed += 1
                self.trace.append(("resumed", self._handled))
                self._acknowledge(int(answer.get("h") or 0))
                await self._say_again()
                return
        await self._begin()

    async def _begin(self) -> None:
        assert self.wire is not None
        wire = self.wire
        self.tally.began_anew += 1
        self.trace.append(("began", 0))
        self._resume_id = ""
        await wire.bind()
        await self._catch_up()
        unsaid = [number for number in self._unacked if number is not None]
        await wire.send(f"<enable xmlns='{SM}' resume='true'/>")
        enabled = await wire.expect(f"{{{SM}}}enabled")
        self._resume_id = enabled.get("id") or ""
        self._counted = self._handled = 0
        self._unacked = deque(unsaid)
        await self._say_again()
        self._unacked.append(None)
        await wire.send("<presence/>")

    async def _say_again(self) -> None:
        """In their order, under their ids: the server knows whether it has them."""
        assert self.wire is not None
        for number in list(self._unacked):
            if number is not None:
                self.tally.sent_again += 1
                await self.wire.send(self._message(number))
            else:
                await self.wire.send("<presence/>")

    def _message(self, number: int) -> str:
        origin = f"<origin-id xmlns='urn:xmpp:sid:0' id='{self.person.localpart}-{number}'/>"
        return f"<message to='{self.peer.person.jid}' type='chat' id='{number}'><body>{number}</body>{origin}</message>"

    # -- talking ---------------------------------------------------------------------------------------------

    async def _talk(self) -> None:
        assert self.wire is not None
        speaking = asyncio.create_task(self._speak(self.wire))
        try:
            while not (speaking.done() and not self.is_talking and self.is_done):
                try:
                    await self._take(await self.wire.recv(timeout=0.25))
                except TimeoutError:
                    await self.wire.send(f"<r xmlns='{SM}'/>")
                if self.is_slow:
                    await asyncio.sleep(0.02)
                if self.is_talking and self.random.random() < 0.001:
                    self.tally.vanished += 1
                    raise ConnectionEnded("vanished")
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError, *LOST):
                await speaking

    async def _speak(self, wire: Wire) -> None:
        while self.is_talking:
            for _ in range(self.random.randrange(1, 6)):
                self.said += 1
                self.tally.sent += 1
                self._unacked.append(self.said)
                await wire.send(self._message(self.said))
            await wire.send(f"<r xmlns='{SM}'/>")
            await asyncio.sleep(self.random.uniform(0.005, 0.1))

    async def _take(self, element: Element) -> None:
        assert self.wire is not None
        if element.tag == f"{{{SM}}}a":
            self._acknowledge(int(element.get("h") or 0))
        elif element.tag == f"{{{SM}}}r":
            await self.wire.send(f"<a xmlns='{SM}' h='{self._handled}'/>")
        elif element.tag in STANZAS:
            self._handled += 1
            if element.tag == MESSAGE:
                self._show(element)

    def _acknowledge(self, h: int) -> None:
        for _ in range(h - self._counted):
            number = self._unacked.popleft()
            if number is not None:
                self.tally.acknowledged += 1
                self.acknowledged.add(number)
        self._counted = h

    def _show(self, message: Element) -> None:
        """To the application, which looks at stanza-ids."""
        if message.get("type") == "error":
            self.tally.refused += 1
            self.refused.add(int(message.get("id") or 0))
            return
        sender = (message.get("from") or "").partition("/")[0]
        ids = [
            int(mark.get("id") or 0)
            for mark in message.findall(STANZA_ID)
            if mark.get("by") == self.person.jid
        ]
        if len(ids) != 1:
            self.tally.faults.append(
                f"{self.person.localpart} got a message with {len(ids)} ids of its own log"
            )
            return
        how = "live" if message.find(DELAY) is None else "late"
        self._remember(ids[0], sender, int(message.findtext(BODY) or 0), how)

    def _remember(self, stanza_id: int, sender: str, number: int, how: str = "archive") -> None:
        if sender and stanza_id not in self.seen:
            self.trace.append((how, number))
        self.seen.setdefault(stanza_id, (sender, number))

    # -- the archive -----------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Everything behind the last id that was seen (XEP-0313 §5)."""
        assert self.wire is not None
        while True:
            last = max(self.seen, default=0)
            after = f"<after>{last}</after>" if last else ""
            query = (
                f"<query xmlns='{MAM}' queryid='q'><set xmlns='{RSM}'><max>{PAGE}</max>{after}</set></query>"
            )
            await self.wire.send(f"<iq type='set' id='mam'>{query}</iq>")
            while True:
                element = await self.wire.recv()
                if element.tag == "{jabber:client}iq" and element.get("id") == "mam":
                    break
                self._from_archive(element)
            if element.get("type") != "result":
                self.tally.faults.append(
                    f"the archive said {[child.tag for child in element.iter()]} behind {last}"
                )
                return
            fin = element.find(f"{{{MAM}}}fin")
            assert fin is not None
            if fin.get("complete") == "true":
                return
            if max(self.seen, default=0) == last:  # a page of what we said ourselves
                found = fin.findtext(f"{{{RSM}}}set/{{{RSM}}}last")
                assert found is not None
                self._remember(int(found), "", 0)

    def _from_archive(self, element: Element) -> None:
        result = element.find(f"{{{MAM}}}result")
        if result is None:
            return
        message = result.find(f".//{MESSAGE}")
        assert message is not None
        sender = (message.get("from") or "").partition("/")[0]
        stanza_id = int(result.get("id") or 0)
        if sender == self.person.jid:
            self._remember(stanza_id, "", 0)  # our own words, which the application has
        elif stanza_id not in self.seen:
            self.tally.caught_up += 1
            self._remember(stanza_id, sender, int(message.findtext(BODY) or 0))
