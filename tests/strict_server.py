"""A server with small limits and short deadlines; each test comes from an address of its own."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process import RainbowServer

LIMITS: dict[str, Any] = {
    "connections_per_address": 12,
    "half_open_per_address": 6,
    "logins_per_address_per_minute": 25,
    "login_failures_per_address_per_minute": 6,
    "login_failures_per_account_per_minute": 2,
    "handshake_timeout_s": 2,
    "login_timeout_s": 3,
    "idle_ping_s": 5,
    "ping_timeout_s": 1,
    "stanza_bytes": 65_536,
    "output_bytes": 262_144,
    "stanzas_per_second": 50,
    "stanza_burst": 100,
    "roster_items": 5,
    "resources_per_account": 3,
    "xml": {
        "depth": 20,
        "elements": 100,
        "attributes": 12,
        "declarations": 60,
        "name_length": 100,
        "namespace_length": 100,
    },
    "xml_before_login": {
        "depth": 8,
        "elements": 16,
        "attributes": 8,
        "declarations": 10,
        "name_length": 64,
        "namespace_length": 64,
    },
}

STRICT = pytest.mark.xdist_group("strict server")
"""For every test that uses the strict server, so that it is started once and not by each worker."""

_addresses = itertools.count(1)


def new_address() -> str:
    """A loopback address that no other test of this machine's is likely to come from."""
    number = next(_addresses)
    return f"127.{1 + os.getpid() % 250}.{1 + number // 250}.{1 + number % 250}"


@pytest.fixture(scope="session")
def strict_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """One strict server for all tests of this process."""
    server = RainbowServer(tmp_path_factory.mktemp("strict-server"), settings={"limits": LIMITS})
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def strict(strict_process: RainbowServer) -> Iterator[RainbowServer]:
    """The strict server; a traceback that it logs meanwhile fails this very test."""
    since = strict_process.log_file.stat().st_size
    yield strict_process
    strict_process.assert_no_fault(since)


@pytest.fixture
def source() -> str:
    """An address for this test alone."""
    return new_address()
