"""People who are added at the same moment, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from rainbow_xmpp.auth.people import People
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.cli import user_import
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.config import Auth, Config, ServiceLevel
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
        Regions({}),
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


async def test_an_import_finds_the_room_taken_that_there_was_before_its_passwords_were_hashed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await store.companies.add("Acme")
    config = Config(domain="chat.example", service_levels={acme.service_level: ServiceLevel(max_members=2)})
    rows = [f"p{n}@acme.example,Acme,,Purple-Kettle-9{n}" for n in range(2)]
    (tmp_path / "people.csv").write_text("\n".join(["email,company,localpart,password", *rows]))

    async def slowly(
        config: Config, rows: object, accounts: Sequence[NewAccount]
    ) -> AsyncIterator[NewAccount]:
        await store.accounts.add(NewAccount(company="Acme", email="quick@acme.example"))
        for account in accounts:
            yield account

    monkeypatch.setattr(user_import, "_with_credentials", slowly)
    monkeypatch.setattr(user_import, "audit_log", lambda *_: AuditLog(store.audit, chain_keys(SEALER)))
    report = await user_import.import_people(store, config, tmp_path / "people.csv")
    assert report.imported == 0 and "allows 2" in report.errors[0].reason
    assert await store.accounts.count(acme.id) == 1
