"""`rainbow-xmpp audit`: what commands leave behind, shown and verified."""

import json
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]


def add_alice(line: CommandLine) -> None:
    line.ok("user", "add", "alice@acme.example", "--company", "Acme", "--localpart", "alice", "--generate")


def shown(line: CommandLine, *options: str) -> list[dict[str, object]]:
    found = json.loads(line.ok("audit", "show", "--json", *options))
    assert isinstance(found, list)
    return found


def sql(line: CommandLine, statement: str) -> None:
    with sqlite3.connect(line.folder / "data" / "rainbow.db") as database:
        database.execute(statement)
    database.close()


def test_every_administrative_command_leaves_a_record(line: CommandLine, tmp_path: Path) -> None:
    add_alice(line)
    line.ok("user", "passwd", "alice", "--generate")
    line.ok("user", "remove", "alice", "--yes")
    people = tmp_path / "people.csv"
    people.write_text("email,company,localpart,password\nbob@acme.example,Acme,bob,Str0ng-pass-w0rd\n")
    line.ok("user", "import", str(people))
    line.ok("db", "reseal")
    kinds = [record["kind"] for record in shown(line)]
    assert kinds == [
        "db.upgraded",
        "company.added",
        "company.added",
        "user.added",
        "user.password_changed",
        "user.removed",
        "user.imported",
        "db.resealed",
    ]
    assert all(str(record["actor"]).startswith("cli:") for record in shown(line))


def test_records_hold_no_addresses_and_no_passwords(line: CommandLine) -> None:
    password = line.ok(
        "user", "add", "alice@acme.example", "--company", "Acme", "--localpart", "alicia", "--generate"
    )
    exported = line.ok("audit", "export")
    for secret in ("alice@", "alicia", password.strip()):
        assert secret not in exported


def test_show_is_filtered_by_company_person_kind_and_time(line: CommandLine) -> None:
    add_alice(line)
    line.ok(
        "user", "add", "carol@globex.example", "--company", "Globex", "--localpart", "carol", "--generate"
    )
    assert [r["kind"] for r in shown(line, "--company", "Acme")] == ["company.added", "user.added"]
    assert [r["kind"] for r in shown(line, "--target", "carol@globex.example")] == ["user.added"]
    assert len(shown(line, "--kind", "user.")) == 2
    assert len(shown(line, "--kind", "user.added", "--last", "1")) == 1
    assert shown(line, "--until", "2020-01-01") == []
    assert len(shown(line, "--since", "1h")) == 5
    assert shown(line, "--actor", "system") == []
    assert "is no time" in line.refused("audit", "show", "--since", "yesterday", exit_code=2)


def test_show_prints_one_line_for_each_record(line: CommandLine) -> None:
    lines = line.ok("audit", "show", "--company", "globex").splitlines()
    assert lines[0].split("\t") == ["time", "kind", "company", "actor", "target", "facts"]
    assert lines[1].split("\t")[1:3] == ["company.added", "Globex"]
    assert lines[1].endswith("visibility=closed")


def test_export_and_the_hashes_in_it_can_be_checked_by_others(line: CommandLine) -> None:
    import hashlib

    previous = "0" * 64
    for number, text in enumerate(line.ok("audit", "export").splitlines(), 1):
        r = json.loads(text)
        facts = json.dumps(r["facts"], sort_keys=True, separators=(",", ":"))
        who = [r["kind"], r["company_id"], r["actor"], r["target"], r["reason"]]
        fields = [previous, number, r["at"], *who, facts, r["node"]]
        previous = r["hash"]
        assert hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest() == previous


def test_an_untouched_log_verifies_and_prints_its_head(line: CommandLine) -> None:
    result = line.run("audit", "verify")
    assert result.exit_code == 0
    assert "3 records, unbroken." in result.stderr
    assert result.stdout == line.ok("audit", "head")
    assert json.loads(line.ok("audit", "verify", "--json"))["ok"] is True


