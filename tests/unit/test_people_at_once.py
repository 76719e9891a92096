"""People who are added at the same moment, on both databases."""

import asyncio

from rainbow_xmpp.auth.people import People
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.config import Auth, ServiceLevel
from rainbow_xmpp.observe.audit import AuditLog, chain_keys
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import NewAccount

SEALER = Sealer(b"k" * 32)


async def _nothing() -> None:
    pass


async def test_a_company_never_has_more_people_than_its_service_level_allows(store: Store) -> None:
    acme = await store.companies.add("Acme")
    levels = ServiceLevels({acme.service_level: ServiceLevel(max_members=3)})
    people = People(
        store,
        AuditLog(store.audit, chain_keys(SEALER)),
        SEALER,
        Auth(scram_iterations=4096),
        levels,
        hashing=asyncio.to_thread,
        changed=_nothing,
    )
    adding = (
        people.add(NewAccount(company="Acme", email=f"p{n}@acme.example"), actor="test") for n in range(8)
    )
    results = await asyncio.gather(*adding, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [type(each) for each in refused] == [NotAllowed] * 5
    assert await store.accounts.count(acme.id) == 3
