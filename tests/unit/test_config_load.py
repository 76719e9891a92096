"""Reading the configuration: files, environment, references, and problems that name their line."""

import time
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config import Config, ConfigProblems, Secret, load, read
from rainbow_xmpp.config.doors import Listen
from rainbow_xmpp.config.limits import Limits

MINIMAL = 'domain = "chat.example"\n[auth]\nsealing_key = "k"\n'


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "rainbow.toml"


def loaded(conf: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    conf.write_text(text)
    return load(conf, environ or {})


def refused(conf: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        loaded(conf, text, environ)
    return [str(problem).replace(f"{conf.parent}/", "") for problem in caught.value.problems]


def test_a_file_with_the_least_that_is_needed_gets_every_default(conf: Path) -> None:
    config = loaded(conf, MINIMAL)
    assert (config.domain, config.listen.port, config.limits.stanza_bytes) == ("chat.example", 8443, 262_144)
    assert config.auth.scram_iterations == 10_000
    assert config.storage.sqlite_path == "data/rainbow.db"


def test_every_problem_is_reported_at_once_with_its_line(conf: Path) -> None:
    problems = refused(
        conf,
        "\n".join(
            [
                'domain = "Not A Domain"',
                "[listen]",
                "prot = 1",
                'port = "8443"',
                "redirect_port = 99999",
                "[lisen]",
                "port = 1",
                "[auth]",
                'sealing_key = "k"',
                'mechanisms = ["SCRAM-SHA-257"]',
            ]
        ),
    )
    assert problems == [
        'rainbow.toml:1: domain is "Not A Domain";'
        ' give a host name in lower case, such as "chat.example.com"',
        'rainbow.toml:3: listen.prot is not a known key; did you mean "port"?',
        'rainbow.toml:4: listen.port is "8443"; give a whole number',
        "rainbow.toml:5: listen.redirect_port is 99999; 0 to 65535 are allowed",
        'rainbow.toml:6: lisen is not a known section; did you mean "listen"?',
        'rainbow.toml:10: auth.mechanisms has "SCRAM-SHA-257", which is not known;'
        ' did you mean "SCRAM-SHA-256"?',
    ]


def test_a_missing_domain_and_sealing_key_are_named(conf: Path) -> None:
    assert refused(conf, "[listen]\nport = 1\n") == ["rainbow.toml: domain is missing"]
    assert refused(conf, 'domain = "a.example"\n') == [
        "rainbow.toml: auth.sealing_key is not set;"
        ' name its file: sealing_key = { file = "dev/sealing.key" }',
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [('domain = "a"\nlisten = [\n', 2), ('a = 1\nb = "\nc = 3\n', 2), ("a = 1\n\na = 2\n", 3)],
)
def test_a_file_that_is_not_toml_is_reported_with_its_line(conf: Path, text: str, line: int) -> None:
    (problem,) = refused(conf, text)
    assert problem.startswith(f"rainbow.toml:{line}: is not TOML here: ")


def test_a_missing_file_says_how_to_name_another(conf: Path) -> None:
    with pytest.raises(ConfigProblems, match="there is no such file; name one with --config"):
        load(conf, {})


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("port = true", "listen.port is true; give a whole number"),
        ("port = 8443.0", "listen.port is 8443.0; give a whole number"),
        ("port = 0", "listen.port is 0; 1 to 65535 are allowed"),
        ("address = 1", "listen.address is 1; give text in quotes"),
        ('address = "here"', 'listen.address is "here"; give an IP address such as 127.0.0.1, 0.0.0.0 or ::'),
        ("redirect_port = 8443", "listen.redirect_port is 8443, which port already uses"),
        (
            'drain_to = "node 2"',
            'listen.drain_to is "node 2"; give a host and its port, such as "node2.example.com:443"',
        ),
        (
            'public_url = "https://a/b"',
            'listen.public_url has "https://a/b"; give scheme and host only, such as ',
        ),
    ],
)
def test_wrong_values_are_refused_in_plain_words(conf: Path, line: str, text: str) -> None:
    (problem,) = refused(conf, f"{MINIMAL}[listen]\n{line}\n")
    assert problem.startswith(f"rainbow.toml:5: {text}")


def test_an_sqlite_url_must_name_a_file(conf: Path) -> None:
    for url in ("sqlite+aiosqlite://data/rainbow.db", "sqlite+aiosqlite:///", "sqlite+aiosqlite:rainbow.db"):
        (problem,) = refused(conf, f'{MINIMAL}[storage]\nurl = "{url}"\n')
        assert problem.startswith("rainbow.toml:5: storage.url names no file; write sqlite+aiosqlite:///FILE")


