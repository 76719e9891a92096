"""Random secrets that people copy by hand: app passwords, recovery codes."""

import secrets

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 characters that nobody takes for each other: five bits each."""
_GROUPS = 6
_GROUP_CHARS = 4


def new_readable_secret() -> str:
    """120 random bits in groups: `k7f2-…`."""
    drawn = [secrets.choice(_ALPHABET) for _ in range(_GROUPS * _GROUP_CHARS)]
    return "-".join("".join(drawn[at : at + _GROUP_CHARS]) for at in range(0, len(drawn), _GROUP_CHARS))


def as_typed(text: str) -> str:
    """Without what people put between groups, and in one case, so that every way of typing it is the same."""
    return "".join(text.split()).replace("-", "").lower()


def is_readable_secret(typed: str) -> bool:
    """Whether what `as_typed` returned may be one."""
    return len(typed) == _GROUPS * _GROUP_CHARS and set(typed) <= set(_ALPHABET)
