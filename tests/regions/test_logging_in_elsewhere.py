"""People who come to another region than their own are served from home, through it."""

import asyncio
import time
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace

import pytest

from rainbow_xmpp.config import Audit
from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.plugins.fast.hashed_token import initiator
from rainbow_xmpp.store.audit import Wanted
from tests.conformance.sasl_client import Scram
from tests.conformance.wire import NAMESPACES, Over, SaslFailure, Wire, WssWire, child, connect
from tests.regions.places import ANSWER_MS, PASSWORD, Place, World

OVER: tuple[Over, ...] = ("tls", "wss")
BOTH = pytest.mark.parametrize("over", OVER)
SM = NAMESPACES["sm"]
BIND2 = NAMESPACES["bind2"]


async def regions(world: World) -> tuple[Place, Place]:
    """emea, the default region, where bob is, and na with ann."""
    emea, na = await world.place("emea").start(), await world.place("na").start()
    await na.person("ann")
    await emea.person("bob")
    return emea, na


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


def sessions(place: Place) -> list[str]:
    return [session.full for session in place.server.node.sessions]


@BOTH
async def test_somebody_logs_in_at_another_region(world: World, over: Over) -> None:
    emea, na = await regions(world)
    async with await connect(emea.endpoint, over) as ann, await connect(na.endpoint, over) as ben:
        await ann.login("ann", PASSWORD, resource="phone")
        await ben.login("ann@acme.example", PASSWORD)
        assert ann.jid.startswith("ann@chat.test/phone")
        assert not sessions(emea)
        assert len(sessions(na)) == 2
        await ann.send(f"<message to='{ben.jid}' type='chat'><body>hi</body></message>")
        assert child(await ben.expect("message"), "body").text == "hi"
        await ben.send(f"<message to='{ann.jid}' type='chat'><body>{'x' * 100_000}</body></message>")
        assert len(child(await ann.expect("message"), "body").text or "") == 100_000
        counters = emea.server.node.counters
        assert (counters.connections_homeward, counters.connections, counters.connections_half_open) == (
            1,
            1,
            0,
        )
        assert {session.through for session in na.server.node.sessions} == {"emea", ""}
        await ann.close()
        await until(lambda: not counters.connections and not counters.connections_homeward)
        assert len(sessions(na)) == 1


async def test_the_channel_that_is_bound_is_the_clients(world: World) -> None:
    emea, _ = await regions(world)
    async with await connect(emea.endpoint, "tls") as ann:
        await ann.login("ann", PASSWORD, mechanism="SCRAM-SHA-256-PLUS")
        assert ann.jid
    async with await connect(emea.endpoint, "tls") as eve:
        await eve.open()
        scram = Scram("SCRAM-SHA-256-PLUS", "ann", PASSWORD, binding=b"\1" * 32)
        await eve.send_auth("SCRAM-SHA-256-PLUS", scram.first())
        await eve.send_response(scram.final(await eve.sasl_reply()))
        with pytest.raises(SaslFailure, match="not-authorized"):
            await eve.sasl_reply()


@BOTH
async def test_whatever_a_client_sends_ahead_arrives(world: World, over: Over) -> None:
    """Behind the name, while its home is sought: the rest goes there as it came."""
    emea, na = await regions(world)
    async with await connect(emea.endpoint, over) as ann:
        await ann.open()
        scram = Scram("SCRAM-SHA-256", "ann", PASSWORD)
        await ann.send(f"<auth xmlns='{NAMESPACES['sasl']}' mechanism='SCRAM-SHA-256'/>")
        assert await ann.sasl_reply() == b""
        await ann.send_response(scram.first())
        await ann.send(f"<abort xmlns='{NAMESPACES['sasl']}'/>")
        await ann.sasl_reply()
        with pytest.raises(SaslFailure, match="aborted"):
            await ann.sasl_reply()
        await ann.authenticate("ann", PASSWORD)
        await ann.open()
        assert await ann.bind()
        assert na.server.node.counters.sessions == 1


