"""The log: its two forms, and what cannot get into it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from rainbow_xmpp.config.secret import Secret
from rainbow_xmpp.observe.log import set_up_log


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Logging is the process's: put back what pytest has set up."""
    root, ours = logging.getLogger(), logging.getLogger("rainbow_xmpp")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], level, ours_level = before
    root.setLevel(level)
    ours.setLevel(ours_level)
    logging.captureWarnings(False)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


log = logging.getLogger("rainbow_xmpp.session.table")


def test_a_line_for_people_has_time_level_text_details_and_origin(stream: io.StringIO) -> None:
    set_up_log("info", "human", stream)
    log.info("session %s", "bound", extra={"session": "5f3a", "count": 2})
    time, _, rest = stream.getvalue().partition(" ")
    assert rest == "INFO    session bound session=5f3a count=2 (rainbow_xmpp.session.table)\n"
    assert time.endswith("Z")
    assert "T" in time


def test_a_line_for_machines_is_one_json_object(stream: io.StringIO) -> None:
    set_up_log("info", "json", stream)
    log.warning("naïve\nline", extra={"session": "5f3a", "level": "forged", "items": [1]})
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    time = event.pop("time")
    assert time.endswith("Z")
    assert event == {
        "level": "warning",
        "logger": "rainbow_xmpp.session.table",
        "message": "naïve\nline",
        "session": "5f3a",
        "items": "[1]",
    }


@pytest.mark.parametrize("format", ["human", "json"])
def test_a_traceback_goes_with_its_event(stream: io.StringIO, format: str) -> None:
    set_up_log("info", format, stream)
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        log.exception("a connection failed")
    text = stream.getvalue()
    assert "RuntimeError: on purpose" in text
    assert text.count("a connection failed") == 1
    if format == "human":
        first, *others = text.splitlines()
        assert first.endswith("(rainbow_xmpp.session.table)")
        assert all(line.startswith("    ") for line in others)
    else:
        assert "RuntimeError: on purpose" in json.loads(text)["exception"]


@pytest.mark.parametrize("format", ["human", "json"])
def test_what_a_peer_says_cannot_forge_a_line_or_steer_a_terminal(stream: io.StringIO, format: str) -> None:
    set_up_log("info", format, stream)
    hostile = "x\r\n2026-01-01T00:00:00Z ERROR forged\x1b[2J\u2028\u202e"
    log.info("closed: %s", hostile, extra={"detail": hostile})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert not {"\r", "\x1b"} & set(text)


@pytest.mark.parametrize("format", ["human", "json"])
def test_a_secret_hides_itself(stream: io.StringIO, format: str) -> None:
    set_up_log("info", format, stream)
    log.info("key %s", Secret("hunter2"), extra={"key": Secret("hunter2")})
    assert "hunter2" not in stream.getvalue()
    assert "Secret(…)" in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", ["debug", "info", "warning"]), ("info", ["info", "warning"]), ("warning", ["warning"])],
)
def test_the_level_is_ours(stream: io.StringIO, level: str, heard: list[str]) -> None:
    set_up_log(level, "json", stream)
    for name in ("debug", "info", "warning"):
        log.log(getattr(logging, name.upper()), name)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == heard


def test_libraries_are_heard_from_warnings_on_even_at_level_debug(stream: io.StringIO) -> None:
    set_up_log("debug", "json", stream)
    for name in ("aiosqlite", "sqlalchemy.engine", "asyncio", "aiohttp.server"):
        logging.getLogger(name).debug("every byte that was read")
        logging.getLogger(name).info("New connection accepted: 192.0.2.1")
    logging.getLogger("asyncio").warning("slow callback")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["slow callback"]


def test_what_strangers_do_wrong_fills_no_log_but_our_own_faults_stay(stream: io.StringIO) -> None:
    set_up_log("info", "json", stream)
    for name in ("aiofastnet", "aiofastnet.ssl"):
        logging.getLogger(name).error("WS parser error")
        try:
            raise RuntimeError("ours")
        except RuntimeError:
            logging.getLogger(name).exception("unhandled")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["message"] for event in events] == ["unhandled", "unhandled"]


def test_setting_up_again_replaces_what_was(stream: io.StringIO) -> None:
    set_up_log("debug", "human", io.StringIO())
    set_up_log("info", "json", stream)
    log.info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize(("level", "format"), [("info", "xml"), ("loud", "human")])
def test_unknown_words_are_refused(level: str, format: str) -> None:
    with pytest.raises(ValueError, match=r"xml|LOUD"):
        set_up_log(level, format, io.StringIO())
