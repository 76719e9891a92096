"""A client with a second device beside it loses its connection and is back by itself: it shows everything once."""

from pathlib import Path

import pytest

from tests.interop.client import SEVERAL_DEVICES, SLIXMPP, Client, Kind, running
from tests.interop.relay import Relay
from tests.process import ChatServer, Person, RainbowServer

WITHOUT_ARCHIVE = ("aioxmpp-resuming",)
"""What these show came by the session that they resumed."""


@pytest.mark.parametrize("kind", SEVERAL_DEVICES, ids=str)
async def test_a_client_misses_nothing_and_shows_nothing_twice(
    server: ChatServer,
    people: tuple[Person, Person],
    peer: Client,
    line: Relay,
    tmp_path: Path,
    kind: Kind,
) -> None:
    """XEP-0280, and after the cut XEP-0198 §5 or, with a new session, XEP-0313."""
    if not isinstance(server, RainbowServer):
        pytest.skip("these are our defaults")
    person = people[0]
    async with (
        running(kind, server.endpoint, tmp_path) as client,
        running(SLIXMPP, server.endpoint, tmp_path) as desk,
    ):
        await client.login(person, server.endpoint, port=line.port)
        await client.do("carbons")
        await desk.login(person, server.endpoint, resource="desk")

        said = await talk(peer, desk, "before")
        for body in said:
            await client.wait("shown", body=body)
        line.cut()
        await client.wait("offline")
        said += await talk(peer, desk, "meanwhile")
        await line.mend()
        if not kind.resumes:
            await client.wait_online()
            await client.do("catch_up", of=person.jid)
            await client.do("carbons")
        for body in said[3:]:
            await client.wait("shown", body=body)
        said += await talk(peer, desk, "after")
        for body in said[6:]:
            await client.wait("shown", body=body)
        if kind.name not in WITHOUT_ARCHIVE:
            await client.do("catch_up", of=person.jid)
        assert [event["body"] for event in client.history if event["event"] == "shown"] == said
        assert sum(event["event"] == "online" for event in client.history) == (1 if kind.resumes else 2)


async def talk(peer: Client, desk: Client, when: str) -> list[str]:
    """The friend writes to the other device, which answers; returns what was said, in order."""
    said = [f"{when}: hello", f"{when}: are you there?", f"{when}: I am"]
    for body in said[:2]:
        await peer.do("message", to=desk.jid, body=body)
        await desk.wait("message", body=body)
    await desk.do("message", to=peer.jid, body=said[2])
    await peer.wait("message", body=said[2])
    return said
