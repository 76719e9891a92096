"""`rainbow-xmpp probe` against the running server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificates
from tests.process import ROOT, ChatServer, Person

STEPS = ["connect", "stream", "auth", "bind", "message"]


def probe(url: str, user: str, password: str, *more: str) -> dict[str, Any]:
    """What the command reports as JSON."""
    command = [
        sys.executable,
        "-m",
        "rainbow_xmpp",
        "probe",
        url,
        "--user",
        user,
        "--password-stdin",
        "--json",
    ]
    done = subprocess.run(
        [*command, *more], input=password, capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    return report


def urls(server: ChatServer) -> dict[str, str]:
    port = server.endpoint.port
    return {"wss": f"wss://localhost:{port}/xmpp-websocket", "xmpps": f"xmpps://localhost:{port}"}


@pytest.fixture
def person(server: ChatServer) -> Person:
    """Somebody of the test's own."""
    if not server.offers_email_login:
        pytest.skip("this server does not know e-mail addresses")
    return server.new_person()


@pytest.mark.parametrize("scheme", ["wss", "xmpps"])
@pytest.mark.parametrize("name", ["email", "localpart"])
def test_every_step_is_walked_and_timed(server: ChatServer, person: Person, scheme: str, name: str) -> None:
    ca = ("--ca", str(server.endpoint.ca_file))
    report = probe(urls(server)[scheme], getattr(person, name), person.password, *ca)
    assert report["ok"], report
    assert [step["name"] for step in report["steps"]] == STEPS
    assert all(step["ms"] > 0 for step in report["steps"])
    assert report["jid"].startswith(f"{person.jid}/probe")


@pytest.mark.parametrize("scheme", ["wss", "xmpps"])
def test_a_wrong_password_is_told_from_other_failures(
    server: ChatServer, person: Person, scheme: str
) -> None:
    report = probe(urls(server)[scheme], person.email, "wrong", "--ca", str(server.endpoint.ca_file))
    assert report["failed"] == {
        "step": "auth",
        "reason": "the server does not accept this user and password",
    }


@pytest.mark.parametrize("scheme", ["wss", "xmpps"])
def test_a_certificate_that_is_not_trusted_is_told_with_the_way_out(
    server: ChatServer, person: Person, scheme: str, tmp_path: Path
) -> None:
    url = urls(server)[scheme].replace("localhost", "127.0.0.1")
    stranger = make_certificates(tmp_path).ca
    report = probe(url, person.email, person.password, "--domain", "localhost", "--ca", str(stranger))
    assert report["failed"]["step"] == "connect"
    assert report["failed"]["reason"].startswith("the certificate is not accepted: ")
    assert report["failed"]["reason"].endswith("; trust its authority with --ca FILE")
    assert probe(url, person.email, person.password, "--domain", "localhost", "--insecure")["ok"]


def test_an_address_that_is_no_websocket_is_told(server: ChatServer, person: Person) -> None:
    url = f"wss://localhost:{server.endpoint.port}/healthz"
    report = probe(url, person.email, person.password, "--ca", str(server.endpoint.ca_file))
    assert report["failed"]["reason"] == f"{url} answers 200, not as a WebSocket"
