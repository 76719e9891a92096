"""The stages of the pipeline as typed hook points.

Every stanza goes through them in this order. What a handler is called with, what it may answer and what its failure
means belongs to the stage; a handler of the wrong shape is refused when its plugin is loaded.

    admit → resolve → gate → rewrite → record → place → deliver → observe

`resolve` is the core's own and has no handlers yet; the rest is open.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.router.kept import Kept
from rainbow_xmpp.router.passage import Outcome, Passage

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)


class Unheard(StanzaError):
    """A gate's refusal of presence that gets no answer, not even the one that absence gives to probes."""

    def __init__(self) -> None:
        super().__init__(Condition.SERVICE_UNAVAILABLE)


class Stage(Enum):
    """One question asked of every stanza (see each member's handler type below)."""

    ADMIT = "admit"
    GATE = "gate"
    REWRITE = "rewrite"
    RECORD = "record"
    PLACE = "place"
    DELIVER = "deliver"
    OBSERVE = "observe"


Lacking = Awaitable[object] | None
"""What an `admit` or `gate` handler answers that has to look something up first: it fetches what is lacking into
memory, and then all handlers of the stage are asked again. None, as a rule: everything was at hand."""
Admit = Callable[[Passage], Lacking]
"""May this stanza come in at all? Raise StanzaError to refuse. Any other exception refuses too."""
Gate = Callable[[Passage], Lacking]
"""May these two speak? Raise StanzaError to refuse; the sender is told that nobody has this address, whatever
the error says (and nothing at all by `Unheard`). Any other exception refuses as well: gates fail closed."""
Rewrite = Callable[[Passage], Passage]
"""Return the passage, or a new one with other `data`. An exception skips this handler and is logged."""
Record = Callable[[Passage], Awaitable[Kept | None] | Kept | None]
"""Keep what must be kept. `Kept` says that the message is on its way to the disk and goes on from there: nobody waits
in a task. One recorder may say so of a message. An awaitable is awaited before the next stanza of the same sender is
handled; it may say `Kept` in the end."""
Place = Callable[[Passage], Awaitable[bool] | bool]
"""The recipient has an account but no session that takes this message: True when it is taken care of."""
Deliver = Callable[[Passage, Outcome], None]
"""A message was delivered or stored: hand copies to others. An exception costs the copies of this handler."""
Observe = Callable[[Passage, Outcome], None]
"""Count and trace. An exception is counted and forgotten."""

FAILURE = {
    Stage.ADMIT: "the stanza is refused: internal-server-error",
    Stage.GATE: "the stanza is refused, as if nobody had that address: gates fail closed",
    Stage.REWRITE: "this plugin is skipped",
    Stage.RECORD: "the stanza is not delivered, unless this plugin's record need not be kept",
    Stage.PLACE: "the message is not kept: internal-server-error",
    Stage.DELIVER: "the message has been delivered; this plugin's copies of it are missing",
    Stage.OBSERVE: "nothing changes for the stanza",
}
"""What a handler's exception means that is no StanzaError; each of them is logged. In words for administrators."""

_ARGUMENTS = {
    Stage.ADMIT: ("passage",),
    Stage.GATE: ("passage",),
    Stage.REWRITE: ("passage",),
    Stage.RECORD: ("passage",),
    Stage.PLACE: ("passage",),
    Stage.DELIVER: ("passage", "outcome"),
    Stage.OBSERVE: ("passage", "outcome"),
}

PLAIN_CALLS = frozenset((Stage.ADMIT, Stage.GATE, Stage.REWRITE, Stage.DELIVER, Stage.OBSERVE))
"""Stages on every stanza's path: their handlers are plain calls, whatever may wait behind `Lacking`."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A handler in a stage. `owner` is the plugin; `before` and `after` name other plugins in the same stage."""

    stage: Stage
    handler: Callable[..., Any]
    owner: str
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    is_needed: bool = True
    """Of `record`: what cannot be kept is not delivered either."""


def check_signature(stage: Stage, handler: Callable[..., Any], owner: str) -> None:
    """Raise LocalMisuse with the expected signature when a handler does not fit its stage."""
    wanted = _ARGUMENTS[stage]
    is_async = inspect.iscoroutinefunction(handler)
    try:
        inspect.signature(handler).bind(*wanted)
        fits = True
    except TypeError:
        fits = False
    if fits and not (is_async and stage in PLAIN_CALLS):
        return
    kind = "def" if stage in PLAIN_CALLS else "def or async def"
    raise LocalMisuse(
        f"plugin {owner}: {getattr(handler, '__qualname__', handler)} does not fit the stage {stage.value!r}; "
        f"expected: {kind} handler({', '.join(('self', *wanted))})"
    )


def bound_to_company(hook: Hook, serves: Callable[[Account], bool]) -> Hook:
    """The same handler, asked only about people it serves.

    Who must be among them: of `admit` the sender, of `place` the recipient, of all other stages one of the two.
    """
    handler, otherwise = hook.handler, _UNASKED.get(hook.stage, _nothing)

    def concerns(p: Passage) -> bool:
        by_sender = hook.stage is not Stage.PLACE and serves(p.sender)
        if by_sender or hook.stage is Stage.ADMIT or p.recipient is None:
            return by_sender
        return serves(p.recipient)

    def asked(p: Passage, *rest: Any) -> Any:
        return handler(p, *rest) if concerns(p) else otherwise(p)

    return replace(hook, handler=asked)


def _nothing(p: Passage) -> None:
    return None


_UNASKED: Mapping[Stage, Callable[[Passage], Any]] = {
    Stage.REWRITE: lambda p: p,
    Stage.PLACE: lambda p: False,
}
"""What a handler that is not asked would have answered."""


def expendable(hook: Hook) -> Record:
    """A recorder whose failure is logged and forgotten."""

    def record(p: Passage) -> Awaitable[Kept | None] | Kept | None:
        try:
            pending: Awaitable[Kept | None] | Kept | None = hook.handler(p)
        except Exception:
            log.exception("a stanza could not be recorded", extra={"plugin": hook.owner})
            return None
        return pending if pending is None or isinstance(pending, Kept) else later(pending)

    async def later(pending: Awaitable[Kept | None]) -> Kept | None:
        try:
            return await pending
        except Exception:
            log.exception("a stanza could not be recorded", extra={"plugin": hook.owner})
            return None

    return record


def in_order(hooks: Iterable[Hook]) -> list[Hook]:
    """Hooks of one stage in their order: by name, then as `before` and `after` say; LocalMisuse on a circle."""
    waiting = sorted(hooks, key=lambda hook: hook.owner)
    owners = {hook.owner for hook in waiting}
    behind: dict[str, set[str]] = {owner: set() for owner in owners}
    for hook in waiting:
        behind[hook.owner] |= hook.after & owners
        for other in hook.before & owners:
            behind[other].add(hook.owner)
    ordered: list[Hook] = []
    done: set[str] = set()
    while waiting:
        ready = [hook for hook in waiting if behind[hook.owner] <= done | {hook.owner}]
        if not ready:
            circle = ", ".join(sorted({hook.owner for hook in waiting}))
            raise LocalMisuse(f"before= and after= of these plugins contradict each other: {circle}")
        first = ready[0].owner
        ordered += [hook for hook in waiting if hook.owner == first]
        waiting = [hook for hook in waiting if hook.owner != first]
        done.add(first)
    return ordered
