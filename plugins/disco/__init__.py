"""What the server and its accounts are, and what they can do (XEP-0030)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from inspect import isawaitable
from typing import Any

from rainbow_xmpp.plugin import (
    Account,
    Condition,
    Context,
    DiscoInfo,
    DiscoItem,
    DiscoItems,
    DiscoMark,
    Identity,
    Plugin,
    ServerInfo,
    StanzaError,
    Target,
    on_iq,
)
from rainbow_xmpp.xml import names

log = logging.getLogger(__name__)

FEATURES = (names.DISCO_INFO, names.DISCO_ITEMS)
CORE_FEATURES = frozenset(("jabber:iq:roster",))
"""What the server does without any plugin; stream features are announced elsewhere."""

DiscoPart = DiscoInfo | Iterable[DiscoItem]

SERVER = Identity("server", "im", "Rainbow XMPP")
ACCOUNT = Identity("account", "registered")


class Disco(
    Plugin,
    ServerInfo,
    name="disco",
    implements={"XEP-0030": "2.5.0", "XEP-0128": "1.0.1"},
    features=FEATURES,
    account_features=FEATURES,
):
    """Answers for the server and for accounts; clients answer for themselves.

    Other plugins add to the answers with `@disco_info` and `@disco_items`.
    """

    @on_iq("get", DiscoInfo, to=("server", "account"))
    async def info(self, ctx: Context, asked: DiscoInfo) -> DiscoInfo:
        await self._refuse_strangers(ctx)
        added = [part async for part in self._parts(ctx, "info", asked.node) if isinstance(part, DiscoInfo)]
        if asked.node and not added:
            raise StanzaError(Condition.ITEM_NOT_FOUND)  # §3.2
        return _joined(added if asked.node else [*self._own(ctx), *added], asked.node)

    @on_iq("get", DiscoItems, to=("server", "account"))
    async def items(self, ctx: Context, asked: DiscoItems) -> DiscoItems:
        await self._refuse_strangers(ctx)
        added = [p async for p in self._parts(ctx, "items", asked.node) if not isinstance(p, DiscoInfo)]
        if asked.node and not added:
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        return DiscoItems(asked.node, tuple(item for part in added for item in part))

    def _own(self, ctx: Context) -> list[DiscoInfo]:
        """What the thing itself is, by what all plugins declare for the people of the asker's company."""
        if ctx.is_to_server:
            return self._server(ctx.sender)
        return [DiscoInfo.of([ACCOUNT], self.services.account_features(ctx.target))]

    def _server(self, asker: Account | None) -> list[DiscoInfo]:
        own = DiscoInfo.of([SERVER], self.services.features(asker) | CORE_FEATURES)
        return [own, *self.services.server_info(asker)]

    def info_for_all(self) -> DiscoInfo | None:
        """What the server says of itself, when it is the same for everybody."""
        if not self.services.plugins.is_same_for_all:
            return None
        for mark, _ in self.services.declared(DiscoMark):
            if (mark.what, mark.target, mark.node) == ("info", Target.SERVER, ""):
                return None
        return _joined(self._server(None), "")

    async def _parts(self, ctx: Context, what: str, node: str) -> AsyncIterator[DiscoPart]:
        """What other plugins say about this node; for somebody of the asker's company."""
        target = Target.SERVER if ctx.is_to_server else Target.CONTACT
        for mark, handler in self.services.declared(DiscoMark, ctx.sender):
            fits = mark.node == node or (mark.node is None and node)
            if (mark.what, mark.target) == (what, target) and fits:
                part = await _part(handler, ctx, node)
                if part is not None:
                    yield part

    async def _refuse_strangers(self, ctx: Context) -> None:
        """§9: an account shows itself to those who may see its presence; colleagues are trusted."""
        if ctx.is_to_server or ctx.sender.company.id == ctx.target.company.id:
            return
        if not await ctx.sees_presence_of_target():
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)


async def _part(handler: Callable[..., Any], ctx: Context, node: str) -> DiscoPart | None:
    """What one method says; one that is broken says nothing, and the others are heard all the same."""
    try:
        part = handler(ctx, node)
        said: DiscoPart | None = await part if isawaitable(part) else part
    except StanzaError:
        raise
    except Exception:
        log.exception("a plugin could not say what it can do")
        return None
    return said


def _joined(parts: list[DiscoInfo], node: str) -> DiscoInfo:
    """Several answers as one; what is said twice stands once."""
    identities = dict.fromkeys(identity for part in parts for identity in part.identities)
    features = (name for part in parts for name in part.names)
    return DiscoInfo.of(identities, features, (form for part in parts for form in part.extra), node=node)
