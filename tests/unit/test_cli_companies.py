"""Companies, links and invitations from the command line."""

import json

import pytest

from tests.cli import CommandLine, bare, empty_installation, line

__all__ = ["bare", "empty_installation", "line"]


def shown(line: CommandLine, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(line.ok(*arguments, "--json"))
    return found


def add(line: CommandLine, name: str, company: str) -> None:
    line.ok(
        "user", "add", f"{name}@{company}.example", "--company", company, "--localpart", name, "--generate"
    )


def records(line: CommandLine, kind: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(line.ok("audit", "show", "--kind", kind, "--json"))
    return found


def test_a_company_is_changed_and_shown(line: CommandLine) -> None:
    changed = shown(
        line,
        *("company", "set", "acme", "--name", "Acme Ltd", "--visibility", "organisation"),
        *("--organisation", "Group", "--service-level", "business", "--no-roster", "--roster-limit", "9"),
        *("--allow-visibility", "private", "--allow-visibility", "closed", "--reason", "they asked for it"),
        *("--second-factor", "required"),
    )
    assert changed == shown(line, "company", "show", "Acme Ltd")
    assert (changed["name"], changed["visibility"], changed["organisation"]) == (
        "Acme Ltd",
        "organisation",
        "Group",
    )
    assert (changed["service_level"], changed["roster"], changed["roster_limit"]) == ("business", False, 9)
    assert changed["people_may_be"] == ["same_than_company", "private", "closed"]
    assert changed["second_factor"] == "required"
    assert changed["level"]["archive_days"] == 365  # type: ignore[index]
    (record,) = records(line, "company.changed")
    assert record["reason"] == "they asked for it"


def test_what_people_may_be_goes_back_to_what_follows_from_the_company(line: CommandLine) -> None:
    line.ok("company", "set", "Acme", "--allow-visibility", "isolated")
    assert shown(line, "company", "set", "Acme", "--allow-visibility", "default")["people_may_be"] == [
        "same_than_company",
        "private",
        "closed",
        "isolated",
    ]


def test_a_company_is_shut_out_and_let_in_again(line: CommandLine) -> None:
    assert shown(line, "company", "set", "Acme", "--disable")["disabled"] is True
    assert shown(line, "company", "set", "Acme", "--enable")["disabled"] is False


def test_a_company_is_shown_line_by_line_where_nobody_reads_it(line: CommandLine) -> None:
    rows = [row.split("\t") for row in line.ok("company", "show", "Acme").splitlines()]
    assert rows[0] == ["key", "value"]
    assert {"name": "Acme", "people": "0", "level.upload_mb": "10"}.items() <= dict(rows).items()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "Acme", "--service-level", "bussiness"], 'did you mean "business"?'),
        (["add", "New", "--service-level", "platinum"], "there are essential, business, enterprise"),
        (["set", "Acme", "--name", "globex"], 'There is already a company "globex"'),
        (["set", "Acmee", "--disable"], 'did you mean "Acme"?'),
        (["show", "Acmee"], 'did you mean "Acme"?'),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(line: CommandLine, arguments: list[str], said: str) -> None:
    assert said in line.refused("company", *arguments)


@pytest.mark.parametrize("what", [("company", "Acme"), ("user", "ann")])
def test_changing_nothing_is_a_usage_error(line: CommandLine, what: tuple[str, str]) -> None:
    assert "say what to change" in line.refused(what[0], "set", what[1], "--reason", "none", exit_code=2)


def test_somebody_is_changed_and_shown(line: CommandLine) -> None:
    add(line, "ann", "Acme")
    changed = shown(
        line,
        *("user", "set", "ann@chat.example", "--name", "Ann Onymous", "--visibility", "closed"),
        *("--service-level", "enterprise", "--hidden", "--role", "company_admin", "--reason", "promoted"),
    )
    assert changed == shown(line, "user", "show", "ann@acme.example")
    assert (changed["name"], changed["visibility"], changed["role"]) == (
        "Ann Onymous",
        "closed",
        "company_admin",
    )
    assert (changed["service_level"], changed["listed"]) == ("enterprise", False)
    assert [record["reason"] for record in records(line, "user.changed")] == ["promoted"]
    back = shown(line, "user", "set", "ann", "--service-level", "same_than_company", "--listed")
    assert (back["service_level"], back["listed"]) == ("same_than_company", True)


def test_people_are_not_given_what_their_company_does_not_allow(line: CommandLine) -> None:
    add(line, "ann", "Acme")
    said = line.refused("user", "set", "ann", "--visibility", "public")
    assert said == "people of Acme may be same_than_company, private, closed, isolated\n"
    assert 'did you mean "business"?' in line.refused("user", "set", "ann", "--service-level", "busines")
    assert 'did you mean "ann"?' in line.refused("user", "show", "anne")


