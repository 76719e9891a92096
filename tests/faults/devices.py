"""One account on several devices, as a model: what the server sends each of them is known beforehand, to the message.

    python -m tests.faults.devices --examples 2000

The model is one ordered log and, for each device, what it is due of that: live, as a copy (XEP-0280), late because
nobody was there (XEP-0160), again because its connection broke (XEP-0198), or in place of another device that was
gone. Hypothesis makes up lives of devices, and shortens one in which a device gets something else.
"""

import argparse
import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.client_state import ClientState
from rainbow_xmpp.session.inline import TakenOver
from rainbow_xmpp.stream_management.managed import Managed
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import NO_LIMITS, Element, names, parse

MESSAGE = f"{{{names.CLIENT}}}message"
STANZAS = frozenset(f"{{{names.CLIENT}}}{name}" for name in ("message", "presence", "iq"))
RESULT = f"{{{names.MAM}}}result"
FORWARDED = f".//{{{names.FORWARD}}}forwarded/{MESSAGE}"
DEVICES = 3
PLUGINS = (Archive, Carbons, ClientState)


@dataclass(frozen=True)
class Sent:
    """A message as a session was sent it."""

    text: str
    at: int
    """When: the number of events before."""
    is_for_all: bool
    """To the bare JID; otherwise to the session's own."""
    is_copy: bool = False
    is_late: bool = False


@dataclass
class Device:
    """One of the account's devices: its connection, and what the model knows of its session."""

    name: str
    client: Client | None = None
    """None without a session."""
    is_connected: bool = False
    resume_id: str = ""
    """"" without stream management."""
    handled: int = 0
    wants_copies: bool = False
    takes_since: int | None = None
    """When it came to take messages for the account; None while it does not."""
    due: list[str] = field(default_factory=list)
    """What it was sent and has not read, in order."""
    unacked: list[Sent] = field(default_factory=list)
    """What it was sent and has not acknowledged, with stream management."""
    read: int = 0
    """How many of these it has read."""
    said: str = ""
    """What it said last."""

    @property
    def here(self) -> Client:
        assert self.client is not None
        return self.client

    def get(self, sent: Sent) -> None:
        """The server sends it this."""
        self.due.append(sent.text)
        if self.resume_id:
            self.unacked.append(sent)


