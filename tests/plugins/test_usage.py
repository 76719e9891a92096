from datetime import date

from rainbow_xmpp.plugins.usage import DAY_S, Usage
from rainbow_xmpp.plugins.usage.store import UsageDays
from rainbow_xmpp.testing import TestServer

FIRST, SECOND = date(2023, 11, 14), date(2023, 11, 15)  # the clock of tests begins on the first


async def usage_of(server: TestServer, company: str) -> dict[date, int]:
    return await UsageDays(server.store).of((await server.company(company)).id)


async def test_messages_are_counted_for_the_senders_company_and_for_nobody_else():
    async with TestServer([Usage]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        carol = await server.login("carol@globex")
        for number in range(3):
            ann.send(f"<message to='{bob.bare}' type='chat'><body>{number}</body></message>")
        carol.send(f"<message to='{carol.bare}'><body>to myself</body></message>")
        carol.send(f"<message to='nobody@{server.domain}'><body>refused</body></message>")
        await server.plugin(Usage).write(server.clock())
        assert await usage_of(server, "acme") == {FIRST: 3}
        assert await usage_of(server, "globex") == {FIRST: 1}


async def test_sums_are_added_to_those_of_the_day():
    async with TestServer([Usage]) as server:
        ann = await server.login("ann@acme")
        for days in (0, 0, 1):
            server.clock.advance(days * DAY_S)
            ann.send(f"<message to='{ann.bare}'><body>note</body></message>")
            await server.plugin(Usage).write(server.clock())
        assert await usage_of(server, "acme") == {FIRST: 2, SECOND: 1}


async def test_what_could_not_be_written_is_written_the_next_time(monkeypatch):
    async with TestServer([Usage]) as server:
        ann = await server.login("ann@acme")
        usage = server.plugin(Usage)

        async def fail(self, day, messages):
            raise OSError("disk full")

        ann.send(f"<message to='{ann.bare}'><body>one</body></message>")
        with monkeypatch.context() as patch:
            patch.setattr(UsageDays, "add", fail)
            await usage.write(server.clock())
        ann.send(f"<message to='{ann.bare}'><body>two</body></message>")
        await usage.write(server.clock())
        assert await usage_of(server, "acme") == {FIRST: 2}


async def test_a_stop_writes_what_was_counted():
    async with TestServer([Usage]) as server:
        ann = await server.login("ann@acme")
        ann.send(f"<message to='{ann.bare}'><body>the last one</body></message>")
        await server.plugin(Usage).stop()
        assert await usage_of(server, "acme") == {FIRST: 1}


async def test_presence_and_requests_are_not_messages():
    async with TestServer([Usage]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<presence to='{bob.bare}'/>")
        ann.send(f"<iq type='get' id='1' to='{bob.jid}'><query xmlns='jabber:iq:version'/></iq>")
        await server.settle()
        await server.plugin(Usage).write(server.clock())
        assert await usage_of(server, "acme") == {}
