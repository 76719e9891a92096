"""What tests share that register and log in by letters."""

import re

from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import basic, call


async def pin_to(server: TestServer, address: str) -> str:
    """The PIN of the next letter to an address."""
    found = re.search(r"^\d{6}$", await server.mailbox.next_to(address), re.MULTILINE)
    assert found is not None
    return found[0]


async def login(server: TestServer, name: str, password: str) -> int:
    """The status of a login to the API."""
    return (await call(server, "POST", "/auth/login", Authorization=basic(name, password))).status
