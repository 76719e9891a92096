"""A clock that moves only when the test says so."""

START = 1_700_000_000.0
"""Where clocks begin (Unix time in seconds): 2023-11-14T22:13:20Z."""


class Clock:
    """Call it for the time: Unix time in seconds."""

    def __init__(self, now: float = START) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self._now += seconds