def test_verify_names_the_first_damage(line: CommandLine) -> None:
    sql(line, "UPDATE audit SET actor = 'system' WHERE id = 2")
    assert (
        line.refused("audit", "verify")
        == "The audit log is damaged: record 2 was changed after it was written.\n"
    )
    result = line.run("audit", "verify", "--json")
    assert result.exit_code == 1
    verdict = json.loads(result.stdout)
    assert (verdict["ok"], verdict["broken_at"], verdict["damage"]) == (False, 2, "changed")


def test_a_noted_head_shows_a_log_that_was_set_back_to_an_older_copy(line: CommandLine) -> None:
    older = (line.folder / "data" / "rainbow.db").read_bytes()
    before = line.ok("audit", "head").strip()
    add_alice(line)
    noted = line.ok("audit", "head").strip()
    line.ok("audit", "verify", "--head", before)
    line.ok("audit", "verify", "--head", noted)
    (line.folder / "data" / "rainbow.db").write_bytes(older)
    line.ok("audit", "verify")  # by itself it is sound
    assert "record 4 was written, but the log ends with record 3" in line.refused(
        "audit", "verify", "--head", noted
    )
    line.ok("company", "add", "Other")
    assert "record 4 is not the one that was noted" in line.refused("audit", "verify", "--head", noted)


def test_what_is_no_head_is_refused(line: CommandLine) -> None:
    assert "NUMBER:HASH" in line.refused("audit", "verify", "--head", "7", exit_code=2)


def change_sealing_key(line: CommandLine, *, keep_the_old_one: bool) -> None:
    from rainbow_xmpp.auth.seal import new_key

    key = line.folder / "dev" / "sealing.key"
    old = key.read_text().strip()
    key.write_text(new_key())
    if keep_the_old_one:
        line.config.write_text(line.config.read_text() + f'old_sealing_keys = ["{old}"]\n')


def test_records_of_a_key_that_is_gone_are_told(line: CommandLine) -> None:
    change_sealing_key(line, keep_the_old_one=True)
    line.ok("db", "reseal")
    line.config.write_text(line.config.read_text().partition("old_sealing_keys")[0])
    result = line.run("audit", "verify")
    assert result.exit_code == 0, result.output
    assert "4 records, unbroken. 3 were signed under a sealing key" in result.stderr


def test_a_key_that_was_exchanged_without_the_old_one_is_told(line: CommandLine) -> None:
    change_sealing_key(line, keep_the_old_one=False)
    assert "which is not configured" in line.refused("audit", "verify")
    add_alice(line)
    assert "record 4 was written, the end of the log before it could not be trusted" in line.refused(
        "audit", "verify"
    )


def test_on_a_terminal_people_have_their_names(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    add_alice(line)
    line.ok("user", "add", "bob@acme.example", "--company", "Acme", "--generate")
    removed = shown(line, "--target", "bob@acme.example")[0]["target"]
    line.ok("user", "remove", "bob@acme.example", "--yes")
    monkeypatch.setattr("rainbow_xmpp.cli.audit_print.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    text = line.ok("audit", "show", "--company", "Acme")
    assert re.search(r"user\.added +cli:\S+ → alice@acme\.example \(Acme\)  role=user", text)
    assert re.search(rf"user\.removed +cli:\S+ → {removed} \(Acme\)", text)
    assert re.search(r"company\.added +cli:\S+ → Acme  visibility=private", text)
    assert re.search(r"^\w+day, \d+ \w+ \d{4}$", text, re.MULTILINE)


def _hear_interrupts() -> None:
    """A shell that runs the tests in the background has told all its children to ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_follow_goes_on_with_what_comes(line: CommandLine) -> None:
    import subprocess
    import sys

    add_alice(line)
    command = [sys.executable, "-m", "rainbow_xmpp", "--config", line.config.name]
    follow = [*command, "audit", "show", "--follow", "--json", "--last", "1"]
    with subprocess.Popen(
        follow, stdout=subprocess.PIPE, text=True, cwd=line.folder, preexec_fn=_hear_interrupts
    ) as process:
        assert process.stdout is not None
        try:
            first = json.loads(process.stdout.readline())
            line.ok("company", "add", "Initech")
            second = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    assert (first["kind"], second["kind"]) == ("user.added", "company.added")
    assert second["previous"] == first["hash"]
