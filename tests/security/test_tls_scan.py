"""A scanner that is not ours (sslyze) looks at the one port of the real server."""

import asyncio
import json
import subprocess
from typing import Any

import pytest

from tests import setup_clients
from tests.conformance.wire import Endpoint
from tests.process import ChatServer, RainbowServer
from tests.unit.http_client import parsed

# Each worker of pytest-xdist would start a server and scan it.
pytestmark = pytest.mark.xdist_group("tls_scan")

LEAST_HSTS_S = 31_536_000  # hstspreload.org
AEAD = ("_GCM_", "CHACHA20_POLY1305")


@pytest.fixture(scope="session")
def scan(server_process: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What sslyze found, by kind of scan."""
    file = tmp_path_factory.mktemp("scan") / "scan.json"
    scans = (
        *("certinfo", "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "compression"),
        *("early_data", "openssl_ccs", "fallback", "heartbleed", "robot", "reneg", "resum"),
        *("elliptic_curves", "http_headers", "ems"),
    )
    target = f"localhost:{server_process.endpoint.port}"
    command = [setup_clients.sslyze_program(), *(f"--{name}" for name in scans), f"--json_out={file}", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    (result,) = json.loads(file.read_text())["server_scan_results"]
    assert result["scan_status"] == "COMPLETED", done.stdout + done.stderr
    found: dict[str, Any] = {}
    for name, part in result["scan_result"].items():
        assert part["status"] == "COMPLETED", f"{name}: {part['error_reason']} {part['error_trace']}"
        found[name] = part["result"]
    return found


def accepted(scan: dict[str, Any], version: str) -> list[dict[str, Any]]:
    """The suites the server agreed to, each with the key exchange it led to."""
    suites: list[dict[str, Any]] = scan[f"{version}_cipher_suites"]["accepted_cipher_suites"]
    return suites


@pytest.mark.parametrize("version", ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"])
def test_nothing_below_tls_1_2_is_accepted(scan: dict[str, Any], version: str) -> None:
    assert accepted(scan, version) == []


@pytest.mark.parametrize("version", ["tls_1_2", "tls_1_3"])
def test_every_suite_has_forward_secrecy_and_authenticated_encryption(
    scan: dict[str, Any], version: str
) -> None:
    suites = accepted(scan, version)
    assert suites
    for suite in suites:
        name = suite["cipher_suite"]["name"]
        assert any(kind in name for kind in AEAD), name
        assert version == "tls_1_3" or "_ECDHE_" in name, name
        assert suite["cipher_suite"]["key_size"] >= 128
        assert suite["ephemeral_key"]["size"] >= 253, "X25519 or P-256"


def test_the_certificate_has_a_p_256_key_and_is_sent_in_order(scan: dict[str, Any]) -> None:
    (deployment,) = scan["certificate_info"]["certificate_deployments"]
    key = deployment["received_certificate_chain"][0]["public_key"]
    assert (key["algorithm"], key["ec_curve_name"]) == ("ECPublicKey", "secp256r1")
    assert deployment["received_chain_has_valid_order"]


def test_only_usual_groups_are_agreed_on(scan: dict[str, Any]) -> None:
    names = {curve["name"] for curve in scan["elliptic_curves"]["supported_curves"]}
    assert names == {"X25519", "secp256r1", "secp384r1"}


def test_the_named_attacks_find_nothing(scan: dict[str, Any]) -> None:
    assert not scan["tls_compression"]["supports_compression"]
    assert not scan["tls_1_3_early_data"]["supports_early_data"]
    assert not scan["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert not scan["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert scan["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    assert scan["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert scan["tls_extended_master_secret"]["supports_ems_extension"]


def test_renegotiation_is_refused(scan: dict[str, Any]) -> None:
    found = scan["session_renegotiation"]
    assert found["supports_secure_renegotiation"]
    assert not found["is_vulnerable_to_client_renegotiation_dos"]


def test_no_session_is_resumed(scan: dict[str, Any]) -> None:
    found = scan["session_resumption"]
    assert found["session_id_resumption_result"] == "NOT_SUPPORTED"
    assert found["tls_ticket_resumption_result"] == "NOT_SUPPORTED"


def test_hsts_is_fit_for_preloading(scan: dict[str, Any]) -> None:
    header = scan["http_headers"]["strict_transport_security_header"]
    assert header["max_age"] >= LEAST_HSTS_S
    assert header["include_subdomains"]
    assert header["preload"]


@pytest.mark.usefixtures("scan")
def test_the_scan_left_no_trace_in_the_log(server_process: ChatServer) -> None:
    server_process.assert_no_fault()
    assert "ssl" not in server_process.log_text().lower()


REQUESTS = {
    "page": b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "not found": b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "not allowed": b"DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "bad header": b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 12_000 + b"\r\n\r\n",
    "endless header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000,
    "foreign page": (
        b"GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Origin: https://evil.example\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ),
    "broken upgrade": (
        b"GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 1\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
    ),
}

STATUSES = dict(zip(REQUESTS, (200, 404, 405, 400, 431, 431, 403, 426), strict=True))


async def _over_tls(endpoint: Endpoint, request: bytes) -> bytes:
    """The head of the answer."""
    reader, writer = await asyncio.open_connection(
        endpoint.host, endpoint.port, ssl=endpoint.tls_context(()), server_hostname=endpoint.domain
    )
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    finally:
        writer.close()


@pytest.mark.parametrize("name", REQUESTS)
async def test_no_answer_of_the_port_names_its_software(server: RainbowServer, name: str) -> None:
    raw = await _over_tls(server.endpoint, REQUESTS[name])
    answer = parsed(raw)
    assert "server" not in answer.headers
    for word in ("aiohttp", "aiofastnet", "python", "uvloop", "openssl"):
        assert word not in raw.decode().lower()
    assert answer.headers["strict-transport-security"].endswith("; preload")
    assert answer.status == STATUSES[name]


async def test_the_plain_port_only_redirects_and_sends_no_hsts(server: RainbowServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.redirect_port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    answer = parsed(await asyncio.wait_for(reader.read(), 10))
    writer.close()
    assert answer.status == 301
    assert answer.headers["location"] == f"https://localhost:{server.endpoint.port}/x"
    assert not {"server", "strict-transport-security"} & set(answer.headers)
