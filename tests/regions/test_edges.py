"""An edge keeps nothing: people come in there, and are served from home."""

import asyncio
import http.client
import logging
import ssl
from base64 import b64encode
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from rainbow_xmpp.config import Config, Region, RegionKind
from rainbow_xmpp.config.sections import Sections
from rainbow_xmpp.edge import TOKENS
from rainbow_xmpp.plugins.fast.hashed_token import initiator
from tests.conformance.wire import NAMESPACES, Endpoint, Over, SaslFailure, Wire, child, connect
from tests.regions.places import PASSWORD, Place, World
from tests.regions.test_logging_in_elsewhere import BIND2, BOTH, SM, failing, sessions, until

AGENT = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>x</software></user-agent>"
FAST = "urn:xmpp:fast:0"


async def places(world: World) -> tuple[Place, Place]:
    """na with ann, and the edge uk; emea, which is the default region, runs too."""
    emea, na = await world.place("emea").start(), await world.place("na").start()
    await na.person("ann")
    await emea.person("bob")
    return na, await world.place("uk").start()


@BOTH
async def test_people_of_every_region_log_in_at_an_edge(world: World, over: Over, tmp_path: Path) -> None:
    na, uk = await places(world)
    async with await connect(uk.endpoint, over) as ann, await connect(uk.endpoint, over) as bob:
        await ann.open()
        assert ann.mechanisms() == ["SCRAM-SHA-256", "SCRAM-SHA-1"], "no passwords, no channel"
        await ann.authenticate("ann", PASSWORD)
        await ann.open()
        await ann.bind()
        await bob.login("bob@acme.example", PASSWORD, mechanism="SCRAM-SHA-1")
        await ann.iq("get", "<query xmlns='jabber:iq:roster'/>")
        await ann.settle()
        assert len(sessions(na)) == 1
        assert uk.edge.counters.connections_homeward == 2
        assert uk.edge.counters.connections_half_open == 0
    await until(lambda: not uk.edge.counters.connections)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"emea", "na"}, "uk wrote nothing"


