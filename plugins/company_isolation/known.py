"""What the gate must know at once: who agreed with whom, and which companies are linked."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence

from rainbow_xmpp.company.policy import Relation, relation_by_company
from rainbow_xmpp.plugin import Account, Facts, Services
from rainbow_xmpp.store.values import Authorisation

Agreed = Mapping[str, Authorisation]
"""One person's halves of authorisations and invitations, by the other one's id."""

NOTHING: Agreed = {}
_COLLEAGUE, _AUTHORISED = Relation.COLLEAGUE, Relation.AUTHORISED
NO_LINKS: frozenset[str] = frozenset()


class Known:
    """In memory; read when it is lacking, forgotten when it changes."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._now = services.now
        self._bare_jid = services.bare_jid
        self.linked: dict[str, frozenset[str]] = {}
        """For each linked company those it is linked to."""
        self.agreed: Facts[Account, Agreed] = Facts(self._read, otherwise=NOTHING)

    async def read_links(self) -> dict[str, frozenset[str]]:
        """Read the links anew; returns, for each company, those that it is not linked to any more."""
        before, self.linked = self.linked, await self._store.links.confirmed()
        return {one: others - self.linked.get(one, NO_LINKS) for one, others in before.items()}

    def relation(self, one: Account, other: Account, half: Authorisation | None) -> Relation:
        """What two people are to each other; `half` is the first one's of what they agreed on, if anything."""
        by_company = relation_by_company(one, other, self.linked.get(one.company.id, NO_LINKS))
        if by_company is _COLLEAGUE or half is None or not half.holds_at(self._now()):
            return by_company
        return _AUTHORISED

    def half_at_hand(self, one: Account, other: Account) -> Authorisation | None:
        """The first one's half of what they agreed on. KeyError when it has to be fetched."""
        if not one.abroad:
            return self._with(other, self.agreed.at_hand[one.id].get(other.id))
        theirs = self._with(
            one, self.agreed.at_hand[other.id].get(one.id)
        )  # our own person's half tells of it
        return None if theirs is None else theirs.as_seen_by(one)

    async def half(self, one: Account, other: Account) -> Authorisation | None:
        """The same, fetched when it has to be."""
        if not one.abroad:
            return self._with(other, (await self.agreed.fetch(one)).get(other.id))
        theirs = self._with(one, (await self.agreed.fetch(other)).get(one.id))
        return None if theirs is None else theirs.as_seen_by(one)

    def _with(self, contact: Account, half: Authorisation | None) -> Authorisation | None:
        """A half that was agreed on with this very person: of somebody abroad their region says which id is theirs,
        and must not say so of an id that somebody of another company, or with another address, is known by."""
        if half is None or not contact.abroad:
            return half
        is_theirs = half.contact_jid == self._bare_jid(contact)
        return half if is_theirs and half.contact_company_id == contact.company.id else None

    def fetch(self, one: Account, other: Account) -> Awaitable[object]:
        """Fetch what `half_at_hand` lacks."""
        return self.agreed.fetch(other if one.abroad else one)

    async def _read(self, people: Sequence[Account]) -> Mapping[str, Agreed]:
        found = await self._store.authorisations.of_many(people)
        return {owner: {half.contact_id: half for half in halves} for owner, halves in found.items()}
