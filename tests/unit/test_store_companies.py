"""Companies."""

from dataclasses import replace

import pytest

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import AlreadyExists, NotFound, StoreError
from rainbow_xmpp.store.values import ChangeKind, NewAccount, Visibility


async def test_a_company_is_found_by_name_in_any_case_and_by_id(store: Store) -> None:
    acme = await store.companies.add("  Acme   Ltd ", "eu", Visibility.CLOSED, organisation="Group")
    assert (acme.name, acme.region, acme.visibility) == ("Acme Ltd", "eu", Visibility.CLOSED)
    assert (acme.organisation, acme.service_level, acme.disabled) == ("Group", "essential", False)
    assert len(acme.id) == 24
    assert await store.companies.by_name("ACME ltd") == acme
    assert await store.companies.by_id(acme.id) == acme
    assert await store.companies.by_name("Acme") is None
    assert await store.companies.by_id("0" * 24) is None


@pytest.mark.parametrize("region", ["", "two words", "eu.west", "-eu", "EU", "x" * 33])
async def test_a_regions_name_fits_into_host_names_and_subjects(store: Store, region: str) -> None:
    with pytest.raises(StoreError, match="a region has 1 to 32 small letters, digits and hyphens"):
        await store.companies.add("Acme", region)
    assert await store.companies.by_name("Acme") is None


async def test_companies_are_listed_by_name(store: Store) -> None:
    for name in ("zeta", "Beta", "alpha"):
        await store.companies.add(name)
    assert [company.name for company in await store.companies.list()] == ["alpha", "Beta", "Rainbow", "zeta"]


async def test_a_name_belongs_to_one_company(store: Store) -> None:
    acme = await store.companies.add("Acme")
    other = await store.companies.add("Other")
    with pytest.raises(AlreadyExists, match="name 'ACME' is already taken"):
        await store.companies.add("ACME")
    with pytest.raises(AlreadyExists):
        await store.companies.update(other.id, name="acme")
    assert await store.companies.by_name("acme") == acme


async def test_an_update_changes_what_is_given_and_leaves_a_change(store: Store) -> None:
    acme = await store.companies.add("Acme")
    start = await store.changes.latest_id()
    changed = await store.companies.update(
        acme.id, name="Acme 2", visibility=Visibility.PUBLIC, service_level="gold"
    )
    assert changed == replace(acme, name="Acme 2", visibility=Visibility.PUBLIC, service_level="gold")
    assert await store.companies.by_name("acme 2") == changed
    assert await store.companies.by_name("acme") is None
    (change,) = await store.changes.after(start)
    assert (change.kind, change.company_id, change.account_id) == (ChangeKind.COMPANY_CHANGED, acme.id, None)


async def test_people_of_a_disabled_company_may_not_log_in(store: Store) -> None:
    acme = await store.companies.add("Acme")
    await store.accounts.add(NewAccount(company="Acme", email="a@acme.example"))
    await store.companies.update(acme.id, disabled=True)
    record = await store.accounts.for_login("a@acme.example")
    assert record is not None
    assert not record.account.may_log_in


async def test_an_unknown_company_cannot_be_updated(store: Store) -> None:
    before = await store.changes.latest_id()
    with pytest.raises(NotFound):
        await store.companies.update("0" * 24, name="Acme")
    assert await store.changes.latest_id() == before


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\0b", "a\x07b"])
async def test_a_company_needs_a_name_that_can_be_shown(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="1 to 200 printable characters"):
        await store.companies.add(name)


async def test_a_company_cannot_be_as_visible_as_its_company(store: Store) -> None:
    acme = await store.companies.add("Acme")
    with pytest.raises(StoreError, match="is for people"):
        await store.companies.add("B", "eu", Visibility.SAME_THAN_COMPANY)
    with pytest.raises(StoreError, match="is for people"):
        await store.companies.update(acme.id, visibility=Visibility.SAME_THAN_COMPANY)
