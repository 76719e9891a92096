"""A region behind Debian's HAProxy, with the configuration that is written for it."""

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from rainbow_xmpp.config.haproxy import EXAMPLE, EXAMPLE_WITH_TLS, haproxy, node_problems
from tests.balanced import BalancedRegion, Haproxy, balanced_region, needs_haproxy
from tests.conformance.wire import Wire, connect
from tests.databases import Databases, _make
from tests.faults.rolling import Logins, kill
from tests.process import RainbowServer
from tests.security.raw import rest_of

pytestmark = [
    needs_haproxy,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("balanced region"),
]
SOON_S = 1.0
"""A backend that was killed is replaced in some ten milliseconds; machines that run tests are busy."""
HALF_OPEN = 12
ALONE = "sqlite+aiosqlite:///data/rainbow.db"


# -- what is written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", [EXAMPLE, EXAMPLE_WITH_TLS, replace(EXAMPLE, starttls_port=5222)])
async def test_haproxy_takes_what_is_written(front: Any, tmp_path: Path, server: RainbowServer) -> None:
    pair = tmp_path / "pair.pem"
    pair.write_bytes(b"".join((server.folder / name).read_bytes() for name in ("cert.pem", "key.pem")))
    file = tmp_path / "haproxy.cfg"
    file.write_text(haproxy(replace(front, certificate=str(pair)) if front.ends_tls else front))
    done = await asyncio.to_thread(
        subprocess.run, ["haproxy", "-c", "-f", file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


async def test_it_is_written_from_the_configuration(server: RainbowServer) -> None:
    written = await asyncio.to_thread(
        server.cli, "region", "haproxy-config", "10.0.0.11:443", "[fd00::12]:443"
    )
    assert "    server node1 10.0.0.11:443\n    server node2 [fd00::12]:443\n" in written
    assert "    server node2 [fd00::12]:" in written.partition("backend starttls")[2]
    assert f"bind :::{server.endpoint.port} v4v6" in written


@pytest.mark.parametrize("node", ["10.0.0.11", "https://a:443", "a b:443", "10.0.0.11:443\nlisten x"])
async def test_what_is_no_node_is_refused(node: str) -> None:
    assert list(node_problems([node]))


# -- a region that passes TLS on ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[BalancedRegion]:
    url = _make(databases, "postgresql", migrated=False)
    limits = {"half_open_per_address": HALF_OPEN, "drain_notice_s": 1, "drain_spread_s": 2}
    with balanced_region(tmp_path_factory.mktemp("region"), url, settings={"limits": limits}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def log_in(region: BalancedRegion, stack: AsyncExitStack, over: Any, person: Any = None) -> Wire:
    person = person or region.new_person()
    wire = await stack.enter_async_context(await connect(region.endpoint, over))
    await wire.login(person.localpart, person.password)
    await wire.send("<presence/>")
    await wire.expect(lambda e: e.tag.endswith("}presence") and e.get("from") == wire.jid)
    return wire


async def say(one: Wire, other: Wire, text: str) -> None:
    await one.send(f"<message to='{other.jid}' type='chat'><body>{text}</body></message>")
    heard = await other.expect("message/body")
    assert heard.findtext("{jabber:client}body") == text


async def test_people_chat_through_it_on_both_nodes(region: BalancedRegion, stack: AsyncExitStack) -> None:
    wires = [await log_in(region, stack, over) for over in ("wss", "tls", "wss", "tls")]
    assert region.balancer.connections() == {"node1": 2, "node2": 2}
    for one in wires:
        for other in wires:
            if one is not other:
                await say(one, other, f"{one.jid} to {other.jid}")


async def test_limits_are_those_of_each_client(region: BalancedRegion, stack: AsyncExitStack) -> None:
    async def enters(address: str) -> bool:
        try:
            await stack.enter_async_context(await connect(region.endpoint, "tls", source=address))
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            return False
        return True

    entered = [await enters("127.7.0.9") for _ in range(HALF_OPEN * len(region.nodes) + 3)]
    assert entered.count(True) == HALF_OPEN * len(region.nodes)
    assert await enters("127.7.0.10"), "another client pays for it"


async def test_a_node_that_is_killed_is_replaced_at_once(
    region: BalancedRegion, stack: AsyncExitStack
) -> None:
    people = [region.new_person() for _ in range(4)]
    wires = [await log_in(region, stack, "tls", person) for person in people]
    node = region.nodes[0]
    assert await kill(region, node.pid) < SOON_S
    await asyncio.to_thread(node.process.wait)
    node._process = None
    alive = [wire for wire in wires if await is_alive(wire)]
    assert len(alive) < len(wires), "nobody was there"
    back = [await log_in(region, stack, "wss", person) for person in people]
    await say(back[0], back[1], "here again")
    await asyncio.to_thread(node.start)
    await region.until_up()


async def is_alive(wire: Wire) -> bool:
    try:
        await wire.send("<iq type='get' id='alive'><ping xmlns='urn:xmpp:ping'/></iq>")
        await wire.expect("iq[@id='alive']")
    except (OSError, Exception):
        return False
    return True


async def test_a_node_that_stops_is_left_alone_before_it_closes_and_lets_its_clients_go_bit_by_bit(
    region: BalancedRegion, stack: AsyncExitStack
) -> None:
    wires = [await log_in(region, stack, "tls") for _ in range(16)]
    logins = Logins(region.new_person())
    trying = asyncio.create_task(logins.go_on(region))
    node, ended_at = region.nodes[1], []

    async def until_told(wire: Wire) -> None:
        await wire.expect_stream_error("system-shutdown", 30)
        ended_at.append(time.monotonic())

    waiting = [asyncio.create_task(until_told(wire)) for wire in wires]
    stopping = asyncio.create_task(asyncio.to_thread(node.stop))
    await asyncio.to_thread(region.balancer.until, lambda: region.balancer.states()["node2"] == "NOLB")
    assert not ended_at, "people are told before nobody new comes any more"
    await stopping
    done, others = await asyncio.wait(waiting, timeout=2)
    for task in others:
        task.cancel()
    assert all(task.exception() is None for task in done), "somebody was cut off"
    assert len(done) >= 5
    assert max(ended_at) - min(ended_at) > 0.5, "they were told all at once"
    await asyncio.to_thread(node.start)
    await region.until_up()
    trying.cancel()
    assert not logins.refused
    assert logins.done > 10


# -- one that ends TLS ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BalancedRegion]:
    """One node, whose certificate HAProxy shows, with a response of OCSP beside it."""
    folder = tmp_path_factory.mktemp("ending")
    with balanced_region(folder, ALONE, ends_tls=True, number=1) as running:
        staple(folder / "balancer.pem", running.nodes[0].folder)
        running.balancer.stop()
        running.balancer = Haproxy(folder, running.balancer.front)
        running.balancer.start()
        yield running
        running.balancer.stop()


def staple(pair: Path, made: Path) -> None:
    """What the authority's responder would answer, where HAProxy looks for it."""
    certificate, issuer = (
        x509.load_pem_x509_certificate((made / n).read_bytes()) for n in ("cert.pem", "ca.pem")
    )
    key: Any = serialization.load_pem_private_key((made / "ca-key.pem").read_bytes(), None)
    now = datetime.now(UTC)
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            certificate, issuer, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD,
            now - timedelta(minutes=5), now + timedelta(days=1), None, None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pair.with_name(f"{pair.name}.ocsp").write_bytes(response.public_bytes(serialization.Encoding.DER))
    pair.with_name(f"{pair.name}.issuer").write_bytes((made / "ca.pem").read_bytes())


async def test_people_chat_where_haproxy_ends_tls(ending: BalancedRegion, stack: AsyncExitStack) -> None:
    one, other = await log_in(ending, stack, "wss"), await log_in(ending, stack, "tls")
    await say(one, other, "hello")
    await say(other, one, "hello, too")
    wire = await stack.enter_async_context(await connect(ending.endpoint, "tls"))
    await wire.open()
    assert wire.features is not None
    offered = [e.text or "" for e in wire.features.iter() if e.tag.endswith("}mechanism")]
    assert "SCRAM-SHA-256" in offered
    assert not any(mechanism.endswith("-PLUS") for mechanism in offered)


async def test_its_tls_is_as_strict_as_ours(ending: BalancedRegion) -> None:
    async def shaken(**changes: Any) -> bool:
        context = ending.endpoint.tls_context(("http/1.1",))
        for name, value in changes.items():
            setattr(context, name, value) if name != "ciphers" else context.set_ciphers(value)
        try:
            reader, writer = await asyncio.open_connection(
                ending.endpoint.host, ending.endpoint.port, ssl=context, server_hostname="localhost"
            )
        except (ssl.SSLError, OSError):
            return False
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"strict-transport-security: max-age=" in (await rest_of(reader)).lower()

    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    assert await shaken(minimum_version=new)
    assert await shaken(maximum_version=old, ciphers="ECDHE+AESGCM")
    assert not await shaken(maximum_version=old, ciphers="ECDHE+AES:!AESGCM:!AESCCM")
    assert not await shaken(maximum_version=old, ciphers="DHE+AESGCM")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_it_staples_what_the_authority_says(ending: BalancedRegion) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        ["openssl", "s_client", "-status", "-connect", f"127.0.0.1:{ending.endpoint.port}", "-CAfile",
         str(ending.endpoint.ca_file), "-servername", "localhost"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert "OCSP Response Status: successful" in done.stdout
    assert "Cert Status: good" in done.stdout
