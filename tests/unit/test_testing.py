"""The server of tests is a server."""

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.testing import TestServer, condition_of


async def test_a_message_goes_from_one_person_to_the_other():
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<message to='{bob.bare}' type='chat'><body>hello</body></message>")
        message = await bob.receive()
        assert message.get("from") == ann.jid
        assert message.findtext("{jabber:client}body") == "hello"
        assert await ann.rest() == []


async def test_without_plugins_nobody_keeps_a_message():
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.send(f"<message to='{bob.bare}' type='chat'><body>hello</body></message>")
        assert condition_of(await ann.receive()) is Condition.SERVICE_UNAVAILABLE