async def failing(place: Place, over: Over, name: str, *, sasl2: bool = False) -> tuple[str, float, int]:
    """What a wrong password gets: the condition, the time of both answers, and the salt's length."""
    async with await connect(place.endpoint, over) as wire:
        await wire.open()
        scram = Scram("SCRAM-SHA-256", name, "Wrong-Horse-7")
        began = time.monotonic()
        if sasl2:
            await wire.send_authenticate("SCRAM-SHA-256", scram.first())
            challenge = b64decode((await wire.sasl2_reply("challenge")).text or "")
            await wire.send_sasl2("response", scram.final(challenge))
            failure = await wire.sasl2_reply("failure")
            return failure[0].tag.partition("}")[2], time.monotonic() - began, len(challenge)
        await wire.send_auth("SCRAM-SHA-256", scram.first())
        challenge = await wire.sasl_reply()
        await wire.send_response(scram.final(challenge))
        with pytest.raises(SaslFailure) as refused:
            await wire.sasl_reply()
        return refused.value.condition, time.monotonic() - began, len(challenge)


async def test_nobody_learns_who_exists_or_where(world: World) -> None:
    emea, na = await regions(world)
    for place in (emea, na):
        for sasl2 in (False, True):
            seen = [await failing(place, "tls", name, sasl2=sasl2) for name in ("ann", "bob", "nemo")]
            assert {condition for condition, _, _ in seen} == {"not-authorized"}
            assert len({length for _, _, length in seen}) == 1
            times = [took for _, took, _ in seen]
            assert min(times) >= 2 * ANSWER_MS / 1000
            assert max(times) < 2 * ANSWER_MS / 1000 + 0.5  # a busy machine


async def test_passwords_do_not_go_through_another_region(world: World) -> None:
    emea, na = await regions(world)
    async with await connect(emea.endpoint, "tls") as ann:
        await ann.open()
        assert "PLAIN" in ann.mechanisms()
        with pytest.raises(SaslFailure, match="not-authorized"):
            await ann.authenticate("ann", PASSWORD, "PLAIN")
    assert not na.server.node.counters.streams_opened


async def test_while_the_home_is_down_people_try_again_later(world: World) -> None:
    emea, na = await regions(world)
    await na.stop()
    async with await connect(emea.endpoint, "wss") as ann:
        for _ in range(2):
            await ann.open() if not ann.header else None
            with pytest.raises(SaslFailure, match="temporary-auth-failure"):
                await ann.authenticate("ann", PASSWORD)
        assert emea.server.node.counters.homes_unreached == 2
        world.finder.is_down = True  # nobody knows who else is there
        with pytest.raises(SaslFailure, match="temporary-auth-failure"):
            await ann.authenticate("nemo", PASSWORD)
        world.finder.is_down = False
    await na.start()
    async with await connect(emea.endpoint, "wss") as ann:
        await ann.login("ann", PASSWORD)


async def test_a_home_that_is_lost_is_a_lost_connection(world: World) -> None:
    """Whoever has logged in is cut off, as by any network, and resumes."""
    emea, na = await regions(world)
    async with await connect(emea.endpoint, "tls") as ann:
        await ann.login("ann", PASSWORD)
        for session in na.server.node.sessions:
            session.link.abort()
        await ann.wait_end()
        assert not ann.stream_closed
    async with await connect(emea.endpoint, "tls") as ann:
        await ann.open()
        await ann.send_auth("SCRAM-SHA-256", Scram("SCRAM-SHA-256", "ann", PASSWORD).first())
        await ann.sasl_reply()
        for link in na.server._deadlines.waiting:
            link.abort()
        await ann.expect_stream_error(StreamCondition.REMOTE_CONNECTION_FAILED)


