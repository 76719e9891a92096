from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.testing import TestServer, condition_of

PING = "<ping xmlns='urn:xmpp:ping'/>"


async def test_the_server_and_the_own_account_answer():
    async with TestServer([Ping]) as server:
        ann = await server.login("ann@acme")
        for to in (server.domain, ann.bare, ""):
            answer = await ann.ask("get", PING, to=to)
            assert (answer.get("type"), answer.get("from"), len(answer)) == ("result", to or ann.bare, 0)


async def test_a_ping_between_clients_is_answered_by_the_client():
    async with TestServer([Ping]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<iq type='get' id='p1' to='{bob.jid}'>{PING}</iq>")
        asked = await bob.receive()
        assert asked.get("from") == ann.jid
        bob.send(f"<iq type='result' id='p1' to='{ann.jid}'/>")
        assert (await ann.receive()).get("type") == "result"


async def test_nobody_answers_for_a_colleague():
    async with TestServer([Ping]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        answer = await ann.ask("get", PING, to=bob.bare)
        assert condition_of(answer) is Condition.SERVICE_UNAVAILABLE


async def test_it_is_announced():
    async with TestServer([Ping]) as server:
        assert "urn:xmpp:ping" in server.node.plugins.features()
        assert "urn:xmpp:ping" in server.node.plugins.account_features()
