"""What can be wrong with a play: how it is written, or how the server plays along."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a play."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class PlayError(Exception):
    """The play cannot be read or performed as it is written."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class PlayFailed(AssertionError):
    """The server did something else than the play says."""

    def __init__(self, place: Place, what: str, details: str = "") -> None:
        super().__init__(f"{place}: {what}" + (f"\n{details}" if details else ""))
        self.place = place
        self.what = what
