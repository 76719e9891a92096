"""People move to another region with all that is theirs, once, whatever happens on the way."""

from __future__ import annotations

import base64

import pytest
import sqlalchemy as sa

from rainbow_xmpp.moving.kinds import carried_kinds, kinds, person, totals
from rainbow_xmpp.plugin import JID
from rainbow_xmpp.plugins.archive import tables as archive
from rainbow_xmpp.residency.canaries import Canaries
from rainbow_xmpp.residency.planting import plant_rows
from rainbow_xmpp.store.errors import BeingMoved
from rainbow_xmpp.store.moves import Move, Step
from rainbow_xmpp.store.values import Account, CompanySettings, NewAccount, Visibility
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.client import condition_of
from tests.residency.conftest import World


async def everything(world: World, server: TestServer, account: Account) -> dict[str, tuple[int, str]]:
    """What there is of somebody, as it would cross: keys that are drawn and seals do not count."""
    company = await server.store.companies.by_name(account.company.name)
    assert company is not None
    async with server.store.read() as connection:
        who = await person(connection, company.id, account.id)
        return await totals(connection, who, world.keys(server), carried_kinds())


async def ask(server: TestServer, account: Account, target: str = "na") -> Move:
    return await server.store.moves.ask(
        account.company.id, account.id, server.node.regions.here, target, actor="cli:test", reason="test"
    )


async def step_of(server: TestServer, move: Move) -> Step:
    found = await server.store.moves.by_id(move.id)
    assert found is not None
    return found.step


async def planted(world: World, name: str = "ann@acme") -> Account:
    """Somebody with a row in every declared table, and a password."""
    account = (await world.emea.person(name)).account
    await world.emea.node.people.set_password(account, "Correct-horse-7", actor="cli:test")
    found = await world.emea.store.accounts.by_id(account.id)
    assert found is not None
    await plant_rows(world.emea.store, world.keys(world.emea), found, Canaries("emea"))
    return found


async def test_everything_that_is_declared_as_theirs_moves_with_somebody(world: World) -> None:
    ann = await planted(world)
    before = await everything(world, world.emea, ann)
    assert {kind.name for kind in carried_kinds() if not kind.carried.must_be_over} == set(before)
    move = await ask(world.emea, ann)
    await world.go(world.emea)
    assert await everything(world, world.na, ann) == before
    assert await everything(world, world.emea, ann) == {}
    there = await world.na.store.accounts.by_id(ann.id)
    assert there is not None
    assert (there.id, there.localpart, there.company.id, there.region) == (
        ann.id,
        ann.localpart,
        ann.company.id,
        "na",
    )
    await world.erase(world.emea)
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.DONE
    async with world.emea.store.read() as connection:
        for kind in kinds():
            statement = sa.select(sa.func.count()).select_from(kind.table)
            assert (await connection.execute(statement)).scalar_one() == 0, kind.name


async def test_their_password_opens_there_and_not_here_any_more(world: World) -> None:
    ann = await planted(world)
    await ask(world.emea, ann)
    await world.go(world.emea)
    there = await world.na.node.authenticator.confirm(ann, "Correct-horse-7", "192.0.2.1")
    assert isinstance(there, Account)
    here = await world.emea.node.authenticator.confirm(ann, "Correct-horse-7", "192.0.2.1")
    assert not isinstance(here, Account)


async def test_nothing_of_what_is_sealed_here_opens_there_as_it_lies(world: World) -> None:
    """The seals are of the region's own keys, before and after."""
    ann = await planted(world)
    await ask(world.emea, ann)
    await world.go(world.emea)
    record = await world.na.store.accounts.for_login(ann.localpart)
    assert record is not None and record.sealed is not None and record.key_id is not None
    assert world.keys(world.na).sealer.open(record.key_id, record.sealed, ann.id)
    assert not world.keys(world.emea).sealer.knows(record.key_id)


