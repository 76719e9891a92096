"""Regions: in the configuration, for companies and their people, in a database that is older than they are."""

import json
from pathlib import Path

import pytest

from rainbow_xmpp.company.regions import Regions, WrongRegion
from rainbow_xmpp.config import Config, ConfigProblems, load
from rainbow_xmpp.config.regions import EXAMPLE, EXAMPLE_DEFAULT
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import CompanySettings, NewAccount
from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]

START = 'domain = "chat.example"\nauth.sealing_key = "for this test only"\n'
TWO = """\
default_region = "emea"
[regions.emea]
country = "FR"
hosts = ["emea.chat.example"]
[regions.na]
country = "CA"
hosts = ["na.chat.example"]
"""
MORE = """\
[regions.uk]
country = "GB"
kind = "edge"
hosts = ["uk.chat.example"]
[regions.health]
country = "FR"
kind = "restricted"
hosts = ["health.chat.example"]
"""


def loaded(folder: Path, regions: str, main: str = "", **environ: str) -> Config:
    (folder / "rainbow.toml").write_text(START + main)
    (folder / "regions.toml").write_text(regions)
    return load(folder / "rainbow.toml", environ)


def problems(folder: Path, regions: str, main: str = "") -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        loaded(folder, regions, main)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_server_is_of_the_default_region_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert loaded(tmp_path, TWO).home_region == "emea"
    assert loaded(tmp_path, TWO, 'region = "na"\n').home_region == "na"
    assert loaded(tmp_path, TWO, RAINBOW_REGION="na").home_region == "na"


