"""A region that was broken into: its keys are good, and whatever it says may be a lie."""

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
import pytest

from rainbow_xmpp.border import Refused
from rainbow_xmpp.company.record import pack_company
from rainbow_xmpp.config import Secret
from rainbow_xmpp.regions.companies import COMPANIES, Told
from rainbow_xmpp.regions.finding import LOGIN_HOMES, HomeFinder, Present
from rainbow_xmpp.regions.homes import Away, Homes
from rainbow_xmpp.regions.names import names_keys
from rainbow_xmpp.regions.parcels import (
    HOME,
    MOST_PARCELS,
    STANZAS,
    AtHome,
    Batch,
    Fate,
    Parcel,
    Question,
    Receipt,
    Receipts,
    Reply,
    Who,
    decode,
    encode,
)
from rainbow_xmpp.store.values import Account, Company
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.border import FakeBorder
from rainbow_xmpp.testing.server import NAMES_KEY
from tests.between_regions.conftest import World

CLIENT = "xmlns='jabber:client'"
SAYING = "type='chat'><body>word</body>"
ID = "0123456789abcdef01234567"


class Hostile:
    """emea, as whoever broke into it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.border = FakeBorder(world.borders, "emea")

    def message(
        self,
        who: Who,
        to: str,
        *,
        jid: str = "",
        from_: str = "",
        id: int = 0,
        inside: str = SAYING,
        kind: str = "message",
    ) -> Parcel:
        """Something of somebody's, with a `from` of its own."""
        jid = jid or f"{who.localpart}@rainbow.test/x"
        stanza = f"<{kind} {CLIENT} from='{from_ or jid}' to='{to}' {inside}</{kind}>"
        return Parcel(id, jid, who, to, stanza.encode(), 0)

    async def send(self, *parcels: Parcel, replies: Sequence[Reply] = ()) -> Receipts:
        """To na. Raises Refused."""
        answer = await self.border.ask("na", STANZAS, encode(Batch([*parcels], [*replies])))
        await self.world.settle()
        return decode(answer, Receipts)

    async def answers(self, *people: Who) -> None:
        """It answers each question about somebody with the next of these, and the last one from then on."""
        left = list(people)

        async def answer(origin: str, request: bytes) -> bytes:
            hashes = decode(request, Question).hashes
            who = left.pop(0) if len(left) > 1 else left[0]
            return encode(AtHome([who] * len(hashes), [""] * len(hashes)))

        await self.border.serve(HOME, answer)


@pytest.fixture
async def hostile(world: World) -> Hostile:
    await world.company("acme", world.emea, world.na)
    return Hostile(world)


async def ann_and_bob(world: World) -> tuple[Client, Client]:
    """Colleagues, at home in emea and in na."""
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    await ann.rest(), await bob.rest()
    return ann, bob


def bodies(stanzas: Sequence[bytes]) -> int:
    return sum(b"<body>word</body>" in each for each in stanzas)


def known(server: TestServer) -> Homes:
    assert server.node.neighbours.reach is not None
    return server.node.neighbours.reach.homes


async def test_what_a_sender_says_arrives_and_nobody_else_stands_in_it(hostile: Hostile) -> None:
    world = hostile.world
    ann, bob = await ann_and_bob(world)
    carl, dora = await world.na.person("carl@acme"), await world.emea.person("dora@acme")
    who = Who.of(ann.account)
    await hostile.send(hostile.message(who, bob.bare))
    assert bodies(await bob.rest_bytes()) == 1
    for liar in (carl.bare, dora.bare + "/x", "rainbow.test", "ANN@rainbow.test/x", ann.bare, ""):
        parcel = hostile.message(who, bob.bare)
        forged = parcel.stanza.replace(b"from='ann@rainbow.test/x'", f"from='{liar}'".encode())
        assert forged != parcel.stanza
        await hostile.send(msgspec.structs.replace(parcel, stanza=forged))
    await hostile.send(msgspec.structs.replace(hostile.message(who, bob.bare), to=carl.bare))
    await hostile.send(msgspec.structs.replace(hostile.message(who, carl.bare), to=bob.bare))
    assert bodies(await bob.rest_bytes()) == 0


CANNOT_BE: list[dict[str, str | bytes]] = [
    {"localpart": "ANN"},
    {"localpart": "bob"},
    {"localpart": "carl"},
    {"localpart": "an/n"},
    {"id": "0"},
    {"id": ID.upper()},
    {"company": b"{}"},
]


