"""How a decorator leaves a mark on a method, and where marks are found again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
MARKS = "_rainbow_marks"


def marked(mark: object) -> Callable[[F], F]:
    """Leave this mark on a method; a method may have several."""

    def decorate(function: F) -> F:
        setattr(function, MARKS, (*getattr(function, MARKS, ()), mark))
        return function

    return decorate
