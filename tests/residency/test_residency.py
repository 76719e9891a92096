"""After everything that can be done without a network, nothing of one region lies in the other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rainbow_xmpp.moving.kinds import kinds
from rainbow_xmpp.residency import policy
from rainbow_xmpp.residency.canaries import Canaries, NoCanaries
from rainbow_xmpp.residency.finder import Finder
from rainbow_xmpp.residency.places import Search
from rainbow_xmpp.residency.planting import plant_rows
from rainbow_xmpp.residency.proof import Blind, prove
from rainbow_xmpp.residency.report import Report, is_signed
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import Account, NewAccount
from rainbow_xmpp.testing import TestServer
from tests.cli import CommandLine, empty_installation, line
from tests.databases import Databases, _make, databases
from tests.residency.conftest import World

__all__ = ["databases", "empty_installation", "line"]


def folder_of(server: TestServer) -> Path:
    return Path(server._folder.name)


async def exercised(world: World) -> tuple[Canaries, Account]:
    """Texts in every kind of data of emea, some of them said to somebody of na; who that was."""
    canaries = Canaries("emea")
    await world.tell_of_companies()
    cid, bob = await world.na.login("cid@acme"), await world.emea.login("bob@acme")
    canaries.accounts.append(bob.account.id)
    to_cid = (cid.account.id,)
    for one, other in ((bob, cid), (cid, bob)):
        one.send(f"<presence type='subscribe' to='{other.bare}'/>")
        await other.receive()
        other.send(f"<presence type='subscribed' to='{one.bare}'/>")
        await one.receive()
    name, group = canaries.new("roster name"), canaries.new("roster group")
    bob.send(
        f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='{cid.bare}' name='{name}'>"
        f"<group>{group}</group></item></query></iq>"
    )
    card = canaries.new("vCard")
    bob.send(f"<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>{card}</FN></vCard></iq>")
    item = canaries.new("PEP item")
    bob.send(
        "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x:private'>"
        f"<item><x xmlns='urn:x'>{item}</x></item></publish></pubsub></iq>"
    )
    bob.send(f"<presence><status>{canaries.new('status text')}</status></presence>")
    bob.say(canaries.new("message body", to_cid), to=cid.bare)
    await cid.receive()
    bob.say(canaries.new("message body, to oneself"), to=bob.bare)
    await world.emea.settle()
    await bob.leave()
    await world.emea.settle()
    await world.na.settle()
    await world.emea.node.people.set_password(bob.account, "Correct-horse-7", actor="cli:test")
    await plant_rows(world.emea.store, world.keys(world.emea), bob.account, canaries)
    return canaries, cid.account


async def test_after_everything_nothing_of_one_region_lies_in_the_other(world: World) -> None:
    canaries, _ = await exercised(world)
    search = Search([canaries])
    search.path(folder_of(world.na))
    assert search.unexcused == [] and search.unsearched == []
    excused = {finding.planted_as for finding in search.findings}
    assert excused >= {"message body"} and excused <= {"message body", "the account's id"}
    assert search.rows > 10 and search.files >= 1
    at_home = Search([canaries])
    at_home.path(folder_of(world.emea))
    found = {finding.planted_as for finding in at_home.findings}
    said = {each.place for each in canaries.planted if "." not in each.place}
    assert said - found == {"status text"}, "what a client said is kept at home; presence is in memory only"
    sealed = {each.place for each in canaries.planted if "." in each.place} - found
    assert {place.partition(".")[0] for place in sealed} <= {
        "second_factors",
        "fast_tokens",
        "push_subscriptions",
        "webrtc_relay_person_months",  # a keyed hash in its place
    }


async def test_what_must_not_cross_does_not_even_cross_sealed(world: World) -> None:
    canaries, _ = await exercised(world)
    may_cross = {canary.text for canary in canaries.planted if canary.may_be_with}
    looking = Finder.of([each.text for each in canaries.planted if each.text not in may_cross])
    status = next(canary.text for canary in canaries.planted if canary.place == "status text")
    found = {hit.needle.of for _, _, _, data in world.borders.crossed for hit in looking.in_bytes(data)}
    assert found <= {status}  # presence crosses to who may see it, and is kept nowhere


async def test_only_declared_services_cross_the_border(world: World) -> None:
    await exercised(world)
    services = {service for _, _, service, _ in world.borders.crossed}
    assert services <= set(policy.SERVICES), "name it in residency/policy.py, with what crosses by it"


@pytest.fixture
async def broken(world: World) -> tuple[World, Canaries]:
    """A build that writes one row of a roster into the wrong region's database."""
    canaries, cid = await exercised(world)
    name = next(canary.text for canary in canaries.planted if canary.place == "roster name")
    async with world.na.store.write() as connection:
        await connection.execute(
            sa.text("UPDATE roster_items SET name = :name WHERE owner_id = :owner"),
            {"name": name, "owner": cid.id},
        )
    return world, canaries


