"""A running command: its method waits in a task of its own while somebody fills in a form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from rainbow_xmpp.plugin import Blank, CommandAnswer, Context, Dialog, Form

F = TypeVar("F", bound=Form)

Method = Callable[[Context, Dialog], Awaitable[CommandAnswer]]


class Question(NamedTuple):
    """The command asks this, and waits."""

    blank: Blank[Any]
    has_more: bool
    note: str
    is_first: bool


class Finished(NamedTuple):
    """The command is done."""

    answer: CommandAnswer


Step = Question | Finished


class Conversation(Dialog):
    """One run of a command. Each of `begin`, `hear` and `go_back` goes on until it asks again or is done."""

    def __init__(self, method: Method, ctx: Context) -> None:
        self._method = method
        self._ctx = ctx
        self._answers: list[Form] = []
        self._told = 0
        """So many of the answers the method has had, since it was begun the last time."""
        self._draft: Form | None = None
        """What was answered to the form that is shown again."""
        self._question: asyncio.Future[Question] | None = None
        self._answer: asyncio.Future[Form] | None = None
        self._task: asyncio.Task[CommandAnswer] | None = None

    @property
    def is_first(self) -> bool:
        """There is no earlier form to go back to."""
        return not self._answers

    async def begin(self) -> Step:
        """Raises what the command raises, as the others do."""
        self.end()
        self._told = 0
        self._task = asyncio.create_task(self._run(), name="ad-hoc command")
        return await self._next()

    async def hear(self, answer: Form) -> Step:
        """The answer to what was asked last."""
        assert self._answer is not None, "nothing was asked"
        self._answers.append(answer)
        self._told += 1
        self._answer.set_result(answer)
        return await self._next()

    async def go_back(self) -> Step:
        """The form before the one that is shown, with what was answered to it (XEP-0050 §3.4, "prev")."""
        self._draft = self._answers.pop()
        return await self.begin()

    def end(self) -> None:
        """Nobody will answer any more."""
        if self._task is not None:
            self._task.cancel()

    async def ask(self, form: type[F] | Blank[F], *, more: bool = False, note: str = "") -> F:
        blank = form if isinstance(form, Blank) else form.blank()
        if self._told < len(self._answers):
            known = self._answers[self._told]
            if isinstance(known, blank.form):
                self._told += 1
                return known
            del self._answers[self._told :]  # this time it asks something else
        if isinstance(self._draft, blank.form):
            blank = blank.filled(self._draft)
        self._draft = None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answer = answer
        assert self._question is not None, "a command asks only while it runs"
        self._question.set_result(Question(blank, more, note, self.is_first))
        answered: F = await answer
        return answered

    async def _run(self) -> CommandAnswer:
        return await self._method(self._ctx, self)

    async def _next(self) -> Step:
        assert self._task is not None, "it was begun"
        self._question = question = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((self._task, question), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # it took too long
            self.end()
            raise
        return question.result() if question.done() else Finished(self._task.result())
