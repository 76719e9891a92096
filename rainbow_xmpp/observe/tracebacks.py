"""Tracebacks for the log: where and what kind, without the values that an exception's words may repeat.

`ValueError: invalid literal for int() with base 10: 'my password'`, a database's `Key (address)=(alice@…) already
exists`: whoever raises such does not know who will read it. So words are shown of exceptions that speak of code
(an attribute, an argument), of those that this server raises itself, and of the operating system's.
"""

import traceback
from collections.abc import Iterator

from rainbow_xmpp.errors import PeerViolation, RainbowError, StanzaError

_SPEAK_OF_CODE = (
    AttributeError,
    TypeError,
    NameError,
    ImportError,
    AssertionError,
    RuntimeError,
)


def traceback_lines(error: BaseException) -> Iterator[str]:
    """The traceback, causes first, line by line."""
    yield from _lines(error, set())


def words_of(error: BaseException) -> str:
    """The exception in one line: its name, and its words where they are harmless."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    words = _harmless(error)
    return f"{name}: {words}" if words else name


def _harmless(error: BaseException) -> str:
    if isinstance(error, StanzaError | PeerViolation):
        return error.condition.value
    if isinstance(error, (RainbowError, *_SPEAK_OF_CODE)):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"[Errno {error.errno}] {error.strerror}"
    return ""


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield "which led to:" if error.__cause__ else "while that was handled:"
    yield "Traceback (most recent call last):"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        if frame.line:
            yield f"    {frame.line}"
    yield words_of(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if id(inner) not in seen:
                yield from _lines(inner, seen)