async def test_an_edge_tells_nobody_who_exists_or_where(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    na, uk = await places(world)
    with caplog.at_level(logging.DEBUG, logger="rainbow_xmpp"):
        seen = [await failing(uk, "wss", name, sasl2=True) for name in ("ann", "bob", "nemo", "n@no.example")]
    assert {condition for condition, _, _ in seen} == {"not-authorized"}
    assert len({length for _, _, length in seen}) == 1
    assert max(took for _, took, _ in seen) - min(took for _, took, _ in seen) < 0.5  # a busy machine
    everybody = {"ann", "bob", "nemo", "n@no.example"}
    await until(lambda: set(world.finder.forgotten) == everybody)  # perhaps they have moved
    await na.stop()
    with caplog.at_level(logging.DEBUG, logger="rainbow_xmpp"):
        async with await connect(uk.endpoint, "tls") as ann:
            await ann.open()
            with pytest.raises(SaslFailure, match="temporary-auth-failure"):
                await ann.authenticate("ann", PASSWORD)
    assert "na cannot be reached" in caplog.text
    assert not [
        each for each in caplog.records if "nemo" in each.getMessage() or "no.example" in each.getMessage()
    ]


@BOTH
async def test_when_an_edge_dies_people_resume_through_another(world: World, over: Over) -> None:
    na, uk = await places(world)
    inline = f"<bind xmlns='{BIND2}'><tag>x</tag><enable xmlns='{SM}' resume='true'/></bind>"
    asked = f"{AGENT}{inline}<request-token xmlns='{FAST}' mechanism='{TOKENS}'/>"
    async with await connect(uk.endpoint, over) as ann:
        await ann.open()
        assert ann.features is not None
        assert ann.features.find(f".//{{{FAST}}}fast/{{{FAST}}}mechanism") is not None
        success = await ann.authenticate2("ann", PASSWORD, inline=asked)
        resume_id = child(success, f"{{{BIND2}}}bound/{{{SM}}}enabled").get("id", "")
        token = child(success, f"{{{FAST}}}token").get("token", "")
        assert resume_id.startswith("na.")
        await ann.settle()
        await uk.stop()
        await ann.wait_end()
        await until(lambda: na.server.node.streams.adrift)
    au = await world.place("au").start()
    async with await connect(au.endpoint, over) as ann:
        await ann.open()
        proof = b"ann\0" + initiator(token.encode(), b"")
        resume = f"<resume xmlns='{SM}' h='0' previd='{resume_id}'/><fast xmlns='{FAST}'/>{AGENT}"
        text = b64encode(proof).decode()
        await ann.send(
            f"<authenticate xmlns='{NAMESPACES['sasl2']}' mechanism='{TOKENS}'>"
            f"<initial-response>{text}</initial-response>{resume}</authenticate>"
        )
        success = await ann.sasl2_reply("success")
        assert success.find(f"{{{SM}}}resumed") is not None
        assert [session.through for session in na.server.node.sessions] == ["au"]
    async with await connect(au.endpoint, over) as eve:
        await eve.open()
        text = b64encode(b"ann\0" + bytes(32)).decode()
        await eve.send(
            f"<authenticate xmlns='{NAMESPACES['sasl2']}' mechanism='{TOKENS}'>"
            f"<initial-response>{text}</initial-response><fast xmlns='{FAST}'/>{AGENT}</authenticate>"
        )
        with pytest.raises(SaslFailure, match="not-authorized"):
            await eve.sasl2_reply("success")


async def test_hosts_of_regions_pass_through_unread(world: World) -> None:
    na, uk = await places(world)
    context = ssl.create_default_context(cafile=world.files.ca)
    context.set_alpn_protocols(["xmpp-client"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", uk.config.listen.port, ssl=context, server_hostname="na.chat.test"
    )
    writer.write(
        b"<stream:stream to='chat.test' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    assert b"SCRAM-SHA-256-PLUS" in await asyncio.wait_for(reader.readuntil(b"</stream:features>"), 5)
    assert (uk.edge.counters.connections_passed, na.server.node.counters.connections) == (1, 1)
    assert not uk.edge.counters.streams_opened
    writer.close()
    await until(lambda: not na.server.node.counters.connections)


def page(endpoint: Endpoint, path: str) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    to = http.client.HTTPSConnection("127.0.0.1", endpoint.port, context=context, timeout=10)
    to.request("GET", path, headers={"Host": "uk.chat.test"})
    answer = to.getresponse()
    return answer.status, answer.read().decode()


async def test_what_everybody_may_see_is_served_at_the_edge(world: World) -> None:
    uk = await world.place("uk").start()
    status, body = await asyncio.to_thread(page, uk.endpoint, "/.well-known/host-meta.json")
    assert (status, "wss://uk.chat.test/xmpp-websocket" in body) == (200, True)
    assert (await asyncio.to_thread(page, uk.endpoint, "/"))[0] == 200
    assert (await asyncio.to_thread(page, uk.endpoint, "/readyz"))[0] == 200
    assert (await asyncio.to_thread(page, uk.endpoint, "/api/v1/tokens"))[0] == 404


async def test_without_a_border_nobody_logs_in_at_an_edge(world: World) -> None:
    uk = world.place("uk")
    uk.has_border = False
    await uk.start()
    async with await connect(uk.endpoint, "tls") as ann:
        await ann.open()
        assert not ann.mechanisms()


def test_an_edge_needs_no_database_and_no_key_of_one() -> None:
    regions = Sections(
        {
            "emea": Region(country="FR", hosts=("emea.chat.test",)),
            "uk": Region(country="GB", kind=RegionKind.EDGE, hosts=("uk.chat.test",)),
        }
    )
    uk = Config(domain="chat.test", region="uk", default_region="emea", regions=regions)
    assert uk.is_edge and uk.passes_on
    assert not list(uk.problems())
    assert [key for key, _ in replace(uk, region="emea").problems()] == ["auth.sealing_key"]
    assert [key for key, _ in replace(uk, default_region="uk").problems()] == ["default_region"]


async def test_a_stop_lets_people_go_a_few_at_a_time(world: World) -> None:
    na = await world.place("na").start()
    await na.person("ann")
    uk = await world.place("uk", limits={"drain_spread_s": 2}).start()
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(await connect(uk.endpoint, "tls")) for _ in range(6)]
        await asyncio.gather(*(wire.login("ann", PASSWORD) for wire in wires))
        stopping = asyncio.create_task(uk.stop())
        ended: list[float] = []

        async def end(wire: Wire) -> None:
            await wire.wait_end()
            ended.append(asyncio.get_running_loop().time())

        await asyncio.gather(*map(end, wires))
        await stopping
        assert max(ended) - min(ended) > 0.5
