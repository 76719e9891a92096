"""How long to wait before something that failed is tried again."""

import random
from collections.abc import Callable

GROWTH = 3
MOST_TURNS = 10
"""Beyond so many attempts the wait grows no more, whatever the longest is."""


def wait_s(
    attempts: int, *, first_s: int, longest_s: int, chance: Callable[[], float] = random.random
) -> int:
    """Three times longer after each attempt, and never the same for two: between half and all of it, in seconds."""
    most: int = min(longest_s, first_s * GROWTH ** min(attempts, MOST_TURNS))
    return max(1, round(most * (0.5 + chance() / 2)))