async def test_a_person_who_cannot_be_is_nobody(hostile: Hostile) -> None:
    """Other spellings, people of the other region by name or by id, disabled ones too."""
    world = hostile.world
    ann, bob = await ann_and_bob(world)
    carl = await world.na.person("carl@acme")
    await world.na.node.people.disable(carl.account, actor="test")
    for told in [*CANNOT_BE, {"id": bob.account.id}]:
        known(world.na).forget_all()
        who = msgspec.structs.replace(Who.of(ann.account), **told)
        receipts = await hostile.send(hostile.message(who, bob.bare, id=7))
        assert [receipt.fate for receipt in receipts.receipts] == [Fate.TAKEN]
        assert bodies(await bob.rest_bytes()) == 0, told


async def test_the_public_company_lets_nobody_in_who_calls_themselves_by_the_recipients_id(
    hostile: Hostile,
) -> None:
    world = hostile.world
    pub = await world.na.login("pub@Rainbow", resource="p")
    eve = await world.emea.person("eve@Rainbow")
    await world.settle()
    who = msgspec.structs.replace(Who.of(eve.account), id=pub.account.id)
    receipts = await hostile.send(hostile.message(who, pub.bare))
    assert bodies(await pub.rest_bytes()) == 0
    (refusal,) = receipts.replies
    (same,) = (await hostile.send(hostile.message(Who.of(eve.account), "nobody@rainbow.test"))).replies
    assert refusal.stanza.replace(b"pub@", b"nobody@") == same.stanza


async def test_an_agreement_holds_for_the_person_it_was_made_with(hostile: Hostile) -> None:
    """Not for somebody of another company who is told to have that person's id, nor for another address."""
    world = hostile.world
    await world.company("globex", world.na)
    zoe, ann = (
        await world.na.login("zoe@globex", resource="z"),
        await world.emea.login("ann@acme", resource="a"),
    )
    await world.settle()
    ann.send(f"<presence type='subscribe' to='{zoe.bare}'/>")
    await world.settle()
    zoe.send(f"<presence type='subscribed' to='{ann.bare}'/>")
    await world.settle()
    await zoe.rest()
    who = Who.of(ann.account)
    await hostile.send(hostile.message(who, zoe.bare))
    assert bodies(await zoe.rest_bytes()) == 1
    known(world.na).forget_all()
    await hostile.send(hostile.message(msgspec.structs.replace(who, localpart="ann2"), zoe.bare))
    evil = await world.emea.store.companies.add("evil", "emea")
    other = msgspec.structs.replace(who, company=pack_company(evil))
    await hostile.send(hostile.message(other, zoe.bare))
    assert bodies(await zoe.rest_bytes()) == 0


async def test_nobody_speaks_in_the_name_of_a_third_regions_people(hostile: Hostile) -> None:
    world = hostile.world
    await world.company("initech", world.de, world.na, world.emea)
    dan, nora = await world.de.login("dan@initech", resource="d"), await world.na.login("nora@initech")
    await world.settle()
    nora.say("hello", to=dan.bare)
    await world.settle()
    await nora.rest()
    await hostile.send(hostile.message(Who.of(dan.account), nora.bare))
    assert bodies(await nora.rest_bytes()) == 0
    world.borders.cut.add(frozenset(("na", "de")))
    receipts = await hostile.send(hostile.message(Who.of(dan.account), nora.bare))
    assert bodies(await nora.rest_bytes()) == 0
    assert b"remote-server-timeout" in receipts.replies[0].stanza


