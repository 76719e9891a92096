"""What an account may have to do beyond SASL before it is let in, such as a second factor (XEP-0388 §2.6.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.xml import Element

if TYPE_CHECKING:
    from rainbow_xmpp.session.inline import Newcomer

TOTP = "TOTP"
"""The task of XEP-0400."""
SECOND_FACTORS = frozenset((TOTP,))
"""Whoever must have a second factor is let in after one of these, and after nothing else."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Go on with the task: `<task-data/>` around this."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The task is fulfilled; these elements, if any, go into the answer that ends it."""

    results: bytes = b""


@dataclass(frozen=True, slots=True)
class Fail:
    """The task failed, and with it the login."""

    condition: FailureCondition = FailureCondition.NOT_AUTHORIZED
    detail: str = ""


TaskStep = Ask | Done | Fail


class Task(Protocol):
    """One thing to do, for one login; it keeps what it must know between two steps."""

    @property
    def name(self) -> str:
        """What `<task/>` calls it; at most 20 characters."""

    @property
    def text(self) -> str:
        """Why it has to be done, for the person who logs in."""

    async def step(self, payload: Sequence[Element]) -> TaskStep:
        """What the client sent: with `<next/>` first, with `<task-data/>` afterwards."""


class Tasks(Protocol):
    """Knows who has to do what."""

    async def remaining(self, newcomer: Newcomer, done: Sequence[str]) -> Sequence[Task]:
        """The client must do one of these next; () lets it in. `done` names what this login has fulfilled."""


class NoTasks:
    """Nobody has anything to do."""

    async def remaining(self, newcomer: Newcomer, done: Sequence[str]) -> Sequence[Task]:
        return ()


Remaining = Callable[["Newcomer", Sequence[str]], Awaitable[Sequence[Task]]]


class TaskRegistry:
    """What plugins make people do, by owner. One that fails lets nobody in: the error goes to whoever asks."""

    def __init__(self) -> None:
        self._asked: list[tuple[str, Remaining]] = []

    def add(self, owner: str, remaining: Remaining) -> Callable[[], None]:
        """Ask this at every login by SASL2; returns what undoes it."""
        entry = (owner, remaining)
        self._asked.append(entry)
        return lambda: self._asked.remove(entry)

    def owners(self) -> set[str]:
        return {owner for owner, _ in self._asked}

    async def remaining(self, newcomer: Newcomer, done: Sequence[str]) -> Sequence[Task]:
        """One plugin after the other: what the next one wants is asked once what this one wants is done."""
        for _, asked in list(self._asked):
            if tasks := await asked(newcomer, done):
                return tasks
        return ()