def test_a_link_is_asked_for_confirmed_and_ended(line: CommandLine) -> None:
    assert line.ok("link", "ask", "Acme", "Globex", "--reason", "a joint venture") == (
        "Acme asked Globex for a link.\n"
    )
    assert "have an open question" in line.refused("link", "ask", "Globex", "Acme")
    assert "has not asked" in line.refused("link", "confirm", "Acme", "Globex")
    assert line.ok("link", "confirm", "Globex", "Acme") == "Globex is linked to Acme.\n"
    assert "is linked to" in line.refused("link", "ask", "Acme", "Globex")
    (listed,) = json.loads(line.ok("link", "list", "--company", "Globex", "--json"))
    assert (listed["company"], listed["other"], listed["state"]) == ("Acme", "Globex", "confirmed")
    assert shown(line, "company", "show", "Acme")["linked_to"] == ["Globex"]
    assert line.ok("link", "end", "Globex", "Acme") == "Globex has no link with Acme any more.\n"
    assert "have no link" in line.refused("link", "end", "Globex", "Acme")
    kinds = [record["kind"] for record in records(line, "link.")]
    assert kinds == [kind for kind in ("link.asked", "link.confirmed", "link.ended") for _ in range(2)]
    assert {record["reason"] for record in records(line, "link.asked")} == {"a joint venture"}


def test_companies_that_cannot_be_linked_are_told_why(line: CommandLine) -> None:
    assert "the public company has no links" in line.refused("link", "ask", "Acme", "Rainbow")
    assert "not linked to itself" in line.refused("link", "ask", "Acme", "acme")


def test_an_invitation_is_made_accepted_and_ended(line: CommandLine) -> None:
    add(line, "ann", "Acme")
    add(line, "bob", "Globex")
    arguments = ("--note", "Hello, Bob", "--expires", "30d", "--reason", "for the fair")
    assert line.ok("invite", "add", "ann", "bob@globex.example", *arguments) == (
        "ann@chat.example and bob@chat.example: invited.\n"
    )
    (listed,) = json.loads(line.ok("invite", "list", "bob@chat.example", "--json"))
    assert (listed["user"], listed["contact"], listed["state"], listed["note"]) == (
        "bob@chat.example",
        "ann@chat.example",
        "asked",
        "Hello, Bob",
    )
    assert listed["expires"]
    assert "has not invited" in line.refused("invite", "accept", "ann", "bob")
    assert line.ok("invite", "accept", "bob", "ann").endswith("accepted.\n")
    assert len(json.loads(line.ok("invite", "list", "--json"))) == 2
    assert len(json.loads(line.ok("invite", "list", "--company", "Acme", "--json"))) == 1
    assert line.ok("invite", "end", "ann", "bob").endswith("ended.\n")
    assert "agreed on nothing" in line.refused("invite", "end", "ann", "bob")
    kinds = [record["kind"].partition(".")[2] for record in records(line, "authorisation.")]
    assert kinds == [
        "invited",
        *["accepted"] * 2,
        *["ended"] * 2,
    ]  # an open invitation: for the invited side only


def test_colleagues_need_no_invitation_and_an_end_lies_ahead(line: CommandLine) -> None:
    add(line, "ann", "Acme")
    add(line, "cy", "Acme")
    assert line.refused("invite", "add", "ann", "cy") == "colleagues need no invitation\n"
    for text, said in (("2020-01-01", "is over"), ("soon", "is no time")):
        assert said in line.refused("invite", "add", "ann", "cy", "--expires", text, exit_code=2)


def test_levels_that_are_not_configured_any_more_are_found_by_check(line: CommandLine) -> None:
    add(line, "ann", "Acme")
    before = line.config.read_text()
    line.config.write_text(before + "[service_levels.gold]\n[service_levels.bussiness]\n")
    line.ok("company", "set", "Globex", "--service-level", "gold")
    line.ok("user", "set", "ann", "--service-level", "gold")
    assert 'service_levels.bussiness is a level of its own; did you mean "business"?' in line.ok(
        "check", "config"
    )
    line.config.write_text(before)
    said = line.ok("check", "db")
    assert 'the company Globex is at the service level "gold", which is not configured' in said
    assert '1 people of Acme are at the service level "gold", which is not configured' in said


def test_configured_levels_are_shown_with_their_origin(line: CommandLine) -> None:
    line.config.write_text(line.config.read_text() + "[service_levels.gold]\nupload_mb = 5\n")
    found = {row["key"]: row for row in json.loads(line.ok("config", "show", "--origin", "--json"))}
    assert found["service_levels.gold.upload_mb"]["value"] == 5
    assert found["service_levels.gold.upload_mb"]["origin"].endswith("rainbow.toml:8")
    assert found["service_levels.business.archive_days"]["origin"] == "default"


def test_an_import_is_refused_when_the_service_level_has_no_room(line: CommandLine) -> None:
    line.config.write_text(line.config.read_text() + "[service_levels.essential]\nmax_members = 1\n")
    (line.folder / "people.csv").write_text(
        "email,company,localpart,password\na@a.example,Acme,a,Plum-tart-4-two\nb@a.example,Acme,b,Plum-tart-4-two\n"
    )
    assert "people.csv:2: Acme has 0 people; its service level, essential, allows 1; the file has 2 more" in (
        line.refused("user", "import", "people.csv")
    )