class World:
    """The server, ann's devices, and bob who talks to her."""

    def __init__(self, server: TestServer) -> None:
        self.server = server
        self.bob: Client
        self.devices = [Device(f"device{n}") for n in range(DEVICES)]
        self.log: list[str] = []
        """Everything that was said, in the order in which it was kept."""
        self.ids: dict[str, str] = {}
        """The id of each message, from wherever it was seen first."""
        self.waiting: set[str] = set()
        """What was never acknowledged by a device that took it."""
        self.to_one: set[str] = set()
        self.bob_is_due: list[str] = []
        self.now = 0

    async def begin(self) -> None:
        await self.server.person("ann@acme")
        self.bob = await self.server.login("bob@acme")
        await self.bob.rest()

    # -- what the model knows --------------------------------------------------------------------------

    @property
    def present(self) -> list[Device]:
        """Those with a session, connected or not."""
        return [device for device in self.devices if device.client is not None]

    def takers(self, beside: Device | None = None) -> list[Device]:
        return [device for device in self.present if device.takes_since is not None and device is not beside]

    def copies(self, text: str, beside: list[Device]) -> None:
        for device in self.present:
            if device.wants_copies and device not in beside:
                device.get(Sent(text, self.now, True, is_copy=True))

    def came(self, device: Device) -> None:
        """It takes messages from now on: whatever waits, and is not in another one's hands, comes first."""
        in_hands = {sent.text for other in self.present for sent in other.unacked if sent.is_late}
        for text in self.log:
            if text in self.waiting - in_hands:
                device.get(Sent(text, self.now, text not in self.to_one, is_late=True))
                if not device.resume_id:
                    self.waiting.discard(text)
        device.takes_since = self.now

    def acknowledged(self, device: Device) -> None:
        """It has what it read."""
        self.waiting -= {sent.text for sent in device.unacked[: device.read] if sent.is_late}
        del device.unacked[: device.read]
        device.read = 0

    def ended(self, device: Device) -> None:
        """Its session is over; what it did not acknowledge goes to the others, or waits."""
        unacked = device.unacked
        device.client, device.is_connected, device.resume_id = None, False, ""
        device.wants_copies, device.takes_since, device.handled = False, None, 0
        device.due, device.unacked, device.read = [], [], 0
        for sent in unacked:
            if not sent.is_copy:
                self.handed_back(sent)

    def handed_back(self, sent: Sent) -> None:
        others = self.takers()
        if sent.is_for_all and any(other.takes_since < sent.at for other in others):  # type: ignore[operator]
            return  # that one got it when it was new
        for other in others:
            other.get(replace(sent, at=self.now, is_late=False))
        if not others:
            self.waiting.add(sent.text)

    # -- what happens ----------------------------------------------------------------------------------

    async def settle(self) -> None:
        await self.server.settle()
        await self.server.settle()  # a session may have been ended in the meantime
        self.now += 1

    async def connect(self, device: Device, *, is_managed: bool, wants_copies: bool, priority: int) -> None:
        """A new session; one that is still there ends."""
        before = device.client
        client = await self.server.login("ann@acme", resource=device.name, available=False)
        await self.settle()
        if before is not None:
            self.ended(device)
        device.client, device.is_connected, device.wants_copies = client, True, wants_copies
        await client.rest()
        if is_managed:
            client.send(f"<enable xmlns='{names.SM}' resume='true'/>")
            device.resume_id = (await client.receive()).get("id", "")
        if wants_copies:
            await self.set_copies(device, wants_copies)
        await self.set_priority(device, priority)

    async def set_copies(self, device: Device, wants_copies: bool) -> None:
        await self.read(device, acknowledges=False)  # what is counted behind must have been read
        name = "enable" if wants_copies else "disable"
        await device.here.ask("set", f"<{name} xmlns='{names.CARBONS}'/>")
        device.handled += 1
        device.wants_copies = wants_copies

    async def set_priority(self, device: Device, priority: int) -> None:
        device.here.send(f"<presence><priority>{priority}</priority></presence>")
        if priority < 0:
            device.takes_since = None
        elif device.takes_since is None:
            self.came(device)
        await self.settle()

    async def leave(self, device: Device, *, is_lost: bool) -> None:
        device.is_connected = False
        if not is_lost:
            device.here.wire.abort()
        else:
            device.here.wire.lose()
        await self.settle()
        if not (is_lost and device.resume_id):
            self.ended(device)

    async def give_up(self, device: Device) -> None:
        """It was away for too long."""
        managed = Managed.of(device.here.session)
        assert managed is not None
        self.server.node.streams.drop(managed)
        await self.settle()
        self.ended(device)

    async def resume(self, device: Device) -> None:
        client = device.here
        asked = {"previd": device.resume_id, "h": str(device.handled)}
        found = await self.server.node.streams.find(client.account, asked)
        taken = found if isinstance(found, bytes) else found()
        assert isinstance(taken, TakenOver), f"it is not resumed: {taken!r}"
        over = self.server.node.connection_over
        wire = MemoryWire(lambda: over(client.session, wire, False), lambda: over(client.session, wire, True))
        client.session.move_to(wire, "en")
        client.wire = wire
        wire.unread += taken.unread
        self.acknowledged(device)
        device.is_connected = True
        await self.settle()

    async def read(self, device: Device, *, acknowledges: bool) -> None:
        """All that has come is what it is due, in that order, with the ids of the log."""
        stanzas = [stanza for stanza in await device.here.rest() if stanza.tag in STANZAS]
        device.handled += len(stanzas)
        got = [self.known(stanza, device.here.bare) for stanza in stanzas if stanza.tag == MESSAGE]
        assert got == device.due, f"{device.name} got {got} and is due {device.due}"
        device.read, device.due = len(device.unacked), []
        if acknowledges and device.resume_id:
            device.here.send(f"<a xmlns='{names.SM}' h='{device.handled}'/>")
            self.acknowledged(device)
            await self.settle()

    async def look(self, device: Device) -> None:
        """The history is the log: in its order, page by page, under the same ids."""
        await self.read(device, acknowledges=False)
        found: list[str] = []
        after, is_complete = "", False
        while not is_complete:
            page = f"<set xmlns='{names.RSM}'><max>3</max>{after}</set>"
            answer = await device.here.ask("set", f"<query xmlns='{names.MAM}'>{page}</query>")
            results = [parse(data, limits=NO_LIMITS) for data in device.here.wire.unread]
            device.here.wire.unread.clear()
            device.handled += sum(stanza.tag in STANZAS for stanza in results) + 1
            results = [
                stanza for stanza in results if stanza.tag == MESSAGE
            ]  # presence may have waited (XEP-0352)
            for result in (stanza.find(RESULT) for stanza in results):
                assert result is not None
                message = result.find(FORWARDED)
                assert message is not None
                found.append(self.identified(message, result.get("id", "")))
                after = f"<after>{result.get('id')}</after>"
            is_complete = answer.find(f"{{{names.MAM}}}fin").get("complete") == "true"  # type: ignore[union-attr]
        assert found == self.log, f"the history is {found}, and {self.log} was said"
        ids = [int(self.ids[text]) for text in self.log]
        assert ids == sorted(ids)

    async def hear(self, sender: Client, to: str, kind: str = "chat") -> str:
        """Something new is said."""
        text = f"m{len(self.log)}"
        self.log.append(text)
        await self.say(sender, to, text)
        return text

    async def say(self, sender: Client, to: str, text: str) -> None:
        sender.say(text, f"<origin-id xmlns='{names.STANZA_ID}' id='o-{text}'/>", to=to)
        await self.settle()

    async def said_to_all(self) -> None:
        text = await self.hear(self.bob, "ann@" + self.server.domain)
        self.delivered(text, self.takers(), is_for_all=True)

    async def said_to_one(self, device: Device) -> None:
        is_there = device.client is not None
        text = await self.hear(self.bob, f"ann@{self.server.domain}/{device.name}")
        self.to_one.add(text)
        self.delivered(text, [device] if is_there else self.takers(), is_for_all=False)

    def delivered(self, text: str, receivers: list[Device], *, is_for_all: bool) -> None:
        for device in receivers:
            device.get(Sent(text, self.now, is_for_all))
        self.copies(text, receivers)
        if not receivers:
            self.waiting.add(text)

    async def said_by(self, device: Device) -> None:
        device.said = await self.hear(device.here, self.bob.bare)
        self.copies(device.said, [device])
        self.bob_is_due.append(device.said)

    async def bob_reads(self) -> None:
        stanzas = await self.bob.rest()
        got = [self.known(stanza, self.bob.bare) for stanza in stanzas if stanza.tag == MESSAGE]
        assert got == self.bob_is_due, f"bob got {got} and is due {self.bob_is_due}"
        self.bob_is_due.clear()

    # -- ids -------------------------------------------------------------------------------------------

    def known(self, stanza: Element, owner: str) -> str:
        """What a message says, whose id must be that of all its copies."""
        inside = stanza.find(FORWARDED)
        message = stanza if inside is None else inside
        ids = [
            mark.get("id", "")
            for mark in message.iter(f"{{{names.STANZA_ID}}}stanza-id")
            if mark.get("by") == owner
        ]
        assert len(ids) == 1, f"{len(ids)} ids"
        return self.identified(message, ids[0])

    def identified(self, message: Element, stanza_id: str) -> str:
        text = message.findtext(f"{{{names.CLIENT}}}body", "")
        assert self.ids.setdefault(text, stanza_id) == stanza_id, f"{text} has two ids"
        return text


