"""Where the server listens."""

import socket
from pathlib import Path

import pytest

from tests.process import RainbowServer


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_every_port_on_the_ipv6_wildcard_takes_ipv4_too(tmp_path: Path) -> None:
    server = RainbowServer(tmp_path, settings={"listen": {"address": "::"}})
    server.start()
    try:
        for port in (server.endpoint.port, server.redirect_port, server.endpoint.starttls_port):
            for address in ("127.0.0.1", "::1"):
                with socket.create_connection((address, port), timeout=10) as sock:
                    assert sock.getpeername()[1] == port
    finally:
        server.stop()
