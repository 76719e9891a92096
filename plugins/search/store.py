"""One query that finds people, narrowed to what the searcher may find; the gate is asked about each of them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rainbow_xmpp.company.policy import SEARCHES_OUTSIDE, visibility_of
from rainbow_xmpp.plugin import Account, Visibility
from rainbow_xmpp.plugins.search.wanted import Place, Wanted
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.directory import ACCOUNT_COLUMNS, WIDTH, AccountReader
from rainbow_xmpp.store.tables import authorisations, companies, company_links, emails, users
from rainbow_xmpp.store.values import AuthorisationState

_u, _c, _e, _l, _a = users.c, companies.c, emails.c, company_links.c, authorisations.c

_VISIBILITY = sa.case(
    (_c.visibility == Visibility.ISOLATED, sa.literal(str(Visibility.ISOLATED))),
    (_u.visibility == Visibility.SAME_THAN_COMPANY, _c.visibility),
    else_=_u.visibility,
)
"""What counts for a person, as `company.policy.visibility_of` says it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Somebody who was found, and where in the order they stand."""

    account: Account
    place: Place


class Directory:
    """People by name, e-mail address and company, in the order of their names."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = sa.func.instr if store.dialect == "sqlite" else sa.func.strpos

    async def find(self, actor: Account, wanted: Wanted, *, after: Place | None, most: int) -> list[Hit]:
        """At most so many of those whom the rule lets the actor find, behind the place `after`."""
        async with self._store.read() as connection:
            rows = await connection.execute(self.query(actor, wanted, after=after, most=most))
            reader = AccountReader()
            return [
                Hit(account, Place(row[WIDTH], account.id))
                for row in rows
                for account in (reader.account(row),)
            ]

    def query(self, actor: Account, wanted: Wanted, *, after: Place | None, most: int) -> sa.Select[Any]:
        """The statement of `find`."""
        people = users.join(companies)
        if wanted.email:
            owned = sa.and_(_e.company_id == _u.company_id, _e.owner_id == _u.id)
            people = people.join(emails, owned)
        statement = (
            sa.select(*ACCOUNT_COLUMNS, _u.name_key)
            .select_from(people)
            .where(*self._asked_for(wanted), _u.disabled.is_(False), _c.disabled.is_(False))
            .where(sa.or_(*_may_be_found(actor, int(self._store.now()))))
            .order_by(_u.name_key, _u.id)
            .limit(most)
        )
        if after is not None:
            statement = statement.where(
                sa.tuple_(_u.name_key, _u.id) > sa.tuple_(sa.literal(after.name_key), sa.literal(after.id))
            )
        return statement

    def _asked_for(self, wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
        if wanted.email:
            yield _e.address == wanted.email
        yield from self._begin(_u.name_key, wanted.words)
        if wanted.company:
            fitting = self._begin(_c.name_key, wanted.company)
            yield _u.company_id.in_(sa.select(_c.id).where(*fitting).correlate(None))

    def _begin(self, column: sa.ColumnElement[str], words: Iterable[str]) -> Iterator[sa.ColumnElement[bool]]:
        """Some word in the column begins with each of these. No LIKE: nothing that is typed is a wildcard."""
        for word in words:
            text = sa.literal(" ") + sa.func.replace(column, "-", " ")
            yield self._position(text, f" {word}") > 0


def _may_be_found(actor: Account, now: int) -> Iterator[sa.ColumnElement[bool]]:
    """The rule of `company.policy.may` for searching: any of these."""
    own, visibility = actor.company, visibility_of(actor)
    yield _u.id == actor.id
    if not own.is_public:
        yield _u.company_id == own.id
    if visibility is Visibility.ISOLATED:
        return
    agreed = sa.or_(_u.company_id.in_(_linked_to(own.id)), _u.id.in_(_agreed_with(actor, now)))
    yield sa.and_(_VISIBILITY != Visibility.ISOLATED, agreed)
    if visibility not in SEARCHES_OUTSIDE:
        return
    yield _VISIBILITY == Visibility.PUBLIC
    if own.organisation:
        yield sa.and_(_c.organisation == own.organisation, _VISIBILITY == Visibility.ORGANISATION)


def _linked_to(company_id: str) -> sa.CompoundSelect[tuple[str]]:
    confirmed = _l.confirmed_at.is_not(None)
    return sa.union_all(
        sa.select(_l.other_id).where(_l.company_id == company_id, confirmed),
        sa.select(_l.company_id).where(_l.other_id == company_id, confirmed),
    )


def _agreed_with(actor: Account, now: int) -> sa.Select[tuple[str]]:
    return sa.select(_a.contact_id).where(
        _a.company_id == actor.company.id,
        _a.owner_id == actor.id,
        _a.state == AuthorisationState.ACCEPTED,
        sa.or_(_a.expires_at.is_(None), _a.expires_at > now),
    )
