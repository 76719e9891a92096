"""Regions over real NATS servers with the generated configuration: what crosses, what does not, and what a cut does."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import nats
import pytest
from nats.aio.client import Client

from rainbow_xmpp.border import Unreachable
from rainbow_xmpp.border.nats import NatsBorder
from rainbow_xmpp.bus.nats import connect, in_effect
from rainbow_xmpp.cli.check_bus import check_bus
from tests.regions.rig import DELAY_S, Rig

pytestmark = pytest.mark.xdist_group("regions-rig")
PATIENCE_S = 30.0
CANARY = b"canary-93c1-of-ann"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("regions"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


async def echo(origin: str, request: bytes) -> bytes:
    return origin.encode() + b":" + request


class Ends:
    """An end in each place, all of which serve `home` and `edge`."""

    def __init__(self, rig: Rig, stack: AsyncExitStack) -> None:
        self.rig = rig
        self._stack = stack
        self.at: dict[str, NatsBorder] = {}

    async def open(self, name: str, bus: int = 0) -> NatsBorder:
        border = await self.rig.border(name, bus)
        self._stack.push_async_callback(border.close)
        for service in ("home", "edge"):
            await border.serve(service, echo)
        return border

    async def node(self, name: str) -> Client:
        """A connection with the rights of a region's nodes, and no more manners than it likes."""
        config = self.rig.places.config(name)
        client = await connect(config.cluster, "wild", inbox=f"xr.{name}.r")
        self._stack.push_async_callback(client.close)
        return client


@pytest.fixture
async def ends(rig: Rig) -> AsyncIterator[Ends]:
    async with AsyncExitStack() as stack:
        made = Ends(rig, stack)
        made.at = {name: await made.open(name) for name in ("emea", "de", "na", "uk")}
        pairs = [(a, b) for a in made.at for b in made.at if a != b]
        await asyncio.gather(*(until_answered(made.at[a], b) for a, b in pairs))
        yield made


async def until_answered(border: NatsBorder, region: str, service: str = "edge") -> float:
    """How long it took."""
    began = time.monotonic()
    while True:
        try:
            await border.ask(region, service, b"", within_s=1)
            return time.monotonic() - began
        except Unreachable:
            assert time.monotonic() - began < PATIENCE_S
            await asyncio.sleep(0.05)


async def test_all_reach_each_other_from_any_server_and_an_edge_only_what_is_for_edges(ends: Ends) -> None:
    emea, de, _, uk = ends.at.values()
    second = await ends.open("emea", bus=1)
    began = time.monotonic()
    assert await emea.ask("de", "home", CANARY) == b"emea:" + CANARY
    assert await second.ask("na", "home", CANARY) == b"emea:" + CANARY
    assert time.monotonic() - began > 4 * DELAY_S
    assert {await de.ask("emea", "home", b"x") for _ in range(10)} == {b"de:x"}
    assert await uk.ask("na", "edge", CANARY) == b"uk:" + CANARY
    for region in ("emea", "de", "na"):
        began = time.monotonic()
        with pytest.raises(Unreachable):  # the border lets nothing of it through
            await uk.ask(region, "home", b"x", within_s=1.5)
    await asyncio.gather(*(emea.ask("de", "home", bytes(900_000), within_s=10) for _ in range(3)))
    seen = ends.rig.seen()
    assert seen and CANARY not in seen and b"xr.de.home" not in seen  # TLS between borders


async def test_what_the_bus_of_another_region_hears_is_sealed(ends: Ends) -> None:
    wild, heard = await ends.node("de"), []

    async def take(message: nats.aio.msg.Msg) -> None:
        heard.append(message.subject.encode() + b" " + message.data)

    await wild.subscribe("xr.de.>", cb=take)
    await in_effect(wild)
    await ends.at["emea"].ask("de", "home", CANARY)
    await ends.at["de"].ask("na", "home", CANARY)
    while len(heard) < 2:
        await asyncio.sleep(0.01)
    assert any(each.startswith(b"xr.de.home ") for each in heard)
    assert any(each.startswith(b"xr.de.r.") for each in heard)
    assert not any(CANARY in each or b"emea" in each for each in heard)


@pytest.mark.parametrize("how", ["cut", "silence"])
async def test_a_region_that_is_cut_off_is_unreachable_and_comes_back(ends: Ends, how: str) -> None:
    emea, de, na, uk = ends.at.values()
    getattr(ends.rig, how)("de")
    try:
        asked = [asking.ask(region, "edge", b"") for asking, region in ((emea, "de"), (de, "na"), (uk, "de"))]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unreachable] * 3
        many = await asyncio.gather(*(emea.ask("de", "home", b"") for _ in range(20)), return_exceptions=True)
        # It is known by now: one of them tried, and perhaps another, and nobody else waited.
        assert sum("has not answered just now" in str(answer) for answer in many) >= 15
        assert await emea.ask("na", "home", b"x") == b"emea:x"
        assert await na.ask("emea", "home", b"x") == b"na:x"
    finally:
        ends.rig.heal("de")
    back = await asyncio.gather(*(until_answered(*pair) for pair in ((emea, "de"), (de, "na"), (uk, "de"))))
    print(f"back after {how}: {max(back):.1f} s")


