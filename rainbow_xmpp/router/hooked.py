"""What plugins have put into each stage of the pipeline, in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rainbow_xmpp.router.stages import (
    Admit,
    Deliver,
    Gate,
    Hook,
    Observe,
    Place,
    Record,
    Rewrite,
    Stage,
    expendable,
    in_order,
)


class Hooked:
    """The handlers of every stage, ready to be called."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._admit: tuple[Admit, ...] = ()
        self._gates: tuple[Gate, ...] = ()
        self._rewriters: tuple[Rewrite, ...] = ()
        self._recorders: tuple[Record, ...] = ()
        self._placers: tuple[Place, ...] = ()
        self._deliverers: tuple[Deliver, ...] = ()
        self._observers: tuple[Observe, ...] = ()

    def add_hook(self, hook: Hook) -> Callable[[], None]:
        """Ask this handler too; returns what takes it out again."""
        self._set_hooks([*self._hooks, hook])
        return lambda: self._set_hooks([kept for kept in self._hooks if kept is not hook])

    def owners(self) -> set[str]:
        """The plugins that have a handler in any stage."""
        return {hook.owner for hook in self._hooks}

    def _set_hooks(self, hooks: list[Hook]) -> None:
        self._hooks = hooks
        self._admit = self._of(Stage.ADMIT)
        self._gates = self._of(Stage.GATE)
        self._rewriters = self._of(Stage.REWRITE)
        self._recorders = self._of(Stage.RECORD)
        self._placers = self._of(Stage.PLACE)
        self._deliverers = self._of(Stage.DELIVER)
        self._observers = self._of(Stage.OBSERVE)

    def stages(self) -> dict[Stage, list[str]]:
        """The plugins in each stage, in the order in which they are asked."""
        return {s: [h.owner for h in in_order(h for h in self._hooks if h.stage is s)] for s in Stage}

    def _blame(self, handler: Callable[..., Any]) -> dict[str, str]:
        """Whose handler it is, for the log."""
        return {"plugin": next((hook.owner for hook in self._hooks if hook.handler == handler), "")}

    def _of(self, stage: Stage) -> tuple[Any, ...]:
        return tuple(
            hook.handler if hook.is_needed else expendable(hook)
            for hook in in_order(h for h in self._hooks if h.stage is stage)
        )
