"""The notices that count now, and who is shown which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.announcements.notices import EVERYBODY, Kind, Notice, Words
from rainbow_xmpp.plugins.announcements.store import Knowledge, Notices


class Board:
    """A few texts, in memory; what others have written is known after the next `renew`."""

    def __init__(self, kept: Notices, now: Callable[[], float]) -> None:
        self._kept = kept
        self._now = now
        self._notices: dict[tuple[Kind, str], Notice] = {}

    async def renew(self) -> None:
        """Read them anew."""
        self._notices = {(notice.kind, notice.company_id): notice for notice in await self._kept.all()}

    def at(self, kind: Kind, scope: str) -> Notice | None:
        """What hangs there."""
        return self._notices.get((kind, scope))

    async def put(self, kind: Kind, scope: str, words: Words, *, as_new: bool) -> Notice:
        """Hang a text up; `as_new`: whoever has seen the one before sees this one too."""
        before = self.at(kind, scope)
        if before is None or as_new:
            notice = Notice(kind, scope, new_id(), int(self._now()), words)
        else:
            notice = Notice(kind, scope, before.id, before.since, words)
        await self._kept.put(notice)
        self._notices[kind, scope] = notice
        return notice

    async def take_down(self, kind: Kind, scope: str) -> bool:
        """False: there was none."""
        await self._kept.drop(kind, scope)
        return self._notices.pop((kind, scope), None) is not None

    async def new_to(self, account: Account) -> list[Notice]:
        """What this person has not seen yet."""
        known = await self._kept.known_to(account.company.id, account.id)
        return [] if known is None else [notice for notice in self._for(account) if _is_new(notice, known)]

    def has_any_for(self, account: Account) -> bool:
        """Something hangs there for this person, seen or not."""
        return any(True for _ in self._for(account))

    def _for(self, account: Account) -> Iterator[Notice]:
        for kind in (Kind.WELCOME, Kind.MOTD):
            for scope in (EVERYBODY, account.company.id):
                if (notice := self.at(kind, scope)) is not None:
                    yield notice


def _is_new(notice: Notice, known: Knowledge) -> bool:
    shown = known.shown.get((str(notice.kind), notice.company_id))
    if notice.kind is Kind.WELCOME:
        return shown is None and known.since >= notice.since
    return shown != notice.id
