from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.software_version import SoftwareVersion
from rainbow_xmpp.testing import TestServer, condition_of
from rainbow_xmpp.xml import serialise

QUERY = "<query xmlns='jabber:iq:version'/>"


async def test_the_name_is_told_without_a_version_or_a_system():
    async with TestServer([SoftwareVersion]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", QUERY, to=server.domain)
        assert serialise(answer[0]) == (
            b"<query xmlns='jabber:iq:version'><name>Rainbow XMPP</name><version/></query>"
        )


async def test_it_is_the_server_that_is_asked_and_nothing_is_set():
    async with TestServer([SoftwareVersion]) as server:
        ann = await server.login("ann@acme")
        assert condition_of(await ann.ask("get", QUERY)) is Condition.SERVICE_UNAVAILABLE
        assert condition_of(await ann.ask("set", QUERY, to=server.domain)) is Condition.SERVICE_UNAVAILABLE
