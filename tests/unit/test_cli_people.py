"""Companies and people from the command line."""

import json
import sqlite3

import pytest

from rainbow_xmpp.auth.credentials import check_password
from rainbow_xmpp.auth.seal import Sealer
from tests.cli import CommandLine, bare, empty_installation, line

__all__ = ["bare", "empty_installation", "line"]

GOOD = "Tr0ubadour&Kazoo"


def add(line: CommandLine, email: str, *more: str, company: str = "Acme", password: str = GOOD) -> None:
    line.ok("user", "add", email, "--company", company, "--password-stdin", *more, stdin=f"{password}\n")


def password_fits(line: CommandLine, localpart: str, password: str) -> bool:
    """Look behind the command line: do the sealed keys of this account come from this password?"""
    with sqlite3.connect(line.folder / "data" / "rainbow.db") as database:
        id, key_id, sealed = database.execute(
            "SELECT u.id, c.key_id, c.sealed FROM users u JOIN credentials c ON c.owner_id = u.id"
            " WHERE u.localpart = ?",
            (localpart,),
        ).fetchone()
    sealer = Sealer.from_text((line.folder / "dev" / "sealing.key").read_text())
    return check_password(sealer.open(key_id, sealed, id), password)


def test_companies_are_listed_by_name_for_people_and_programs(line: CommandLine) -> None:
    rows = [row.split("\t") for row in line.ok("company", "list").splitlines()]
    assert rows[0] == ["name", "region", "visibility", "service_level", "disabled", "id"]
    assert [row[:3] for row in rows[1:]] == [
        ["Acme", "default", "private"],
        ["Globex", "north", "closed"],
        ["Rainbow", "default", "public"],
    ]
    listed = json.loads(line.ok("company", "list", "--json"))
    assert [(each["name"], each["disabled"]) for each in listed] == [
        ("Acme", False),
        ("Globex", False),
        ("Rainbow", False),
    ]


def test_a_company_is_not_added_twice(line: CommandLine) -> None:
    said = line.refused("company", "add", "ACME")
    assert said == 'There is already a company "ACME"; company list shows them all.\n'


def test_an_unknown_visibility_is_a_usage_error_that_lists_them(line: CommandLine) -> None:
    said = line.refused("company", "add", "X", "--visibility", "secret", exit_code=2)
    assert "'public', 'private', 'organisation', 'closed', 'isolated'" in said


def test_a_person_is_added_with_a_password_from_standard_input(line: CommandLine) -> None:
    add(line, "Alice@Acme.Example", "--localpart", "alice", "--role", "company_admin")
    (person,) = json.loads(line.ok("user", "list", "--json"))
    assert person["emails"] == ["alice@acme.example"]
    assert (person["address"], person["company"], person["role"]) == (
        "alice@chat.example",
        "Acme",
        "company_admin",
    )
    assert password_fits(line, "alice", GOOD)
    assert not password_fits(line, "alice", GOOD + " ")


def test_a_generated_password_is_all_that_stdout_shows(line: CommandLine) -> None:
    arguments = ("user", "add", "a@acme.example", "--company", "acme", "--localpart", "a", "--generate")
    password = line.ok(*arguments).removesuffix("\n")
    assert len(password) >= 16
    assert password_fits(line, "a", password)


def test_a_generated_password_is_part_of_the_json(line: CommandLine) -> None:
    arguments = ("user", "add", "a@acme.example", "--company", "Acme", "--generate", "--json")
    shown = json.loads(line.ok(*arguments))
    localpart = shown["address"].partition("@")[0]
    assert (len(localpart), shown["company"], shown["emails"]) == (32, "Acme", ["a@acme.example"])
    assert password_fits(line, localpart, shown["password"])


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Sh0rt&", "The password needs at least 8 characters."),
        ("lower&case1", "The password needs an upper-case letter."),
        ("Dragon2024!", "The password is one of the passwords that everybody tries first."),
        (
            "alllower",
            "The password needs an upper-case letter; it needs a digit; it needs a character that is",
        ),
    ],
)
def test_a_weak_password_is_refused_and_its_gaps_are_named(
    line: CommandLine, password: str, said: str
) -> None:
    arguments = ("user", "add", "a@acme.example", "--company", "Acme", "--password-stdin")
    assert line.refused(*arguments, stdin=password).startswith(said)
    assert json.loads(line.ok("user", "list", "--json")) == []


@pytest.mark.parametrize("flags", [[], ["--password-stdin", "--generate"]])
def test_the_passwords_source_must_be_said(line: CommandLine, flags: list[str]) -> None:
    said = line.refused("user", "add", "a@acme.example", "--company", "Acme", *flags, exit_code=2)
    assert "--password-stdin or --generate" in said


@pytest.mark.parametrize("stdin", ["", "\n", "two\nlines\n"])
def test_standard_input_must_be_one_line(line: CommandLine, stdin: str) -> None:
    arguments = ("user", "add", "a@acme.example", "--company", "Acme", "--password-stdin")
    said = line.refused(*arguments, stdin=stdin)
    assert said == "Standard input must hold the password, in one line and nothing else.\n"


