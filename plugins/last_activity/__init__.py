"""When was somebody here? (XEP-0012)"""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    BecameUnavailable,
    Condition,
    Context,
    DiscoInfo,
    Passage,
    Payload,
    Plugin,
    PluginOptions,
    Services,
    Stage,
    StanzaError,
    attr,
    hook,
    on,
    on_iq,
    option,
    text,
)
from rainbow_xmpp.plugins.last_activity.store import LastActivities
from rainbow_xmpp.xml import hint_of, names, scan_again

MAX_STATUS = 1024
"""Characters of a status that are kept."""
_QUERY = "query"
_HINT = hint_of(_QUERY)


class Last(Payload, ns=names.LAST_ACTIVITY, tag=_QUERY):
    """`<query seconds='903'>Heading Home</query>`; empty when it is asked for."""

    seconds: int | None = attr(default=None, ge=0)
    status: str = text(default="")


class LastActivity(
    Plugin,
    name="last_activity",
    implements={"XEP-0012": "2.0, whoever may not know hears service-unavailable and not forbidden"},
    account_features=(names.LAST_ACTIVITY,),
):
    """Answers for accounts, to those who may see their presence, and for the server where that is wished.

    A refusal looks like an address that nobody has.
    """

    class Options(PluginOptions):
        tell_uptime: bool = option(
            False, "Whether people are told for how long the server has been running.", reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._kept = LastActivities(services.store)
        self._started_at = services.now()

    async def stop(self) -> None:
        await self._kept.close()

    @on(BecameUnavailable)
    async def remember(self, event: BecameUnavailable) -> None:
        """The last of somebody's clients is gone: when that was, and with which words."""
        if event.session.home.available():
            return
        owner = event.session.account
        status = scan_again(event.presence).text_of("status") or ""
        await self._kept.put(owner.company.id, owner.id, int(self.services.now()), status[:MAX_STATUS])

    @on_iq("get", Last, to="account")
    async def of_account(self, ctx: Context, asked: Last) -> Last:
        """§3: nothing to whoever may not see the presence (§8); 0 while somebody is there."""
        if not await ctx.sees_presence_of_target():
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        if any(session.presence is not None for session in self.services.sessions_of(ctx.target)):
            return Last(0)
        last = await self._kept.get(ctx.target.company.id, ctx.target.id)
        if last is None:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        return Last(max(0, int(self.services.now()) - last.at), last.status)

    @hook(Stage.GATE)
    def keep_from_clients(self, p: Passage) -> None:
        """§4: a client is asked by those only who may see its presence."""
        if p.kind != "iq" or p.target is None or p.type != "get" or not p.view.hints & _HINT:
            return
        if not p.view.has(_QUERY, names.LAST_ACTIVITY) or p.sender.id == p.target.account.id:
            return
        if self.services.bare_jid(p.sender) not in p.target.home.subscribers:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)

    @on_iq("get", Last, to="server")
    def of_server(self, ctx: Context, asked: Last) -> Last:
        """§5: for how long it has been running."""
        if not self.options.tell_uptime:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        return Last(max(0, int(self.services.now() - self._started_at)))

    def server_info(self) -> DiscoInfo | None:
        """§6: only what is answered is announced."""
        return DiscoInfo.of(features=[names.LAST_ACTIVITY]) if self.options.tell_uptime else None
