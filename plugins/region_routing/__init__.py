"""What may go to people of other regions: as companies decide, and after the consent of whoever it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from rainbow_xmpp.plugin import (
    Account,
    Action,
    CommandMark,
    Condition,
    Context,
    Dialog,
    Facts,
    Mark,
    Passage,
    Plugin,
    PluginOptions,
    Services,
    Stage,
    StanzaError,
    access,
    command,
    every,
    hook,
    marks_of,
)
from rainbow_xmpp.plugins.region_routing.api import ConsentEndpoints
from rainbow_xmpp.plugins.region_routing.store import Consents
from rainbow_xmpp.regions.crossing import crossing_between
from rainbow_xmpp.store.values import Crossing

GIVE = "urn:rainbow:regions#consent"
TAKE_BACK = "urn:rainbow:regions#withdraw"
NOT_YET = (
    "Your company asks for your consent before anything of yours leaves its region. "
    "Give it with the command “Speak with other regions”, and say it again."
)


class RegionRouting(
    Plugin,
    name="region_routing",
    for_all=True,
    audit={
        "region_routing.consented": "somebody consented that what they write goes to other regions",
        "region_routing.withdrawn": "somebody took that consent back",
    },
):
    """Judges whatever crosses between regions; where there is one region, nothing does."""

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._kept = Consents(services.store)
        self._given: Facts[Account, int] = Facts(self._read, otherwise=0)
        self._endpoints = ConsentEndpoints(self)

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints; commands only where there is another region to speak with."""
        for mark, method in super().marks():
            if self.services.has_regions or not isinstance(mark, CommandMark):
                yield mark, method
        yield from marks_of(self._endpoints)

    async def stop(self) -> None:
        await self._given.close()

    # -- the gate --------------------------------------------------------------------------------------

    @hook(Stage.GATE, after="company_isolation")
    def between_regions(self, p: Passage) -> Awaitable[object] | None:
        """What companies refuse, looks as though there were nobody."""
        sender, recipient = p.sender, p.recipient
        assert recipient is not None, "the gate is asked about people only"
        if not (sender.abroad or recipient.abroad):
            return None
        crossing = crossing_between(sender, recipient)
        if crossing is Crossing.REFUSE or (crossing is Crossing.NOTIFY and not _is_told_of(p)):
            raise StanzaError(Condition.SERVICE_UNAVAILABLE, detail="does not cross between regions")
        asked = recipient if sender.abroad else sender
        if not asked.company.settings.cross_region_consent:
            return None
        given = self._given.at_hand.get(asked.id)
        if given is None:
            return self._given.fetch(asked)
        if p.kind == "iq" and sender.abroad and not given:  # it is answered with what is the recipient's
            raise StanzaError(Condition.SERVICE_UNAVAILABLE, detail="there is no consent")
        return None

    @access()
    async def permits(self, action: Action, actor: Account, target: Account) -> bool:
        """The same for what is no stanza, such as invitations by the API."""
        if not (actor.abroad or target.abroad):
            return True
        crossing = crossing_between(actor, target)
        if crossing is Crossing.REFUSE or (crossing is Crossing.NOTIFY and action is not Action.INVITE):
            return False
        asks = not actor.abroad and actor.company.settings.cross_region_consent
        return not asks or bool(await self._given.fetch(actor))

    @hook(Stage.RECORD, before="archive")
    def ask_for_consent(self, p: Passage) -> None:
        """Before anything of a person leaves. The gate let it through, so there is somebody, and has looked it up."""
        is_leaving = p.recipient is not None and p.recipient.abroad
        asks = is_leaving and p.sender.company.settings.cross_region_consent
        if asks and not self._given.at_hand.get(p.sender.id):
            raise StanzaError(Condition.NOT_ALLOWED, NOT_YET)

    # -- consent ---------------------------------------------------------------------------------------

    async def consented_at(self, account: Account) -> int:
        """When somebody consented (Unix time in seconds); 0 for not."""
        return (await self._kept.of([account])).get(account.id, 0)

    async def consent(self, account: Account, actor: str) -> int:
        """From now on; Unix time in seconds."""
        at = await self._kept.give(account)
        await self._record("region_routing.consented", account, actor)
        self._given.learn(account, at)
        return at

    async def withdraw(self, account: Account, actor: str) -> None:
        """Nothing more of theirs goes; what is there stays with those who got it."""
        if await self._kept.withdraw(account):
            await self._record("region_routing.withdrawn", account, actor)
        self._given.learn(account, 0)

    @command(GIVE, "Speak with other regions")
    async def ask_give(self, ctx: Context, dialog: Dialog) -> str:
        await self.consent(ctx.sender_now, ctx.sender_now.id)
        return "What you write to people of other regions is sent to them, and they see when you are there."

    @command(TAKE_BACK, "Do not speak with other regions any more")
    async def ask_withdraw(self, ctx: Context, dialog: Dialog) -> str:
        await self.withdraw(ctx.sender_now, ctx.sender_now.id)
        return "Nothing more of yours is sent to other regions, where your company asks for your consent."

    @every(minutes=10)
    async def renew(self) -> None:
        """What was decided on another node."""
        await self._given.renew(home.account for home in self.services.sessions.homes.values())

    async def _record(self, kind: str, account: Account, actor: str) -> None:
        await self.services.audit(kind, company_id=account.company.id, actor=actor, target=account.id)

    async def _read(self, people: Sequence[Account]) -> Mapping[str, int]:
        return await self._kept.of([account for account in people if not account.abroad])


def _is_told_of(p: Passage) -> bool:
    """A message, of which the recipient hears that there is one, and what two people agree on."""
    if p.kind == "presence":
        return p.type in ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
    return p.kind == "message"
