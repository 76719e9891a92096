"""What other processes did to accounts (the command line, other nodes), applied to this one."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol

from rainbow_xmpp.auth.authenticator import Authenticator
from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.router.events import AccountRemoved, Changed, Event
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.session.session import ENDED_BY_ADMINISTRATOR, Session
from rainbow_xmpp.session.table import SessionTable
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.values import Account, Change, ChangeKind

log = logging.getLogger(__name__)

KEEP_CHANGES_S = 7 * 86_400
"""A server that could not reach the database for longer than this must be restarted."""
MOST_TELLINGS = 5
"""So often plugins are told of a change while it is the database that fails them, and not for ever."""

_ENDS_SESSIONS = {
    ChangeKind.ACCOUNT_REMOVED: PeerViolation(StreamCondition.NOT_AUTHORIZED, "this account was removed"),
    ChangeKind.ACCOUNT_DISABLED: PeerViolation(StreamCondition.NOT_AUTHORIZED, "this account was disabled"),
    ChangeKind.CREDENTIALS_CHANGED: PeerViolation(StreamCondition.RESET, "the password was changed"),
    ChangeKind.SESSIONS_ENDED: ENDED_BY_ADMINISTRATOR,
    ChangeKind.ACCOUNT_MOVED: PeerViolation(
        StreamCondition.RESET, "this account was moved to another region"
    ),
    ChangeKind.FACTOR_CHANGED: PeerViolation(StreamCondition.RESET, "the second factor was changed"),
}
_LOGGED_OUT = PeerViolation(StreamCondition.POLICY_VIOLATION, "the login that this session came by was ended")
_REMOVES = frozenset((ChangeKind.ACCOUNT_REMOVED, ChangeKind.ACCOUNT_DISABLED, ChangeKind.ACCOUNT_MOVED))
_MOVES = frozenset((ChangeKind.ACCOUNT_FROZEN, ChangeKind.ACCOUNT_THAWED, ChangeKind.ACCOUNT_MOVED))


class ChangeLog(Protocol):
    async def latest_id(self) -> int: ...
    async def after(self, id: int, *, most: int = 1000) -> list[Change]: ...
    async def forget_before(self, at: int) -> int: ...


class AccountsById(Protocol):
    async def by_id(self, account_id: str) -> Account | None: ...


class Logins(Protocol):
    async def is_alive(self, family: str) -> bool: ...


class Frozen(Protocol):
    """Who is on the way to another region; see `rainbow_xmpp.moving.frozen`."""

    ids: set[str]

    async def read(self) -> None: ...

    def goodbye(self, session: Session) -> PeerViolation: ...


class ChangeWatch:
    """Reads the log of administrative writes; `poll` is called once a second, and after what is done here."""

    def __init__(
        self,
        changes: ChangeLog,
        accounts: AccountsById,
        directory: AccountDirectory,
        sessions: SessionTable,
        authenticator: Authenticator,
        logins: Logins,
        tell: Callable[[Event], Awaitable[None] | None],
        frozen: Frozen,
    ) -> None:
        self._changes = changes
        self._accounts = accounts
        self._directory = directory
        self._sessions = sessions
        self._authenticator = authenticator
        self._logins = logins
        self._tell = tell
        self._frozen = frozen
        self.written: Callable[[], None] = _nobody_else
        """Called after what is done here was written: other nodes may want to look."""
        self._seen = 0
        self._turn = asyncio.Lock()
        self._in_vain: Counter[type[Event]] = Counter()
        """So often this was told of one change, though the database had just answered."""
        self.generation = 0
        """Rises with every change, before anything is done about it."""

    async def start(self) -> None:
        self._seen = await self._changes.latest_id()
        await self._frozen.read()

    async def poll(self) -> None:
        """Apply what is new. Raises what the database raises."""
        async with self._turn:
            while changes := await self._changes.after(self._seen):
                self.generation += 1
                if any(change.kind is not ChangeKind.LOGIN_ENDED for change in changes):
                    self._directory.forget_all()
                for change in changes:
                    await self._apply(change)
                    await self._told(Changed(change))
                    self._seen = change.id
                    self._in_vain.clear()

    async def catch_up(self) -> None:
        """Apply what was just written, as far as the database lets; the next `poll` does the rest."""
        self.written()
        try:
            await self.poll()
        except Exception as error:
            if is_outage(error):
                why = type(error).__name__
                log.warning("a change is applied later: the database does not answer (%s)", why)
            else:
                log.exception("a change is applied a moment later")

    async def tidy(self, now: float) -> None:
        """Drop what every server has read long ago; `now` is Unix time in seconds."""
        await self._changes.forget_before(int(now) - KEEP_CHANGES_S)

    async def _apply(self, change: Change) -> None:
        if change.account_id is None:
            await self._refresh(
                s.account.id for s in self._sessions if s.account.company.id == change.company_id
            )
            return
        if change.kind is ChangeKind.LOGIN_ENDED:
            await self._end_logged_out(change.account_id)
            return
        if change.kind in _MOVES:
            await self._frozen.read()
        self._authenticator.forget(change.account_id)
        violation = _ENDS_SESSIONS.get(change.kind)
        if violation is None:
            await self._refresh([change.account_id])
            return
        await self._end_outdated(change.account_id, violation)
        if change.kind in _REMOVES:
            await self._told(AccountRemoved(change.company_id, change.account_id))

    async def _told(self, event: Event) -> None:
        """Let plugins know. Raises what the database raises, but not for ever: the next changes wait behind it."""
        what = type(event)
        if self._in_vain[what] >= MOST_TELLINGS:
            log.error("plugins go on without %s, which they could not take", what.__name__)
            return
        pending = self._tell(event)
        if pending is not None:
            self._in_vain[what] += 1  # unless it comes to its end: it may be cancelled as well
            await pending
            self._in_vain[what] -= 1

    async def _end_outdated(self, account_id: str, violation: PeerViolation) -> None:
        """End the sessions that began before the change; whoever logged in after it stays."""
        sessions = self._sessions.of_account(account_id)
        account = await self._accounts.by_id(account_id) if sessions else None
        for session in sessions:
            if account is None or not account.may_log_in or session.account.epoch < account.epoch:
                log.info(
                    "session of %s ended: %s", account_id, violation, extra={"stream": session.wire.number}
                )
                moved = account is None and violation is _ENDS_SESSIONS[ChangeKind.ACCOUNT_MOVED]
                session.wire.fail(self._frozen.goodbye(session) if moved else violation)

    async def _end_logged_out(self, account_id: str) -> None:
        """End the sessions that came by a login which is over."""
        for session in self._sessions.of_account(account_id):
            if session.family and not await self._logins.is_alive(session.family):
                log.info("session of %s ended: logged out", account_id, extra={"stream": session.wire.number})
                session.wire.fail(_LOGGED_OUT)

    async def is_current(self, account: Account, family: str = "") -> bool:
        """The account may still log in, and nothing has ended the sessions that it had at this epoch, or this login."""
        now = await self._accounts.by_id(account.id)
        if self.is_frozen(account.id):
            return False
        if now is None or not now.may_log_in or now.epoch != account.epoch:
            return False
        return not family or await self._logins.is_alive(family)

    def is_frozen(self, account_id: str) -> bool:
        """It is being moved to another region: nobody logs in to it meanwhile."""
        return account_id in self._frozen.ids

    async def _refresh(self, account_ids: Iterable[str]) -> None:
        """Sessions go on with the new facts, but for the epoch, which is that of their login.

        Those of a company that was disabled end.
        """
        for account_id in set(account_ids):
            sessions = self._sessions.of_account(account_id)
            account = await self._accounts.by_id(account_id) if sessions else None
            for session in sessions:
                if account is None or not account.may_log_in:
                    session.wire.fail(_ENDS_SESSIONS[ChangeKind.ACCOUNT_DISABLED])
                else:
                    session.home.account = account
                    session.account = replace(account, epoch=session.account.epoch)


def _nobody_else() -> None:
    """This node is the only one."""
