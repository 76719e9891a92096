"""What is wrong in a configuration, and where: the words an administrator reads."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from rainbow_xmpp.errors import RainbowError

_LONGEST_WORD = 100


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: a file and its line (from 1), or a variable of the environment (line 0)."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to be corrected; `key` is dotted (`listen.port`) and empty when the whole file is meant."""

    origin: Origin
    key: str
    text: str

    def __str__(self) -> str:
        return printable(
            f"{self.origin}: {self.key} {self.text}" if self.key else f"{self.origin}: {self.text}"
        )


class ConfigProblems(RainbowError):
    """The configuration cannot be used; `problems` holds everything found, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as `; did you mean "port"?`, or nothing when no known word is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def printable(text: str) -> str:
    """The text in one line, with all else escaped that could begin a line or steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
