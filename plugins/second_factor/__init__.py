"""A code after the password: authenticator apps (RFC 6238), recovery codes, and app passwords for clients without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.plugin import (
    Account,
    Asker,
    Changed,
    Enrolment,
    FactorStatus,
    Mark,
    Newcomer,
    Plugin,
    SecondFactor,
    Services,
    Session,
    SessionStarted,
    marks_of,
    on,
    with_tasks,
)
from rainbow_xmpp.plugins.second_factor.desk import FactorDesk
from rainbow_xmpp.plugins.second_factor.endpoints import LoginEndpoints, MyFactorEndpoints
from rainbow_xmpp.plugins.second_factor.notices import AUDIT
from rainbow_xmpp.plugins.second_factor.options import FactorOptions
from rainbow_xmpp.plugins.second_factor.task import CodeTask
from rainbow_xmpp.session.tasks import SECOND_FACTORS, Task

_ENDED = PeerViolation(StreamCondition.RESET, "the app password was ended")


class SecondFactorAtLogin(
    Plugin,
    SecondFactor,
    name="second_factor",
    for_all=True,
    implements={
        "RFC 6238": "2011, SHA-1 and six digits",
        "XEP-0400": "0.1.0, the task TOTP; a factor is made elsewhere than in XMPP",
    },
    audit={what.value: text for what, text in AUDIT.items()},
):
    """Asks for a code within SASL2 logins; the API and pages ask for it by the interface `SecondFactor`."""

    Options = FactorOptions
    options: FactorOptions

    def __init__(self, services: Services, options: FactorOptions) -> None:
        super().__init__(services, options)
        self.desk = FactorDesk(services, lambda: self.options)
        logins = services.token_logins
        self._parts: list[object] = []
        if logins is not None:
            self._parts += [LoginEndpoints(self.desk, logins), MyFactorEndpoints(self.desk, logins)]

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints."""
        yield from super().marks()
        for part in self._parts:
            yield from marks_of(part)

    async def start(self) -> None:
        await self.desk.use_current_key()

    @with_tasks()
    async def remaining(self, newcomer: Newcomer, done: Sequence[str]) -> Sequence[Task]:
        """A code, once, from whoever has a factor."""
        account, asker = newcomer.account, Asker(newcomer.source)
        if not account.second_factor or SECOND_FACTORS.intersection(done):
            return ()
        return (CodeTask(lambda code: self.desk.check(account, code, asker=asker)),)

    @on(SessionStarted)
    def started(self, event: SessionStarted) -> None:
        """Its owner sees when an app password was used; one that was dropped meanwhile lets nobody in."""
        if event.session.app_password:
            self.services.spawn(self._used(event.session))

    async def _used(self, session: Session) -> None:
        await self._end_without_password([session])
        await self.desk.app_used(session.account, session.app_password)

    @on(Changed)
    async def changed(self, event: Changed) -> None:
        """Sessions end with the app password that let them in, here and on every other server."""
        account_id = event.change.account_id
        if account_id is not None:
            sessions = self.services.sessions.of_account(account_id)
            await self._end_without_password([session for session in sessions if session.app_password])

    async def _end_without_password(self, sessions: Sequence[Session]) -> None:
        """Of one account, those whose app password is none any more."""
        if sessions:
            good = await self.services.app_passwords.ids(sessions[0].account)
            for session in sessions:
                if session.app_password not in good:
                    session.wire.fail(_ENDED)

    # -- for other plugins (`SecondFactor`) ------------------------------------------------------------

    async def status(self, account: Account) -> FactorStatus:
        return await self.desk.status(account)

    async def begin(self, account: Account, code: str = "", *, asker: Asker) -> Enrolment:
        return await self.desk.begin(account, code, asker=asker)

    async def confirm(self, account: Account, code: str, *, asker: Asker) -> tuple[str, ...]:
        return await self.desk.confirm(account, code, asker=asker)

    async def turn_off(self, account: Account, code: str, *, asker: Asker) -> None:
        await self.desk.turn_off(account, code, asker=asker)

    async def turn_off_for(self, account: Account, *, actor: str, reason: str = "") -> bool:
        return await self.desk.turn_off_for(account, actor=actor, reason=reason)

    async def new_recovery_codes(self, account: Account, code: str, *, asker: Asker) -> tuple[str, ...]:
        return await self.desk.new_recovery_codes(account, code, asker=asker)

    async def check(self, account: Account, code: str, *, asker: Asker) -> bool:
        return await self.desk.check(account, code, asker=asker)

    async def new_app_password(self, account: Account, name: str, *, asker: Asker) -> tuple[str, str]:
        return await self.desk.new_app_password(account, name, asker=asker)

    async def drop_app_password(self, account: Account, app_password_id: str, *, asker: Asker) -> bool:
        return await self.desk.drop_app_password(account, app_password_id, asker=asker)
