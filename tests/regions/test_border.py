"""What whoever speaks over a border may rely on, the fake one and the real one; and what only the real one can do."""

import asyncio
import re

import pytest
from nats.aio.msg import Msg

from rainbow_xmpp.border import MOST_BYTES, Border, Refused, TooLarge, Unreachable
from rainbow_xmpp.border.nats import NatsBorder
from rainbow_xmpp.border.seal import new_key
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.observe.metrics import Counters, Exposition
from tests.regions.conftest import Borders


async def echo(origin: str, request: bytes) -> bytes:
    return origin.encode() + b":" + request


async def test_a_question_is_answered_and_says_whose_it_is(four: list[Border]) -> None:
    emea, de, na, uk = four
    await de.serve("home", echo)
    assert await emea.ask("de", "home", b"") == b"emea:"
    largest = await emea.ask("de", "home", b"x" * (MOST_BYTES - 5))
    assert len(largest) == MOST_BYTES
    answers = await asyncio.gather(*(each.ask("de", "home", b"x") for each in (emea, na) * 20))
    assert answers == [b"emea:x", b"na:x"] * 20
    assert set(emea.others) == {"de", "na"} and set(uk.others) == {"emea", "de", "na"}


async def test_who_does_not_answer_is_unreachable(four: list[Border]) -> None:
    emea, de, *_ = four
    with pytest.raises(Unreachable):
        await emea.ask("de", "home", b"", within_s=5)
    with pytest.raises(Unreachable):
        await emea.ask("mars", "home", b"")

    async def slow(origin: str, request: bytes) -> bytes:
        await asyncio.sleep(0.3)
        return b""

    await de.serve("slow", slow)
    with pytest.raises(Unreachable):
        await emea.ask("de", "slow", b"", within_s=0.05)


async def test_a_region_may_refuse(four: list[Border]) -> None:
    emea, de, *_ = four

    async def refusing(origin: str, request: bytes) -> bytes:
        raise Refused("no") if request else RuntimeError("broken")

    async def verbose(origin: str, request: bytes) -> bytes:
        return b"x" * (MOST_BYTES + 1)

    await de.serve("refusing", refusing)
    await de.serve("verbose", verbose)
    for service, request in (("refusing", b"x"), ("refusing", b""), ("verbose", b"")):
        with pytest.raises(Refused) as caught:
            await emea.ask("de", service, request)
        assert "broken" not in str(caught.value)
    with pytest.raises(TooLarge):
        await emea.ask("de", "verbose", b"x" * (MOST_BYTES + 1))


async def test_an_edge_may_ask_for_nothing_but_what_edges_may(four: list[Border]) -> None:
    emea, _, _, uk = four
    for service in ("edge", "edge.open", "home", "edges"):
        await emea.serve(service, echo)
    assert await uk.ask("emea", "edge", b"x") == b"uk:x"
    assert await uk.ask("emea", "edge.open", b"x") == b"uk:x"
    for service in ("home", "edges"):
        with pytest.raises(Refused):
            await uk.ask("emea", service, b"")
    await uk.serve("frames", echo)
    assert await emea.ask("uk", "frames", b"") == b"emea:"


async def test_a_request_reaches_one_of_a_regions_nodes(borders: Borders) -> None:
    emea, de, twin = [await borders.open(name) for name in ("emea", "de", "de")]
    seen = {"de": 0, "twin": 0}

    async def first(origin: str, request: bytes) -> bytes:
        seen["de"] += 1
        return b""

    async def second(origin: str, request: bytes) -> bytes:
        seen["twin"] += 1
        return b""

    await de.serve("home", first)
    await twin.serve("home", second)
    for _ in range(40):
        await emea.ask("de", "home", b"")
    assert sum(seen.values()) == 40 and all(seen.values())


async def test_what_no_known_region_sealed_is_not_served(borders: Borders) -> None:
    emea, de = await borders.open("emea"), await borders.open("de")
    impostor = await borders.open("emea", private=new_key())
    served: list[bytes] = []

    async def keep(origin: str, request: bytes) -> bytes:
        served.append(request)
        return b""

    await de.serve("home", keep)
    with pytest.raises(Unreachable):
        await impostor.ask("de", "home", b"forged")

    async def forge(message: Msg) -> None:
        await message.respond(b"\1" * 64)

    await emea._client.subscribe("xr.de.other", cb=forge)
    with pytest.raises(Unreachable, match="did not understand"):
        await emea.ask("de", "other", b"")
    assert served == []
    assert "rainbow_border_unreadable_total 1.0" in figures(de)


@pytest.mark.parametrize("ahead_s", [-70, 70])
async def test_a_clock_that_is_wrong_is_told(borders: Borders, ahead_s: int) -> None:
    emea, de = await borders.open("emea", clock_s=ahead_s), await borders.open("de")
    await de.serve("home", echo)
    with pytest.raises(Unreachable, match=re.escape(f"{ahead_s:+d} s from that of de")):
        await emea.ask("de", "home", b"x")
    assert 'rainbow_border_served_total{here="de",outcome="stale",region="emea"} 1.0' in figures(de)


async def test_a_lost_server_is_told_at_once(borders: Borders) -> None:
    emea = await borders.open("emea")
    borders.nats.kill()
    while emea.is_connected:
        await asyncio.sleep(0.01)
    with pytest.raises(Unreachable, match="no NATS server"):
        await emea.ask("de", "home", b"", within_s=60)
    borders.nats.start()
    while not emea.is_connected:
        await asyncio.sleep(0.01)


async def test_what_is_being_answered_is_finished_when_a_border_closes(borders: Borders) -> None:
    emea, de = await borders.open("emea"), await borders.open("de")
    begun = asyncio.Event()

    async def slow(origin: str, request: bytes) -> bytes:
        begun.set()
        await asyncio.sleep(0.2)
        return b"done"

    await de.serve("slow", slow)
    asking = asyncio.create_task(emea.ask("de", "slow", b""))
    await begun.wait()
    await de.close()
    assert await asking == b"done"
    with pytest.raises(Unreachable):
        await emea.ask("de", "slow", b"", within_s=5)


async def test_what_crosses_is_counted_by_region(borders: Borders) -> None:
    emea, de = await borders.open("emea"), await borders.open("de")
    await de.serve("home", echo)
    await emea.ask("de", "home", b"x")
    text = figures(emea)
    assert 'rainbow_border_requests_total{here="emea",outcome="answered",region="de"} 1.0' in text
    assert 'rainbow_border_seconds_count{region="de"} 1.0' in text
    assert 'rainbow_border_clock_seconds{region="de"}' in text


async def test_an_answer_that_never_comes_gives_its_place_back(
    borders: Borders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainbow_xmpp.border.nats.LONGEST_S", 0.1)
    emea, de = await borders.open("emea"), await borders.open("de")
    cancelled = asyncio.Event()

    async def stuck(origin: str, request: bytes) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return b""

    await de.serve("stuck", stuck)
    with pytest.raises(Refused):
        await emea.ask("de", "stuck", b"", within_s=20)
    assert cancelled.is_set()


async def test_services_have_names_that_subjects_can_have(borders: Borders) -> None:
    emea = await borders.open("emea")
    for name in ("r", "Home", "ann@acme", "a.b.c", ">", "*", ""):
        with pytest.raises(LocalMisuse):
            await emea.serve(name, echo)
        with pytest.raises(LocalMisuse):
            await emea.ask("de", name, b"")


def figures(border: NatsBorder) -> str:
    return Exposition(Counters(), [border]).render().decode()
