"""Who brings somebody home is believed by the keys of its region, once, and soon; anything else is not let in."""

import asyncio
import json
import ssl
from base64 import b64encode
from dataclasses import replace

import pytest

from rainbow_xmpp.border.seal import AnswerSeal, NotForUs, Outcome, Seals, new_key, public_key
from rainbow_xmpp.errors import SeeOther
from rainbow_xmpp.session.homeward import MOST_OPENING_BYTES, BadOpening, Opening
from rainbow_xmpp.session.redirects import MOST_IN_A_ROW, MOST_REMEMBERED, ROW_S, Redirects
from rainbow_xmpp.transport.way_home import SERVICE
from tests.conformance.sasl_client import Scram
from tests.conformance.wire import NAMESPACES
from tests.regions.places import DOMAIN, Place, World

HEADER = (
    f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='{NAMESPACES['stream']}'>"
).encode()


def opening(name: str = "ann", **changed: object) -> Opening:
    first = b64encode(Scram("SCRAM-SHA-256", name, "x").first()).decode()
    auth = f"<auth xmlns='{NAMESPACES['sasl']}' mechanism='SCRAM-SHA-256'>{first}</auth>".encode()
    made = Opening("tcp", "192.0.2.7", ("SCRAM-SHA-256",), {}, (HEADER, auth))
    return replace(made, **changed)  # type: ignore[arg-type]


def test_an_opening_is_read_as_it_was_written() -> None:
    made = opening(bindings={"tls-server-end-point": b"\0\xff"}, said=(HEADER, b"<a>\xc3\xa4</a>"))
    assert Opening.from_bytes(made.to_bytes()) == made
    assert "192.0.2.7" not in repr(made), "who it is of stands in no log"
    assert "said" not in repr(made)


def test_what_is_no_opening_is_refused() -> None:
    right = json.loads(opening().to_bytes())
    changes: tuple[dict[str, object], ...] = (
        {"v": 2},
        {"said": []},
        {"said": ["a", "b", "c", "d"]},
        {"said": ["a", 1]},
        {"said": ["a", "\ud800"]},
        {"bindings": {"x": "?"}},
        {"bindings": []},
        {"mechanisms": None},
        {"address": None},
    )
    whole = [json.dumps(right | change).encode() for change in changes]
    for data in (b"", b"[]", b"{}", b"\xff", b"[" * 10_000, *whole):
        with pytest.raises(BadOpening):
            Opening.from_bytes(data)


class Knock:
    """A connection to the home's door."""

    def __init__(self, place: Place, seals: Seals) -> None:
        self.place = place
        self.seals = seals

    async def __aenter__(self) -> "Knock":
        context = ssl.create_default_context(cafile=self.place.world.files.ca)
        context.set_alpn_protocols(["rainbow-relayed"])
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.place.config.listen.port, ssl=context, server_hostname=DOMAIN
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    def seal(self, made: Opening, ago_s: float = 0.0) -> tuple[bytes, AnswerSeal]:
        now = self.place.server._port.home_door._now()  # type: ignore[union-attr]
        return self.seals.seal(self.place.name, SERVICE, made.to_bytes(), now - ago_s)

    def say(self, sealed: bytes) -> None:
        self.writer.write(len(sealed).to_bytes(4, "big") + sealed)

    async def heard(self, opens: AnswerSeal) -> Outcome:
        async with asyncio.timeout(5):
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            return opens.open(await self.reader.readexactly(size)).outcome

    async def is_closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionError:
            return True


async def test_the_home_lets_in_whom_a_known_region_brings_and_nobody_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    na = await world.place("na").start()
    await na.person("ann")
    uk = Seals("uk", [world.keys["uk"]], world.public)
    counters = na.server.node.counters

    async with Knock(na, uk) as knock:
        sealed, opens = knock.seal(opening())
        knock.say(sealed)
        assert await knock.heard(opens) is Outcome.ANSWERED
        head = await asyncio.wait_for(knock.reader.readexactly(4), 5)
        chunk = await knock.reader.readexactly(int.from_bytes(head[1:], "big"))
        assert head[0] == 0
        assert chunk.startswith(b"<challenge "), "its own greeting and features are not repeated"
        assert {link.source for link in na.server._deadlines.waiting} == {"192.0.2.7"}
        async with Knock(na, uk) as again:
            again.say(sealed)  # as somebody recorded it
            assert await again.is_closed()
            assert "comes twice" in caplog.text

    stranger = new_key()
    foreign = Seals("xx", [stranger], {**world.public, "xx": [public_key(stranger)]})
    async with Knock(na, foreign) as knock:
        knock.say(knock.seal(opening())[0])
        assert await knock.is_closed()
    async with Knock(na, uk) as knock:
        other, _ = uk.seal("na", "edge.home", opening().to_bytes(), 0)
        knock.say(other)
        assert await knock.is_closed(), "sealed for something else"
    async with Knock(na, uk) as knock:
        sealed, opens = knock.seal(opening(), ago_s=120)
        knock.say(sealed)
        assert await knock.heard(opens) is Outcome.STALE
        assert await knock.is_closed()
    for wrong in (opening(framing="smoke"), opening(address="nowhere"), opening(said=(HEADER,))):
        async with Knock(na, uk) as knock:
            sealed, opens = knock.seal(wrong)
            knock.say(sealed)
            assert await knock.heard(opens) is Outcome.REFUSED
    async with Knock(na, uk) as knock:
        knock.writer.write((MOST_OPENING_BYTES + 1).to_bytes(4, "big"))
        assert await knock.is_closed()
    assert counters.sessions == 0

    async def all_gone() -> None:
        while counters.connections or counters.connections_half_open:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(all_gone(), 5)


async def test_without_keys_of_a_border_nobody_comes_through_another_region(world: World) -> None:
    na = world.place("na")
    na.has_border = False
    await na.start()
    uk = Seals("uk", [world.keys["uk"]], world.public)
    async with Knock(na, uk) as knock:
        tls = knock.writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() is None
        knock.say(uk.seal("na", SERVICE, opening().to_bytes(), 0)[0])
        assert await knock.is_closed()


def test_an_opening_of_another_service_is_none() -> None:
    keys = {name: new_key() for name in ("na", "uk")}
    public = {name: [public_key(key)] for name, key in keys.items()}
    sealed, _ = Seals("uk", [keys["uk"]], public).seal("na", "edge.home", b"{}", 0)
    with pytest.raises(NotForUs):
        Seals("na", [keys["na"]], public).open(SERVICE, sealed, 0)


def test_nobody_is_redirected_for_ever() -> None:
    now = 100.0
    redirects = Redirects(lambda: SeeOther("na.chat.test", "wss://na.chat.test/xmpp-websocket"), lambda: now)
    assert [redirects.of("ann") is not None for _ in range(4)] == [True] * MOST_IN_A_ROW + [False] * 2
    assert redirects.of("bob") is not None
    now += ROW_S + 1
    assert redirects.of("ann") is not None, "that was another time"
    for number in range(MOST_REMEMBERED):
        redirects.of(f"p{number}")
    assert redirects.of("late") is None, "who cannot be remembered is served as they come"
