"""History as slixmpp reads it, against the real server process."""

import asyncio
from pathlib import Path

import pytest

from tests.interop.client import HISTORY, STANZA, running
from tests.process import ChatServer, RainbowServer

PATIENCE_S = 30.0


async def test_history_is_read_page_by_page_and_its_owner_has_a_say(
    server: ChatServer, tmp_path: Path
) -> None:
    if not isinstance(server, RainbowServer):
        pytest.skip("these are our defaults")
    ann_person, bob_person = server.new_person(), server.new_person()
    async with (
        running(HISTORY, server.endpoint, tmp_path) as ann,
        running(HISTORY, server.endpoint, tmp_path) as bob,
    ):
        await ann.login(ann_person, server.endpoint)
        await bob.login(bob_person, server.endpoint)
        said = [[f"m{n}", f"message {n}"] for n in range(8)]
        for id, body in said:
            await ann.do("send", to=bob_person.jid, body=body, id=id)
        await bob.wait("message", body="message 7")
        for client, own, other in ((ann, ann_person, bob_person), (bob, bob_person, ann_person)):
            await client.do("history", of=own.jid)
            assert (await client.wait("history"))["messages"] == said
            await client.do("history", of=own.jid, with_=other.jid, reverse=True)
            assert (await client.wait("history"))["messages"] == said[::-1]
        await ann.do("history", of=bob_person.jid)
        assert (await ann.wait("history"))["messages"] == []
        await ann.do("ends", of=bob_person.jid)
        assert (await ann.wait("ends"))["condition"] == "service-unavailable"

        await ann.do("fields")
        told = await ann.wait("fields")
        assert {"with", "start", "end", "before-id", "after-id", "ids"} <= set(told["fields"])
        assert {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended"} <= set(told["features"])
        assert all(told["ends"])

        await ann.do("take_back", to=bob_person.jid, id="m3")
        await bob.wait("message")
        async with asyncio.timeout(PATIENCE_S):
            after = said
            while ["m3", "-"] not in after:  # wiped out a moment after the retraction was delivered
                await bob.do("history", of=bob_person.jid)
                after = (await bob.wait("history"))["messages"]
        assert after[:8] == [*said[:3], ["m3", "-"], *said[4:]]
        assert len(after) == 9

        await bob.do("prefer", default="always", never=[ann_person.jid])
        wishes = await bob.wait("preferences")
        assert (wishes["default"], wishes["always"], wishes["never"]) == ("always", [], [ann_person.jid])
        await ann.do("send", to=bob_person.jid, body="not kept", id="m9")
        await bob.wait("message", body="not kept")
        await bob.do("history", of=bob_person.jid)
        assert (await bob.wait("history"))["messages"] == after


async def test_stanza_reads_it_too(server: ChatServer, tmp_path: Path) -> None:
    if not isinstance(server, RainbowServer):
        pytest.skip("these are our defaults")
    ann_person, bob_person = server.new_person(), server.new_person()
    async with (
        running(STANZA, server.endpoint, tmp_path) as ann,
        running(STANZA, server.endpoint, tmp_path) as bob,
    ):
        await ann.login(ann_person, server.endpoint)
        await bob.login(bob_person, server.endpoint)
        said = [f"message {n}" for n in range(7)]
        for body in said:
            await ann.do("message", to=bob_person.jid, body=body)
        await bob.wait("message", body="message 6")
        for client, own, other in ((ann, ann_person, bob_person), (bob, bob_person, ann_person)):
            await client.do("history", of=own.jid, with_=other.jid, page=3)
            assert [body for _, body in (await client.wait("history"))["messages"]] == said
