"""Everything that keeps companies apart, and what the server would be without each single one of them.

A mutant is the server with one thing taken out; the walk must find every one (`test_isolation_walk.py`). Whoever
adds a path to people adds what guards it here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rainbow_xmpp.plugin import Account, Passage
from rainbow_xmpp.plugin.keeping import LateGate as Gate
from rainbow_xmpp.plugins import company_isolation
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation, known, parting
from rainbow_xmpp.plugins.company_roster import CompanyRoster
from rainbow_xmpp.plugins.rest_api.doorkeeper import Doorkeeper
from rainbow_xmpp.presence import PresenceService
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session import watch
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.store.values import Authorisation, Company

Mutant = Callable[[pytest.MonkeyPatch], None]


def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _later(*_: Any, **__: Any) -> None:
    return None


async def _yes(*_: Any, **__: Any) -> bool:
    return True


def _without(cls: type, method: str) -> Mutant:
    """The method is there and does nothing; what it is registered for stays."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        original = getattr(cls, method)
        is_async = original.__code__.co_flags & 0x80
        put(patch, cls, method, _later if is_async else _nothing)

    return mutate


def _always(cls: type, method: str) -> Mutant:
    """An `async def` that says yes."""
    return lambda patch: put(patch, cls, method, _yes)


def put(patch: pytest.MonkeyPatch, cls: type, method: str, instead: Callable[..., Any]) -> None:
    """In place of a method, with its marks."""
    original = getattr(cls, method)

    if original.__code__.co_flags & 0x80:

        async def waits(self: Any, *arguments: Any, **named: Any) -> Any:
            return await instead(self, *arguments, **named)

        replaced: Callable[..., Any] = waits
    else:

        def replaced(self: Any, *arguments: Any, **named: Any) -> Any:
            return instead(self, *arguments, **named)

    replaced.__name__, replaced.__dict__ = original.__name__, dict(original.__dict__)
    patch.setattr(cls, method, replaced)


def _own_visibility_leaves_an_isolated_company(patch: pytest.MonkeyPatch) -> None:
    for module in (company_isolation, parting):
        patch.setattr(module, "visibility_of", lambda account: account.effective_visibility)


def _the_public_company_is_a_circle(patch: pytest.MonkeyPatch) -> None:
    original = known.relation_by_company

    def relation(one: Account, other: Account, linked: frozenset[str]) -> Any:
        if one.company.id == other.company.id:
            return known.Relation.COLLEAGUE
        return original(one, other, linked)

    patch.setattr(known, "relation_by_company", relation)


def _colleagues_of_the_public_company_pass(patch: pytest.MonkeyPatch) -> None:
    original = CompanyIsolation.between_companies

    def gate(self: CompanyIsolation, p: Passage) -> Any:
        if p.recipient is not None and p.sender.company.id == p.recipient.company.id:
            return None
        return original(self, p)

    put(patch, CompanyIsolation, "between_companies", gate)


def _agreements_never_expire(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Authorisation, "holds_at", lambda self, now: self.state == "accepted")


def _invitations_are_agreements(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Authorisation, "holds_at", lambda self, now: True)


def _every_stanza_is_an_invitation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(company_isolation, "wanted", lambda p: company_isolation.Action.INVITE)


def _every_request_asks_for_a_profile(patch: pytest.MonkeyPatch) -> None:
    original = company_isolation.wanted
    profile = company_isolation.Action.PROFILE
    patch.setattr(company_isolation, "wanted", lambda p: profile if p.kind == "iq" else original(p))


def _links_hold_for_ever(patch: pytest.MonkeyPatch) -> None:
    async def read_links(self: known.Known) -> dict[str, frozenset[str]]:
        before, now = self.linked, await self._store.links.confirmed()
        self.linked = {
            one: before.get(one, known.NO_LINKS) | now.get(one, known.NO_LINKS)
            for one in before.keys() | now.keys()
        }
        return {}

    patch.setattr(known.Known, "read_links", read_links)


def _questions_are_links(patch: pytest.MonkeyPatch) -> None:
    original = known.Known.read_links

    async def read_links(self: known.Known) -> dict[str, frozenset[str]]:
        gone = await original(self)
        asked: dict[str, set[str]] = {}
        for company in await self._store.companies.list():
            for link in await self._store.links.of_company(company.id):
                asked.setdefault(link.company_id, set()).add(link.other_id)
                asked.setdefault(link.other_id, set()).add(link.company_id)
        self.linked = {one: frozenset(others) for one, others in asked.items()}
        return gone

    patch.setattr(known.Known, "read_links", read_links)


