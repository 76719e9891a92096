"""Calls through the relay by clients that others wrote, with credentials as XEP-0215 hands them out."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config import Secret
from rainbow_xmpp.plugins.webrtc_relay import WebrtcRelay
from rainbow_xmpp.plugins.webrtc_relay.credentials import issue, password_of
from rainbow_xmpp.testing import TestServer, condition_of
from tests import setup_clients
from tests.certificates import make_certificates
from tests.conformance.wire import Wire
from tests.doors import Door
from tests.interop.client import CALLS, Client, running
from tests.process import RainbowServer, free_port

pytestmark = pytest.mark.xdist_group("relayed calls")

NS = "urn:xmpp:extdisco:2"
SERVICES = f"<iq type='get' id='services' to='localhost'><services xmlns='{NS}'/></iq>"
SECRET = "only-for-this-test-0123456789"
TRANSPORTS = ("udp", "tcp", "tls")
SECONDS = 0.5
"""How long sound goes on after the call has been set up."""
REFUSED_MS = 1500


@dataclass(frozen=True, slots=True)
class Offered:
    """One way to the relay."""

    uri: str
    username: str
    password: str

    def for_browsers(self) -> list[dict[str, str]]:
        return [{"urls": self.uri, "username": self.username, "credential": self.password}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    relay = {"enabled": True, "secret": SECRET, "port": free_port(), "drain_s": 0}
    settings = {"plugins": {"webrtc_relay": relay}}
    running_server = RainbowServer(tmp_path_factory.mktemp("calls"), settings=settings)
    running_server.start()
    running_server.cli("company", "set", "Acme", "--service-level", "business", "--reason", "calls")
    try:
        yield running_server
    finally:
        running_server.stop()


@asynccontextmanager
async def logged_in(server: RainbowServer, company: str) -> AsyncIterator[Wire]:
    async with AsyncExitStack() as stack:
        yield await Door(server, "tls", stack).log_in(server.new_person(company))


async def offered(server: RainbowServer) -> dict[str, Offered]:
    """What somebody of Acme is told, by transport, once the server has heard of the company's level."""
    async with logged_in(server, "Acme") as ann, asyncio.timeout(10):
        while True:
            await ann.send(SERVICES)
            answer = await ann.expect(lambda stanza: stanza.get("id") == "services")
            if answer.get("type") == "result":
                break
            await asyncio.sleep(0.1)
    found = {}
    for each in answer[0]:
        if each.get("type", "").startswith("turn"):
            name = "tls" if each.get("type") == "turns" else each.get("transport", "")
            uri = (
                f"{each.get('type')}:{each.get('host')}:{each.get('port')}?transport={each.get('transport')}"
            )
            found[name] = Offered(uri, each.get("username", ""), each.get("password", ""))
    assert set(found) == set(TRANSPORTS)
    return found


async def test_other_companies_are_told_of_no_relay(server: RainbowServer) -> None:
    async with logged_in(server, "Globex") as eve:
        await eve.send(SERVICES)
        answer = await eve.expect(lambda stanza: stanza.get("id") == "services")
        assert condition_of(answer) == "service-unavailable"


# -- headless Chromium ---------------------------------------------------------------------------------------


@pytest.fixture
async def chromium(server: RainbowServer, tmp_path: Path) -> AsyncIterator[Client]:
    try:
        setup_clients.chromium_program()
    except setup_clients.SetupFailed as missing:
        pytest.skip(str(missing))
    async with running(CALLS, server.endpoint, tmp_path) as client:
        await client.do("open")
        yield client


async def called(
    client: Client, way: Offered, patience_ms: int = 15_000, *, callee_has_relay: bool = True
) -> dict[str, Any]:
    await client.do(
        "call",
        iceServers=way.for_browsers(),
        seconds=SECONDS,
        patienceMs=patience_ms,
        calleeHasRelay=callee_has_relay,
    )
    return await client.wait("called")


async def test_chromium_calls_through_the_relay_over_every_transport(
    server: RainbowServer, chromium: Client
) -> None:
    """Both ends are at the relay: the peer policy is the shipped one, on loopback."""
    for transport, way in (await offered(server)).items():
        seen = await called(chromium, way)
        assert (seen["echo"], seen["local"], seen["remote"]) == ("hello", "relay", "relay"), (transport, seen)
        assert seen["protocol"] == transport
        assert seen["sent"] > 1000 and seen["received"] > 1000, seen


def wrong_secret(way: Offered) -> Offered:
    made = issue(b"another secret than the relay's", "acme-ann", int(way.username.partition(":")[0]))
    return replace(way, username=made.username, password=made.password)


def expired(way: Offered) -> Offered:
    made = issue(SECRET.encode(), way.username.partition(":")[2], 1_700_000_000)
    return replace(way, username=made.username, password=made.password)


def another_name(way: Offered) -> Offered:
    return replace(way, username=re.sub("[0-9a-f]$", "x", way.username))


WORTHLESS: tuple[Callable[[Offered], Offered], ...] = (wrong_secret, expired, another_name)


async def test_chromium_gets_nowhere_with_other_credentials(server: RainbowServer, chromium: Client) -> None:
    ways = await offered(server)
    for change, transport in zip(WORTHLESS, TRANSPORTS, strict=True):
        seen = await called(chromium, change(ways[transport]), REFUSED_MS)
        assert (seen["echo"], seen["local"]) == ("", ""), (change, seen)
        assert any(error.startswith("401") for error in seen["errors"]), (change, seen)