def test_a_list_must_be_a_list_of_the_right_things(conf: Path) -> None:
    problems = refused(conf, f'{MINIMAL}[websocket]\norigins = "https://a"\n')
    assert problems == ['rainbow.toml:5: websocket.origins is "https://a"; give a list in square brackets']
    problems = refused(conf, f"{MINIMAL}[websocket]\norigins = [1]\n")
    assert problems == ["rainbow.toml:5: websocket.origins is 1; give text in quotes"]


def test_a_section_written_as_a_value_is_refused(conf: Path) -> None:
    assert refused(conf, f"listen = 3\n{MINIMAL}") == [
        "rainbow.toml:1: listen is a single value; write a table [listen]"
    ]


def test_an_enumeration_lists_its_choices(conf: Path) -> None:
    assert refused(conf, f'{MINIMAL}[log]\nlevel = "loud"\n') == [
        'rainbow.toml:5: log.level is "loud"; use one of: debug, info, warning, error'
    ]


def test_drop_ins_are_merged_in_name_order_and_keep_their_own_lines(conf: Path) -> None:
    drop_ins = conf.parent / "conf.d"
    drop_ins.mkdir()
    (drop_ins / "20-last.toml").write_text("[listen]\nport = 3\n")
    (drop_ins / "10-first.toml").write_text("[listen]\nport = 2\nredirect_port = 22\n")
    config = loaded(conf, f"{MINIMAL}[listen]\nport = 1\nstarttls_port = 11\n")
    assert (config.listen.port, config.listen.redirect_port, config.listen.starttls_port) == (3, 22, 11)
    (drop_ins / "20-last.toml").write_text("\n[listen]\nport = 0\n")
    assert refused(conf, MINIMAL) == ["conf.d/20-last.toml:3: listen.port is 0; 1 to 65535 are allowed"]


def test_the_environment_wins_over_files_and_is_typed(conf: Path) -> None:
    environ = {
        "RAINBOW_DOMAIN": "other.example",
        "RAINBOW_LISTEN__PORT": "9443",
        "RAINBOW_AUTH__PASSWORD__DIGIT": "false",
        "RAINBOW_AUTH__MECHANISMS": "PLAIN, SCRAM-SHA-256",
        "RAINBOW_WEBSOCKET__ORIGINS": '["https://a.example"]',
        "RAINBOW_LOG__FORMAT": "json",
        "RAINBOW_STORAGE__URL": '{ env = "DATABASE" }',
        "DATABASE": "postgresql+asyncpg://u:p@h/d",
    }
    config = loaded(conf, f"{MINIMAL}[listen]\nport = 1\n", environ)
    assert (config.domain, config.listen.port, config.auth.password.digit) == ("other.example", 9443, False)
    assert config.auth.mechanisms == ("PLAIN", "SCRAM-SHA-256")
    assert config.websocket.origins == ("https://a.example",)
    assert config.log.format == "json"
    assert config.storage.url == "postgresql+asyncpg://u:p@h/d"
    assert config.storage.sqlite_path is None


def test_a_variable_that_stands_for_nothing_is_a_problem_but_the_reserved_ones_are_not(conf: Path) -> None:
    environ = {
        "RAINBOW_LISTEN_PORT": "1",
        "RAINBOW_DEMO": "1",
        "RAINBOW_SCANNER": "python",
        "RAINBOW_CONFIG": "x",
    }
    assert refused(conf, MINIMAL, environ) == [
        "environment variable RAINBOW_LISTEN_PORT: stands for no key of the configuration;"
        ' did you mean "RAINBOW_LISTEN__PORT"?'
    ]


def test_a_wrong_value_from_the_environment_names_the_variable(conf: Path) -> None:
    assert refused(conf, MINIMAL, {"RAINBOW_LISTEN__PORT": "many"}) == [
        'environment variable RAINBOW_LISTEN__PORT: listen.port is "many"; give a whole number'
    ]


def test_references_are_followed(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "cred").write_text("from systemd")
    text = f'domain = "a"\n[auth]\nsealing_key = {{ file = "{tmp_path}/key" }}\n'
    text += 'old_sealing_keys = [{ env = "OLD" }, { credential = "cred" }]\n'
    config = loaded(conf, text, {"OLD": "from a variable", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.auth.sealing_key.reveal() == "from a file"
    assert [key.reveal() for key in config.auth.old_sealing_keys] == ["from a variable", "from systemd"]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ('{ file = "/no/such" }', "names the file /no/such, which cannot be read: No such file or directory"),
        ('{ env = "NOT_SET" }', "names the environment variable NOT_SET, which is not set"),
        ('{ credential = "c" }', 'names the credential "c", but systemd gave none'),
    ],
)
def test_a_reference_to_nothing_is_one_problem(conf: Path, reference: str, text: str) -> None:
    (problem,) = refused(conf, f'domain = "a"\n[auth]\nsealing_key = {reference}\n')
    assert problem.startswith(f"rainbow.toml:3: auth.sealing_key {text}")