async def test_messages_keep_their_ids_and_wait_for_them_there(world: World) -> None:
    bob = await world.emea.login("bob@acme")
    ann = (await world.emea.person("ann@acme")).account
    bob.say("see you there", to=f"ann@{world.emea.domain}")
    await world.emea.settle()
    async with world.emea.store.read() as connection:
        before = (await connection.execute(sa.select(archive.messages.c.key))).scalars().all()
    await ask(world.emea, ann)
    await world.go(world.emea)
    async with world.na.store.read() as connection:
        (key,) = (await connection.execute(sa.select(archive.messages.c.key))).scalars()
    assert key in before and key % 2 == 1
    client = await world.na.login("ann@acme")
    (message,) = [stanza for stanza in await client.rest() if stanza.tag.endswith("message")]
    assert "see you there" in "".join(message.itertext())
    async with world.emea.store.read() as connection:
        await world.erase(world.emea)
        (left,) = (await connection.execute(sa.select(archive.messages.c.key))).scalars()
    assert left == key - 1  # the one in bob's own log


async def test_a_message_whose_id_is_taken_there_gets_the_next_one(world: World) -> None:
    ann = await planted(world)
    async with world.emea.store.read() as connection:
        (key,) = (await connection.execute(sa.select(archive.messages.c.key))).scalars()
    async with world.na.store.write() as connection:
        row = {"key": key, "owner": 999, "peer": 1, "stanza": b"<message xmlns='jabber:client'/>"}
        await connection.execute(sa.insert(archive.messages), row)
    move = await ask(world.emea, ann)
    await world.go(world.emea)
    assert await step_of(world.emea, move) in (Step.DELETED, Step.DONE)
    async with world.na.store.read() as connection:
        keys = set((await connection.execute(sa.select(archive.messages.c.key))).scalars())
    assert keys == {key, key + 512}


async def test_rosters_of_others_stay_and_their_owners_versions_do_not_go_back(world: World) -> None:
    ann, bob = await world.emea.login("ann@acme"), await world.emea.login("bob@acme")
    for one, other in ((ann, bob), (bob, ann)):
        one.send(f"<presence type='subscribe' to='{other.bare}'/>")
        await world.emea.settle()
        other.send(f"<presence type='subscribed' to='{one.bare}'/>")
        await world.emea.settle()
    rosters = world.emea.store.rosters
    version = (await rosters.load(ann.account.company.id, ann.account.id)).version
    before = await rosters.load(bob.account.company.id, bob.account.id)
    await ask(world.emea, ann.account)
    await world.go(world.emea)
    await world.erase(world.emea)
    await world.go(world.emea)
    assert await rosters.load(bob.account.company.id, bob.account.id) == before
    there = await world.na.store.rosters.load(ann.account.company.id, ann.account.id)
    assert there.version == version > 0
    assert [item.contact for item in there.visible] == [bob.bare]


async def frozen(world: World, account: Account) -> Move:
    """A move that has begun, and goes no further: the other region does not answer."""
    world.close()
    move = await ask(world.emea, account)
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.FROZEN
    return move


async def test_while_they_move_they_are_told_to_wait_and_so_is_who_writes_to_them(world: World) -> None:
    ann, bob = await world.emea.login("ann@acme"), await world.emea.login("bob@acme")
    await frozen(world, ann.account)
    (told,) = await ann.rest()
    assert told.get("type") == "headline" and "moved to another region" in "".join(told.itertext())
    ann.say("hello", to=bob.bare)
    (refusal,) = await ann.rest()
    assert condition_of(refusal) == "resource-constraint"
    assert refusal.find("{jabber:client}error").get("type") == "wait"  # type: ignore[union-attr]
    bob.say("hello", to=ann.bare)
    (refusal,) = await bob.rest()
    assert refusal.find("{jabber:client}error").get("type") == "wait"  # type: ignore[union-attr]
    ann.send("<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Ann</FN></vCard></iq>")
    (refusal,) = await ann.rest()
    assert condition_of(refusal) == "resource-constraint"
    async with world.emea.store.read() as connection:
        assert not (await connection.execute(sa.select(archive.messages.c.key))).all()


async def test_nobody_is_frozen_for_a_region_that_does_not_answer(world: World) -> None:
    ann = (await world.emea.person("ann@acme")).account
    world.borders.cut.add(frozenset(("emea", "na")))
    move = await ask(world.emea, ann)
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.ASKED
    assert not await world.emea.store.moves.frozen()
    world.borders.cut.clear()
    await world.go(world.emea)
    assert await world.na.store.accounts.by_id(ann.id) is not None


