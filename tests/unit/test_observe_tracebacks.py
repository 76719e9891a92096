"""Tracebacks for the log: the place and the kind are told, values are not."""

import io
import logging

import pytest
import sqlalchemy as sa

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.observe.log import HumanFormatter, JsonFormatter
from rainbow_xmpp.observe.tracebacks import traceback_lines, words_of

SECRET = "canary-4711"


def caught(work: object) -> BaseException:
    try:
        work()  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def parse_a_number() -> None:
    int(SECRET)


def look_up() -> None:
    {}[SECRET]  # type: ignore[index]


def decode() -> None:
    (SECRET.encode() + b"\xff").decode()


def break_a_rule_of_the_database() -> None:
    engine = sa.create_engine("sqlite://", hide_parameters=True)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT missing FROM nowhere WHERE x = :x"), {"x": SECRET})


def fail_while_failing() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def fail_together() -> None:
    raise BaseExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])


def refuse() -> None:
    raise StanzaError(Condition.NOT_ALLOWED, SECRET, detail=SECRET)


@pytest.mark.parametrize(
    "work",
    [
        parse_a_number,
        look_up,
        decode,
        break_a_rule_of_the_database,
        fail_while_failing,
        fail_together,
        refuse,
    ],
)
@pytest.mark.parametrize("formatter", [HumanFormatter(), JsonFormatter()], ids=["human", "json"])
def test_no_value_gets_into_the_log(work: object, formatter: logging.Formatter) -> None:
    error = caught(work)
    record = logging.LogRecord(
        "x", logging.ERROR, __file__, 1, "it failed", None, (type(error), error, error.__traceback__)
    )
    text = formatter.format(record)
    assert SECRET not in text
    assert "Traceback (most recent call last):" in text
    assert getattr(work, "__name__", "") in text


def test_causes_come_first() -> None:
    lines = list(traceback_lines(caught(fail_while_failing)))
    assert lines.index("ValueError") < lines.index("which led to:") < lines.index("KeyError")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AttributeError("no attribute 'x'"), "AttributeError: no attribute 'x'"),
        (FileNotFoundError(2, "No such file", "/home/alice"), "FileNotFoundError: [Errno 2] No such file"),
        (LocalMisuse("called wrongly"), "rainbow_xmpp.errors.LocalMisuse: called wrongly"),
        (ValueError("alice@acme.example"), "ValueError"),
        (TimeoutError(), "TimeoutError"),
    ],
)  # fmt: skip
def test_words_are_shown_where_they_speak_of_code_or_are_our_own(error: Exception, words: str) -> None:
    assert words_of(error) == words


def test_an_error_that_is_its_own_context_ends() -> None:
    error = ValueError()
    error.__context__ = error
    assert list(traceback_lines(error))[-1] == "ValueError"


def test_a_file_name_in_a_line_of_code_cannot_break_the_log() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(HumanFormatter())
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "a\nb", None, None)
    handler.emit(record)
    assert stream.getvalue().count("\n") == 1