some_device = st.integers(0, DEVICES - 1)


class Devices(RuleBasedStateMachine):
    """The lives that hypothesis makes up; what is impossible at the moment does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._server = TestServer(PLUGINS)
        self._run(self._server.__aenter__())
        self.world = World(self._server)
        self._run(self.world.begin())

    def _run(self, work: Any) -> Any:
        return self._runner.run(work)

    def teardown(self) -> None:
        try:
            self._run(self._end())
        finally:
            self._run(self._server.stop())
            self._runner.close()

    async def _end(self) -> None:
        """Everybody leaves; whatever nobody acknowledged comes to the last device, which finds the whole log."""
        world = self.world
        for device in world.present:
            if device.is_connected:
                await world.read(device, acknowledges=False)
                await world.leave(device, is_lost=False)
            else:
                await world.give_up(device)
        last = world.devices[0]
        await world.connect(last, is_managed=False, wants_copies=False, priority=0)
        await world.look(last)
        await world.bob_reads()

    @rule(
        n=some_device,
        is_managed=st.booleans(),
        wants_copies=st.booleans(),
        priority=st.sampled_from([0, 1, -1]),
    )
    def connect(self, n: int, is_managed: bool, wants_copies: bool, priority: int) -> None:
        device = self.world.devices[n]
        if not device.is_connected:
            self._run(
                self.world.connect(
                    device, is_managed=is_managed, wants_copies=wants_copies, priority=priority
                )
            )

    @rule(n=some_device, is_lost=st.booleans())
    def leave(self, n: int, is_lost: bool) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            self._run(self.world.leave(device, is_lost=is_lost))

    @rule(n=some_device)
    def give_up(self, n: int) -> None:
        device = self.world.devices[n]
        if device.client is not None and not device.is_connected:
            self._run(self.world.give_up(device))

    @rule(n=some_device)
    def resume(self, n: int) -> None:
        """Also one whose loss nobody has noticed."""
        device = self.world.devices[n]
        if device.client is not None and device.resume_id:
            self._run(self.world.resume(device))

    @rule(n=some_device, acknowledges=st.booleans())
    def read(self, n: int, acknowledges: bool) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            self._run(self.world.read(device, acknowledges=acknowledges))

    @rule(n=some_device)
    def look(self, n: int) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            self._run(self.world.look(device))

    @rule()
    def bob_says(self) -> None:
        self._run(self.world.said_to_all())

    @rule(n=some_device)
    def bob_says_to(self, n: int) -> None:
        self._run(self.world.said_to_one(self.world.devices[n]))

    @rule(n=some_device)
    def say(self, n: int) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            self._run(self.world.said_by(device))

    @rule(n=some_device)
    def say_again(self, n: int) -> None:
        """Under the same id, as after a crash: it is the same message."""
        device = self.world.devices[n]
        if device.is_connected and device.said:
            self._run(self.world.say(device.here, self.world.bob.bare, device.said))

    @rule(n=some_device, wants_copies=st.booleans())
    def set_copies(self, n: int, wants_copies: bool) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            self._run(self.world.set_copies(device, wants_copies))

    @rule(n=some_device, priority=st.sampled_from([0, 5, -1]))
    def set_priority(self, n: int, priority: int) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            self._run(self.world.set_priority(device, priority))

    @rule(n=some_device, is_active=st.booleans())
    def set_activity(self, n: int, is_active: bool) -> None:
        device = self.world.devices[n]
        if device.is_connected:
            device.here.send(f"<{'active' if is_active else 'inactive'} xmlns='{names.CSI}'/>")


def run(examples: int, steps: int, *, is_derandomized: bool = False, shortens: bool = False) -> None:
    """Raises what hypothesis finds; with `shortens` it looks for the shortest life that shows it, for minutes."""
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shortens else (Phase.generate,),
        derandomize=is_derandomized,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Devices, settings=how)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    run(given.examples, given.steps, shortens=True)
    print(f"{given.examples:,} lives of {given.steps} steps: well")
