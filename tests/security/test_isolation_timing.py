"""A refusal takes as long as it takes to find nobody: over many tries, in turn, as far as a busy machine can tell.

`make leaks` tries each 2,000 times; the tests fewer.
"""

import os
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from rainbow_xmpp.store.values import Visibility
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.web import exchange
from tests.plugins.rest import basic, logged_in, with_password
from tests.security.isolation_walk import new_server
from tests.security.timing import critical, distance, said

TRIES = int(os.environ.get("RAINBOW_TRIES", "60"))
REQUESTS = max(20, TRIES // 3)
"""Tries of what is written down."""
PEOPLE = min(REQUESTS, 60)
FACTOR = 5.0
"""The same order of magnitude; what a disk costs, or a hash, is more than that."""
QUANTILES = (0.25, 0.5, 0.75)
Ask = Callable[[str], Awaitable[object]]

STANZAS = {
    "message": "<message to='{to}' type='chat'><body>x</body></message>",
    "probe": "<presence to='{to}' type='probe'/>",
    "iq to an account": "<iq type='get' to='{to}' id='x'><ping xmlns='urn:xmpp:ping'/></iq>",
    "iq to a client": "<iq type='get' to='{to}/phone' id='x'><ping xmlns='urn:xmpp:ping'/></iq>",
    "vCard": "<iq type='get' to='{to}' id='x'><vCard xmlns='vcard-temp'/></iq>",
    "what is published": (
        "<iq type='get' to='{to}' id='x'>"
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/></pubsub></iq>"
    ),
    "subscribe": "<presence to='{to}' type='subscribe'/>",
}


async def quantiles(ask: Ask, names: dict[str, Callable[[int], str]]) -> dict[str, list[float]]:
    """What the tries of each kind took, in seconds; each kind in turn, so that a busy moment hits all."""
    taken: dict[str, list[float]] = {kind: [] for kind in names}
    for number in range(TRIES):
        for kind, name in names.items():
            spelled = name(number)
            begun = time.perf_counter()
            await ask(spelled)
            taken[kind].append(time.perf_counter() - begun)
    return {kind: [sorted(times)[int(len(times) * q)] for q in QUANTILES] for kind, times in taken.items()}


async def assert_alike(ask: Ask, names: dict[str, Callable[[int], str]], factor: float = FACTOR) -> None:
    found = await quantiles(ask, names)
    print({kind: [f"{s * 1e6:.0f} us" for s in times] for kind, times in found.items()})
    for times in zip(*found.values(), strict=True):
        assert max(times) / min(times) < factor, found


def stanza(client: Client, text: str, server: TestServer) -> Ask:
    async def ask(name: str) -> None:
        client.send(text.format(to=f"{name}@{server.domain}"))
        await client.rest_bytes()

    return ask


@pytest.mark.parametrize("kind", STANZAS)
@pytest.mark.parametrize("is_online", [True, False], ids=["online", "offline"])
async def test_stanzas_take_as_long_for_a_stranger_as_for_nobody(kind: str, is_online: bool) -> None:
    """Nobody is another one each time, and so is the stranger where requests are remembered."""
    async with new_server() as server:
        ann = await server.login("ann@acme")
        many = TRIES if kind == "subscribe" else 1
        for number in range(min(many, 60)):
            await server.person(f"carol{number:04}@globex")
        if is_online:
            await server.login("carol0000@globex", resource="phone")
        names = {
            "stranger": lambda number: f"carol{number % min(many, 60):04}",
            "nobody": lambda number: f"nobod{number % min(many, 60):04}",
        }
        await assert_alike(stanza(ann, STANZAS[kind], server), names)


SUBSCRIBE = "<presence to='{to}' type='{type}'><status>hello</status></presence>"
AFTERWARDS = {
    "the next stanza": "<ping xmlns='urn:xmpp:ping'/>",
    "the next write": "<query xmlns='jabber:iq:roster'><item jid='note@elsewhere.example' name='{number}'/></query>",
}


@pytest.mark.parametrize("what", AFTERWARDS)
async def test_nothing_behind_a_contact_request_tells_whether_there_is_somebody(what: str) -> None:
    """Asking, asking again, withdrawing: the sender's next stanza waits as long, and so does whoever writes next."""
    chance = random.Random(1)
    kinds = {"stranger": "carol{}", "nobody": "nobod{}", "isolated": "iris{}"}
    async with new_server() as server:
        ann = await server.login("ann@acme")
        await server.company("far", visibility=Visibility.ISOLATED)
        for number in range(PEOPLE):
            await server.person(f"carol{number}@globex")
            await server.person(f"iris{number}@far")
        await server.login("carol0@globex", resource="phone")
        for type_ in ("subscribe", "subscribe", "unsubscribe"):
            taken: dict[str, list[float]] = {kind: [] for kind in kinds}
            for turn in range(REQUESTS):
                for kind in chance.sample(list(kinds), len(kinds)):
                    to = f"{kinds[kind].format(turn % PEOPLE)}@{server.domain}"
                    begun = time.perf_counter()
                    ann.send(SUBSCRIBE.format(to=to, type=type_))
                    await ann.ask("set" if "write" in what else "get", AFTERWARDS[what].format(number=turn))
                    taken[kind].append(time.perf_counter() - begun)
                    await ann.rest_bytes()
            print(what, type_, said(taken))
            assert distance(taken) < 2 * critical(REQUESTS), said(taken)


async def test_what_is_written_for_a_contact_request_takes_as_long_for_nobody() -> None:
    """From asking until nothing is left to be done, whoever waits for it."""
    kinds = {"stranger": "carol{}", "nobody": "nobod{}", "isolated": "iris{}"}
    async with new_server() as server:
        ann = await server.login("ann@acme")
        await server.company("far", visibility=Visibility.ISOLATED)
        for number in range(PEOPLE):
            await server.person(f"carol{number}@globex")
            await server.person(f"iris{number}@far")
        names = {kind: lambda number, name=name: name.format(number % PEOPLE) for kind, name in kinds.items()}
        await assert_alike(stanza(ann, STANZAS["subscribe"], server), names, 2.0)


async def test_an_invitation_by_the_api_takes_as_long_for_a_stranger_as_for_nobody() -> None:
    """Both are answered before anything is told to anybody."""
    async with new_server() as server:
        ann = await logged_in(server, "ann@acme")
        await server.company("globex")
        await server.person("carol@globex")
        app = server.web_app()
        headers = {"Authorization": f"Bearer {ann.token}", "Content-Type": "application/json"}

        async def ask(name: str) -> None:
            body = f'{{"to": "{name}@{server.domain}"}}'.encode()
            answer = await exchange(app, "POST", "/api/v1/invitations", headers, body)
            assert answer.status == 202

        await assert_alike(ask, {"stranger": lambda _: "carol", "nobody": lambda _: "nobod"})


async def test_a_login_by_the_api_takes_as_long_for_somebody_as_for_nobody() -> None:
    async with new_server() as server:
        await with_password(server, "carol@globex")
        server.node.authenticator._throttle.limit(per_account=10**6, per_source=10**6)
        app = server.web_app()

        async def ask(name: str) -> None:
            headers = {"Authorization": basic(name, "Wrong-Horse-7")}
            answer = await exchange(app, "POST", "/api/v1/auth/login", headers, b"")
            assert answer.status == 401

        await assert_alike(ask, {"somebody": lambda _: "carol", "nobody": lambda number: f"nobo{number % 9}"})