def test_a_credential_cannot_leave_its_directory(conf: Path, tmp_path: Path) -> None:
    text = 'domain = "a"\n[auth]\nsealing_key = { credential = "../key" }\n'
    (problem,) = refused(conf, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert problem.endswith("a credential's name has no slash")


def test_a_later_reference_replaces_an_earlier_one(conf: Path) -> None:
    (conf.parent / "conf.d").mkdir()
    (conf.parent / "conf.d" / "a.toml").write_text('[auth]\nsealing_key = { env = "KEY" }\n')
    text = 'domain = "a"\n[auth]\nsealing_key = { file = "/no/such" }\n'
    assert loaded(conf, text, {"KEY": "later"}).auth.sealing_key.reveal() == "later"


def test_plugins_tables_are_kept_raw_with_their_lines(conf: Path) -> None:
    text = f'{MINIMAL}[plugins.nudge]\nenabled = false\nper_minute = 5\ntoken = {{ env = "T" }}\n'
    config = loaded(conf, text, {"T": "hidden", "RAINBOW_PLUGINS__NUDGE__COLOUR": "red"})
    table = config.plugins["nudge"]
    assert (table.enabled, table.values["per_minute"], table.values["colour"]) == (False, 5, "red")
    assert table.values["token"] == Secret("hidden")
    assert str(table.origins["per_minute"]) == f"{conf}:6"
    assert str(table.origins[""]) == f"{conf}:4"
    assert str(table.origins["colour"]) == "environment variable RAINBOW_PLUGINS__NUDGE__COLOUR"


def test_a_plugins_switch_must_be_true_or_false(conf: Path) -> None:
    assert refused(conf, f'{MINIMAL}[plugins.nudge]\nenabled = "yes"\n') == [
        "rainbow.toml:5: plugins.nudge.enabled must be true or false"
    ]
    assert refused(conf, f"{MINIMAL}[plugins]\nnudge = 1\n") == [
        "rainbow.toml:5: plugins.nudge is a single value; write a table [plugins.nudge]"
    ]


def test_a_draft_shows_which_file_a_secret_would_come_from_before_it_exists(conf: Path) -> None:
    key = conf.parent / "sealing.key"
    conf.write_text(f'domain = "a"\n[auth]\nsealing_key = {{ file = "{key}" }}\n')
    draft = read(conf, {})
    assert draft.file_named_by("auth.sealing_key") == key
    assert draft.text("tls.key", "none") == "none"
    with pytest.raises(ConfigProblems):
        draft.config()


def test_secrets_hide_from_repr_and_str(conf: Path) -> None:
    environ = {"RAINBOW_STORAGE__URL": "postgresql+asyncpg://user:hunter2@host/db"}
    config = loaded(conf, 'domain = "a"\n[auth]\nsealing_key = "hunter3"\n', environ)
    shown = f"{config!r} {config.auth.sealing_key} {config.auth.sealing_key!r}"
    assert "hunter" not in shown
    assert config.auth.sealing_key.reveal() == "hunter3"
    assert not Secret()


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("port = 443", "https://chat.example"),
        ("port = 8443", "https://chat.example:8443"),
        ('public_url = "https://front.example/"', "https://front.example"),
    ],
)
def test_the_public_address_follows_domain_and_port(conf: Path, listen: str, url: str) -> None:
    config = loaded(conf, f"{MINIMAL}[listen]\n{listen}\n")
    assert config.public_url == url
    assert config.websocket_url == url.replace("https", "wss") + "/xmpp-websocket"


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (
            "xn--fsqu00a.example",
            'is "xn--fsqu00a.example", which addresses write "\u4f8b\u5b50.example"; write it so here too',
        ),
        ("ab--cd.example", 'is "ab--cd.example", which addresses cannot have'),
    ],
)
def test_the_domain_is_written_as_addresses_write_it(conf: Path, domain: str, text: str) -> None:
    (problem,) = refused(conf, MINIMAL.replace("chat.example", domain))
    assert problem == f"rainbow.toml:1: domain {text}"


# What files can be like


