"""Reads one TOML file: its tables, and on which line each key stands. What is wrong with it is said with its line."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from rainbow_xmpp.config.locate import Path as KeyPath
from rainbow_xmpp.config.locate import key_lines
from rainbow_xmpp.config.problem import Origin, Problem

MOST_BYTES = 1_048_576
MOST_LEVELS = 16
"""Of tables and lists inside each other; a schema needs four."""


class Unreadable(Exception):
    """A file cannot be used at all; `problem` says why."""

    def __init__(self, file: Path, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.problem = Problem(Origin(str(file), line), "", text)


def read_toml(file: Path) -> tuple[Mapping[str, object], Mapping[KeyPath, int]]:
    """The file's tables and the lines of its keys. Raises Unreadable."""
    text = _text_of(file)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, text, str(error)) from None
    except RecursionError:
        raise _too_deep(file) from None
    except ValueError as error:  # a number of thousands of digits
        raise Unreadable(file, f"is not TOML: {error}") from None
    if _levels(values) > MOST_LEVELS:
        raise _too_deep(file)
    return values, key_lines(text)


def regions_file(main: Path) -> list[Path]:
    """`regions.toml` beside the main file, when there is one: the same on every server of every region."""
    file = main.parent / "regions.toml"
    return [file] if file.exists() and file != main else []


def drop_ins(main: Path) -> list[Path]:
    """`conf.d/*.toml` beside the main file, in the order of their names. Raises Unreadable."""
    folder = main.parent / "conf.d"
    try:
        names = [file.name for file in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:  # what stands in there would be left out silently
        raise Unreadable(folder, f"cannot be read: {error.strerror}") from None
    return [folder / name for name in sorted(names) if name.endswith(".toml") and not name.startswith(".")]


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable(file, "there is no such file; name one with --config") from None
    except OSError as error:
        raise Unreadable(file, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unreadable(file, "there can be no file of that name") from None
    if len(data) > MOST_BYTES:
        raise Unreadable(file, f"has more than {MOST_BYTES} bytes, which no configuration needs")
    try:
        return data.decode("utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(file, "is not UTF-8 text here", line) from None


def _not_toml(file: Path, text: str, complaint: str) -> Unreadable:
    """`tomllib` puts the position at the end of its message, in brackets."""
    what, _, where = complaint.rpartition(" (")
    line = re.search(r"line (\d+)", where)
    at = int(line.group(1)) if line else text.rstrip().count("\n") + 1
    return Unreadable(file, f"is not TOML here: {what}", at)


def _too_deep(file: Path) -> Unreadable:
    return Unreadable(file, f"has more than {MOST_LEVELS} tables or lists inside each other")


def _levels(values: object) -> int:
    """How many tables and lists stand inside each other, found without recursion."""
    deepest, todo = 0, [(values, 1)]
    while todo:
        value, level = todo.pop()
        if isinstance(value, (dict, list)):
            deepest = max(deepest, level)
            todo += ((inner, level + 1) for inner in (value.values() if isinstance(value, dict) else value))
    return deepest
