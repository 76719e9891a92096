"""Which languages there are, and choosing one; light enough for everybody (`words` has the catalogues)."""

from __future__ import annotations

from typing import Literal, get_args

Language = Literal["en", "zh", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
"""The first is what everybody gets whose language is not here."""
OWN_NAMES = {"en": "English", "zh": "中文", "fr": "Français"}
"""What the languages call themselves."""

MOST_WANTED = 20
"""So many wishes of an Accept-Language header are looked at."""


def N_(text: str) -> str:  # noqa: N802  # what tools that look for texts know
    """Mark a text that is translated later, where it is shown."""
    return text


def choose_language(wanted: str) -> str:
    """The language for an Accept-Language header (RFC 9110 §12.5.4) or an `xml:lang`; never fails."""
    wishes: list[tuple[float, str]] = []
    for part in wanted[:500].split(",")[:MOST_WANTED]:
        tag, _, parameters = part.partition(";")
        language = tag.strip().partition("-")[0].lower()
        if language in LANGUAGES:
            wishes.append((_quality(parameters), language))
    best = max(wishes, key=lambda wish: wish[0], default=(0.0, LANGUAGES[0]))
    return best[1] if best[0] > 0 else LANGUAGES[0]


def _quality(parameters: str) -> float:
    """The weight of a wish; 1 when it says none, 0 when it says nonsense."""
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