async def test_a_region_whose_servers_ask_for_more_gets_nothing(rig: Rig, ends: Ends) -> None:
    """Its own bus servers obey it; the borders do not."""
    file = rig.places.folder / "na" / "bus-1.conf"
    text = file.read_text()
    lines = [
        line.split(":")[0] + ': [">"]' if line.strip().startswith(("publish:", "subscribe:")) else line
        for line in text.splitlines()
    ]
    server = rig.servers["na"][-1]
    await ends.at["na"].close()
    try:
        server.kill()
        file.write_text("\n".join(lines))
        server.start()
        na, de = await ends.node("na"), await ends.node("de")
        heard: list[str] = []

        async def at_na(message: nats.aio.msg.Msg) -> None:
            heard.append(f"na {message.subject}")

        async def at_de(message: nats.aio.msg.Msg) -> None:
            heard.append(f"de {message.subject}")

        await na.subscribe(">", cb=at_na)
        for subject in ("xr.de.>", "rx.de.>"):
            await de.subscribe(subject, cb=at_de)
        await in_effect(na)
        await in_effect(de)
        back = await ends.open("na")
        await until_answered(back, "de", "home")
        heard.clear()
        for subject in ("rx.de.all", "rx.emea.all", "$JS.API.INFO", "$SYS.REQ.SERVER.PING", "xr.de.home"):
            await na.publish(subject, b"x")
        await ends.at["emea"].ask("de", "home", b"")
        await ends.at["de"].ask("emea", "home", b"")
        while "de xr.de.home" not in heard:
            await asyncio.sleep(0.02)
        await asyncio.sleep(4 * DELAY_S)
        from_others = [each for each in heard if not each.startswith(("na rx.", "na $", "na xr.de.home"))]
        assert {each for each in from_others if not each.startswith("de xr.de.r.")} == {"de xr.de.home"}
    finally:
        server.kill()
        file.write_text(text)
        server.start()


async def test_a_border_server_that_dies_costs_nothing_but_a_moment(rig: Rig, ends: Ends) -> None:
    first = rig.servers["emea"][0]
    first.kill()
    try:
        pairs = (("de", "emea"), ("emea", "na"), ("uk", "emea"), ("na", "uk"))
        await asyncio.gather(*(until_answered(ends.at[asking], region) for asking, region in pairs))
    finally:
        first.start()


def findings(rig: Rig, name: str) -> list[str]:
    """What `check bus` says to a server of a place."""
    return [f"{each.mark.name} {each.text}" for each in check_bus(rig.places.config(name))]


async def test_check_bus_finds_nothing_where_all_is_well(rig: Rig, ends: Ends) -> None:
    for name, others in (("emea", ("de", "na", "uk")), ("uk", ("emea", "de", "na"))):
        found = await asyncio.to_thread(findings, rig, name)
        # Behind the long way a border listens elsewhere than the others are told.
        assert [
            each for each in found if not (each.startswith("GOOD") or ", line 38: listen: " in each)
        ] == []
        for other in others:
            assert any(f"GOOD {other} answers in" in each and "the clock here is" in each for each in found)
        assert any("bus-1.conf is what regions.toml says" in each for each in found)
        assert any("is closed" in each for each in found)
    assert sum("lets nothing through" in each for each in found) == 3  # of the edge


async def test_check_bus_finds_what_is_wrong(rig: Rig, ends: Ends) -> None:
    server, file = rig.servers["na"][-1], rig.places.folder / "na" / "bus-1.conf"
    right = file.read_text()
    await ends.at["na"].close()
    try:
        server.kill()
        file.write_text(right.replace('["rx.na.>", "xr.na.>"]', '["rx.na.>", "xr.>"]'))
        server.start()
        found = await asyncio.to_thread(findings, rig, "na")
        assert any(
            "BAD" in each and "bus-1.conf, line" in each and "other things would cross" in each
            for each in found
        )
        assert any("BAD servers of na may hear xr.emea.> on the bus" in each for each in found)
        assert not any("hear rx.emea" in each for each in found)
        found = await asyncio.to_thread(findings, rig, "de")
        assert any(
            "BAD nobody in na serves" in each and "do the border servers reach" in each for each in found
        )
    finally:
        server.kill()
        file.write_text(right)
        server.start()
