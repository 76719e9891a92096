"""The log at its most talkative, after a day's work and an attack: nothing of anybody's stands in it."""

import asyncio
import base64
import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from rainbow_xmpp.observe.control import ask
from tests.conformance.wire import Over, SaslFailure
from tests.doors import Door
from tests.process import Person, RainbowServer, ServerFault

SOURCE = "127.11.22.33"


class Canaries:
    """A word of its own for each thing that must not be logged."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, what: str) -> str:
        word = f"{what}{secrets.token_hex(6)}"
        self.said.append(word)
        return word


async def test_nothing_of_anybody_gets_into_the_log(start_server: Callable[..., RainbowServer]) -> None:
    """In either form, on either transport."""
    canary = Canaries()
    server = start_server(
        {
            "log": {"level": "debug", "format": "human"},
            "observe": {"stall_ms": 50},
            "audit": {"logins": True},
        }
    )
    people = [invented(server, canary) for _ in range(2)]
    await asyncio.to_thread(server.add_people, people)
    await spend_a_day(server, "tls", people, canary)
    changes = server.config_file.parent / "conf.d"
    changes.mkdir()
    (changes / "50-log.toml").write_text('[log]\nformat = "json"\n')
    await asyncio.to_thread(ask, server.run_folder, "reload")
    since = len(server.log_text())
    await spend_a_day(server, "wss", people, canary)
    administer(server, people[0], canary)
    server.stop()
    log = server.log_text()
    for part in (log[:since], log[since:]):
        assert "bound" in part  # it did listen
    json.loads(log.splitlines()[-1])
    for word in [*canary.said, SOURCE, *(person.jid for person in people)]:
        assert word not in log
        assert base64.b64encode(word.encode()).decode().rstrip("=") not in log


async def spend_a_day(server: RainbowServer, over: Over, people: Sequence[Person], canary: Canaries) -> None:
    ann, bob = people
    async with AsyncExitStack() as stack:
        door = Door(server, over, stack, source=SOURCE)
        await converse(door, ann, bob, canary)
        await guess(door, ann, canary)
        await attack(door, ann, canary)


def invented(server: RainbowServer, canary: Canaries) -> Person:
    """Somebody who consists of canaries only."""
    name, password = canary("name"), f"Aa1!{canary('password')}"
    return Person(name, f"{canary('mail')}@acme.example", "Acme", password, server.endpoint.domain)


async def converse(door: Door, ann: Person, bob: Person, canary: Canaries) -> None:
    status = f"<presence><status>{canary('status')}</status></presence>"
    here = await door.log_in(ann, resource=canary("resource"), presence=status)
    contact = f"<item jid='{canary('contact')}@x.example' name='{canary('called')}'/>"
    body = f"<body>{canary('offline')}</body>"
    for stanza in (
        f"<message to='{bob.jid}' type='chat' id='{canary('id')}'>{body}</message>",
        f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{contact}</query></iq>",
        f"<iq type='set' id='2'><vCard xmlns='vcard-temp'><FN>{canary('vcard')}</FN></vCard></iq>",
        "<iq type='set' id='3'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        f"<publish node='urn:{canary('node')}'><item id='{canary('item')}'><a xmlns='b'>{canary('payload')}</a></item>"
        "</publish></pubsub></iq>",
        f"<presence type='subscribe' to='{bob.jid}'><status>{canary('asking')}</status></presence>",
    ):
        await here.send(stanza)
    there = await door.log_in(bob)
    extension = f"<x xmlns='urn:{canary('extension')}'/>"
    await there.send(f"<message to='{here.jid}'><body>{canary('online')}</body>{extension}</message>")
    await here.expect(lambda e: e.tag.endswith("}message"))
    await here.close()
    await there.close()


async def guess(door: Door, ann: Person, canary: Canaries) -> None:
    """Logins that fail, in every way."""
    for name, password in (
        (ann.localpart, canary("wrong")),
        (canary("nobody"), "x"),
        (ann.email, canary("wrong")),
    ):
        wire = await door.opened()
        with pytest.raises(SaslFailure):
            await wire.authenticate(name, password)
        wire = await door.opened()
        await wire.send_auth("PLAIN", f"\0{name}\0{password}".encode())
        with pytest.raises(SaslFailure):
            await wire.sasl_reply()
    for data in (
        canary("rubbish").encode(),
        b"n,,n=" + canary("half").encode(),
        b"\0\xff" + canary("bytes").encode(),
    ):
        wire = await door.opened()
        await wire.send_auth("SCRAM-SHA-256", data)


async def attack(door: Door, ann: Person, canary: Canaries) -> None:
    """What ends a stream, before and after login."""
    for hostile in (
        f"<!DOCTYPE {canary('doctype')}>",
        f"<{canary('element')}:x/>",
        f"<message to='{canary('to')}@@'/>",
        f"<message from='{canary('from')}@localhost'/>",
        f"<iq type='{canary('type')}'/>",
        f"<message xmlns='{canary('namespace')}'/>",
        f"<message><body>&{canary('entity')};</body></message>",
        f"<message><body>{canary('open')}",
        f"<presence to='{canary('jid')}@localhost/{'r' * 2000}'/>",
        canary("text"),
    ):
        for wire in (await door.opened(), await door.log_in(ann)):
            await wire.send_bytes(hostile.encode())
            await wire.send_bytes(b"</message>")


def administer(server: RainbowServer, ann: Person, canary: Canaries) -> None:
    """Commands beside the running server."""
    server.cli("user", "passwd", ann.email, "--password-stdin", stdin=f"Bb2!{canary('newpassword')}\n")
    with pytest.raises(ServerFault):
        server.cli(
            "user", "add", f"{canary('other')}@acme.example", "--company", canary("company"), "--generate"
        )
    server.cli("user", "remove", ann.localpart, "--yes")
