"""Who was on the way in when the server stopped, such as in the midst of a TLS handshake."""

import pytest

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.stream import Open, WebSocketFraming
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.xml import names


async def test_nobody_comes_into_a_server_that_stops() -> None:
    """A session begun then would speak to a server whose plugins are gone: nothing of it would be kept."""
    async with TestServer() as server:
        entrance = server.node.entrance()
        link = Visitor(entrance, "192.0.2.1", "", lambda: None)  # which has seen the features already
        entrance.is_stopping = True
        login = Login(entrance, link, WebSocketFraming(), "192.0.2.1", {})
        with pytest.raises(PeerViolation) as caught:
            login.opened(Open("open", names.FRAMING, {"to": server.domain, "version": "1.0"}))
    assert caught.value.condition is StreamCondition.SYSTEM_SHUTDOWN
