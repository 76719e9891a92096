"""How a key is declared: its default, its words for the administrator, its bounds, and when a change takes effect.

All of it stands in the dataclass field's metadata, so that the loader, the reference page, the commented example
and the reload read the same declaration. Plugins declare their options the same way (`rainbow_xmpp.plugin.option`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import Field, field
from typing import Any, Literal, TypeVar, get_args

from rainbow_xmpp.config.problem import did_you_mean
from rainbow_xmpp.errors import LocalMisuse

T = TypeVar("T")
Complaints = Iterator[tuple[str, str]]
"""What a section has against its own values: keys, and what is wrong with each in an administrator's words."""
Reload = Literal["restart", "live"]
"""When a changed value takes effect: at the next start, or at the next reload (SIGHUP)."""


def key(
    default: T,
    doc: str,
    *,
    secret: bool = False,
    ge: float | None = None,
    le: float | None = None,
    choices: Iterable[str] = (),
    reload: Reload = "restart",
) -> T:
    """A key of a section: its default and what an administrator must know about it.

    `ge` and `le` bound a number, `choices` says which texts are allowed; of a tuple they judge each item.
    A secret's value is never shown.
    """
    metadata = {
        "doc": doc,
        "secret": secret,
        "ge": ge,
        "le": le,
        "choices": tuple(choices),
        "reload": reload,
    }
    made: Any = field(default=default, metadata=metadata, repr=not secret)
    _refuse_misuse(made, default)
    return made  # type: ignore[no-any-return]  # dataclasses replaces the field by the default


def bounds_problems(declared: "Field[Any]", value: object) -> Iterator[str]:
    """What is wrong with a value of the right type, by the bounds its key declares."""
    if isinstance(value, tuple):
        for item in value:
            yield from _item_problems(declared, item, "has")
    else:
        yield from _item_problems(declared, value, "is")


def bounds_text(declared: "Field[Any]") -> str:
    """The bounds in words, such as `8 to 64` or `1 or more`; empty when there are none."""
    least, most = declared.metadata.get("ge"), declared.metadata.get("le")
    if least is None and most is None:
        return ""
    if least is None or most is None:
        return f"{most} or less" if least is None else f"{least} or more"
    return f"{least} to {most}"


def _item_problems(declared: "Field[Any]", value: object, verb: str) -> Iterator[str]:
    choices = declared.metadata.get("choices")
    if isinstance(value, str):
        if choices and value not in choices:
            hint = did_you_mean(value, choices)
            yield f'{verb} "{value}", which is not known{hint or "; use one of: " + ", ".join(choices)}'
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        least, most = declared.metadata.get("ge"), declared.metadata.get("le")
        if not ((least is None or value >= least) and (most is None or value <= most)):
            verb_of_bounds = "is" if least is None or most is None else "are"
            yield f"{verb} {value}; {bounds_text(declared)} {verb_of_bounds} allowed"


def _refuse_misuse(made: "Field[Any]", default: object) -> None:
    """A declaration that contradicts itself is our own or a plugin author's mistake, found at load."""
    if made.metadata["reload"] not in get_args(Reload):
        raise LocalMisuse(f"reload is one of {', '.join(get_args(Reload))}, not {made.metadata['reload']!r}")
    for problem in bounds_problems(made, default):
        raise LocalMisuse(f"a key's own default {problem}")