def test_what_is_taken_or_missing_is_named(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    refused = [
        line.refused("user", "add", *arguments, "--generate")
        for arguments in (
            ("ALICE@acme.example", "--company", "Globex"),
            ("new@acme.example", "--company", "Globex", "--localpart", "Alice"),
            ("new@acme.example", "--company", "Globx"),
            ("new@acme.example", "--company", "Nowhere"),
            ("no address", "--company", "Acme"),
            ("new@acme.example", "--company", "Acme", "--localpart", "a b"),
        )
    ]
    assert refused == [
        'The e-mail address "ALICE@acme.example" belongs to another account.\n',
        'The localpart "Alice" belongs to another account.\n',
        'There is no company "Globx"; did you mean "Globex"? To add it: company add "Globx"\n',
        'There is no company "Nowhere". To add it: company add "Nowhere"\n',
        "'no address' is not an e-mail address\n",
        "'a b' cannot stand before the @ of an address\n",
    ]


def test_people_are_listed_company_by_company(line: CommandLine) -> None:
    add(line, "carol@globex.example", "--localpart", "carol", company="Globex")
    add(line, "alice@acme.example", "--localpart", "alice")
    rows = [row.split("\t") for row in line.ok("user", "list").splitlines()]
    assert rows == [
        ["emails", "address", "company", "role", "disabled"],
        ["alice@acme.example", "alice@chat.example", "Acme", "user", "no"],
        ["carol@globex.example", "carol@chat.example", "Globex", "user", "no"],
    ]
    assert len(line.ok("user", "list", "--company", "Globex").splitlines()) == 2


@pytest.mark.parametrize("who", ["alice@acme.example", "alice"])
def test_a_new_password_replaces_the_old_one(line: CommandLine, who: str) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    line.ok("user", "passwd", who, "--password-stdin", stdin="An0ther&kazoo")
    assert not password_fits(line, "alice", GOOD)
    assert password_fits(line, "alice", "An0ther&kazoo")


def test_a_password_for_nobody_is_refused(line: CommandLine) -> None:
    said = line.refused("user", "passwd", "bob", "--generate")
    assert said == 'There is nobody called "bob"; user list shows everybody.\n'


def test_somebody_is_shut_out_and_let_in_again(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    assert line.ok("user", "disable", "alice@acme.example") == "alice@acme.example of Acme is shut out.\n"
    assert [person["disabled"] for person in json.loads(line.ok("user", "list", "--json"))] == [True]
    assert line.ok("user", "enable", "alice") == "alice of Acme may log in.\n"
    assert [person["disabled"] for person in json.loads(line.ok("user", "list", "--json"))] == [False]


def test_somebody_becomes_an_administrator(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    assert "role\tcompany_admin\n" in line.ok("user", "set", "alice", "--role", "company_admin")
    assert [person["role"] for person in json.loads(line.ok("user", "list", "--json"))] == ["company_admin"]
    assert "'user', 'company_admin', 'operator'" in line.refused(
        "user", "set", "alice", "--role", "king", exit_code=2
    )


def test_somebody_is_logged_out(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    assert line.ok("user", "kick", "alice") == "alice of Acme is logged out.\n"
    assert json.loads(line.ok("user", "kick", "alice", "--json"))["user"] == "alice"
    assert "nobody called" in line.refused("user", "kick", "bob")


def test_what_is_done_to_people_is_recorded(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    line.ok("user", "disable", "alice")
    line.ok("user", "enable", "alice")
    line.ok("user", "kick", "alice")
    line.ok("user", "passwd", "alice", "--generate")
    line.ok("user", "remove", "alice", "--yes")
    kinds = [row["kind"] for row in json.loads(line.ok("audit", "show", "--kind", "user.", "--json"))]
    assert kinds == [
        "user.added",
        "user.disabled",
        "user.enabled",
        "user.sessions_ended",
        "user.password_changed",
        "user.removed",
    ]


def test_removing_asks_first_and_without_a_terminal_wants_a_flag(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    assert "say --yes" in line.refused("user", "remove", "alice", exit_code=2)
    assert line.ok("user", "remove", "alice", "--yes") == "Removed alice of Acme.\n"
    assert json.loads(line.ok("user", "list", "--json")) == []


def test_a_database_that_is_not_there_yet_says_how_to_make_it(bare: CommandLine) -> None:
    (bare.folder / "dev").mkdir()
    (bare.folder / "dev" / "sealing.key").write_text("00" * 32)
    assert "db upgrade" in bare.refused("company", "list")
    assert bare.ok("db", "upgrade").startswith("data/rainbow.db: ")
    assert bare.ok("db", "upgrade") == "data/rainbow.db: up to date, nothing to do\n"
    assert "Rainbow" in bare.ok("company", "list")


def test_letters_are_written_by_a_server_that_runs(line: CommandLine) -> None:
    add(line, "alice@acme.example", "--localpart", "alice")
    assert "no server is running" in line.refused("user", "invite", "zoe@new.example", "--company", "Acme")
    assert "no server is running" in line.refused("user", "reset-password", "alice")
    assert "There is nobody" in line.refused("user", "reset-password", "bob")
    assert "There is no company" in line.refused("user", "invite", "zoe@new.example", "--company", "Acne")


def test_why_somebody_was_added_or_given_a_password_is_recorded(line: CommandLine) -> None:
    add(line, "ann@acme.example", "--reason", "joined on Monday")
    line.ok("user", "passwd", "ann@acme.example", "--generate", "--reason", "lost it")
    shown = json.loads(line.ok("audit", "show", "--json"))
    reasons = {record["kind"]: record["reason"] for record in shown}
    assert reasons["user.added"] == "joined on Monday"
    assert reasons["user.password_changed"] == "lost it"