@BOTH
async def test_a_session_is_resumed_by_another_way(world: World, over: Over) -> None:
    """Login by SASL2 with everything inline; then the entry dies, and the client comes home directly."""
    emea, na = await regions(world)
    inline = f"<bind xmlns='{BIND2}'><tag>x</tag><enable xmlns='{SM}' resume='true'/></bind>"
    async with await connect(emea.endpoint, over) as ann:
        await ann.open()
        success = await ann.authenticate2("ann", PASSWORD, inline=inline)
        enabled = child(success, f"{{{BIND2}}}bound/{{{SM}}}enabled")
        assert enabled.get("id", "").startswith("na.")
        await ann.send("<presence/>")
        await ann.settle()
        await emea.stop()
        await ann.wait_end()
        await until(lambda: na.server.node.streams.adrift)
    async with await connect(na.endpoint, over) as ben:
        await ben.login("ann", PASSWORD)
        await ben.send("<message to='ann@chat.test' type='chat'><body>missed?</body></message>")
        await ben.settle()
    await emea.start()
    async with await connect(emea.endpoint, over) as ann:
        await ann.open()
        resume = f"<resume xmlns='{SM}' h='0' previd='{enabled.get('id')}'/>"
        success = await ann.authenticate2("ann", PASSWORD, inline=resume)
        assert success.find(f"{{{SM}}}resumed") is not None, ET.tostring(success)
        assert child(await ann.expect("message"), "body").text == "missed?"
        assert [session.through for session in na.server.node.sessions] == ["emea"]


async def test_the_audit_log_says_through_whom(world: World) -> None:
    emea, na = await regions(world)
    na.server.node.trail.config = Audit(logins=True)
    async with await connect(emea.endpoint, "tls") as ann, await connect(na.endpoint, "tls") as ben:
        await ann.login("ann", PASSWORD)
        await ben.login("ann", PASSWORD)
    await na.server.node.background.settle(1)
    facts = [record.facts async for record in na.server.node.store.audit.each(Wanted(kind="login.ok"))]
    assert [fact.get("through") for fact in facts] == ["emea", None]


async def test_limits_of_addresses_are_those_of_the_client(world: World) -> None:
    emea = await world.place("emea").start()
    na = await world.place("na", limits={"connections_per_address": 2}).start()
    await na.person("ann")
    wires: list[Wire] = []
    try:
        for _ in range(2):
            wires.append(await connect(emea.endpoint, "tls", source="127.0.0.7"))
            await wires[-1].login("ann", PASSWORD)
        wires.append(await connect(emea.endpoint, "tls", source="127.0.0.7"))
        await wires[-1].open()
        with pytest.raises(SaslFailure, match="temporary-auth-failure"):
            await wires[-1].authenticate("ann", PASSWORD)
        wires.append(await connect(emea.endpoint, "tls", source="127.0.0.8"))
        await wires[-1].login("ann", PASSWORD)
    finally:
        for wire in wires:
            wire.abort()
    await until(lambda: not na.server.node.counters.connections)


async def test_somebody_who_does_not_read_is_bounded_here_and_cut_off_at_home(world: World) -> None:
    emea = await world.place("emea").start()
    na = await world.place("na", limits={"output_bytes": 1_000_000}).start()
    await na.person("ann")
    async with await connect(emea.endpoint, "tls") as ann:
        await ann.login("ann", PASSWORD)
        ann.writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert emea.server._ways is not None
        (way,) = emea.server._ways._open
        (session,) = na.server.node.sessions
        greatest, message = 0, f"<message><body>{'x' * 200_000}</body></message>".encode()
        for _ in range(200):
            session.link.send(message)
            await asyncio.sleep(0.01)
            assert way._client is not None
            greatest = max(greatest, way._client._transport.get_write_buffer_size())
            if na.server.node.counters.limit_output:
                break
        assert na.server.node.counters.limit_output == 1, "the home has a bound for what waits"
        assert 0 < greatest <= 65_536 + 16_384