async def test_nobody_stays_frozen_while_the_region_is_silent_for_long(world: World) -> None:
    ann = await world.emea.login("ann@acme")
    move = await frozen(world, ann.account)
    world.emea.clock.advance(601)
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.ASKED
    await ann.rest()
    ann.say("here again", to=ann.bare)
    assert not [stanza for stanza in await ann.rest() if stanza.get("type") == "error"]


async def test_who_may_not_know_them_hears_nothing_of_the_move(world: World) -> None:
    await world.emea.store.companies.add("globex", "emea")
    stranger = await world.emea.login("eve@globex")
    ann = (await world.emea.person("ann@acme")).account
    await frozen(world, ann)
    stranger.say("hello", to=f"ann@{world.emea.domain}")
    stranger.say("hello", to=f"nobody@{world.emea.domain}")
    one, other = [condition_of(stanza) for stanza in await stranger.rest()]
    assert one == other == "service-unavailable"


async def test_nothing_of_them_is_changed_by_an_administrator_meanwhile(world: World) -> None:
    ann = (await world.emea.person("ann@acme")).account
    await frozen(world, ann)
    for act in (
        world.emea.node.people.disable(ann, actor="cli:test"),
        world.emea.node.people.remove(ann, actor="cli:test"),
        world.emea.node.people.set_password(ann, "Correct-horse-7", actor="cli:test"),
    ):
        with pytest.raises(BeingMoved, match="being moved to another region"):
            await act
    with pytest.raises(BeingMoved):
        await ask(world.emea, ann)


