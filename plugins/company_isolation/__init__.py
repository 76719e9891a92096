"""People reach their own company and those with whom both sides agreed; everybody else does not exist for them."""

from __future__ import annotations

from collections.abc import Awaitable

from rainbow_xmpp.company.policy import Relation, may, may_everything, visibility_of
from rainbow_xmpp.plugin import (
    Account,
    Action,
    Changed,
    ChangeKind,
    Condition,
    Passage,
    Plugin,
    PluginOptions,
    Services,
    SessionElsewhere,
    SessionStarted,
    Stage,
    StanzaError,
    access,
    every,
    hook,
    on,
)
from rainbow_xmpp.plugins.company_isolation.known import Known
from rainbow_xmpp.plugins.company_isolation.parting import Parting
from rainbow_xmpp.plugins.company_isolation.wanted import wanted
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Authorisation, AuthorisationState

_ANSWERS = frozenset(("subscribed", "unsubscribed", "unsubscribe"))
_AGREEING = _ANSWERS | {"subscribe"}
_REACHED = frozenset((Relation.COLLEAGUE, Relation.LINKED))


class CompanyIsolation(Plugin, name="company_isolation", for_all=True):
    """The gate between companies: asked about every stanza, and by every path that is none (`Services.may`).

    Across companies a subscription request is an invitation, and its answer the answer to that.
    """

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._known = Known(services)
        self._parting = Parting(services, self._known)

    async def start(self) -> None:
        await self._known.read_links()

    async def stop(self) -> None:
        await self._known.agreed.close()

    # -- the gate --------------------------------------------------------------------------------------

    @hook(Stage.GATE)
    def between_companies(self, p: Passage) -> Awaitable[object] | None:
        """Let colleagues pass at once; about all others ask what they agreed on."""
        sender, recipient = p.sender, p.recipient
        assert recipient is not None, "the gate is asked about people only"
        company = sender.company
        if company.id == recipient.company.id and (not company.is_public or sender.id == recipient.id):
            return None
        try:
            half = self._known.half_at_hand(sender, recipient)
        except KeyError:
            return self._known.fetch(sender, recipient)
        if not self._passes(p, sender, recipient, half):
            detail = f"{sender.id} of {company.id} may not reach {recipient.id}"
            raise StanzaError(Condition.SERVICE_UNAVAILABLE, detail=detail)
        return None

    def _passes(self, p: Passage, sender: Account, recipient: Account, half: Authorisation | None) -> bool:
        relation = self._known.relation(sender, recipient, half)
        if p.kind == "presence" and p.type in _ANSWERS and half is not None:
            # Answers to an invitation, and the end of an agreement, reach the one they are about.
            return p.type != "subscribed" or self._may_accept(sender, recipient, half)
        own, theirs = visibility_of(sender), visibility_of(recipient)
        return may_everything(own, theirs, relation) or may(wanted(p), own, theirs, relation)

    def _may_accept(self, sender: Account, recipient: Account, half: Authorisation) -> bool:
        """The sender was asked, in time, and neither has become isolated since."""
        if half.state is AuthorisationState.INVITED or half.is_over_at(self.services.now()):
            return False
        relation = self._known.relation(sender, recipient, half)
        return may(Action.INVITE, visibility_of(sender), visibility_of(recipient), relation)

    @access()
    async def permits(self, action: Action, actor: Account, target: Account) -> bool:
        """The same rule for what is no stanza: searches, the API, rooms, relays."""
        is_outside = actor.company.id != target.company.id
        if action is Action.SEARCH and is_outside and not self.services.level_of(actor).search_outside:
            return False
        half = await self._known.half(actor, target)
        relation = self._known.relation(actor, target, half)
        return may(action, visibility_of(actor), visibility_of(target), relation)

    # -- agreeing, by subscriptions (RFC 6121 §3) ------------------------------------------------------

    @hook(Stage.RECORD)
    def agree(self, p: Passage) -> Awaitable[None] | None:
        """Across companies, subscribing is inviting, `subscribed` accepts, `unsubscribed` ends it."""
        sender, recipient = p.sender, p.recipient
        if p.kind != "presence" or p.type not in _AGREEING or recipient is None:
            return None
        try:
            half = self._known.half_at_hand(sender, recipient)
        except KeyError:  # forgotten just now; it was asked about at the gate
            half = None
        if sender.id == recipient.id or self._known.relation(sender, recipient, half) in _REACHED:
            return None
        return self._agree(p, sender, recipient, half)

    async def _agree(
        self, p: Passage, sender: Account, recipient: Account, half: Authorisation | None
    ) -> None:
        if half is not None and p.type == "subscribe" and half.is_over_at(self.services.now()):
            half = None  # asked anew, as though nothing had been agreed
        agreements, state = self.services.agreements, None if half is None else half.state
        try:
            match p.type, state:
                case "subscribe", (None | AuthorisationState.INVITED):
                    await self._invite(p, sender, recipient, half)
                case (("subscribe" | "subscribed"), AuthorisationState.ASKED):
                    await agreements.accept(sender, recipient, actor=sender.id, by_stanza=True)
                case ("unsubscribed", AuthorisationState()) | ("unsubscribe", AuthorisationState.INVITED):
                    await agreements.end(sender, recipient, actor=sender.id, by_stanza=True)
                case _:
                    return
        except NotFound:
            return  # it was ended by the other side meanwhile
        self._forget(sender.id, recipient.id)
        if state is AuthorisationState.ACCEPTED:  # others never saw each other
            await self._parting.from_sight(sender, recipient)

    async def _invite(
        self, p: Passage, sender: Account, recipient: Account, half: Authorisation | None
    ) -> None:
        """Once more too, for that is as much work; what is left out in the new words stays as it was."""
        note, until = p.view.text_of("status") or "", None
        if half is not None:
            note, until = note or half.note, half.expires_at
        else:
            await self._parting.before_invitation(sender, recipient)
        await self.services.agreements.invite(
            sender, recipient, note=note, expires_at=until, actor=sender.id, by_stanza=True
        )

    # -- changes ---------------------------------------------------------------------------------------

    @on(SessionStarted)
    @on(SessionElsewhere)
    async def know(self, event: SessionStarted | SessionElsewhere) -> None:
        """What the gate will be asked about this session's stanzas, before its first one."""
        await self._known.agreed.fetch(event.session.account)

    @on(Changed)
    async def changed(self, event: Changed) -> None:
        """Whatever was agreed, or decided by an administrator, here or elsewhere."""
        change = event.change
        match change.kind:
            case ChangeKind.AUTHORISATIONS_CHANGED | ChangeKind.ACCOUNT_CHANGED if change.account_id:
                self._forget(change.account_id)
                account = await self.services.store.accounts.by_id(change.account_id)
                if account is not None:
                    await self._parting.of_account(account)
            case ChangeKind.LINKS_CHANGED:
                for company_id, lost in (await self._known.read_links()).items():
                    if lost:
                        await self._parting.of_company(company_id)
            case ChangeKind.COMPANY_CHANGED:
                await self._parting.of_company(change.company_id)

    def _forget(self, *account_ids: str) -> None:
        for account_id in account_ids:
            self._known.agreed.forget(account_id)

    @every(minutes=1)
    async def end_expired(self) -> None:
        """Authorisations that were made for a time."""
        if await self.services.agreements.end_expired():
            await self.services.apply_changes()

    @every(hours=1)
    async def tidy(self) -> None:
        """What was agreed, or ended, while no server ran; and what is remembered about people who are gone."""
        await self._parting.of_company("")
        await self._known.agreed.renew(home.account for home in self.services.sessions.homes.values())
