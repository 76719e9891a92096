"""A whole server in memory, for the tests of whoever writes a plugin: real database, real pipeline, no sockets.

async with TestServer([Ping]) as server:
    ann, bob = await server.login("ann@acme"), await server.login("bob@globex")
    answer = await ann.ask("get", PingPayload(), to=server.domain)
    assert answer.get("type") == "result"
"""

from rainbow_xmpp.testing.client import Client, condition_of
from rainbow_xmpp.testing.clock import Clock
from rainbow_xmpp.testing.server import Person, TestServer
from rainbow_xmpp.testing.web import Answer

__all__ = ["Answer", "Client", "Clock", "Person", "TestServer", "condition_of"]
