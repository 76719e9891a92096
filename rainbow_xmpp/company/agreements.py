"""What two people, or two companies, agree on: made, answered and ended here, whoever asks for it.

The command line, the API and the gate all come through here, so that a rule holds on every way. What it means for
people who are online is done by the servers, which hear of it from the log of changes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from rainbow_xmpp.company.policy import visibility_of
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.store.values import (
    Account,
    Authorisation,
    AuthorisationState,
    Company,
    CompanyLink,
    Visibility,
)

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store

MAX_NOTE = 500
"""Characters of the note that comes with an invitation."""


class NotAllowed(RainbowError):
    """These two cannot agree on this; the text is for whoever administers one of them."""


class Audit(Protocol):
    def __call__(
        self,
        kind: str,
        *,
        company_id: str,
        actor: str,
        target: str = "",
        reason: str = "",
        **facts: str | int | bool,
    ) -> Awaitable[None]: ...


class Agreements:
    """`domain` is what stands after the @; `actor` of each method goes to the audit log."""

    def __init__(self, store: Store, audit: Audit, domain: str, now: Callable[[], float]) -> None:
        self._store = store
        self._audit = audit
        self._domain = domain
        self._now = now

    # -- person to person ------------------------------------------------------------------------------

    async def invite(
        self,
        inviter: Account,
        invitee: Account,
        *,
        note: str = "",
        expires_at: int | None = None,
        actor: str,
        reason: str = "",
    ) -> Authorisation:
        """Invite somebody of another company; if they had invited, that accepts it. Raises NotAllowed."""
        if inviter.company.id == invitee.company.id and not inviter.company.is_public:
            raise NotAllowed("colleagues need no invitation")
        if inviter.id == invitee.id:
            raise NotAllowed("nobody invites themselves")
        if Visibility.ISOLATED in (visibility_of(inviter), visibility_of(invitee)):
            raise NotAllowed("somebody isolated neither invites nor is invited")
        if expires_at is not None and expires_at <= self._now():
            raise NotAllowed("the invitation would be over already")
        jids = (self._bare(inviter), self._bare(invitee))
        made = await self._store.authorisations.invite(
            inviter, invitee, jids, note=note[:MAX_NOTE], expires_at=expires_at
        )
        accepted = made.state is AuthorisationState.ACCEPTED
        kind = "authorisation.accepted" if accepted else "authorisation.invited"
        await self._record(kind, (inviter, invitee), actor, reason)
        return made

    async def accept(
        self, invitee: Account, inviter: Account, *, actor: str, reason: str = ""
    ) -> Authorisation:
        """Accept an invitation. Raises NotFound when there is none, or none any more."""
        accepted = await self._store.authorisations.accept(invitee, inviter)
        await self._record("authorisation.accepted", (invitee, inviter), actor, reason)
        return accepted

    async def end(self, one: Account, other: Account, *, actor: str, reason: str = "") -> Authorisation:
        """Either side, or its administrator, ends an authorisation or an invitation. Raises NotFound."""
        ended = await self._store.authorisations.end(one, other)
        await self._record("authorisation.ended", (one, other), actor, reason)
        return ended

    async def end_expired(self) -> int:
        """End what is over; returns how many."""
        ended = 0
        for half in await self._store.authorisations.expired():
            one = await self._store.accounts.by_id(half.owner_id)
            other = await self._store.accounts.by_id(half.contact_id)
            if one is not None and other is not None and half.owner_id < half.contact_id:
                await self.end(one, other, actor="system")
                ended += 1
        return ended

    # -- company to company ----------------------------------------------------------------------------

    async def ask_link(
        self, company: Company, other: Company, *, actor: str, reason: str = ""
    ) -> CompanyLink:
        """Ask another company for a link. Raises NotAllowed and AlreadyExists."""
        if company.id == other.id:
            raise NotAllowed("a company is not linked to itself")
        if company.is_public or other.is_public:
            raise NotAllowed("the public company has no links: its people agree one by one")
        if Visibility.ISOLATED in (company.visibility, other.visibility):
            raise NotAllowed("an isolated company has no links")
        link = await self._store.links.ask(company.id, other.id)
        await self._record_link("link.asked", link, actor, reason)
        return link

    async def confirm_link(
        self, company: Company, link_id: str, *, actor: str, reason: str = ""
    ) -> CompanyLink:
        """The company that was asked agrees. Raises NotFound, and NotAllowed for one that is isolated by now."""
        if company.visibility is Visibility.ISOLATED:
            raise NotAllowed("an isolated company has no links")
        link = await self._store.links.confirm(company.id, link_id)
        await self._record_link("link.confirmed", link, actor, reason)
        return link

    async def end_link(self, company: Company, link_id: str, *, actor: str, reason: str = "") -> CompanyLink:
        """Either company ends it, or refuses or takes back the question. Raises NotFound."""
        link = await self._store.links.end(company.id, link_id)
        await self._record_link("link.ended", link, actor, reason)
        return link

    # -- the audit log ---------------------------------------------------------------------------------

    async def _record(self, kind: str, both: tuple[Account, Account], actor: str, reason: str) -> None:
        """Once for each company: each reads its own."""
        for one, other in (both, both[::-1]):
            await self._audit(
                kind, company_id=one.company.id, actor=actor, target=one.id, reason=reason, contact=other.id
            )

    async def _record_link(self, kind: str, link: CompanyLink, actor: str, reason: str) -> None:
        for company_id, other_id in ((link.company_id, link.other_id), (link.other_id, link.company_id)):
            await self._audit(
                kind, company_id=company_id, actor=actor, target=link.id, reason=reason, company=other_id
            )

    def _bare(self, account: Account) -> str:
        return f"{account.localpart}@{self._domain}"
