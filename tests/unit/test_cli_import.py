"""`user import`: everybody in the file, or nobody and every reason."""

import json
from pathlib import Path

import pytest

from tests.cli import CommandLine, empty_installation, line
from tests.unit.test_cli_people import GOOD, add, password_fits

__all__ = ["empty_installation", "line"]

HEADER = "email,company,localpart,password\n"


def table(line: CommandLine, rows: str, header: str = HEADER) -> str:
    (line.folder / "people.csv").write_text(header + rows)
    return "people.csv"


def people(line: CommandLine) -> int:
    return len(json.loads(line.ok("user", "list", "--json")))


def test_everybody_in_the_file_is_added(line: CommandLine) -> None:
    rows = f'alice@acme.example,Acme,alice,{GOOD}\n bob@acme.example , acme ,,"Quo""ted,1pass"\n\n'
    assert line.ok("user", "import", table(line, rows)) == "Imported 2 people.\n"
    listed = json.loads(line.ok("user", "list", "--json"))
    localparts = {each["emails"][0]: each["address"].removesuffix("@chat.example") for each in listed}
    assert localparts.keys() == {"alice@acme.example", "bob@acme.example"}
    assert (localparts["alice@acme.example"], len(localparts["bob@acme.example"])) == ("alice", 32)
    assert password_fits(line, "alice", GOOD)
    assert password_fits(line, localparts["bob@acme.example"], 'Quo"ted,1pass')


def test_columns_may_stand_in_any_order_and_a_byte_order_mark_does_not_matter(line: CommandLine) -> None:
    header = "\ufeffPassword,localpart,company,email\n"
    assert people(line) == 0
    line.ok("user", "import", table(line, f"{GOOD},zoe,Globex,zoe@globex.example\n", header))
    assert password_fits(line, "zoe", GOOD)


def test_every_bad_row_is_reported_with_its_line_and_nobody_is_added(line: CommandLine) -> None:
    add(line, "taken@acme.example", "--localpart", "taken")
    rows = (
        f"fine@acme.example,Acme,fine,{GOOD}\n"
        f"a@acme.example,Acmee,,{GOOD}\n"
        f"FINE@acme.example,Acme,Fine,{GOOD}\n"
        f'taken@acme.example,Acme,taken,"{GOOD}\n2"\n'
        f"nobody,Acme,a b,{GOOD}\n"
        "short@acme.example,Acme,,Ab1!\n"
        "few,fields\n"
        "nopass@acme.example,Acme,,\n"
    )
    assert line.refused("user", "import", table(line, rows)).splitlines() == [
        "people.csv:3: there is no company 'Acmee'",
        'people.csv:4: the email "FINE@acme.example" is already in line 2',
        'people.csv:4: the localpart "Fine" is already in line 2',
        "people.csv:5: The password must not be empty or have control characters.",
        "people.csv:5: the address 'taken@acme.example' belongs to another account",
        "people.csv:5: the localpart 'taken' belongs to another account",
        "people.csv:7: 'a b' cannot stand before the @ of an address",
        "people.csv:7: 'nobody' is not an e-mail address",
        "people.csv:8: The password needs at least 8 characters.",
        "people.csv:9: has 2 fields instead of 4",
        "people.csv:10: The password must not be empty or have control characters.",
        "11 problems, so nobody was imported.",
    ]
    assert people(line) == 1


def test_problems_are_told_to_programs_too(line: CommandLine) -> None:
    result = line.run("user", "import", "--json", table(line, f"a@acme.example,None,,{GOOD}\n"))
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "imported": 0,
        "errors": [{"line": 2, "reason": "there is no company 'None'"}],
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"email,company\n", "people.csv:1: the first line must be email,company,localpart,password"),
        (b"", "people.csv:1: the first line must be email,company,localpart,password"),
        (HEADER.encode(), "people.csv: holds nobody"),
        (HEADER.encode() + b"\xff,a,b,c\n", "people.csv: is not UTF-8 text; save it as UTF-8 and try again"),
        (HEADER.encode() + b'"a', "people.csv: is not CSV: "),
    ],
)
def test_a_file_of_another_kind_is_refused(line: CommandLine, content: bytes, said: str) -> None:
    Path("people.csv").write_bytes(content)
    assert line.refused("user", "import", "people.csv").startswith(said)


def test_a_file_that_is_not_there_is_named(line: CommandLine) -> None:
    assert line.refused("user", "import", "none.csv") == (
        "none.csv: cannot be read: No such file or directory\n"
    )