async def test_nobody_is_handed_on_twice(world: World) -> None:
    """na is told that somebody is in emea, and emea that the same is in na: the first home decides."""
    emea, na = await regions(world)
    world.finder.homes["nemo"] = "na"
    condition, _, _ = await failing(emea, "tls", "nemo")
    assert condition == "not-authorized"
    assert na.server.node.counters.streams_opened == 1


@BOTH
@pytest.mark.parametrize("sasl2", [False, True], ids=["classic", "SASL2"])
async def test_who_came_through_another_region_is_asked_to_come_directly(
    world: World, over: Over, sasl2: bool
) -> None:
    """After the login, over TLS, to what the configuration says; and not for ever."""
    emea = await world.place("emea").start()
    na = await world.place("na", redirect=True).start()
    await na.person("ann")
    for _ in range(2):
        async with await connect(emea.endpoint, over) as ann:
            await ann.open()
            if sasl2:
                inline = f"<bind xmlns='{BIND2}'><tag>x</tag></bind>"
                assert (await ann.authenticate2("ann", PASSWORD, inline=inline)).find(
                    f"{{{BIND2}}}bound"
                ) is None
                assert ann.jid == "ann@chat.test"
            else:
                await ann.authenticate("ann", PASSWORD)
                ann._restart()
                await ann.send_header("to='chat.test' version='1.0'")
            if isinstance(ann, WssWire):
                await ann.wait_end()
                assert ann.closing == {"see-other-uri": "wss://na.chat.test/xmpp-websocket"}
            else:
                error = await ann.expect("stream:error")
                assert child(error, "streams:see-other-host").text == "na.chat.test"
                await ann.wait_end()
        assert not sessions(na)
    async with await connect(emea.endpoint, over) as ann:
        await ann.login("ann", PASSWORD)
    async with await connect(na.endpoint, over) as ben:
        await ben.login("ann", PASSWORD)


async def test_a_server_that_is_being_emptied_takes_nobody_in_and_another_does(world: World) -> None:
    emea, na = await regions(world)
    async with await connect(emea.endpoint, "tls") as ann:
        na.server.use(replace(na.config, listen=replace(na.config.listen, drain_to="na2.chat.test")))
        await ann.open()
        with pytest.raises(SaslFailure, match="temporary-auth-failure"):
            await ann.authenticate("ann", PASSWORD)
        ways = emea.server._ways
        assert ways is not None
        second = await world.another(na)
        try:
            ways._ways["na"] = replace(
                ways._ways["na"],
                addresses=tuple(("127.0.0.1", place.config.listen.port) for place in (na, second)),
            )  # type: ignore[index]
            await ann.authenticate("ann", PASSWORD)
            await ann.open()
            await ann.bind()
            assert (sessions(na), len(sessions(second))) == ([], 1)
        finally:
            ann.abort()


async def test_a_token_of_home_lets_in_at_another_region(world: World) -> None:
    """In one round trip, with what says whose it is; a wrong one fails there as at home."""
    emea, _ = await regions(world)
    agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>x</software></user-agent>"
    fast = "urn:xmpp:fast:0"
    async with await connect(emea.endpoint, "tls") as ann:
        await ann.open()
        asked = f"{agent}<request-token xmlns='{fast}' mechanism='HT-SHA-256-NONE'/>"
        success = await ann.authenticate2("ann", PASSWORD, inline=asked)
        token = child(success, f"{{{fast}}}token").get("token", "")
    for secret, right in ((token, True), ("x" * len(token), False)):
        async with await connect(emea.endpoint, "tls") as ann:
            await ann.open()
            proof = b"ann\0" + initiator(secret.encode(), b"")
            await ann.send_authenticate("HT-SHA-256-NONE", proof, f"<fast xmlns='{fast}'/>{agent}")
            if right:
                await ann.sasl2_reply("success")
                continue
            with pytest.raises(SaslFailure, match="not-authorized"):
                await ann.sasl2_reply("success")
