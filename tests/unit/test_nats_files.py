"""The configuration of the NATS servers of regions: what it lets through, and that no secret stands in it."""

from pathlib import Path

import pytest

from demo.places import Place, Places
from rainbow_xmpp.border.nats_files import permissions
from rainbow_xmpp.border.nats_folder import differences
from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]

PLACES = (
    Place("emea", "Europe", "FR", (7000, 7010), (4000, 4010), 8443),
    Place("de", "Germany", "DE", (7100,), (4100,), 8444),
    Place("health-fr", "Health", "FR", (7200,), (4200,), 8445),
    Place("uk", "Kingdom", "GB", (), (4300,), 8446, "emea"),
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "places", PLACES)
    made.write()
    return made


def text(places: Places, name: str, file: str) -> str:
    return (places.folder / name / file).read_text()


def test_what_each_may_say_and_hear_is_said_at_the_border(places: Places) -> None:
    regions = places.config("emea").regions
    assert permissions("de", regions) == (["xr.emea.>", "xr.health-fr.>", "xr.uk.>"], ["xr.de.>"])
    may_say, may_hear = permissions("uk", regions)
    assert may_hear == ["xr.uk.>"]
    assert {each.split(".", 2)[2] for each in may_say} == {"edge", "edge.>", "r.>"}
    assert {each.split(".")[1] for each in may_say} == {"emea", "de", "health-fr"}
    border = text(places, "emea", "border-1.conf")
    assert 'user: "uk"' in border and 'user: "uk"' not in text(places, "de", "border-1.conf")


def test_borders_store_nothing_and_tell_nobody_where_else_they_are(places: Places) -> None:
    for name, file in (("emea", "border-1.conf"), ("emea", "border-2.conf"), ("de", "border-1.conf")):
        border = text(places, name, file)
        assert "jetstream" not in border and "http" not in border
        assert "reject_unknown_cluster: true" in border and "advertise: " in border
        assert border.count("verify: true") == border.count("cert_file") >= 2
        for block in border.split("leafnodes {")[1:]:
            assert "no_advertise: true" in block
    assert not list((places.folder / "uk").glob("border*"))


def test_no_secret_stands_in_what_is_compared(places: Places) -> None:
    for file in places.folder.glob("*/*.conf"):
        password = file.read_text()
        if file.name.endswith("secrets.conf"):
            assert file.stat().st_mode & 0o777 == 0o600
            continue
        for secret in places.folder.glob("*/*.password"):
            assert secret.stat().st_mode & 0o777 == 0o600
            assert secret.read_text().strip() not in password


def test_what_is_written_again_is_the_same(places: Places) -> None:
    before = {file: file.read_bytes() for file in places.folder.rglob("*.conf")}
    places.write()
    assert before == {file: file.read_bytes() for file in places.folder.rglob("*.conf")}
    found = dict(differences(places.folder / "emea", "emea", places.config("emea")))
    assert [file.name for file in found] == ["border-1.conf", "border-2.conf", "bus-1.conf", "bus-2.conf"]
    assert not any(found.values())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  no_advertise: true\n", "", "no_advertise: true is missing"),
        ("max_payload", 'jetstream { store_dir: "/tmp" }\nmax_payload', "jetstream .* does not belong there"),
        (
            'subscribe: ["xr.uk.>"]',
            'subscribe: ["xr.>"]',
            r'subscribe: \["xr\.>"\] instead of subscribe: \["xr\.uk',
        ),
        ("  reject_unknown_cluster: true\n", "  reject_unknown_cluster: false\n", "false instead of .* true"),
    ],
)
def test_what_was_changed_by_hand_is_told(places: Places, old: str, new: str, told: str) -> None:
    file = places.folder / "emea" / "border-1.conf"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    found = dict(differences(places.folder / "emea", "emea", places.config("emea")))
    with pytest.raises(AssertionError, match=told):
        raise AssertionError("\n".join(found[file]))
    assert not any(text for path, text in found.items() if path != file)


def test_the_command_writes_them_for_all_or_for_one(line: CommandLine, places: Places) -> None:
    (line.folder / "regions.toml").write_text((places.folder / "regions.toml").read_text())
    line.ok("region", "nats-config", "--out", "all")
    assert {each.name for each in (line.folder / "all").iterdir()} == {"emea", "de", "health-fr", "uk"}
    one = line.ok("region", "nats-config", "--out", "one", "--region", "emea")
    assert "one/emea/border-2.conf" in one
    there = {str(each.relative_to(line.folder / "one")) for each in (line.folder / "one").rglob("*.*")}
    assert "uk/leaf.password" in there and not any(each.startswith("de") for each in there)
    assert (
        'no region; did you mean "emea"'
        in line.run("region", "nats-config", "--out", "x", "--region", "emaa").stderr
    )
    text = (line.folder / "regions.toml").read_text()
    (line.folder / "regions.toml").write_text(text.replace('bus_servers = ["127.0.0.1:4100"]\n', ""))
    assert "regions.de.bus_servers is missing" in line.run("region", "nats-config", "--out", "x").stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('hangs_on = "emea"', 'hangs_on = "mars"', "no region with border_servers"),
        ('hangs_on = "emea"', 'border_servers = ["127.0.0.1:1"]', "this is an edge"),
        ('"127.0.0.1:7100"', '"127.0.0.1"', "give HOST:PORT"),
        ('bus_servers = ["127.0.0.1:4100"]', 'hangs_on = "emea"', "is for edges"),
    ],
)
def test_servers_that_cannot_be_are_told(
    line: CommandLine, places: Places, old: str, new: str, said: str
) -> None:
    text = (places.folder / "regions.toml").read_text()
    assert old in text
    (line.folder / "regions.toml").write_text(text.replace(old, new))
    assert said in line.run("check", "config").stdout
