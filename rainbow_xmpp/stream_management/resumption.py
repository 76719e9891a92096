"""Going on with a session over another connection (XEP-0198 §5), late or together with a login (§9)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.session import Session
from rainbow_xmpp.session.inline import Granted, Newcomer, TakenOver
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream_management import elements
from rainbow_xmpp.stream_management.elements import failed
from rainbow_xmpp.stream_management.managed import Managed
from rainbow_xmpp.stream_management.settling import until_settled
from rainbow_xmpp.xml import Element

_PAST_SESSIONS = 10_000
"""Of so many sessions that are over it is known how much of what they sent was handled."""
_NOT_FOUND = Condition.ITEM_NOT_FOUND


class Past(NamedTuple):
    """A session that is over."""

    account_id: str
    handled: int


class Streams(Protocol):
    """Who has stream management, and no connection; see `StreamManagement`."""

    def of_id(self, resume_id: str) -> Managed | None: ...

    def is_of_another_region(self, resume_id: str) -> bool: ...
    def waits(self, managed: Managed) -> bool: ...
    def take_off(self, managed: Managed) -> None: ...
    def no_longer_adrift(self, managed: Managed) -> None: ...
    def asked(self, managed: Managed) -> None: ...


class Resumption:
    """Finds what is to be resumed, and hands it over or says why not."""

    def __init__(self, streams: Streams, counters: Counters, regained: Callable[[Session], None]) -> None:
        """`regained` is told of each session that is resumed."""
        self._streams = streams
        self._counters = counters
        self._regained = regained
        self.seek: Callable[[Account, str], Awaitable[bool]] = _nowhere_else
        """Brings a session here that is kept elsewhere, by its resume id; says whether it did."""
        self._past: OrderedDict[str, Past] = OrderedDict()

    def remember(self, managed: Managed) -> None:
        """It is over: who asks for it hears how much of what they sent was handled."""
        self._past[managed.id] = Past(managed.session.account.id, managed.handled)
        if len(self._past) > _PAST_SESSIONS:
            self._past.popitem(last=False)

    async def grant(self, newcomer: Newcomer, request: Element | None) -> Granted:
        assert request is not None, "it is done for those only who ask"
        found = await self.find(newcomer.account, request.attrib)
        return Granted(found) if isinstance(found, bytes) else Granted(take_over=found)

    async def find(
        self, account: Account, attrs: Mapping[str, str]
    ) -> Callable[[], TakenOver | bytes] | bytes:
        """What `<resume/>` asks for: what takes the session over at last, or the refusal.

        A session of somebody else is none. The connection that has the session gives way at once; what came from
        it is handled to its end, so that it is certain what the peer has to send again.
        """
        resume_id, h = attrs.get("previd", ""), elements.read_count(attrs.get("h"))
        if h is None:
            return self._refused(failed(Condition.BAD_REQUEST))
        managed = self._streams.of_id(resume_id)
        if managed is None and self._may_be_elsewhere(resume_id) and await self.seek(account, resume_id):
            managed = self._streams.of_id(resume_id)
        if managed is None or managed.session.account.id != account.id or managed.is_over:
            return self._refused(self._not_found(account, resume_id))
        session = managed.session
        self._streams.take_off(managed)
        await until_settled(session)
        return lambda: self._take_over(managed, h)

    def _may_be_elsewhere(self, resume_id: str) -> bool:
        return resume_id not in self._past and not self._streams.is_of_another_region(resume_id)

    def _take_over(self, managed: Managed, h: int) -> TakenOver | bytes:
        session, queue = managed.session, managed.queue
        if managed.is_over or not self._streams.waits(managed) or session.is_busy:
            return self._refused(self._not_found(session.account, managed.id))
        count = queue.newly(h)
        if count is None or count > len(queue):
            return self._refused(failed(_NOT_FOUND, managed.handled))
        self._streams.no_longer_adrift(managed)
        managed.got(count)
        unread = tuple(queue.stanzas)
        if unread:
            unread = (*unread, elements.REQUEST)
            self._streams.asked(managed)
        managed.unasked = managed.unasked_bytes = 0
        self._counters.resumptions_ok += 1
        self._regained(session)
        return TakenOver(session, elements.resumed(managed.id, managed.handled), unread)

    def _not_found(self, account: Account, resume_id: str) -> bytes:
        past = self._past.get(resume_id)
        is_theirs = past is not None and past.account_id == account.id
        return failed(_NOT_FOUND, past.handled if past is not None and is_theirs else None)

    def _refused(self, said: bytes) -> bytes:
        self._counters.resumptions_failed += 1
        return said


async def _nowhere_else(account: Account, resume_id: str) -> bool:
    """This node is the only one."""
    return False