async def test_chromium_does_not_reach_the_servers_own_network_through_the_relay(
    server: RainbowServer, chromium: Client
) -> None:
    """The other end is not at the relay, and has private addresses only: the shipped policy is closed to them."""
    seen = await called(chromium, (await offered(server))["udp"], REFUSED_MS, callee_has_relay=False)
    assert (seen["echo"], seen["received"]) == ("", 0), seen


# -- aiortc --------------------------------------------------------------------------------------------------

aiortc = pytest.importorskip("aiortc")


async def ring(way: Offered, patience_s: float = 15.0) -> tuple[str, list[str], int]:
    """A call with sound and a data channel: what was echoed, the candidates of both, packets of sound received."""
    servers = [aiortc.RTCIceServer(urls=way.uri, username=way.username, credential=way.password)]
    configuration = aiortc.RTCConfiguration(iceServers=servers)
    caller, callee = (aiortc.RTCPeerConnection(configuration) for _ in range(2))
    echoed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @callee.on("datachannel")
    def opened(theirs: Any) -> None:
        theirs.on("message", theirs.send)

    channel = caller.createDataChannel("echo")
    channel.on("open", lambda: channel.send("hello"))
    channel.on("message", lambda text: echoed.done() or echoed.set_result(text))
    caller.addTrack(aiortc.mediastreams.AudioStreamTrack())
    callee.addTrack(aiortc.mediastreams.AudioStreamTrack())
    try:
        async with asyncio.timeout(patience_s):
            await caller.setLocalDescription(await caller.createOffer())
            await callee.setRemoteDescription(only_relayed(caller.localDescription))
            await callee.setLocalDescription(await callee.createAnswer())
            await caller.setRemoteDescription(only_relayed(callee.localDescription))
            text = await echoed
            await asyncio.sleep(SECONDS)
        stats = await caller.getReceivers()[0].getStats()
        packets = sum(each.packetsReceived for each in stats.values() if each.type == "inbound-rtp")
        candidates = re.findall(r"typ (\w+)", only_relayed(callee.localDescription).sdp)
        return text, candidates, packets
    finally:
        await asyncio.gather(caller.close(), callee.close())


def only_relayed(description: Any) -> Any:
    """aiortc has no policy for candidates: the other end is told of relayed ones only."""
    lines = description.sdp.split("\r\n")
    kept = [line for line in lines if not line.startswith("a=candidate") or " typ relay " in line]
    return aiortc.RTCSessionDescription("\r\n".join(kept), description.type)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_aiortc_calls_through_the_relay(
    server: RainbowServer, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.endpoint.ca_file))
    text, candidates, packets = await ring((await offered(server))[transport])
    assert (text, set(candidates)) == ("hello", {"relay"})
    assert packets > 10


async def test_aiortc_gets_nowhere_with_another_secret(server: RainbowServer) -> None:
    way = wrong_secret((await offered(server))["udp"])
    with pytest.raises(TimeoutError):
        await ring(way, REFUSED_MS / 1000)


# -- coturn in the relay's place -----------------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[2] / "conf" / "examples" / "coturn.conf"


@pytest.fixture
async def coturn_port(tmp_path: Path) -> AsyncIterator[int]:
    """Debian's coturn with our example, on loopback."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("coturn is not installed")
    port, files = free_port(), make_certificates(tmp_path)
    text = EXAMPLE.read_text()
    for old, new in {
        "REPLACE-BY-THE-SECRET": SECRET,
        "REPLACE-BY-THE-ADDRESS-OUTSIDE": "127.0.0.1",
        "listening-port=3478": f"listening-port={port}\nlistening-ip=127.0.0.1\nrelay-ip=127.0.0.1",
        "tls-listening-port=5349": f"tls-listening-port={free_port()}",
        "/etc/coturn/cert.pem": str(files.certificate),
        "/etc/coturn/key.pem": str(files.key),
    }.items():
        assert old in text
        text = text.replace(old, new)
    config = tmp_path / "turnserver.conf"
    config.write_text(
        f"{text}\nallow-loopback-peers\nno-stdout-log\nlog-file={tmp_path}/log\npidfile={tmp_path}/pid\n"
    )
    process = await asyncio.create_subprocess_exec(
        program,
        "-c",
        str(config),
        "--no-stdout-log",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while not await answers(port):
                assert process.returncode is None, (tmp_path / "log").read_text()
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.05)
        return False
    writer.close()
    return True


async def test_coturn_takes_the_same_credentials(coturn_port: int) -> None:
    uri = f"turn:127.0.0.1:{coturn_port}?transport=udp"
    options = WebrtcRelay.Options(mode="external", secret=Secret(SECRET), services=(uri,))
    async with TestServer({WebrtcRelay: options}) as external:
        company = await external.company("acme")
        await external.store.companies.update(company.id, service_level="business")
        await external.node.watch.poll()
        ann = await external.login("ann@acme")
        answer = await ann.ask("get", f"<services xmlns='{NS}'/>", to=external.domain)
    username = issue(
        SECRET.encode(), answer[0][0].get("username", "").partition(":")[2], int(time.time()) + 600
    )
    told = Offered(uri, answer[0][0].get("username", ""), answer[0][0].get("password", ""))
    assert told.password == password_of(SECRET.encode(), told.username)
    way = replace(told, username=username.username, password=username.password)  # that clock stands in 2023
    text, candidates, packets = await ring(way)
    assert (text, set(candidates)) == ("hello", {"relay"})
    assert packets > 10
    for worthless in (wrong_secret(way), told):
        with pytest.raises(TimeoutError):
            await ring(worthless, REFUSED_MS / 1000)
