"""The relay under a server: it starts, dies and comes again, hears of reloads, and has a place on the one port."""

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from rainbow_xmpp.config import Config, Secret
from rainbow_xmpp.config.doors import Listen
from rainbow_xmpp.plugins.webrtc_relay import WebrtcRelay, embedded, stun
from rainbow_xmpp.plugins.webrtc_relay.check import look
from rainbow_xmpp.plugins.webrtc_relay.credentials import issue
from rainbow_xmpp.plugins.webrtc_relay.sockets import CannotRelay, RelaySockets, relay_ips
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.transport.client_hello import offers
from tests.certificates import make_certificates
from tests.plugins.webrtc_relay.running import StreamWire
from tests.plugins.webrtc_relay.turn_client import Credential, TurnClient, code_of
from tests.process import RainbowServer, free_port
from tests.proxy_headers import header

SECRET, NEXT = "first-secret-of-16+", "second-secret-of-16+"
USER = "acme-ann"
BALANCER = "127.9.0.1"
GROUP = pytest.mark.xdist_group("embedded relay")


class Datagrams:
    """A client over UDP that waits for answers."""

    is_stream = False

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.connect(("127.0.0.1", port))
        self.client = self._sock.getsockname()

    def send(self, data: bytes) -> None:
        self._sock.send(data)

    def transact(self, data: bytes) -> bytes | None:
        for _ in range(5):
            self._sock.settimeout(1)
            try:
                self._sock.send(data)
                return self._sock.recv(2048)
            except (TimeoutError, ConnectionRefusedError):
                continue
        return None

    def receive(self) -> bytes | None:
        self._sock.settimeout(2)
        return self._sock.recv(2048)


def client_of(port: int, secret: str = SECRET, userid: str = USER) -> TurnClient:
    made = issue(secret.encode(), userid, int(time.time()) + 3600)
    return TurnClient(Datagrams(port), Credential(made.username, made.password))


def options(**others: object) -> WebrtcRelay.Options:
    return WebrtcRelay.Options(
        **{"secret": Secret(SECRET), "port": free_port(), "drain_s": 0, "allow_peers": ("127.0.0.1",)}
        | others  # type: ignore[arg-type]
    )


async def until(true: Callable[[], bool], timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.02)


async def until_answered(code: int, make: Callable[[], TurnClient]) -> TurnClient:
    """What the relay is told reaches it beside what clients say: until a client's Allocate is answered like this."""
    async with asyncio.timeout(10):
        while True:
            client = make()
            if code_of(await aside(client.allocate)) == code:  # type: ignore[arg-type]
                return client


async def aside(work: Callable[[], Awaitable[None] | object]) -> object:
    return await asyncio.to_thread(work)


@GROUP
async def test_a_relay_that_dies_is_started_again_and_chat_does_not_notice():
    chosen = options()
    async with TestServer({WebrtcRelay: chosen}) as server:
        relay = server.plugin(WebrtcRelay).embedded
        assert relay is not None
        first = relay.supervisor.pid
        assert first is not None and relay.supervisor.is_ready
        assert code_of(await aside(client_of(chosen.port).allocate)) == 0  # type: ignore[arg-type]
        await until(lambda: server.node.counters.relay_opened == 1)
        os.kill(first, signal.SIGKILL)
        ann = await server.login("ann@acme")
        await until(lambda: relay.supervisor.is_ready and relay.supervisor.pid != first)
        assert code_of(await aside(client_of(chosen.port).allocate)) == 0  # type: ignore[arg-type]
        await until(lambda: server.node.counters.relay_opened == 2)
        assert server.node.counters.relay_restarts == 1
        assert (await ann.ask("get", "<query xmlns='jabber:iq:roster'/>")).get("type") == "result"
        last = relay.supervisor.pid
    assert last is not None
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