def _refusals_are_told(patch: pytest.MonkeyPatch) -> None:
    """A refusal with a word of its own."""
    original = Pipeline._stay_closed

    def stay_closed(self: Pipeline, p: Passage, error: Exception) -> None:
        if p.recipient is not None and isinstance(error, company_isolation.StanzaError):
            error.text = "not for you"
            self.reply(p, error)
        else:
            original(self, p, error)

    patch.setattr(Pipeline, "_stay_closed", stay_closed)


def _requests_that_wait_are_shown(patch: pytest.MonkeyPatch) -> None:
    async def ask_again(self: PresenceService, request: bytes, session: Any) -> None:
        session.wire.send(request)

    patch.setattr(PresenceService, "_ask_again", ask_again)


def _the_public_company_has_a_roster(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Company, "is_public", property(lambda self: False))


def _any_company_is_shown(patch: pytest.MonkeyPatch) -> None:
    async def company(self: Doorkeeper, account: Account, company_id: str | None) -> Company | None:
        return await self._store.companies.by_id(company_id) if company_id else None

    patch.setattr(Doorkeeper, "_company", company)


def _nobody_is_absent_to_the_api(patch: pytest.MonkeyPatch) -> None:
    async def company(self: Doorkeeper, account: Account, company_id: str | None) -> Company | None:
        if company_id is None or company_id == account.company.id:
            return account.company
        if await self._store.companies.by_id(company_id) is not None:
            raise company_isolation_problem()
        return await original(self, account, company_id)

    original = Doorkeeper._company
    patch.setattr(Doorkeeper, "_company", company)


def company_isolation_problem() -> Exception:
    from rainbow_xmpp.plugin import Problem

    return Problem(403, "forbidden")


def _the_disabled_are_there(patch: pytest.MonkeyPatch) -> None:
    async def find(self: AccountDirectory, localpart: str) -> Account | None:
        return await self._accounts.by_localpart(localpart)

    patch.setattr(AccountDirectory, "find", find)
    patch.setattr(AccountDirectory, "peek", lambda self, localpart: {}[localpart])


MUTANTS: dict[str, Mutant] = {
    "the gate between companies": _without(CompanyIsolation, "between_companies"),
    "the gate in the public company": _colleagues_of_the_public_company_pass,
    "the question of what is no stanza": _always(CompanyIsolation, "permits"),
    "an isolated company holds its people": _own_visibility_leaves_an_isolated_company,
    "the public company is no circle": _the_public_company_is_a_circle,
    "what is agreed for a time ends": _agreements_never_expire,
    "an invitation is no agreement": _invitations_are_agreements,
    "what a stanza wants": _every_stanza_is_an_invitation,
    "what a request wants": _every_request_asks_for_a_profile,
    "the end of links": _links_hold_for_ever,
    "links are confirmed": _questions_are_links,
    "agreements are read anew": _without(CompanyIsolation, "_forget"),
    "changes of companies and people reach sessions": lambda patch: put(
        patch, watch.ChangeWatch, "_refresh", _later
    ),
    "parting, in rosters": _without(parting.Parting, "_part"),
    "parting, of directed presence": _without(parting.Parting, "_where_directed"),
    "refusals look like absence": _refusals_are_told,
    "the gate of offline messages": _always(Gate, "lets"),
    "the gate of requests that wait": _requests_that_wait_are_shown,
    "the gate of what is published": _without(Pipeline, "lets"),
    "the gate of who is blocked": _without(Blocking, "inbound"),
    "the gate of whom one blocks": _without(Blocking, "outbound"),
    "the question about who is blocked": _always(Blocking, "permits"),
    "no roster in the public company": _the_public_company_has_a_roster,
    "the door of the API: whose company": _any_company_is_shown,
    "the door of the API: absence": _nobody_is_absent_to_the_api,
    "disabled accounts are nobody": _the_disabled_are_there,
}
"""What is taken out, by what is missing then."""

__all__ = ["MUTANTS", "CompanyRoster", "Mutant"]