async def test_nobody_logs_in_while_the_account_moves(world: World) -> None:
    ann = await planted(world)
    await frozen(world, ann)
    visitor = world.emea.knock()
    said = base64.b64encode(f"\0{ann.localpart}\0Correct-horse-7".encode()).decode()
    visitor.say(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{said}</auth>")
    while not (failure := await visitor.receive()).tag.endswith("failure"):
        assert failure.tag.endswith("features")
    assert [child.tag.rpartition("}")[2] for child in failure] == ["temporary-auth-failure"]


async def test_what_was_refused_there_leaves_them_where_they_are(world: World) -> None:
    await world.na.store.companies.add("other", "na")
    await world.na.store.accounts.add(NewAccount(company="other", email="x@o.example", localpart="ann"))
    ann = await planted(world)
    before = await everything(world, world.emea, ann)
    move = await ask(world.emea, ann)
    await world.go(world.emea)
    found = await world.emea.store.moves.by_id(move.id)
    assert found is not None and found.step is Step.FAILED
    assert "belongs to somebody here" in found.trouble
    assert await everything(world, world.emea, ann) == before
    client = await world.emea.login("ann@acme")
    client.say("still here", to=client.bare)
    assert not [stanza for stanza in await client.rest() if stanza.get("type") == "error"]
    (record,) = await world.emea.audit("user.not_moved")
    assert record.entry.target == ann.id


@pytest.mark.parametrize("target", ["health", "emea", "nowhere"])
async def test_a_company_must_be_allowed_to_use_the_region(world: World, target: str) -> None:
    ann = (await world.emea.person("ann@acme")).account
    move = await ask(world.emea, ann, target)
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.FAILED
    assert not [service for _, _, service, _ in world.borders.crossed if service == "moving"]


async def test_the_other_region_asks_by_itself_whether_they_may_live_there(world: World) -> None:
    """Whatever the region says that they come from."""
    ann = (await world.emea.person("ann@acme")).account
    await world.tell_of_companies()
    await world.na.store.companies.update(ann.company.id, settings=CompanySettings())
    move = await ask(world.emea, ann)
    await world.go(world.emea)
    found = await world.emea.store.moves.by_id(move.id)
    assert found is not None and found.step is Step.FAILED and "may not use na" in found.trouble
    assert await world.na.store.accounts.by_id(ann.id) is None


async def test_sessions_are_sent_there_and_come_again(world: World) -> None:
    ann = await world.emea.login("ann@acme")
    await ask(world.emea, ann.account)
    await world.go(world.emea)
    assert ann.session not in list(world.emea.node.sessions)
    violation = ann.wire.violation
    assert violation is not None and violation.condition == "see-other-host"
    assert violation.host == "na.chat.test"  # type: ignore[attr-defined]


async def test_it_is_known_for_a_while_where_they_went(world: World) -> None:
    ann = (await world.emea.person("ann@acme")).account
    await ask(world.emea, ann)
    await world.go(world.emea)
    assert await world.emea.store.moves.gone() == {"ann": "na"}
    world.emea.clock.advance(31 * 86_400)
    assert await world.emea.store.moves.gone() == {}


async def test_who_moved_can_move_back_and_has_everything_again(world: World) -> None:
    ann = await planted(world)
    before = await everything(world, world.emea, ann)
    await ask(world.emea, ann)
    await world.go(world.emea)
    await world.erase(world.emea)
    await world.go(world.emea)
    there = await world.na.store.accounts.by_id(ann.id)
    assert there is not None
    await ask(world.na, there, "emea")
    await world.go(world.na)
    await world.erase(world.na)
    await world.go(world.na)
    assert await everything(world, world.emea, ann) == before
    assert await everything(world, world.na, ann) == {}
    assert await world.emea.store.moves.gone() == {}
    assert await world.na.store.moves.gone() == {"ann": "emea"}


async def test_a_company_moves_with_its_people_and_is_at_home_there_then(world: World) -> None:
    people = [(await world.emea.person(f"{name}@acme")).account for name in ("ann", "bob", "cid")]
    acme = people[0].company
    move = await world.emea.store.moves.ask(acme.id, "", "emea", "na", actor="cli:test")
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.DONE
    for server in (world.emea, world.na):
        found = await server.store.companies.by_id(acme.id)
        assert found is not None and found.region == "na"
    assert len(await world.na.store.accounts.list(acme.id)) == 3
    assert await world.emea.store.accounts.list(acme.id) == []
    assert [record.entry.target for record in await world.na.audit("company.arrived")] == [acme.id]


async def test_people_of_no_company_are_of_none_there(world: World) -> None:
    zoe = await world.emea.store.accounts.add(
        NewAccount(company="Rainbow", email="zoe@home.example", localpart="zoe", region="emea")
    )
    await ask(world.emea, zoe)
    await world.go(world.emea)
    there = await world.na.store.accounts.by_id(zoe.id)
    assert there is not None and there.company.is_public and there.region == "na"


async def test_a_change_that_slipped_in_is_sent_as_well(world: World) -> None:
    ann = await planted(world)
    move = await frozen(world, ann)
    world.open()
    mover = world.mover(world.emea)
    found = await world.emea.store.moves.by_id(move.id)
    assert found is not None
    await mover._send(found)
    await world.emea.store.moves.give_back(move.id)
    async with world.emea.store.write() as connection:
        await connection.execute(sa.text("UPDATE roster_items SET name = 'later'"))
    await world.go(world.emea)
    roster = await world.na.store.rosters.load(ann.company.id, ann.id)
    assert [item.name for item in roster.items] == ["later"]


async def test_an_answer_that_is_lost_is_asked_for_again(world: World) -> None:
    ann = (await world.emea.person("ann@acme")).account
    before = await everything(world, world.emea, ann)
    move = await ask(world.emea, ann)
    for _ in range(60):
        world.borders.lost_answers = 1
        await world.go(world.emea)
        if await step_of(world.emea, move) is Step.SWITCHED:
            break
        world.borders.lost_answers = 0
        await world.mover(world.emea).look()
    await world.go(world.emea)
    await world.erase(world.emea)
    await world.go(world.emea)
    assert await step_of(world.emea, move) is Step.DONE
    assert await everything(world, world.na, ann) == before


class Killed(BaseException):
    """The server is gone."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["frozen", "sent", "switching", "switched", "deleted", "done"])
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    ann = await planted(world)
    before = await everything(world, world.emea, ann)
    move = await ask(world.emea, ann)
    await world.erase(world.emea)
    moves = world.emea.store.moves
    advance = moves.advance

    async def dying(move: Move, to: Step, **given: object) -> None:
        if to == step and when == "before":
            raise Killed
        await advance(move, to, **given)  # type: ignore[arg-type]
        if to == step and given.get("connection") is None:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(moves, "advance", dying)
        for _ in range(3):
            await world.mover(world.emea).look()
            await world.erase(world.emea)
        raise Killed  # where dying would have torn a transaction apart, which `before` does
    world.emea.clock.advance(600)  # the lease of the dead server is over
    for _ in range(3):
        await world.go(world.emea)
        await world.erase(world.emea)
    assert await step_of(world.emea, move) is Step.DONE
    assert await everything(world, world.na, ann) == before
    assert await everything(world, world.emea, ann) == {}
    assert JID.parse(f"ann@{world.na.domain}")
    assert [r.entry.target for r in await world.na.audit("user.arrived")] == [ann.id]
    assert [r.entry.target for r in await world.emea.audit("user.moved")] == [ann.id]


async def test_a_region_cannot_take_part_in_the_move_of_another(world: World) -> None:
    """What one region began, no other goes on with, drops or completes."""
    from rainbow_xmpp.moving import words

    ann = await planted(world)
    move = await frozen(world, ann)
    world.open()
    found = await world.emea.store.moves.by_id(move.id)
    assert found is not None
    await world.mover(world.emea)._send(found)
    await world.emea.store.moves.give_back(move.id)
    apac = world.borders.border("apac")
    for said in (
        words.Part(move.id, "users", 0, words.encode([[]])),
        words.Compare(move.id, {}),
        words.Take(move.id, b"{}", {}),
    ):
        answer = words.answer(await apac.ask("na", words.SERVICE, words.encode(said)))
        assert not answer.is_done
    await apac.ask("na", words.SERVICE, words.encode(words.Drop(move.id)))
    await world.go(world.emea)
    assert await world.na.store.accounts.by_id(ann.id) is not None


async def test_what_arrives_lies_sealed_until_it_is_somebody(world: World) -> None:
    ann = await planted(world)
    canaries = Canaries("emea")
    async with world.emea.store.write() as connection:
        await connection.execute(sa.text("UPDATE roster_items SET name = :n"), {"n": canaries.new("roster")})
    move = await frozen(world, ann)
    world.open()
    found = await world.emea.store.moves.by_id(move.id)
    assert found is not None
    await world.mover(world.emea)._send(found)
    await world.emea.store.moves.give_back(move.id)
    async with world.na.store.read() as connection:
        parts = (await connection.execute(sa.text("SELECT sealed FROM move_parts"))).scalars().all()
    assert len(parts) > 10
    assert not any(canaries.tag.encode() in part for part in parts)


async def test_settings_of_a_company_travel_with_its_first_person(world: World) -> None:
    ann = (await world.emea.person("ann@acme")).account
    await world.emea.store.companies.update(
        ann.company.id, visibility=Visibility.CLOSED, settings=CompanySettings(regions=("na",), roster=False)
    )
    await ask(world.emea, ann)
    await world.go(world.emea)
    there = await world.na.store.companies.by_id(ann.company.id)
    assert there is not None
    assert (there.visibility, there.settings.roster, there.region) == (Visibility.CLOSED, False, "emea")


async def test_who_writes_to_somebody_who_moved_reaches_them_there(world: World) -> None:
    ann, bob = await world.emea.login("ann@acme"), await world.emea.login("bob@acme")
    await ask(world.emea, ann.account)
    await world.go(world.emea)
    there = await world.na.login("ann@acme")
    await there.rest()
    bob.say("found you", to=ann.bare)
    message = await there.receive()
    assert "found you" in "".join(message.itertext())


async def test_other_regions_are_told_where_somebody_went(world: World) -> None:
    ann = (await world.emea.person("ann@acme")).account
    await ask(world.emea, ann)
    await world.go(world.emea)
    assert world.emea.node.neighbours.reach is not None
    assert await world.emea.node.neighbours.reach.homes.went_to("ann") == "na"
    assert await world.emea.node.neighbours.reach.homes.went_to("bob") == ""
