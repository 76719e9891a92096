"""People read their own history (XEP-0313). Somebody else's archive does not exist for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from rainbow_xmpp.plugin import (
    Account,
    Condition,
    Context,
    DiscoInfo,
    Element,
    Services,
    Session,
    StanzaError,
    disco_info,
    on_iq,
)
from rainbow_xmpp.plugins.archive import results
from rainbow_xmpp.plugins.archive.asked import QUERY, Asked, Wanted
from rainbow_xmpp.plugins.archive.history import Found, History
from rainbow_xmpp.plugins.archive.numbers import first_at
from rainbow_xmpp.plugins.archive.options import ArchiveOptions
from rainbow_xmpp.plugins.archive.owners import Owner, Owners
from rainbow_xmpp.plugins.archive.results import Results
from rainbow_xmpp.xml import names

METADATA = f"{{{names.MAM}}}metadata"
PAGE_S = 60.0
"""How long a page may take: the client must read it meanwhile."""
DAY_S = 86_400
_SLICE_BYTES = 65_536
_LOOK_AGAIN_S = 0.02


class Answers:
    """Queries of histories."""

    def __init__(self, services: Services, owners: Owners, options: Callable[[], ArchiveOptions]) -> None:
        self._services = services
        self._owners = owners
        self._history = History(services.store)
        self._options = options

    @on_iq("get", QUERY, to="self")
    def form(self, ctx: Context, query: Element) -> bytes:
        return results.form(has_words=self._options().full_text)

    @on_iq("get", METADATA, to="self")
    async def metadata(self, ctx: Context, asked: Element) -> bytes:
        owner = await self._owner(ctx.sender)
        everything, bare = Wanted(least=self._least(ctx.sender)), self._services.bare_jid(ctx.sender)
        ends = [
            await self._history.page(owner.number, bare, everything, 1, is_backward=is_backward)
            for is_backward in (False, True)
        ]
        first, last = (found.messages[0].number if found.messages else None for found in ends)
        return results.metadata(first, last)

    @on_iq("set", QUERY, to="self", deadline_s=PAGE_S)
    async def query(self, ctx: Context, query: Element) -> bytes:
        asked = Asked.from_xml(query, has_words=self._options().full_text)
        owner, least = await self._owner(ctx.sender), self._least(ctx.sender)
        if not await self._history.has_all(owner.number, asked.references, least=least):
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        bare = self._services.bare_jid(ctx.sender)
        if asked.page.max == 0:
            count = await self._history.number(owner.number, bare, asked.wanted.within(least))
            return results.counted(count)
        assert ctx.session is not None, "whoever asks is connected"
        await _room(ctx.session)
        found = await self._history.page(
            owner.number,
            bare,
            asked.wanted_here.within(least),
            self._size(asked.page.max),
            is_backward=asked.page.is_backward,
        )
        self._services.counters.archive_pages += 1
        await _send(ctx.session, _told(asked, found, bare, ctx.session.full))
        return results.end_of(found, is_whole=_is_whole(asked, found))

    @disco_info(to="account")
    def features(self, ctx: Context, node: str) -> DiscoInfo | None:
        return DiscoInfo.of(features=(names.FULLTEXT,)) if self._options().full_text else None

    async def _owner(self, account: Account) -> Owner:
        owner = self._owners.peek(account) or await self._owners.find(account)
        if owner is None:  # removed just now
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        return owner

    def _least(self, account: Account) -> int:
        """The first key that is not too old by now, whether its like have been deleted already or not."""
        days = self._services.level_of(account).archive_days
        return first_at(self._services.now() - days * DAY_S) << 1

    def _size(self, asked: int | None) -> int:
        options = self._options()
        return min(options.page if asked is None else asked, options.largest_page)


def _is_whole(asked: Asked, found: Found) -> bool:
    """Nothing that is wanted stands in front of the page."""
    return asked.is_from_the_start or (
        asked.page.before == "" and asked.page.after is None and found.is_complete
    )


def _told(asked: Asked, found: Found, bare: str, full: str) -> Iterable[bytes]:
    write = Results(asked.query_id, bare=bare, full=full)
    messages = reversed(found.messages) if asked.is_flipped else found.messages
    return map(write.of, messages)


async def _send(session: Session, stanzas: Iterable[bytes]) -> None:
    """At the pace at which the client reads, so that no page fills its output budget."""
    sent = 0
    for stanza in stanzas:
        if sent > _SLICE_BYTES:
            await _room(session)
            sent = 0
        session.wire.send(stanza)
        sent += len(stanza)


async def _room(session: Session) -> None:
    """Wait until what was sent before has left, or nearly so."""
    while session.link.is_choked:  # noqa: ASYNC110  # sockets tell this to their connection only
        await asyncio.sleep(_LOOK_AGAIN_S)
