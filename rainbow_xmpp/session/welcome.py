"""From a proven identity to a session: tasks, what was asked for inline, and the binding (XEP-0388 §2.6, XEP-0386)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from rainbow_xmpp.errors import SeeOther
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.session import inline
from rainbow_xmpp.session.entrance import Entered, Entrance, LoginLink, Redirected, Step, TakenBack
from rainbow_xmpp.session.inline import BindRequest, Enable, Newcomer, TakenOver
from rainbow_xmpp.session.tasks import SECOND_FACTORS, Ask, Done, Fail, Task
from rainbow_xmpp.stream import Send, ServerStream, TaskChosen, TaskData
from rainbow_xmpp.xml import Element

ENROL_FIRST = "Your company wants a second factor at login. Set one up on its web page first."


class Welcome:
    """What one SASL2 login does once its mechanism has succeeded. Each step returns what the stream says then."""

    __slots__ = (
        "_done",
        "_entrance",
        "_inline",
        "_is_current",
        "_link",
        "_newcomer",
        "_offered",
        "_redirect",
        "_results",
        "_stream",
        "_task",
    )

    def __init__(
        self,
        entrance: Entrance,
        stream: ServerStream,
        link: LoginLink,
        newcomer: Newcomer,
        asked: Sequence[Element],
        is_current: Callable[[], Awaitable[bool]],
        redirect: Callable[[], SeeOther | None],
    ) -> None:
        """`asked` is what was asked for inline; `is_current` whether the account may still log in as it did.

        `redirect` says where the newcomer should come in instead.
        """
        self._entrance = entrance
        self._stream = stream
        self._link = link
        self._newcomer = newcomer
        self._inline = asked
        self._is_current = is_current
        self._redirect = redirect
        self._done: list[str] = []
        self._offered: Sequence[Task] = ()
        self._task: Task | None = None
        self._results = b""

    async def go_on(self) -> Sequence[Step]:
        """Ask for the next task, or let the newcomer in when there is none."""
        account = self._newcomer.account
        self._offered = await self._entrance.tasks.remaining(self._newcomer, self._done)
        if self._offered:
            return self._stream.must_do([task.name for task in self._offered], self._offered[0].text)
        if account.must_enrol:  # whoever hears this knows the password
            return self._stream.refuse(
                FailureCondition.MECHANISM_TOO_WEAK, "no second factor yet", ENROL_FIRST
            )
        if account.second_factor and not SECOND_FACTORS.intersection(self._done):
            return self._later("nobody here asks for the second factor")
        return await self.let_in()

    async def let_in(self) -> Sequence[Step]:
        """Do what was asked for inline, and bind a resource if that was."""
        if not await self._is_current():
            return self._later("the account was changed meanwhile")
        if (other := self._redirect()) is not None:  # with nothing of what was asked for inline
            there = self._entrance.bare(self._newcomer.account)
            return [*self._stream.welcomed(there, self._results), Redirected(other)]
        granted = await self._entrance.inline.grant(self._newcomer, self._inline)
        if not await self._is_current():
            return self._later("the account was changed meanwhile")
        self._results += granted.results
        if granted.take_over is not None and not self._link.is_closing:
            taken = granted.take_over()
            if isinstance(taken, TakenOver):
                return self._taken_over(taken)
            self._results += taken
        request = BindRequest.among(self._inline)
        if request is None:
            return self._stream.welcomed(self._entrance.bare(self._newcomer.account), self._results)
        prepared = await self._entrance.inline.prepare(self._newcomer, request)
        if not await self._is_current():
            return self._later("the account was changed meanwhile")
        return self._bound(request, prepared)

    async def chosen(self, task: TaskChosen) -> Sequence[Step]:
        """The newcomer begins a task that was offered."""
        self._task = next(offered for offered in self._offered if offered.name == task.name)
        return await self._step(task.payload)

    async def told(self, data: TaskData) -> Sequence[Step]:
        """The newcomer goes on with it."""
        return await self._step(data.payload)

    async def _step(self, payload: Sequence[Element]) -> Sequence[Step]:
        assert self._task is not None, "the stream lets nobody go on without a task"
        match await self._task.step(payload):
            case Ask(payload=asked):
                return self._stream.task_data(asked)
            case Fail(condition, detail):
                return self._stream.refuse(condition, detail)
            case Done(results):
                self._results = results
                self._done.append(self._task.name)
        return await self.go_on()

    # Nothing waits from here on: what a session is sent comes behind what its stream says of the login.

    def _taken_over(self, taken: TakenOver) -> Sequence[Step]:
        session = taken.session
        self._entrance.hand_over(session, self._newcomer.account, self._link, self._stream.header.lang)
        said = self._stream.welcomed_back(session.full, self._results + taken.results)
        return [*said, TakenBack(session), *map(Send, taken.unread)]

    def _bound(self, request: BindRequest, prepared: Sequence[Enable]) -> Sequence[Step]:
        account, agent = self._newcomer.account, self._newcomer.agent
        if self._link.is_closing:
            return []
        if not self._entrance.has_room_for(self._entrance.bare(account), agent.id):
            return self._later("no room for another session", "Too many devices are connected.")
        resource = self._entrance.resources.tagged(request.tag, account.id, agent.id)
        session = self._entrance.new_session(account, resource, self._link, self._stream.header.lang, agent)
        results = self._results + inline.bound(session, prepared)
        return [*self._stream.welcomed(session.full, results, is_bound=True), Entered(session)]

    def _later(self, detail: str, text: str = "") -> Sequence[Step]:
        return self._stream.refuse(FailureCondition.TEMPORARY_AUTH_FAILURE, detail, text)