@GROUP
async def test_reloads_reach_the_relay_and_calls_end_with_the_right_to_them():
    chosen = options(drain_s=0)
    async with TestServer({WebrtcRelay: chosen}) as server:
        plugin = server.plugin(WebrtcRelay)
        assert plugin.embedded is not None
        old = client_of(chosen.port)
        assert code_of(await aside(old.allocate)) == 0  # type: ignore[arg-type]
        server.reconfigure({WebrtcRelay: options(port=chosen.port, secret=Secret(NEXT))})
        fresh = await until_answered(0, lambda: client_of(chosen.port, NEXT, "acme-bob"))
        assert code_of(await aside(client_of(chosen.port).allocate)) == 401  # type: ignore[arg-type]
        assert plugin.desk.relay is plugin.embedded
        plugin.embedded.close_user("acme-bob", int(time.time()) + 7200)  # the relay goes by the real clock
        await until_answered(401, lambda: TurnClient(Datagrams(chosen.port), fresh.credential))
        await until(lambda: plugin.desk.accounting.allocations.get("acme-bob", 0) == 0)
        # What is void stays so when another process begins.
        os.kill(plugin.embedded.supervisor.pid or 0, signal.SIGKILL)
        await until(lambda: not plugin.is_open)
        await until(lambda: plugin.is_open)
        again = TurnClient(Datagrams(chosen.port), fresh.credential)
        assert code_of(await aside(again.allocate)) == 401  # type: ignore[arg-type]


@GROUP
async def test_when_the_server_stops_calls_go_on_for_a_moment_and_no_new_ones_begin():
    chosen = options(drain_s=2)
    server = TestServer({WebrtcRelay: chosen})
    async with server:
        client = client_of(chosen.port)
        assert code_of(await aside(client.allocate)) == 0  # type: ignore[arg-type]
        stopping = asyncio.get_running_loop().create_task(server.stop())
        other = client_of(chosen.port, userid="acme-bob")
        await asyncio.sleep(0.3)
        assert code_of(await aside(other.allocate)) == 508  # type: ignore[arg-type]
        assert code_of(await aside(client.refresh)) == 0  # type: ignore[arg-type]
        await aside(lambda: client.refresh(0))  # the last call is over: nothing is waited for any more
        began = time.monotonic()
        await stopping
        assert time.monotonic() - began < 1.9


@GROUP
async def test_a_server_whose_relay_has_no_port_serves_chat_and_relays_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(embedded, "FIRST_REST_S", 0.05)
    chosen = options()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", chosen.port))
        async with TestServer({WebrtcRelay: chosen}) as server:
            plugin, counters = server.plugin(WebrtcRelay), server.node.counters
            ann = await server.login("ann@acme")
            assert (await ann.ask("get", "<query xmlns='jabber:iq:roster'/>")).get("type") == "result"
            assert not plugin.is_open and counters.relay_down == 1
            assert f"port {chosen.port} on 127.0.0.1" in caplog.text and "tried again" in caplog.text
            taken.close()
            await until(lambda: plugin.is_open)
            assert counters.relay_down == 0
            assert code_of(await aside(client_of(chosen.port).allocate)) == 0  # type: ignore[arg-type]


@GROUP
async def test_a_server_stops_while_its_relay_has_no_address():
    async with TestServer({WebrtcRelay: options(relay_address="198.51.100.7")}) as server:
        assert server.node.counters.relay_down == 1


