"""Finding people, by XMPP (XEP-0055) and by the API; whoever may not be found is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from rainbow_xmpp.plugin import (
    Access,
    Account,
    Action,
    Call,
    Condition,
    Context,
    Element,
    Page,
    Plugin,
    PluginOptions,
    Problem,
    Services,
    StanzaError,
    endpoint,
    on_iq,
    option,
    too_many,
)
from rainbow_xmpp.plugin.pace import Pace
from rainbow_xmpp.plugins.search.payloads import QUERY, Asked, question
from rainbow_xmpp.plugins.search.store import Directory, Hit
from rainbow_xmpp.plugins.search.wanted import NotSearchable, Place, Wanted
from rainbow_xmpp.xml import names


class SearchQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """At least one of name, email and company; of several all must fit."""

    name: Annotated[str, Meta(max_length=200, description="Beginnings of words of the name.")] = ""
    email: Annotated[str, Meta(max_length=254, description="As a whole.")] = ""
    company: Annotated[str, Meta(max_length=200, description="Beginnings of words of its name.")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: Annotated[str, Meta(max_length=1200, description="`next` of the page before.")] = ""


class FoundPerson(Struct, frozen=True):
    """Somebody whom the caller may find."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]
    address: Annotated[str, Meta(description="The JID.")]
    name: str
    company: str
    company_id: Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]


class Found(NamedTuple):
    """Some of those who were found, and where to go on when there are more."""

    hits: Sequence[Hit]
    next: Place | None


class Search(
    Plugin,
    name="search",
    implements={"XEP-0055": "1.3"},
    features=(names.SEARCH,),
):
    """One search with two faces. SQL narrows, `Services.may` decides about each hit.

    Somebody who may not be found and somebody who is not there look alike, and no number tells of them.
    """

    class Options(PluginOptions):
        searches_per_minute: int = option(
            30, "Searches of one account. 0 = no limit.", ge=0, le=100_000, reload="live"
        )
        shortest_name: int = option(
            2, "So many characters of a name must be given, at least.", ge=1, le=20, reload="live"
        )
        max_results: int = option(
            50, "So many people are in an answer to an XMPP client.", ge=1, le=200, reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._directory = Directory(services.store)
        self._pace = Pace(lambda: self.options.searches_per_minute)

    async def find(self, actor: Account, wanted: Wanted, *, after: Place | None, limit: int) -> Found:
        """At most `limit` people whom this person may find, in the order of their names."""
        hits: list[Hit] = []
        while len(hits) <= limit:
            asked = limit + 1 - len(hits)
            some = await self._directory.find(actor, wanted, after=after, most=asked)
            hits += [hit for hit in some if await self.services.may(Action.SEARCH, actor, hit.account)]
            if len(some) < asked:
                return Found(hits, None)
            after = some[-1].place
        return Found(hits[:limit], hits[limit - 1].place)

    # -- XEP-0055 --------------------------------------------------------------------------------------

    @on_iq("get", QUERY, to="server")
    def fields(self, ctx: Context, asked: Element) -> Element:
        return question()

    @on_iq("set", QUERY, to="server")
    async def search(self, ctx: Context, query: Element) -> Element:
        asked = Asked.from_xml(query)
        wait_s = self._pace.wait_s(ctx.sender.id, self.services.now())
        if wait_s:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, f"search again in {wait_s} seconds")
        search = asked.search
        try:
            wanted = self._wanted(search.name, search.email, search.company)
        except NotSearchable as error:
            raise StanzaError(Condition.NOT_ACCEPTABLE, str(error)) from None
        found = await self.find(ctx.sender, wanted, after=None, limit=self.options.max_results)
        return asked.answer([hit.account for hit in found.hits], self.services.domain)

    # -- the API ---------------------------------------------------------------------------------------

    @endpoint(
        "GET",
        "/search",
        access=Access.PERSON,
        summary="Find people by name, e-mail address or company.",
        query=SearchQuery,
        answer=Page[FoundPerson],
    )
    async def search_by_api(self, call: Call) -> Page[FoundPerson]:
        if not self.options.serves(call.caller):
            raise Problem(403, "forbidden")
        wait_s = self._pace.wait_s(call.caller.id, call.now)
        if wait_s:
            raise too_many(wait_s)
        asked: SearchQuery = call.query
        try:
            wanted = self._wanted(asked.name, asked.email, asked.company)
            after = Place.from_text(asked.after) if asked.after else None
        except NotSearchable as error:
            raise Problem(400, "not-searchable", str(error)) from None
        found = await self.find(call.caller, wanted, after=after, limit=asked.limit)
        return Page(
            [self._value(hit.account) for hit in found.hits],
            found.next.to_text() if found.next is not None else None,
        )

    def _wanted(self, name: str, email: str, company: str) -> Wanted:
        return Wanted.of(name=name, email=email, company=company, shortest=self.options.shortest_name)

    def _value(self, account: Account) -> FoundPerson:
        company = account.company
        return FoundPerson(
            account.id, self.services.bare_jid(account), account.name, company.name, company.id
        )
