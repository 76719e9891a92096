"""The company map: every region knows the companies of all, and none of the people (regions without people's names).

Each company is told of by its home region alone, whenever something of it changes and now and then.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache

import msgspec

from rainbow_xmpp.border import Border, Refused, Unreachable
from rainbow_xmpp.company.record import BadRecord, pack_company, unpack_company
from rainbow_xmpp.ids import is_id
from rainbow_xmpp.regions.parcels import decode, encode
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import AlreadyExists
from rainbow_xmpp.store.values import Company

log = logging.getLogger(__name__)

COMPANIES = "companies"
"""The service that is told of companies."""
_AT_ONCE = 200


class Told(msgspec.Struct, array_like=True, frozen=True):
    """Companies at home in the region that says so."""

    companies: list[bytes]


class CompanyMap:
    """The companies as they are known here."""

    def __init__(self, store: Store, border: Border, changed: Callable[[], Awaitable[None]]) -> None:
        """`changed` brings into effect what was written."""
        self._store = store
        self._border = border
        self._changed = changed
        self._by_id: dict[str, Company] = {}
        self._public: Company | None = None
        self._told: dict[str, dict[str, bytes]] = {}
        """What each region was told last, by company."""

    async def start(self) -> None:
        """Read it, and hear of the others' from now on."""
        await self.read()
        await self._border.serve(COMPANIES, self._hear)

    async def read(self) -> None:
        """What the database has."""
        companies = await self._store.companies.list()
        self._by_id = {company.id: company for company in companies}
        self._public = next((company for company in companies if company.is_public), None)

    def company_of(self, packed: bytes, region: str) -> Company | None:
        """The company that somebody of that region says to be of; None when that cannot be.

        What is known here counts. One that is not is believed to the region that it is at home in.
        """
        try:
            said = _unpacked(packed)
        except BadRecord:
            log.warning("the region %s describes a company as no version known here does", region)
            return None
        if said.is_public:
            return self._public  # a place in every region, the same for all who belong to no company
        known = self._by_id.get(said.id)
        if known is None:
            known = said if said.region == region and is_id(said.id) else None
        if known is None or known.disabled or region not in (known.region, *known.settings.regions):
            log.warning("the region %s speaks for a company that is not at home there", region)
            return None
        return known

    async def tell(self) -> None:
        """Tell the other regions of the companies at home here, as far as they do not know."""
        await self.read()
        packed = {
            company.id: pack_company(company)
            for company in self._by_id.values()
            if company.region == self._border.here and not company.is_public
        }
        for region in self._border.others:
            told = self._told.setdefault(region, {})
            news = [id for id, record in packed.items() if told.get(id) != record]
            await self._tell(region, told, packed, news)

    async def _tell(
        self, region: str, told: dict[str, bytes], packed: dict[str, bytes], news: Sequence[str]
    ) -> None:
        for begin in range(0, len(news), _AT_ONCE):
            part = {id: packed[id] for id in news[begin : begin + _AT_ONCE]}
            try:
                await self._border.ask(region, COMPANIES, encode(Told([*part.values()])))
            except (Unreachable, Refused):
                return  # the next time
            told |= part

    async def _hear(self, origin: str, request: bytes) -> bytes:
        is_news = False
        for packed in decode(request, Told).companies:
            try:
                company = unpack_company(packed)
            except BadRecord:
                log.warning("the region %s tells of a company as no version known here does", origin)
                continue
            known = await self._store.companies.by_id(company.id)
            if company.is_public or origin != company.region or not is_id(company.id):
                continue
            if known is not None and known.region != origin:
                # It moved, or somebody claims that it did: its home says so (`rainbow_xmpp.moving`).
                log.warning("the region %s speaks for a company at home in %s", origin, known.region)
                continue
            try:
                is_news |= await self._store.companies.keep(company)
            except AlreadyExists:
                log.error(
                    "the company %s of the region %s is called as one here: rename one of them",
                    company.id,
                    origin,
                )
        if is_news:
            await self.read()
            await self._changed()
        return b""


@lru_cache(maxsize=1024)
def _unpacked(packed: bytes) -> Company:
    return unpack_company(packed)
