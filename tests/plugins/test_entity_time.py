from datetime import UTC, datetime, timedelta

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.entity_time import EntityTime, Time
from rainbow_xmpp.testing import TestServer, condition_of


async def test_the_server_tells_its_time_in_utc_to_the_second():
    async with TestServer([EntityTime]) as server:
        ann = await server.login("ann@acme")
        server.clock.advance(0.75)
        answer = await ann.ask("get", Time(), to=server.domain)
        assert answer[0].findtext("{urn:xmpp:time}utc") == "2023-11-14T22:13:20Z"
        assert answer[0].findtext("{urn:xmpp:time}tzo") == "+00:00"
        server.clock.advance(90)
        told = Time.from_xml((await ann.ask("get", Time(), to=server.domain))[0])
        assert told.utc == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) + timedelta(seconds=90)


async def test_people_have_no_time_but_their_clients():
    async with TestServer([EntityTime]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        assert condition_of(await ann.ask("get", Time(), to=bob.bare)) is Condition.SERVICE_UNAVAILABLE
        ann.send(f"<iq type='get' id='1' to='{bob.jid}'><time xmlns='urn:xmpp:time'/></iq>")
        assert (await bob.receive())[0].tag == Time.TAG