async def test_one_row_in_the_wrong_region_is_found(broken: tuple[World, Canaries]) -> None:
    world, canaries = broken
    search = Search([canaries])
    search.path(folder_of(world.na))
    assert {finding.planted_as for finding in search.unexcused} == {"roster name"}
    assert any(finding.place.endswith(" roster_items") for finding in search.unexcused)


async def test_the_copy_of_a_recipient_is_excused_with_its_owner_alone(world: World) -> None:
    canaries, _ = await exercised(world)
    stranger = (await world.na.person("dan@acme")).account
    body = next(canary.text for canary in canaries.planted if canary.place == "message body")
    async with world.na.store.write() as connection:
        row = {
            "company_id": stranger.company.id,
            "owner_id": stranger.id,
            "region": "na",
            "created_at": 1,
            "data": body.encode(),
        }
        await connection.execute(
            sa.text(
                "INSERT INTO vcards (company_id, owner_id, region, created_at, data) "
                "VALUES (:company_id, :owner_id, :region, :created_at, :data)"
            ),
            row,
        )
    search = Search([canaries])
    search.path(folder_of(world.na))
    assert {finding.place.rpartition(" ")[2] for finding in search.unexcused} == {"vcards"}


async def test_every_table_of_people_has_a_text_or_says_why_not(world: World) -> None:
    """A new table of a plugin is planted in by its declaration, and needs a word here only if it is special."""
    canaries, _ = await exercised(world)
    planted = {canary.place.partition(".")[0] for canary in canaries.planted}
    planted |= {place.partition(".")[0] for place in canaries.unplanted}
    said_by_clients = {"users", "emails", "credentials", "roster_items", "vcards", "pep_nodes", "pep_items"}
    said_by_clients |= {
        "archive_owners",
        "archive_messages",
        "roster_removals",
        "last_activity",
        "home_names",
    }
    for kind in kinds():
        types = [kind.table.c[name].type for name in kind.columns]
        says_something = any(isinstance(each, sa.String | sa.LargeBinary) for each in types)
        if says_something and not kind.carried.must_be_over:
            assert kind.name in planted | said_by_clients


@pytest.fixture
def postgresql(databases: Databases) -> Iterator[str]:
    url = _make(databases, "postgresql", migrated=True)
    yield url
    databases.give_back(url)


async def test_a_database_of_postgresql_is_looked_through_row_by_row(postgresql: str) -> None:
    store = await Store.open(postgresql, require_schema=False)
    canaries = Canaries("emea")
    name = canaries.new("a name")
    await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example", name=f"Ann {name}"))
    await store.close()
    search = Search([canaries])
    await search.postgresql(postgresql)
    assert {finding.place.rpartition(" ")[2] for finding in search.unexcused} == {"users"}
    assert search.rows > 1 and search.unsearched == []


def test_the_finder_is_proven_before_it_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prove() == 7
    monkeypatch.setattr("rainbow_xmpp.residency.finder._MAGIC", ())
    with pytest.raises(Blind, match="gzip, zlib"):
        prove()


def test_what_cannot_be_looked_through_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    search = Search([Canaries("emea")])
    search.path(tmp_path)
    search.path(tmp_path / "nowhere")
    assert len(search.unsearched) == 2
    report = Report.of("na", search, 7, [])
    assert not report.is_clean


def test_a_report_that_was_changed_is_not_as_it_was_written() -> None:
    text = Report.of("na", Search([Canaries("emea")]), 7, []).signed(b"key")
    assert is_signed(text, b"key")
    assert not is_signed(text, b"another")
    assert not is_signed(text.replace('"files": 0', '"files": 9'), b"key")
    assert not is_signed("{", b"key")


