"""Sessions over a restart of the server: kept when it stops, there again when it starts (XEP-0198 §5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from rainbow_xmpp.auth.box import Box
from rainbow_xmpp.router.events import Event, SessionKept, SessionRestored, SessionStarted
from rainbow_xmpp.router.listeners import PresenceListeners
from rainbow_xmpp.session import Home, Session, SessionTable
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.kept_sessions import KeptRow
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import UserAgent
from rainbow_xmpp.stream_management.managed import Managed
from rainbow_xmpp.stream_management.service import StreamManagement
from rainbow_xmpp.stream_management.settling import until_settled
from rainbow_xmpp.xml import scan_again

log = logging.getLogger(__name__)

_AT_ONCE = 50
"""So many sessions are restored at the same time."""
_IDLE_S = 2.0
"""So long what was received before the stop may take to be handled."""


class KeptSession(msgspec.Struct, frozen=True):
    """Everything of a session that must be the same after a restart."""

    full: str
    id: str
    max_s: int
    ends_at: int
    """Unix time in seconds."""
    handled: int
    acked: int
    stanzas: list[bytes]
    times: list[int]
    presence: bytes | None
    priority: int
    directed: list[str] | None
    is_interested: bool
    lang: bytes
    agent: tuple[str, str, str]
    epoch: int
    family: str
    notes: dict[str, bytes]
    """What plugins know of it, by whatever name they gave it."""


class Restart:
    """`save` when the server stops, `load` when it starts and nobody can connect yet."""

    def __init__(
        self,
        store: Store,
        box: Box,
        streams: StreamManagement,
        sessions: SessionTable,
        *,
        load_roster: Callable[[Home], Awaitable[None]],
        tell: Callable[[Event], Awaitable[None] | None],
        listeners: PresenceListeners,
        new_session: Callable[[Account, str, UserAgent], Session],
    ) -> None:
        """`new_session` makes one with this full JID that is in the table, and has no connection."""
        self._store = store
        self._box = box
        self._streams = streams
        self._sessions = sessions
        self._load_roster = load_roster
        self._tell = tell
        self._listeners = listeners
        self._new_session = new_session

    # -- the stop --------------------------------------------------------------------------------------

    async def save(self) -> None:
        """Keep those that wait for a connection now. What is sent to them afterwards is lost."""
        waiting = [
            managed
            for session in self._sessions
            if (managed := Managed.of(session)) is not None and managed.is_adrift and not managed.is_over
        ]
        settled = await asyncio.gather(*(_settled(managed.session) for managed in waiting))
        await self._store.committed()  # what others said to them comes into their queues
        rows = []
        for managed, is_settled in zip(waiting, settled, strict=True):
            if is_settled:
                account = managed.session.account
                rows.append((account.company.id, KeptRow(account.id, await self._sealed(managed))))
        await self._store.kept_sessions.save(rows)
        if rows:
            log.info("%d sessions can be resumed after the restart", len(rows))

    async def _sealed(self, managed: Managed) -> bytes:
        return self._box.seal(msgspec.msgpack.encode(await self._kept(managed)), managed.session.account.id)

    async def pack(self, resume_id: str, account_id: str) -> tuple[Session, bytes] | None:
        """All of a session that goes on in another process, for `unpack`. It has no connection any more.

        None when there is none of this account, or what it sent cannot be handled to its end.
        """
        managed = self._streams.of_id(resume_id)
        if managed is None or managed.session.account.id != account_id or managed.is_over:
            return None
        session = managed.session
        self._streams.take_off(managed)
        if not await _settled(session) or not self._streams.waits(managed):
            return None
        sealed = await self._sealed(managed)
        return (session, sealed) if self._streams.waits(managed) else None

    async def unpack(self, account: Account, sealed: bytes) -> bool:
        """Go on here with what was packed elsewhere. False when it cannot be, or something has ended it meanwhile."""
        return await self._load(KeptRow(account.id, sealed))

    async def _kept(self, managed: Managed) -> KeptSession:
        session, queue, agent = managed.session, managed.queue, managed.session.agent
        notes: dict[str, bytes] = {}
        pending = self._tell(SessionKept(session, notes))
        if pending is not None:
            await pending
        return KeptSession(
            full=session.full,
            id=managed.id,
            max_s=managed.max_s,
            ends_at=int(self._store.now()) + self._streams.left_s(managed),
            handled=managed.handled,
            acked=queue.acked,
            stanzas=list(queue.stanzas),
            times=list(queue.times),
            presence=session.presence,
            priority=session.priority,
            directed=None if session.directed is None else sorted(session.directed),
            is_interested=session.is_interested,
            lang=session.lang,
            agent=(agent.id, agent.software, agent.device),
            epoch=session.account.epoch,
            family=session.family,
            notes=notes,
        )

    # -- the start -------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Bring back what was kept. One that cannot be brought back costs the others nothing."""
        rows = await self._store.kept_sessions.take()
        for first in range(0, len(rows), _AT_ONCE):
            await asyncio.gather(*(self._load_or_log(row) for row in rows[first : first + _AT_ONCE]))

    async def fetch(self, account: Account) -> None:
        """Bring back what another node kept of the account's sessions when it stopped."""
        for row in await self._store.kept_sessions.take(account.id):
            await self._load_or_log(row)

    async def _load_or_log(self, row: KeptRow) -> None:
        try:
            await self._load(row)
        except Exception:
            log.exception("a session could not be brought back", extra={"account": row.owner_id})

    async def _load(self, row: KeptRow) -> bool:
        data = self._box.open(row.sealed, row.owner_id)
        account = await self._store.accounts.by_id(row.owner_id)
        if data is None or account is None:
            return False
        kept = msgspec.msgpack.decode(data, type=KeptSession)
        session = self._new_session(account, kept.full, UserAgent(*kept.agent))
        session.lang, session.family = kept.lang, kept.family
        session.priority, session.is_interested = kept.priority, kept.is_interested
        left_s = kept.ends_at - int(self._store.now())
        managed = self._streams.bring_back(session, kept.id, kept.max_s, left_s)
        managed.handled, managed.queue.acked = kept.handled, kept.acked
        for stanza, at in zip(kept.stanzas, kept.times, strict=True):
            managed.queue.add(stanza, at)
        if left_s <= 0 or not await self._is_current(account, kept):
            self._streams.drop(managed)
            return False
        session.directed = None if kept.directed is None else set(kept.directed)
        await self._introduce(session, kept)
        return True

    async def _is_current(self, account: Account, kept: KeptSession) -> bool:
        """Nothing has ended the account's sessions meanwhile."""
        if not account.may_log_in or account.epoch != kept.epoch:
            return False
        return not kept.family or await self._store.refresh_tokens.is_alive(kept.family)

    async def _introduce(self, session: Session, kept: KeptSession) -> None:
        """Let everybody know what they knew of it."""
        pending = self._tell(SessionStarted(session))
        if pending is not None:
            await pending
        if self._sessions.by_full.get(session.full) is not session:
            return  # the database went away
        if kept.presence is not None:
            if not session.home.is_loaded:
                await self._load_roster(session.home)
            session.presence = kept.presence
            self._sessions.watch.changed(session)
            view = scan_again(kept.presence)
            for listen in self._listeners.all:
                listen(session, view)
        pending = self._tell(SessionRestored(session, kept.notes))
        if pending is not None:
            await pending


async def _settled(session: Session) -> bool:
    """What the session sent is handled and kept; False when that takes too long to be waited for."""
    try:
        async with asyncio.timeout(_IDLE_S):
            await until_settled(session)
    except TimeoutError:
        return False
    return True