def test_a_mark_in_front_and_line_ends_of_another_system_do_no_harm(conf: Path) -> None:
    conf.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode() + b"[listen]\r\nport = 0\r\n")
    with pytest.raises(ConfigProblems, match=r"rainbow\.toml:5: listen\.port is 0;"):
        load(conf, {})


def test_an_empty_file_lacks_what_has_no_default(conf: Path) -> None:
    assert refused(conf, "")[0] == "rainbow.toml: domain is missing"


def test_bytes_that_are_no_text_are_reported_with_their_line(conf: Path) -> None:
    conf.write_bytes(MINIMAL.encode() + b"# gr\xfcn\n")
    with pytest.raises(ConfigProblems, match=r"rainbow\.toml:4: is not UTF-8 text here$"):
        load(conf, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#" * 1_048_577, "has more than 1048576 bytes, which no configuration needs"),
        (f"a = {'[' * 20}{']' * 20}", "has more than 16 tables or lists inside each other"),
        (f"a = {'[' * 100_000}", "has more than 16 tables or lists inside each other"),
        (f"{'a.' * 5000}a = 1", "has more than 16 tables or lists inside each other"),
        (f"a = {'9' * 5000}", "is not TOML: Exceeds the limit"),
    ],
    ids=["huge", "lists", "many lists", "dotted", "a number of 5000 digits"],
)
def test_files_that_are_none_are_refused_as_a_whole(conf: Path, text: str, problem: str) -> None:
    (found,) = refused(conf, text)
    assert found.startswith(f"rainbow.toml: {problem}")


def test_a_long_file_is_read_in_linear_time(conf: Path) -> None:
    lines = "\n".join(f"key{number} = 1" for number in range(60_000))
    began = time.process_time()
    table = loaded(conf, f"{MINIMAL}[plugins.nudge]\n{lines}\n").plugins["nudge"]
    assert table.origins["key59999"].line == 60_004
    assert time.process_time() - began < 10


def test_all_files_and_variables_that_are_wrong_are_told_at_once(conf: Path) -> None:
    drop_ins = conf.parent / "conf.d"
    drop_ins.mkdir()
    (drop_ins / "10.toml").write_text("[listen\n")
    (drop_ins / "20.toml").write_bytes(b"\n\xff")
    (drop_ins / "30.toml").mkdir()
    (drop_ins / ".40.toml").symlink_to("an-editors-lock")
    (drop_ins / "50.toml~").write_text("not read")
    problems = refused(conf, "domain = \n", {"RAINBOW_LISTEN_PORT": "1"})
    assert [problem.partition(" is")[0] for problem in problems] == [
        "rainbow.toml:1:",
        "conf.d/10.toml:1:",
        "conf.d/20.toml:2:",
        "conf.d/30.toml: cannot be read: Is a directory",
        "environment variable RAINBOW_LISTEN_PORT: stands for no key of the configuration; "
        'did you mean "RAINBOW_LISTEN__PORT"?',
    ]


def test_a_conf_d_that_cannot_be_looked_into_is_not_passed_over(conf: Path) -> None:
    (conf.parent / "conf.d").write_text("")
    assert refused(conf, MINIMAL) == ["conf.d: cannot be read: Not a directory"]


def test_a_key_that_two_drop_ins_set_is_noticed_and_the_later_one_counts(conf: Path) -> None:
    drop_ins = conf.parent / "conf.d"
    drop_ins.mkdir()
    (drop_ins / "10.toml").write_text("[listen]\nport = 1\n[limits.xml]\ndepth = 9\n")
    (drop_ins / "20.toml").write_text("[limits.xml]\nelements = 99\n[listen]\nport = 2\n")
    conf.write_text(f"{MINIMAL}[listen]\nport = 3\n")
    draft = read(conf, {})
    assert draft.config().listen.port == 2
    assert [str(twice).replace(f"{conf.parent}/", "") for twice in draft.overridden] == [
        "conf.d/20.toml:4: listen.port is also set at conf.d/10.toml:2; this one counts"
    ]


def test_a_value_in_the_place_of_a_table_and_the_other_way_round(conf: Path) -> None:
    assert refused(conf, f"{MINIMAL}[listen.port]\n[[limits]]\n[plugins]\nping = 1\n") == [
        "rainbow.toml:4: listen.port is a table; give a whole number",
        "rainbow.toml:5: limits is a single value; write a table [limits]",
        "rainbow.toml:7: plugins.ping is a single value; write a table [plugins.ping]",
    ]


def test_what_could_steer_a_terminal_is_written_out(conf: Path) -> None:
    (problem,) = refused(conf, f'{MINIMAL}[listen]\n"x\\u001b[2J\\nfoo" = 1\n')
    assert problem == "rainbow.toml:5: listen.x\\x1b[2J\\nfoo is not a known key"


