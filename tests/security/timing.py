"""Telling two kinds of times apart, as an attacker would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def distance(taken: Mapping[str, Sequence[float]]) -> float:
    """The greatest Kolmogorov-Smirnov distance between two kinds."""
    names, most = list(taken), 0.0
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            points = sorted((*taken[one], *taken[other]))
            distances = (abs(_share(taken[one], point) - _share(taken[other], point)) for point in points)
            most = max(most, *distances)
    return most


def critical(tries: int) -> float:
    """The distance that 1 % of pairs of equal kinds exceed."""
    return 1.63 * (2 / tries) ** 0.5


def said(taken: Mapping[str, Sequence[float]]) -> str:
    """Medians and distance, in a line."""
    medians = {kind: f"{sorted(times)[len(times) // 2] * 1e3:.2f} ms" for kind, times in taken.items()}
    tries = min(len(times) for times in taken.values())
    return f"{medians} distance {distance(taken):.3f}, {critical(tries):.3f} at 1 %"


def _share(times: Sequence[float], point: float) -> float:
    return sum(each <= point for each in times) / len(times)