def test_canaries_are_read_as_they_were_written() -> None:
    canaries = Canaries("emea")
    canaries.new("a place", ("somebody",))
    assert Canaries.from_json(canaries.to_json()) == canaries
    with pytest.raises(NoCanaries):
        Canaries.from_json('{"version": 1}')


# -- the commands ------------------------------------------------------------------------------------------

REGIONS = """\
default_region = "emea"
[regions.emea]
country = "FR"
hosts = ["emea.chat.example"]
[regions.na]
country = "CA"
hosts = ["na.chat.example"]
"""


@pytest.fixture
def two(line: CommandLine) -> CommandLine:
    """Configurations of two regions beside each other, each with a database."""
    (line.folder / "regions.toml").write_text(REGIONS)
    own = line.config.read_text()
    na = own.replace("data/rainbow.db", "na/rainbow.db").replace("domain", 'region = "na"\ndomain', 1)
    (line.folder / "na.toml").write_text(na)
    line.ok("--config", "na.toml", "db", "upgrade")
    return line


def test_planted_in_one_region_and_looked_for_in_the_other(two: CommandLine) -> None:
    assert "texts were planted in emea" in two.ok("audit", "residency", "--plant", "--canaries", "e.json")
    said = two.ok("--config", "na.toml", "audit", "residency", "--canaries", "e.json", "--report", "r.json")
    assert "looked for in na: clean" in said
    assert "as na" not in said and "searched: na/rainbow.db" in said
    assert "as this server wrote it" in two.ok(
        "--config", "na.toml", "audit", "residency", "--verify", "r.json"
    )
    (two.folder / "log").mkdir()
    text = json.loads((two.folder / "e.json").read_text())["planted"][0]["text"]
    (two.folder / "log" / "server.log").write_text(f"login of {text}\n")
    again = two.run("--config", "na.toml", "audit", "residency", "--canaries", "e.json", "--search", "log")
    assert again.exit_code == 1 and "FOUND: emails.address of emea in log/server.log" in again.stdout
    assert "where they belong" in two.refused("audit", "residency", "--canaries", "e.json")
    assert "1 accounts were removed" in two.ok("audit", "residency", "--remove", "--canaries", "e.json")


def test_all_regions_of_one_machine_at_once(two: CommandLine) -> None:
    said = two.ok("audit", "residency", "--with", "na.toml", "--json")
    emea, na = json.loads(said)
    assert (emea["region"], na["region"], emea["clean"], na["clean"]) == ("emea", "na", True, True)
    assert emea["planted"]["na"] > 30 and na["rows"] > 0
    listed = json.loads(two.ok("user", "list", "--json"))
    assert not [each for each in listed if "residency" in str(each)]


def test_check_residency_says_what_is_not_right(two: CommandLine) -> None:
    assert "every row of people's data is of emea" in two.ok("check", "residency")
    two.ok("company", "add", "Initech")
    two.ok("user", "add", "ann@initech.example", "--company", "Initech", "--generate")
    with sqlite3.connect(two.folder / "data" / "rainbow.db") as connection:
        connection.execute("UPDATE emails SET region = 'na'")
        connection.execute("UPDATE companies SET region = 'na' WHERE name = 'Initech'")
    said = two.run("check", "residency")
    assert said.exit_code == 1
    assert "1 rows of emails are of the region na, and lie in emea" in said.stdout
    assert "1 people of Initech live here, and the company is at home in na" in said.stdout


def test_hosts_that_nobody_declared_are_told(two: CommandLine) -> None:
    with two.config.open("a") as config:
        config.write(
            '[mail]\ntransport = "smtp"\nhost = "smtp.elsewhere.example"\nsender = "a@chat.example"\n'
        )
    assert "letters: smtp.elsewhere.example" in two.ok("check", "residency")
    regions = REGIONS.replace('country = "FR"\n', 'country = "FR"\nhanded_to = ["smtp.fr.example"]\n')
    (two.folder / "regions.toml").write_text(regions)
    said = two.run("check", "residency")
    assert said.exit_code == 1 and "handed_to does not have" in said.stdout
