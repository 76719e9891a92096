from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.testing import TestServer

PING = "<ping xmlns='urn:xmpp:ping'/>"


async def test_it_is_announced():
    async with TestServer([Ping]) as server:
        assert "urn:xmpp:ping" in server.node.plugins.features()
        assert "urn:xmpp:ping" in server.node.plugins.account_features()