@GROUP
async def test_behind_a_nat_clients_are_told_the_address_outside_and_meet_there():
    """1:1 NAT: relayed ports live at 127.0.0.1, and everybody knows them as 198.51.100.7."""
    chosen = options(external_address="198.51.100.7")
    async with TestServer({WebrtcRelay: chosen}):
        ann, bob = client_of(chosen.port), client_of(chosen.port, userid="acme-bob")
        here, there = await asyncio.to_thread(ann.allocated), await asyncio.to_thread(bob.allocated)
        assert here[0] == there[0] == "198.51.100.7"
        assert code_of(await asyncio.to_thread(ann.bind, 0x4000, there)) == 0
        assert code_of(await asyncio.to_thread(bob.bind, 0x4001, here)) == 0
        ann.send_channel(0x4000, b"through the address outside")
        assert await asyncio.to_thread(bob.channel_data) == (0x4001, b"through the address outside")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(5)
            assert code_of(await asyncio.to_thread(ann.bind, 0x4002, peer.getsockname())) == 0
            ann.send_channel(0x4002, b"out")
            data, inside = await asyncio.to_thread(peer.recvfrom, 100)
            assert (data, inside) == (b"out", ("127.0.0.1", here[1])), "which the NAT makes the one outside"
            peer.sendto(b"back", inside)
            assert await asyncio.to_thread(ann.channel_data) == (0x4002, b"back")
            assert code_of(await asyncio.to_thread(ann.bind, 0x4003, ("198.51.100.7", 9))) == 403


async def test_a_port_that_is_taken_is_told():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(CannotRelay, match="cannot be opened: address already in use"):
            RelaySockets().open("127.0.0.1", taken.getsockname()[1])


def test_where_relayed_ports_live():
    assert relay_ips("127.0.0.1", "") == [("127.0.0.1", "127.0.0.1")]
    assert relay_ips("127.0.0.1", "198.51.100.7") == [("127.0.0.1", "198.51.100.7")]
    with pytest.raises(CannotRelay, match="external_address = the address outside"):
        relay_ips("198.51.100.7", "")
    try:
        found = relay_ips("0.0.0.0", "198.51.100.7")
    except CannotRelay as error:
        assert "no default route" in str(error)
    else:
        assert found[0][0] not in ("0.0.0.0", "198.51.100.7") and found[0][1] == "198.51.100.7"


# -- the one port --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    port = free_port()
    server = RainbowServer(
        tmp_path_factory.mktemp("relay"),
        settings={
            "listen": {"proxy_from": [BALANCER]},
            "plugins": {
                "webrtc_relay": {
                    "enabled": True,
                    "secret": SECRET,
                    "port": port,
                    "drain_s": 0,
                    "unauthenticated_per_second": 1000,
                }
            },
        },
    )
    server.start()
    server.relay_port = port  # type: ignore[attr-defined]
    yield server
    server.stop()


class NothingToSettle:
    """Two processes deal with what is sent: an answer is waited for instead."""

    def settle(self) -> None:
        pass


def over_tls(server: RainbowServer, *alpn: str, at: str = "127.0.0.1", first: bytes = b"") -> TurnClient:
    """`first` is said before TLS."""
    context = ssl.create_default_context(cafile=str(server.endpoint.ca_file))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    plain = socket.create_connection(("127.0.0.1", server.endpoint.port), 5, (at, 0))
    plain.sendall(first)
    wire = StreamWire(NothingToSettle(), context, plain)  # type: ignore[arg-type]
    wire.quiet_s = 5.0
    made = issue(SECRET.encode(), USER, int(time.time()) + 3600)
    return TurnClient(wire, Credential(made.username, made.password))


@GROUP
@pytest.mark.parametrize("alpn", [("stun.turn",), ()], ids=["ALPN", "first byte"])
def test_on_the_one_port_the_relay_is_found_by_alpn_or_by_the_first_byte(
    whole_server: RainbowServer, alpn: tuple[str, ...]
):
    one, two = over_tls(whole_server, *alpn), over_tls(whole_server, *alpn)
    assert one.wire._sock.selected_alpn_protocol() == (alpn[0] if alpn else None)  # type: ignore[attr-defined]
    here, there = one.allocated(), two.allocated()
    assert code_of(one.bind(0x4000, there)) == 0
    assert code_of(two.bind(0x4001, here)) == 0
    for size in (1, 172, 1200):
        one.send_channel(0x4000, bytes([size % 256]) * size)
        assert two.channel_data() == (0x4001, bytes([size % 256]) * size)
        two.send_channel(0x4001, b"back")
        assert one.channel_data() == (0x4000, b"back")


