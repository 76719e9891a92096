"""What two people, or two companies, agree on: made, answered and ended here, whoever asks for it.

The command line, the API and the gate all come through here, so that a rule holds on every way. What it means for
people who are online is done by the servers, which hear of it from the log of changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rainbow_xmpp.company.policy import visibility_of
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import (
    Account,
    Authorisation,
    AuthorisationState,
    Company,
    CompanyLink,
    Visibility,
)

if TYPE_CHECKING:
    from rainbow_xmpp.observe.audit import AuditLog
    from rainbow_xmpp.store import Store

MAX_NOTE = 500
"""Characters of the note that comes with an invitation."""
_INVITED = "authorisation.invited"
_ACCEPTED = "authorisation.accepted"
_ENDED = "authorisation.ended"


class Deed(StrEnum):
    """What somebody does with an agreement."""

    INVITE = "invite"
    ACCEPT = "accept"
    END = "end"


@dataclass(frozen=True, slots=True)
class Crossing:
    """What another region must hear of: `one` of here did this with somebody at home there."""

    deed: Deed
    one: Account
    other: Account
    note: str = ""
    expires_at: int | None = None


class NotAllowed(RainbowError):
    """These two cannot agree on this; the text is for whoever administers one of them."""


class Agreements:
    """`domain` is what stands after the @; `actor` of each method goes to the audit log, with the reason.

    What is done and its records, one for each company, are kept together or not at all.
    """

    def __init__(self, store: Store, audit: AuditLog, domain: str, now: Callable[[], float]) -> None:
        self._store = store
        self._audit = audit
        self._domain = domain
        self._now = now
        self.cross: Callable[[Crossing], Awaitable[None]] | None = None
        """Where there are other regions: takes what the other person's region must hear of, to be carried there."""

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
        by_stanza: bool = False,
    ) -> Authorisation:
        """Invite somebody of another company; if they had invited, that accepts it. Raises NotAllowed.

        `by_stanza`: a subscription stanza says so, which is on its way to the other one's region, if that is another.
        """
        if inviter.company.id == invitee.company.id and not inviter.company.is_public:
            raise NotAllowed("colleagues need no invitation")
        if inviter.id == invitee.id:
            raise NotAllowed("nobody invites themselves")
        if Visibility.ISOLATED in (visibility_of(inviter), visibility_of(invitee)):
            raise NotAllowed("somebody isolated neither invites nor is invited")
        if expires_at is not None and expires_at <= self._now():
            raise NotAllowed("the invitation would be over already")
        known = await self._half(inviter, invitee)
        if known is not None and known.holds_at(self._now()):
            return known
        is_open = known is not None and not known.is_over_at(self._now())
        answers = is_open and known is not None and known.state is AuthorisationState.ASKED
        kind = _ACCEPTED if answers else _INVITED
        jids = (self._bare(inviter), self._bare(invitee))
        both = (inviter, invitee)
        state = AuthorisationState.ACCEPTED if answers else AuthorisationState.INVITED
        async with self._recorded(kind, both, actor, reason, state=state):
            made = await self._store.authorisations.invite(
                inviter, invitee, jids, note=note[:MAX_NOTE], expires_at=expires_at
            )
        if made.state is AuthorisationState.ACCEPTED and kind != _ACCEPTED:  # they invited each other at once
            async with self._recorded(_ACCEPTED, both, actor, reason):
                pass
        if not by_stanza:
            await self._cross(Crossing(Deed.INVITE, inviter, invitee, note[:MAX_NOTE], expires_at))
        return made

    async def accept(
        self, invitee: Account, inviter: Account, *, actor: str, reason: str = "", by_stanza: bool = False
    ) -> Authorisation:
        """Accept an invitation. Raises NotFound when there is none, or none any more."""
        if Visibility.ISOLATED in (visibility_of(inviter), visibility_of(invitee)):
            raise NotFound("invitation", inviter.id)
        async with self._recorded(_ACCEPTED, (invitee, inviter), actor, reason):
            accepted = await self._store.authorisations.accept(invitee, inviter)
        if not by_stanza:
            await self._cross(Crossing(Deed.ACCEPT, invitee, inviter))
        return accepted

    async def end(
        self, one: Account, other: Account, *, actor: str, reason: str = "", by_stanza: bool = False
    ) -> Authorisation:
        """Either side, or its administrator, ends an authorisation or an invitation. Raises NotFound."""
        known = await self._half(one, other)
        async with self._recorded(
            _ENDED,
            (one, other),
            actor,
            reason,
            state=known.state if known else AuthorisationState.ACCEPTED,
        ):
            ended = await self._store.authorisations.end(one, other)
        if not by_stanza:
            await self._cross(Crossing(Deed.END, one, other))
        return ended

    async def _cross(self, crossing: Crossing) -> None:
        if self.cross is not None and crossing.other.abroad:
            await self.cross(crossing)

    async def rehearse(self, owner: Account, *, note: str = "", is_end: bool = False) -> None:
        """The work of an invitation, or of its end, where there is nobody to be invited: it takes as long."""
        await self._half(owner, owner)
        kind = _ENDED if is_end else _INVITED
        with self._audit.rehearsed(
            kind, company_id=owner.company.id, actor=owner.id, target=owner.id, contact=owner.id
        ):
            await self._store.authorisations.rehearse(
                owner, self._bare(owner), note=note[:MAX_NOTE], is_end=is_end
            )

    async def end_expired(self) -> int:
        """End what is over; returns how many."""
        ended = 0
        for half in await self._store.authorisations.expired():
            one = await self._store.accounts.by_id(half.owner_id)
            other = await self._store.accounts.by_id(half.contact_id)
            if one is None:
                continue
            if other is None:  # at home in another region, where the other half ends
                await self._end_half(one, half)
                ended += 1
            elif half.owner_id < half.contact_id:
                await self.end(one, other, actor="system")
                ended += 1
        return ended

    async def _end_half(self, owner: Account, half: Authorisation) -> None:
        record = self._audit.with_write(
            _ENDED, company_id=owner.company.id, actor="system", target=owner.id, contact=half.contact_id
        )
        async with record:
            await self._store.authorisations.end_half(half)

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
        asked = CompanyLink(new_id(), company.id, other.id, int(self._now()), None)
        async with self._recorded_link("link.asked", asked, actor, reason):
            return await self._store.links.ask(company.id, other.id, id=asked.id)

    async def confirm_link(
        self, company: Company, link_id: str, *, actor: str, reason: str = ""
    ) -> CompanyLink:
        """The company that was asked agrees. Raises NotFound, and NotAllowed for one that is isolated by now."""
        if company.visibility is Visibility.ISOLATED:
            raise NotAllowed("an isolated company has no links")
        asked = await self._link(company, link_id)
        async with self._recorded_link("link.confirmed", asked, actor, reason):
            return await self._store.links.confirm(company.id, link_id)

    async def end_link(self, company: Company, link_id: str, *, actor: str, reason: str = "") -> CompanyLink:
        """Either company ends it, or refuses or takes back the question. Raises NotFound."""
        known = await self._link(company, link_id)
        async with self._recorded_link("link.ended", known, actor, reason):
            return await self._store.links.end(company.id, link_id)

    # -- the audit log ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _recorded(
        self,
        kind: str,
        both: tuple[Account, Account],
        actor: str,
        reason: str,
        *,
        state: AuthorisationState = AuthorisationState.ACCEPTED,
    ) -> AsyncIterator[None]:
        """Once for each company: each reads its own. `state` is that of the first one's half.

        Of an open invitation only the invited side: whoever reads the inviter's must not learn whom there is.
        """
        match state:
            case AuthorisationState.INVITED:
                sides: tuple[tuple[Account, Account], ...] = (both[::-1],)
            case AuthorisationState.ASKED:
                sides = (both,)
            case AuthorisationState.ACCEPTED:
                sides = (both, both[::-1])
        async with AsyncExitStack() as records:
            for one, other in ((one, other) for one, other in sides if not one.abroad):
                record = self._audit.with_write(
                    kind,
                    company_id=one.company.id,
                    actor=actor,
                    target=one.id,
                    reason=reason,
                    contact=other.id,
                )
                await records.enter_async_context(record)
            yield

    @asynccontextmanager
    async def _recorded_link(
        self, kind: str, link: CompanyLink, actor: str, reason: str
    ) -> AsyncIterator[None]:
        one, other, record = link.company_id, link.other_id, self._audit.with_write
        async with (
            record(kind, company_id=one, actor=actor, target=link.id, reason=reason, company=other),
            record(kind, company_id=other, actor=actor, target=link.id, reason=reason, company=one),
        ):
            yield

    async def _half(self, owner: Account, contact: Account) -> Authorisation | None:
        """What the owner has agreed on with the contact, or asked."""
        if owner.abroad:
            theirs = await self._half(contact, owner)
            return None if theirs is None else theirs.as_seen_by(owner)
        halves = await self._store.authorisations.of(owner.company.id, owner.id)
        return next((half for half in halves if half.contact_id == contact.id), None)

    async def _link(self, company: Company, link_id: str) -> CompanyLink:
        """One of a company's links. Raises NotFound."""
        for link in await self._store.links.of_company(company.id):
            if link.id == link_id:
                return link
        raise NotFound("link", link_id)

    def _bare(self, account: Account) -> str:
        return f"{account.localpart}@{self._domain}"
