"""`user move`, `company move`, `region moves`: they write down what a server does."""

import json

import pytest

from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]

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
def regional(line: CommandLine) -> CommandLine:
    """The installation with two regions, and ann of Acme, which may use both."""
    (line.folder / "regions.toml").write_text(REGIONS)
    line.ok("company", "add", "Initech", "--allow-region", "na")
    line.ok("user", "add", "ann@initech.example", "--company", "Initech", "--localpart", "ann", "--generate")
    return line


def test_a_move_is_asked_for_and_waits_for_the_server(regional: CommandLine) -> None:
    told = regional.ok("user", "move", "ann@initech.example", "--to", "na", "--no-wait")
    assert told.startswith("asked (to na, 0 rows): waits for the server that runs here")
    (move,) = json.loads(regional.ok("region", "moves", "--json"))
    assert (move["from"], move["to"], move["step"]) == ("emea", "na", "asked")
    shown = json.loads(regional.ok("user", "move", "ann", "--status", "--json"))
    assert shown == move
    again = regional.refused("user", "move", "ann", "--to", "na", "--no-wait")
    assert "is being moved to another region" in again
    records = regional.ok("audit", "show", "--kind", "user.moving")
    assert "to=na" in records


def test_a_region_that_a_company_may_not_use_is_refused_at_once(regional: CommandLine) -> None:
    regional.ok("user", "add", "cid@acme.example", "--company", "Initech", "--generate")
    assert "they are there" in regional.refused("user", "move", "ann", "--to", "emea")
    assert "is no region" in regional.refused("user", "move", "ann", "--to", "mars")
    regional.ok("company", "add", "Local")
    said = regional.refused("company", "move", "Local", "--to", "na")
    assert "may not use na: allow it (company set --allow-region na)" in said


def test_where_to_must_be_said(regional: CommandLine) -> None:
    assert "--to REGION" in regional.refused("user", "move", "ann", exit_code=2)
    assert "Nobody asked for that" in regional.refused("company", "move", "Initech", "--status")
