"""Three regions as real processes, with 40 ms between them: what people do across, and what a cut does to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conformance.wire import Wire
from tests.doors import Door
from tests.regions.rig import Rig
from tests.regions.servers import Servers

pytestmark = pytest.mark.xdist_group("regions-servers")
BODY = "{jabber:client}body"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    rig = Rig(tmp_path_factory.mktemp("chat-regions"))
    try:
        rig.start()
        made = Servers(rig, tmp_path_factory.mktemp("servers"))
        made.start(people=6)
        yield made
        made.stop()
    finally:
        rig.stop()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


async def heard(wire: Wire, number: int, within_s: float = 30) -> list[str]:
    """What the next messages say."""
    return [(await wire.expect("message", within_s)).findtext(BODY, "") for _ in range(number)]


async def say(wire: Wire, to: str, *bodies: str) -> None:
    for body in bodies:
        await wire.send(f"<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>")


async def test_chat_presence_roster_and_history_across_three_regions(
    servers: Servers, stack: AsyncExitStack
) -> None:
    doors = {name: Door(server, "wss", stack) for name, server in servers.at.items()}
    people = {name: servers.person(name) for name in doors}
    wires = {name: await door.log_in(people[name]) for name, door in doors.items()}
    ann, dora, nat = wires["emea"], wires["de"], wires["na"]
    for wire in wires.values():
        await wire.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        await wire.expect("iq[@id='r']", 10)
    for one, other in ((ann, nat), (nat, dora), (dora, ann)):
        await say(one, people_jid(other), "hello")
        assert await heard(other, 1) == ["hello"]
    # colleagues subscribe to each other: nobody has to be asked twice, and each sees the other
    await ann.send(f"<presence type='subscribe' to='{people_jid(nat)}'/>")
    await nat.expect("presence[@type='subscribe']", 20)
    await nat.send(f"<presence type='subscribed' to='{people_jid(ann)}'/>")
    await ann.expect("presence[@type='subscribed']", 20)
    await ann.expect(lambda e: e.tag.endswith("}presence") and e.get("from") == nat.jid, 20)
    await nat.send("<presence><show>dnd</show></presence>")
    await ann.expect(lambda e: e.get("from") == nat.jid and e.findtext("{jabber:client}show") == "dnd", 20)
    await nat.send("<iq type='set' id='h'><query xmlns='urn:xmpp:mam:2'/></iq>")
    history = [await nat.expect("message", 10) for _ in range(2)]
    assert [each.findtext(f".//{BODY}") for each in history] == ["hello", "hello"]


def people_jid(wire: Wire) -> str:
    return wire.jid.partition("/")[0]


@pytest.mark.parametrize("how", ["cut", "silence"])
async def test_what_is_said_while_a_border_is_cut_arrives_once_and_in_order(
    servers: Servers, stack: AsyncExitStack, how: str
) -> None:
    ann = await Door(servers.at["emea"], "tls", stack).log_in(servers.person("emea"))
    nat = await Door(servers.at["na"], "tls", stack).log_in(servers.person("na"))
    await say(ann, people_jid(nat), "first")
    assert await heard(nat, 1) == ["first"]
    saying = asyncio.create_task(say(ann, people_jid(nat), *(f"{how}-{n}" for n in range(200))))
    await asyncio.sleep(0.05)
    getattr(servers.rig, how)("na")
    await saying
    await asyncio.sleep(1)
    servers.rig.heal("na")
    assert await heard(nat, 200, 40) == [f"{how}-{n}" for n in range(200)]
    await say(nat, people_jid(ann), "back")
    assert await heard(ann, 1) == ["back"]


async def test_a_server_that_is_killed_has_what_was_on_its_way(
    servers: Servers, stack: AsyncExitStack
) -> None:
    dora_is = servers.person("de")
    ann = await Door(servers.at["emea"], "tls", stack).log_in(servers.person("emea"))
    dora = await Door(servers.at["de"], "tls", stack).log_in(dora_is)
    await say(ann, people_jid(dora), "first")
    assert await heard(dora, 1) == ["first"]
    servers.kill("de")
    await say(ann, people_jid(dora), *(f"k-{n}" for n in range(100)))
    await asyncio.to_thread(servers.at["de"].start)
    dora = await Door(servers.at["de"], "tls", stack).log_in(dora_is)
    assert await heard(dora, 100, 40) == [f"k-{n}" for n in range(100)]
