"""Cuts borders and kills servers while people of two regions write to each other; nothing may be lost, or come twice.

    python -m tests.regions.faults --rounds 20

Each round 500 messages are on their way in each direction when the trouble begins. What a recipient's device heard and
what stands in its log is counted: each message once, in the order in which it was said.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.wire import Wire
from tests.doors import Door
from tests.process import Person
from tests.regions.rig import Rig
from tests.regions.servers import Servers

BODY = "{jabber:client}body"
MAM = "urn:xmpp:mam:2"
RESULT = f"{{{MAM}}}result"
TROUBLES = ("cut", "silence", "border NATS", "inner NATS", "server")
WHERE = "na"
FOR_S = 2.0
PATIENCE_S = 90.0


@dataclass
class Tally:
    """What is counted over all rounds."""

    said: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    back_s: dict[str, list[float]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.disordered)


class Talker:
    """Somebody with one device, which comes back when its connection is gone."""

    def __init__(self, door: Door, person: Person) -> None:
        self.door = door
        self.person = person
        self.heard: list[str] = []
        self._wire: Wire | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def bare(self) -> str:
        return self.person.jid

    async def come(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._wire = await self.door.log_in(self.person)
                break
            except Exception:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.2)
        self._reading = asyncio.create_task(self._read(self._wire))

    async def _read(self, wire: Wire) -> None:
        while True:
            stanza = await wire.expect("message", 3600)
            if text := stanza.findtext(BODY):
                self.heard.append(text)

    async def leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def say(self, to: str, bodies: list[str]) -> None:
        assert self._wire is not None
        for body in bodies:
            await self._wire.send(
                f"<message to='{to}' type='chat' id='{body}'><body>{body}</body>"
                f"<origin-id xmlns='urn:xmpp:sid:0' id='{body}'/></message>"
            )
            await asyncio.sleep(0.001)

    async def log(self) -> list[str]:
        """All that stands in its log, asked for by another device."""
        async with AsyncExitStack() as stack:
            wire = await Door(self.door.server, "tls", stack).log_in(self.person, presence="")
            said: list[str] = []
            after, page = "", 0
            while True:
                page += 1
                behind = f"<after>{after}</after>" if after else ""
                rsm = f"<set xmlns='http://jabber.org/protocol/rsm'><max>200</max>{behind}</set>"
                await wire.send(f"<iq type='set' id='h{page}'><query xmlns='{MAM}'>{rsm}</query></iq>")
                end = await wire.expect(f"iq[@id='h{page}']", PATIENCE_S)
                while (stanza := wire.pop("message")) is not None:
                    result = stanza.find(RESULT)
                    if result is not None:
                        after = result.get("id", "")
                        said += [text for body in result.iter(BODY) if (text := body.text)]
                if end.find(f".//{{{MAM}}}fin[@complete='true']") is not None:
                    return said


class Run:
    """`rounds` rounds, each with one trouble."""

    def __init__(self, servers: Servers, say: int) -> None:
        self._servers = servers
        self._say = say
        self.tally = Tally()

    async def go(self, rounds: int) -> None:
        async with AsyncExitStack() as stack:
            here = Talker(Door(self._servers.at["emea"], "tls", stack), self._servers.person("emea"))
            there = Talker(Door(self._servers.at[WHERE], "tls", stack), self._servers.person(WHERE))
            await here.come()
            await there.come()
            await here.say(there.bare, ["hello"])  # from now on they know where to find each other
            await self._all_there(there, ["hello"])
            for number in range(rounds):
                trouble = TROUBLES[number % len(TROUBLES)]
                took = await self._round(number, trouble, here, there)
                self.tally.back_s.setdefault(trouble, []).append(took)
                print(f"{number + 1:3} {trouble:12} back after {took:5.1f} s  {self._counts()}", flush=True)
            await here.leave()
            await there.leave()

    async def _round(self, number: int, trouble: str, here: Talker, there: Talker) -> float:
        """How long it took from the end of the trouble until everything was there."""
        to_there = [f"r{number}-a{n}" for n in range(self._say)]
        to_here = [f"r{number}-b{n}" for n in range(self._say)]
        saying = [asyncio.create_task(here.say(there.bare, to_there))]
        saying.append(asyncio.create_task(there.say(here.bare, to_here)))
        await asyncio.sleep(0.1)
        if (
            trouble == "server"
        ):  # what its own people say dies with it, unless it was acknowledged: they stop before
            await asyncio.gather(*saying)
            saying = [
                asyncio.create_task(
                    here.say(there.bare, more := [f"r{number}-c{n}" for n in range(self._say)])
                )
            ]
            to_there += more
            await asyncio.sleep(0.1)
        await self._begin(trouble)
        await asyncio.gather(*saying)
        await asyncio.sleep(FOR_S)
        began = time.monotonic()
        await self._end(trouble, there)
        await self._all_there(there, to_there)
        await self._all_there(here, to_here)
        took = time.monotonic() - began
        for talker, said in ((there, to_there), (here, to_here)):
            self._count(said, talker.heard, await talker.log(), f"r{number}-")
            talker.heard.clear()
        return took

    async def _begin(self, trouble: str) -> None:
        rig = self._servers.rig
        match trouble:
            case "cut":
                rig.cut(WHERE)
            case "silence":
                rig.silence(WHERE)
            case "border NATS":
                await asyncio.to_thread(rig.servers[WHERE][0].kill)
            case "inner NATS":
                await asyncio.to_thread(rig.servers[WHERE][-1].kill)
            case "server":
                await asyncio.to_thread(self._servers.kill, WHERE)

    async def _end(self, trouble: str, there: Talker) -> None:
        rig = self._servers.rig
        match trouble:
            case "cut" | "silence":
                rig.heal(WHERE)
            case "border NATS":
                await asyncio.to_thread(rig.servers[WHERE][0].start)
            case "inner NATS":
                await asyncio.to_thread(rig.servers[WHERE][-1].start)
            case "server":
                await there.leave()
                await asyncio.to_thread(self._servers.at[WHERE].start)
                await there.come()

    async def _all_there(self, talker: Talker, said: list[str]) -> None:
        """In its log, at least: a device that was cut off may have been sent what it never read."""
        end = time.monotonic() + PATIENCE_S
        missing = set(said) - set(talker.heard)
        while missing and time.monotonic() < end:
            await asyncio.sleep(0.1)
            missing = set(said) - set(talker.heard)
            if missing and time.monotonic() > end - PATIENCE_S / 2:
                missing -= set(await talker.log())

    def _count(self, said: list[str], heard: list[str], log: list[str], of_round: str) -> None:
        logged = [each for each in log if each in set(said)]
        tally = self.tally
        tally.said += len(said)
        tally.lost += len(set(said) - set(logged))
        tally.doubled += sum(count - 1 for count in Counter(logged).values())
        tally.doubled += sum(count - 1 for count in Counter(heard).values())
        for kind in "abc":
            for listed in (logged, heard):
                ours = [each for each in listed if each.startswith(of_round + kind)]
                tally.disordered += ours != sorted(ours, key=said.index)

    def _counts(self) -> str:
        tally = self.tally
        return (
            f"{tally.said} said, {tally.lost} lost, {tally.doubled} doubled, {tally.disordered} out of order"
        )


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=20)
    asked.add_argument("--messages", type=int, default=500, help="in each direction and round")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="rainbow-regions-") as folder:
        for name in ("nats", "servers"):
            (Path(folder) / name).mkdir()
        rig = Rig(Path(folder) / "nats")
        try:
            rig.start()
            servers = Servers(rig, Path(folder) / "servers")
            print("three regions are starting ...", flush=True)
            servers.start()
            run = Run(servers, options.messages)
            asyncio.run(run.go(options.rounds))
            servers.stop()
        finally:
            rig.stop()
    for trouble, took in run.tally.back_s.items():
        print(f"{trouble:12} back after {min(took):.1f} to {max(took):.1f} s")
    print("nothing lost, nothing twice, nothing out of order" if run.tally.is_clean else "FAULTS")
    return 0 if run.tally.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