@GROUP
@pytest.mark.parametrize("alpn", [("stun.turn",), ()], ids=["ALPN", "first byte"])
def test_the_relay_hears_where_the_client_of_a_load_balancer_is(
    whole_server: RainbowServer, alpn: tuple[str, ...]
):
    client = over_tls(whole_server, *alpn, at=BALANCER, first=header("198.51.100.7", 4711))
    answer = client.ask(stun.BINDING)
    assert answer is not None
    seen = stun.read_xor_address(answer.get(stun.XOR_MAPPED_ADDRESS) or b"", answer.transaction)
    assert seen == (stun.IPV4, ("198.51.100.7", 4711))
    assert code_of(client.allocate()) == 0


@GROUP
def test_check_turn_goes_every_way_that_clients_are_told(
    whole_server: RainbowServer, monkeypatch: pytest.MonkeyPatch
):
    """A certificate that this machine does not know is believed where SSL_CERT_FILE says so, as for any client."""
    monkeypatch.setenv("SSL_CERT_FILE", str(whole_server.endpoint.ca_file))
    config = Config(domain="localhost", listen=Listen(port=whole_server.endpoint.port))
    port = whole_server.relay_port  # type: ignore[attr-defined]
    found = list(look(config, options(port=port)))
    assert not [each.text for each in found if each.is_good is False]
    allocates = [each.text.split()[0] for each in found if "allocates" in each.text]
    assert allocates == [
        f"turn:localhost:{port}?transport=udp",
        f"turn:localhost:{port}?transport=tcp",
        f"turns:localhost:{whole_server.endpoint.port}?transport=tcp",
        f"turns:localhost:{port}?transport=tcp",
    ]
    assert sum("relays a packet" in each.text for each in found) == 4
    refused = list(look(config, options(port=port, secret=Secret(NEXT))))
    assert all("is the secret the same there" in each.text and each.is_good is False for each in refused)
    monkeypatch.delenv("SSL_CERT_FILE")
    closed = [each.text for each in look(config, options(port=free_port())) if not each.is_good]
    assert "open UDP port" in closed[0] and "open TCP port" in closed[1]
    assert "will not believe its certificate" in closed[2]
    assert next(iter(look(config, options(secret=Secret())))).is_good is None


@GROUP
def test_a_hangup_renews_the_relays_certificate_too(whole_server: RainbowServer, tmp_path: Path):
    files, new = whole_server.endpoint.ca_file.parent, make_certificates(tmp_path)
    before = {name: (files / name).read_bytes() for name in ("cert.pem", "key.pem")}
    relay = ("127.0.0.1", whole_server.relay_port)  # type: ignore[attr-defined]
    going_on = over_tls(whole_server, "stun.turn")
    going_on.allocated()
    for wanted in ({"cert.pem": new.certificate.read_bytes(), "key.pem": new.key.read_bytes()}, before):
        for name, content in wanted.items():
            (files / name).write_bytes(content)
        whole_server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 10
        while ssl.get_server_certificate(relay, timeout=5).encode().strip() != wanted["cert.pem"].strip():
            assert time.monotonic() < until
            time.sleep(0.05)
    assert code_of(going_on.refresh()) == 0


def test_a_client_hello_is_read_within_its_bounds():
    context = ssl.create_default_context()
    context.set_alpn_protocols(["stun.turn"])
    hello = _hello(context)
    assert offers(hello, b"stun.turn")
    assert not offers(hello, b"http/1.1")
    context.set_alpn_protocols(["http/1.1", "stun.turn"])
    assert not offers(_hello(context), b"stun.turn"), "who offers more is served by the one who knows more"
    assert not offers(_hello(ssl.create_default_context()), b"stun.turn")
    for end in range(len(hello)):
        offers(hello[:end], b"stun.turn")
    for at in range(len(hello)):
        offers(hello[:at] + b"\xff" + hello[at + 1 :], b"stun.turn")


def _hello(context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