async def test_two_regions_that_claim_the_same_person_are_not_believed(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    world = hostile.world
    await world.company("initech", world.de, world.na, world.emea)
    dan, nora = await world.de.login("dan@initech", resource="d"), await world.na.login("nora@initech")
    await world.settle()
    await hostile.answers(Who.of(dan.account))
    nora.say("word", to=dan.bare)
    await world.settle()
    assert bodies(await dan.rest_bytes()) == 0
    assert "say to be the home of the same person" in caplog.text
    assert not any(b"word" in data for _, to, _, data in world.borders.crossed if to == "emea")


async def test_a_login_is_not_sent_to_one_of_two_regions_that_claim_it(hostile: Hostile) -> None:
    world = hostile.world
    await world.na.person("bob@acme")
    finder = HomeFinder(
        world.borders.border("uk", keeps_data=False), names_keys(Secret(NAMES_KEY)), clock=time.monotonic
    )

    async def mine(origin: str, request: bytes) -> bytes:
        return encode(Present([True]))

    await hostile.border.serve(LOGIN_HOMES, mine)
    with pytest.raises(Away):
        await finder.home_of("bob")


async def test_a_region_answers_for_whom_it_was_asked(hostile: Hostile) -> None:
    """Not with somebody else, nor with somebody of here, nor for a name that is disabled here."""
    world = hostile.world
    ann, bob = await ann_and_bob(world)
    carl = await world.na.person("carl@acme")
    await world.na.node.people.disable(carl.account, actor="test")
    await hostile.answers(Who.of(ann.account), Who.of(bob.account), Who.of(replace(carl.account, id=ID)))
    before = len(world.borders.crossed)
    for name in ("nobody", "nobody2", "carl"):
        bob.say("word", to=f"{name}@rainbow.test")
        await world.settle()
    assert [b"service-unavailable" in each for each in await bob.rest_bytes()] == [True, True, True]
    assert not any(b"word" in data for _, _, _, data in world.borders.crossed[before:])


async def test_companies_are_their_home_regions_to_tell_of(hostile: Hostile) -> None:
    world = hostile.world
    de = replace(await world.de.store.companies.add("initech", "de"), id=ID, name="nowhere")
    nora = await world.na.login("nora@acme", resource="n")
    eve = await world.emea.person("eve@acme")
    claimed = replace(de, settings=replace(de.settings, regions=("emea",)))
    await hostile.border.ask("na", COMPANIES, encode(Told([pack_company(claimed), b"nonsense", b""])))
    await world.settle()
    assert await world.na.store.companies.by_id(de.id) is None
    who = msgspec.structs.replace(Who.of(eve.account), company=pack_company(claimed))
    await hostile.send(hostile.message(who, nora.bare))
    acme = await world.na.store.companies.by_name("acme")
    assert acme is not None
    theirs = await world.na.store.companies.add("umbrella", "na")
    taken = replace(theirs, region="emea", name="mine")
    await hostile.border.ask("na", COMPANIES, encode(Told([pack_company(taken)])))
    await world.settle()
    assert await world.na.store.companies.by_id(theirs.id) == theirs
    assert bodies(await nora.rest_bytes()) == 0


ANSWERS = [
    "<iq {client} type='result' id='1' from='{ann}' to='{bob}'/>",
    "<iq {client} type='error' id='1' from='{ann}' to='{bob}'/>",
    "<message {client} type='error' from='{ann}' to='{bob}'><body>word</body></message>",
    "<message {client} type='chat' from='{ann}' to='{bob}'><body>word</body></message>",
    "<presence {client} from='{ann}/x' to='{bob}'/>",
    "<presence {client} type='subscribed' from='{ann}' to='{bob}'/>",
    "<presence {client} type='unavailable' from='{ann}/x' to='{bob}'/>",
]


async def test_sessions_that_asked_nothing_are_not_answered(hostile: Hostile) -> None:
    ann, bob = await ann_and_bob(hostile.world)
    for answer in ANSWERS:
        data = answer.format(client=CLIENT, ann=ann.bare, bob=bob.jid).encode()
        await hostile.send(replies=[Reply(bob.jid, data), Reply(bob.bare, data), Reply("", data)])
        assert await bob.rest() == [], answer


async def test_who_was_asked_answers_for_themselves_only(hostile: Hostile) -> None:
    world = hostile.world
    ann, bob = await ann_and_bob(world)
    dora = await world.emea.person("dora@acme")
    bob.say("asked", to=ann.bare)
    await world.settle()
    for name in (dora.bare, bob.bare, "rainbow.test", "nobody@rainbow.test", ""):
        data = f"<message {CLIENT} type='error' from='{name}' to='{bob.jid}'><body>word</body></message>"
        await hostile.send(replies=[Reply(bob.jid, data.encode())])
    data = f"<message {CLIENT} type='error' from='{ann.bare}' to='{dora.bare}'><body>word</body></message>"
    await hostile.send(replies=[Reply(bob.jid, data.encode())])
    assert await bob.rest() == []
    data = f"<message {CLIENT} type='error' from='{ann.bare}' to='{bob.jid}'><body>word</body></message>"
    await hostile.send(replies=[Reply(bob.jid, data.encode())])
    assert bodies(await bob.rest_bytes()) == 1


async def test_parcels_that_come_twice_are_taken_once(hostile: Hostile) -> None:
    ann, bob = await ann_and_bob(hostile.world)
    who = Who.of(ann.account)
    parcels = [hostile.message(who, bob.bare, id=number) for number in (9, 8, 9, 2**63 - 1)]
    await hostile.send(*parcels)
    await hostile.send(*parcels[::-1])
    assert bodies(await bob.rest_bytes()) == 3


async def test_numbers_and_batches_without_bounds_are_refused(hostile: Hostile) -> None:
    ann, bob = await ann_and_bob(hostile.world)
    parcel = hostile.message(Who.of(ann.account), bob.bare)
    for number in (-1, 2**63, 2**64 - 1):
        with pytest.raises(Refused):
            await hostile.send(msgspec.structs.replace(parcel, id=number))
    small = msgspec.structs.replace(parcel, stanza=b"")
    for batch in (
        [small] * (MOST_PARCELS + 1),
        [msgspec.structs.replace(small, id=n + 1) for n in range(MOST_PARCELS + 1)],
    ):
        with pytest.raises(Refused):
            await hostile.send(*batch)
    with pytest.raises(Refused):
        await hostile.send(replies=[Reply("", b"")] * (MOST_PARCELS + 1))
    assert await bob.rest() == []


KINDS = [
    ("message", "type='shout'><body>word</body>"),
    ("presence", "type='there'><body>word</body>"),
    ("iq", "type='ask' id='1'><body>word</body>"),
    ("iq", "type='get'><body>word</body>"),
    ("iq", "type='get' id='1'><body>word</body><body>word</body>"),
    ("agreement", "deed='end'><body>word</body>"),
    ("stream", "><body>word</body>"),
]


async def test_stanzas_that_there_are_not_reach_nobody(hostile: Hostile) -> None:
    ann, bob = await ann_and_bob(hostile.world)
    who = Who.of(ann.account)
    for kind, inside in KINDS:
        await hostile.send(hostile.message(who, bob.jid, kind=kind, inside=inside))
    parcel = hostile.message(who, bob.bare)
    for before in (b"<!DOCTYPE a>", b"<!-- -->", b"<?a b?>", b"<a/>", b"\0"):
        await hostile.send(msgspec.structs.replace(parcel, stanza=before + parcel.stanza))
    assert await bob.rest() == []


async def test_agreements_without_bounds_are_not_made(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    world = hostile.world
    await world.company("globex", world.na)
    zoe, ann = await world.na.login("zoe@globex"), await world.emea.person("ann@acme")
    await world.settle()
    for expires in ("9" * 40, "²", "-1", "1e9", "0"):
        stanza = (
            f"<agreement xmlns='urn:rainbow:regions:0' deed='invite' expires='{expires}' "
            f"from='{ann.bare}' to='{zoe.bare}'>{'note ' * 1000}</agreement>"
        )
        await hostile.send(Parcel(0, ann.bare, Who.of(ann.account), zoe.bare, stanza.encode(), 0))
    for half in await world.na.store.authorisations.of(zoe.account.company.id, zoe.account.id):
        assert half.expires_at is None and len(half.note) <= 500
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_another_key_for_names_is_no_answer(hostile: Hostile) -> None:
    """ "Nobody" would be believed, and everybody of the other region taken out of rosters."""
    with pytest.raises(Refused):
        await hostile.border.ask("na", HOME, encode(Question([b"1" * 16], "another")))
    with pytest.raises(Refused):
        await hostile.border.ask("na", HOME, encode(Question([b"1"] * 1000)))


def things(dice: random.Random, parcel: Parcel, company: Company, account: Account) -> Iterator[bytes]:
    """What means something, and what is left of it after some bytes were changed."""
    said = [
        encode(Batch([parcel], [Reply(parcel.to, parcel.stanza)])),
        encode(Question([dice.randbytes(16)], "")),
        encode(Told([pack_company(company)])),
        encode([[[1, "a", [account.id], "b", b"c", 2]], []]),
        encode({"parcels": []}),
        encode([]),
        b"",
    ]
    for data in said:
        yield data
        for _ in range(12):
            changed = bytearray(data)
            for _ in range(dice.randint(1, 4)):
                if changed:
                    changed[dice.randrange(len(changed))] = dice.randrange(256)
            yield bytes(changed[: dice.randint(0, len(changed))] if dice.random() < 0.3 else changed)


async def test_whatever_comes_is_answered_or_refused(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = await ann_and_bob(hostile.world)
    dice = random.Random(5)
    parcel = hostile.message(Who.of(ann.account), bob.bare, id=3)
    company = ann.account.company
    for service in (HOME, STANZAS, COMPANIES):
        for data in things(dice, parcel, company, bob.account):
            try:
                await hostile.border.ask("na", service, data)
            except Refused:
                continue
    answers = list(things(dice, parcel, company, bob.account))
    answers += [encode(Receipts([Receipt(fate, "na")], [])) for fate in (Fate.MOVED, 0, -1)]
    answers += [encode(AtHome([None] * 3, [])), encode(AtHome([Who.of(ann.account)], ["na"], [True] * 9))]

    async def lie(origin: str, request: bytes) -> bytes:
        return dice.choice(answers)

    await hostile.border.serve(HOME, lie)
    await hostile.border.serve(STANZAS, lie)
    for number in range(60):
        bob.say("word", to=dice.choice([ann.bare, ann.jid, f"nobody{number}@rainbow.test"]))
        bob.send(f"<iq type='get' id='{number}' to='{ann.bare}'><vCard xmlns='vcard-temp'/></iq>")
        await bob.rest()
    await hostile.world.na.settle()
    faults = [record for record in caplog.records if record.exc_info]
    assert faults == [], faults
    bob.say("still here", to=bob.jid)
    await hostile.world.na.settle()
    assert any(b"still here" in each for each in await bob.rest_bytes())
