"""A whole server in memory, for the tests of whoever writes a plugin: real database, real pipeline, no sockets.

async with TestServer(plugins=[Ping]) as server:
    ann = await server.login("ann@acme")
    answer = await ann.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=server.domain)
    assert answer.get("type") == "result"
"""

from rainbow_xmpp.testing.client import Client, condition_of
from rainbow_xmpp.testing.clock import Clock
from rainbow_xmpp.testing.server import Person, TestServer

__all__ = ["Client", "Clock", "Person", "TestServer", "condition_of"]