def test_values_are_shown_in_short(conf: Path) -> None:
    (problem,) = refused(conf, f'{MINIMAL}[listen]\nport = "{"1 " * 500}"\n')
    assert len(problem) < 200
    (problem,) = refused(conf, f"{MINIMAL}[listen]\nport = 0x{'f' * 9000}\n")
    assert problem == "rainbow.toml:5: listen.port is a number beyond all bounds; give a smaller one"


# Where secrets come from


def test_a_value_at_the_top_may_stand_elsewhere_too(conf: Path) -> None:
    text = 'domain = { env = "D" }\n[auth]\nsealing_key = "k"\n'
    assert loaded(conf, text, {"D": "a.example"}).domain == "a.example"


def test_a_relative_file_begins_where_the_server_is_started(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "key").write_text("here")
    monkeypatch.chdir(elsewhere)
    text = 'domain = "a"\n[auth]\nsealing_key = { file = "key" }\n'
    assert loaded(conf, text).auth.sealing_key.reveal() == "here"


def test_a_file_may_have_a_mark_in_front_and_a_line_end(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes("\ufeffgrün\r\n".encode())
    text = f'domain = "a"\n[auth]\nsealing_key = {{ file = "{tmp_path}/key" }}\n'
    assert loaded(conf, text).auth.sealing_key.reveal() == "grün"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ('{ file = "/dev/zero" }', "names the file /dev/zero, which has more than 65536 bytes"),
        ('{ file = "/" }', "names the file /, which cannot be read: Is a directory"),
        ('{ file = "a\\u0000b" }', "names the file a\\x00b, which is not UTF-8 text"),
        ('{ env = "BYTES" }', "names the environment variable BYTES, which is not UTF-8 text"),
        ('{ credential = ".." }', "which cannot be read: Is a directory"),
    ],
)
def test_what_is_no_secret_is_refused(conf: Path, tmp_path: Path, reference: str, text: str) -> None:
    environ = {"BYTES": "\udcff", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    (problem,) = refused(conf, f'domain = "a"\n[auth]\nsealing_key = {reference}\n', environ)
    assert text in problem


def test_bytes_in_a_variable_are_refused(conf: Path) -> None:
    assert refused(conf, MINIMAL, {"RAINBOW_DOMAIN": "\udcff"}) == [
        "environment variable RAINBOW_DOMAIN: is not UTF-8 text"
    ]


def test_a_text_from_elsewhere_is_not_shown_where_it_does_not_fit(conf: Path) -> None:
    text = f'{MINIMAL}[listen]\nport = {{ env = "S" }}\n[storage]\nurl = {{ env = "S" }}\n'
    problems = refused(conf, f'{text}[log]\nlevel = {{ env = "S" }}\n', {"S": "hunter2"})
    assert problems == [
        "rainbow.toml:5: listen.port is a text kept elsewhere; give a whole number",
        "rainbow.toml:7: storage.url is no URL; "
        "begin it with sqlite+aiosqlite:///FILE or postgresql+asyncpg://",
        "rainbow.toml:9: log.level is a text kept elsewhere; use one of: debug, info, warning, error",
    ]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"proxy_from": ("10.0.0.1/8",)}, 'has "10.0.0.1/8"; give an IP address, or a network'),
        ({"proxy_from": ("lb.example.com",)}, "give an IP address, or a network"),
        ({"proxy_from": ("::/0",)}, "which is everybody"),
        ({"plain_port": 8081}, "is open to nobody"),
        ({"plain_port": 8443, "proxy_from": ("10.0.0.0/8",)}, "which port already uses"),
        ({"plain_address": "0.0.0.0"}, "that only servers reach"),
        ({"plain_address": "203.0.113.9.example"}, "that only servers reach"),
        ({"plain_address": "8.8.8.8"}, "that only servers reach"),
    ],
)
def test_what_a_load_balancer_may_say_is_judged(given: dict[str, Any], complaint: str) -> None:
    assert any(complaint in text for _, text in Listen(**given).problems())


def test_a_port_without_tls_is_for_load_balancers_in_private_networks() -> None:
    listen = Listen(proxy_from=("10.0.0.0/8", "fd00::7"), plain_port=8081, plain_address="10.0.0.11")
    assert list(listen.problems()) == []


def test_a_stop_has_time_for_all_its_parts() -> None:
    assert list(Limits(drain_notice_s=1, drain_spread_s=3).problems()) == []
    assert [key for key, _ in Limits(drain_notice_s=1, drain_spread_s=4).problems()] == ["drain_timeout_s"]