def test_without_regions_there_is_one(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert (config.home_region, dict(config.regions)) == ("default", {})


def test_a_file_of_conf_d_wins_over_the_regions(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.toml").write_text('region = "na"\n[regions.na]\ncountry = "US"\n')
    config = loaded(tmp_path, TWO)
    assert (config.home_region, config.regions["na"].country) == ("na", "US")


@pytest.mark.parametrize(
    ("regions", "main", "expected"),
    [
        (TWO, 'region = "ne"\n', 'rainbow.toml:3: region is "ne", which is no region; use one of: emea, na'),
        (TWO.replace('"emea"', '"uk"', 1) + MORE, "", 'regions.toml:1: default_region is "uk", an edge'),
        (TWO.replace('"emea"', '"health"', 1) + MORE, "", 'default_region is "health", which is restricted'),
        (
            TWO.partition("\n")[2],
            "",
            "default_region is missing, and there are regions; use one of: emea, na",
        ),
        ("", 'region = "na"\n', 'region is "na", and no regions are configured: write [regions.na]'),
        (TWO.replace("na.chat", "emea.chat"), "", "regions.na.hosts has"),
        (TWO.replace("[regions.na]", '[regions."N.A."]'), "", "is no name for a region"),
        (TWO.replace('"CA"', '"Canada"'), "", 'regions.toml:6: regions.na.country is "Canada"'),
        (TWO.replace('country = "CA"\n', ""), "", "regions.na.country is missing"),
        (TWO.replace('hosts = ["na.chat.example"]\n', ""), "", "regions.na.hosts is missing"),
        (TWO.replace("na.chat.example", "na chat"), "", 'regions.na.hosts has "na chat"'),
        (TWO.replace('"CA"', '"CA"\nkind = "dta"'), "", "use one of: data, edge, restricted"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, regions: str, main: str, expected: str) -> None:
    told = problems(tmp_path, regions, main)
    assert any(expected in problem for problem in told), told


SHIPPED = Regions(EXAMPLE, "emea", EXAMPLE_DEFAULT)


def test_a_company_is_at_home_in_the_default_region_or_where_it_is_said() -> None:
    assert (SHIPPED.home_for("", ()), SHIPPED.home_for("de", ("na",))) == ("emea", "de")
    assert SHIPPED.home_for("health-fr", ("health-fr",)) == "health-fr"
    assert Regions({}).home_for("wherever", ("there",)) == "wherever"


@pytest.mark.parametrize(
    ("home", "allowed", "said"),
    [
        ("dee", (), 'did you mean "de"'),
        ("uk", (), "an edge, which keeps no data"),
        ("", ("au",), "an edge, which keeps no data"),
        ("health-fr", (), "health-fr is restricted: allow the company to use it"),
    ],
)
def test_a_region_that_cannot_be_home_is_refused(home: str, allowed: tuple[str, ...], said: str) -> None:
    with pytest.raises(WrongRegion, match=said):
        SHIPPED.home_for(home, allowed)


async def test_people_live_where_their_company_may_keep_data(store: Store) -> None:
    health = Regions(EXAMPLE, "health-fr", EXAMPLE_DEFAULT)
    here = await store.companies.add("Here", "emea")
    there = await store.companies.add("There", "de")
    both = await store.companies.add("Both", "de", settings=CompanySettings(regions=("emea",)))
    clinic = await store.companies.add(
        "Clinic", "health-fr", settings=CompanySettings(regions=("health-fr",))
    )
    nobody = await store.companies.by_name("Rainbow")
    assert nobody is not None
    assert [SHIPPED.for_new_person(each) for each in (here, both, nobody)] == ["emea"] * 3
    assert health.for_new_person(clinic) == "health-fr"
    for regions, company in ((SHIPPED, there), (SHIPPED, clinic), (health, here), (health, nobody)):
        with pytest.raises(WrongRegion, match="may not use"):
            regions.for_new_person(company)


async def test_a_database_older_than_the_regions_takes_the_name_of_its_own(store: Store) -> None:
    await store.companies.add("Acme")
    await store.companies.add("Elsewhere", "na")
    account = await store.accounts.add(NewAccount(company="Acme", email="ann@acme.example", localpart="ann"))
    assert account.region == "default"
    assert await Regions({}).name_what_is_kept(store) == 0
    assert await SHIPPED.name_what_is_kept(store) >= 3  # two companies, an account and what belongs to it
    assert await SHIPPED.name_what_is_kept(store) == 0
    found = await store.accounts.by_localpart("ann")
    assert found is not None and (found.region, found.company.region) == ("emea", "emea")
    assert {each.name: each.region for each in await store.companies.list()} == {
        "Acme": "emea",
        "Elsewhere": "na",
        "Rainbow": "emea",
    }
    assert list(await store.regions.of_people()) == [("emea", 1)]


def test_the_command_line_keeps_people_where_they_belong(line: CommandLine) -> None:
    (line.folder / "regions.toml").write_text(TWO + MORE)
    line.ok("company", "add", "Maple", "--region", "na")
    assert "an edge" in line.refused("company", "add", "Tea", "--region", "uk")
    assert "is restricted" in line.refused("company", "add", "Clinic", "--region", "health")
    line.ok("company", "add", "Clinic", "--region", "health", "--allow-region", "health")
    refusal = line.refused("user", "add", "mo@maple.example", "--company", "Maple", "--generate")
    assert "Maple is at home in na and may not use emea" in refusal
    (line.folder / "people.csv").write_text(
        "email,company,localpart,password\nmo@maple.example,Maple,,Tr0ubadour&Kazoo\n"
    )
    assert "may not use emea" in line.run("user", "import", "people.csv").output
    line.ok("company", "set", "Maple", "--allow-region", "emea")
    assert json.loads(line.ok("company", "show", "Maple", "--json"))["other_regions"] == ["emea"]
    line.ok("user", "add", "mo@maple.example", "--company", "Maple", "--generate")
    line.ok("company", "set", "Maple", "--no-other-regions")
    assert json.loads(line.ok("company", "show", "Maple", "--json"))["other_regions"] == []
    (line.folder / "regions.toml").write_text(TWO.replace('"emea"', '"na"', 1))
    found = line.run("check", "db", "--json")
    assert found.exit_code == 1 and "1 people of the region emea are kept here, in na" in found.output


async def test_a_server_of_one_region_does_not_serve_the_data_of_another(store: Store) -> None:
    await store.companies.add("Elsewhere", "na")
    await store.accounts.add(NewAccount(company="Elsewhere", email="mo@maple.example"))
    with pytest.raises(WrongRegion, match="of the region emea, and its database keeps people of na"):
        await SHIPPED.name_what_is_kept(store)
    assert await store.regions.rename("na", "emea") >= 2
    assert await SHIPPED.name_what_is_kept(store) == 1  # the company that everybody has


def test_a_region_is_renamed(line: CommandLine) -> None:
    (line.folder / "regions.toml").write_text(TWO)
    assert "no region" in line.refused("region", "rename", "north", "south")
    assert 'Nothing here is of a region "east"' in line.refused("region", "rename", "east", "na")
    assert json.loads(line.ok("region", "rename", "north", "na", "--json"))["rows"] == 1
    assert "region.renamed" in line.ok("audit", "show")
    assert "na\t" in line.ok("company", "list")


def test_the_regions_are_listed(line: CommandLine) -> None:
    assert "there is one, called default" in line.ok("region", "list")
    (line.folder / "regions.toml").write_text(TWO + MORE)
    rows = json.loads(line.ok("region", "list", "--json"))
    assert [(row["region"], row["kind"], row["is"]) for row in rows] == [
        ("emea", "data", ["this server", "default"]),
        ("na", "data", []),
        ("uk", "edge", []),
        ("health", "restricted", []),
    ]
    assert "4 regions, 3 of them with data; this server is of emea" in line.run("check", "config").output
