"""`db reseal`: moving to another sealing key."""

from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]

OLD = 'sealing_key = { file = "dev/sealing.key" }'
NEW = 'sealing_key = { file = "dev/new.key" }\nold_sealing_keys = [{ file = "dev/sealing.key" }]'


def test_after_resealing_the_old_key_is_not_needed_any_more(line: CommandLine) -> None:
    line.ok("user", "add", "ann@acme.example", "--company", "Acme", "--generate")
    (line.folder / "dev" / "new.key").write_text("11" * 32)
    (line.folder / "dev" / "new.key").chmod(0o600)
    text = line.config.read_text()
    line.config.write_text(text.replace(OLD, NEW))
    assert line.ok("db", "reseal").startswith("1 credentials were sealed anew")
    assert line.ok("db", "reseal").startswith("0 credentials were sealed anew")
    line.config.write_text(text.replace(OLD, NEW.splitlines()[0]))
    line.ok("check", "db")


def test_credentials_under_an_unknown_key_are_named(line: CommandLine) -> None:
    line.ok("user", "add", "ann@acme.example", "--company", "Acme", "--generate")
    (line.folder / "dev" / "new.key").write_text("11" * 32)
    line.config.write_text(line.config.read_text().replace(OLD, NEW.splitlines()[0]))
    assert "auth.old_sealing_keys" in line.refused("db", "reseal")
