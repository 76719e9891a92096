"""Accounts: adding, finding, changing, removing."""

import asyncio
from dataclasses import replace

import pytest

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import (
    AlreadyExists,
    ImportRefused,
    InvalidAddress,
    InvalidLocalpart,
    NotFound,
)
from rainbow_xmpp.store.values import (
    Account,
    ChangeKind,
    Company,
    ConflictField,
    Headcount,
    NewAccount,
    Role,
    RosterItem,
    Visibility,
)


@pytest.fixture
async def acme(store: Store) -> Company:
    return await store.companies.add("Acme", "eu", service_level="gold")


@pytest.fixture
async def alice(store: Store, acme: Company) -> Account:
    return await store.accounts.add(NewAccount(company="Acme", email="Alice@Acme.example", localpart="alice"))


async def test_a_new_account_takes_the_region_of_its_company_and_follows_its_service_level(
    alice: Account, acme: Company
) -> None:
    assert (alice.region, alice.service_level, alice.role) == ("eu", "", Role.USER)
    assert alice.effective_service_level == "gold"
    assert alice.company == acme
    assert (alice.epoch, alice.disabled, alice.may_log_in) == (0, False, True)


async def test_an_account_is_found_by_its_localpart(store: Store, alice: Account) -> None:
    assert await store.accounts.by_localpart("alice") == alice
    assert await store.accounts.by_localpart("bob") is None
    assert await store.accounts.by_id(alice.id) == alice
    assert await store.accounts.by_id("0" * 24) is None


@pytest.mark.parametrize(
    "typed", ["alice", "ALICE", "alice@acme.example", "ALICE@ACME.EXAMPLE", " alice@acme.example "]
)
async def test_a_person_logs_in_by_localpart_or_address_in_any_case(
    store: Store, alice: Account, typed: str
) -> None:
    record = await store.accounts.for_login(typed)
    assert record is not None
    assert record.account == alice
    assert (record.sealed, record.key_id, record.imported_hash) == (None, None, None)


@pytest.mark.parametrize(
    "typed", ["bob", "bob@acme.example", "", "a b", "@", "@acme.example", "alice@", "al\0ice"]
)
async def test_nobody_is_found_by_what_nobody_is_called(store: Store, alice: Account, typed: str) -> None:
    assert await store.accounts.for_login(typed) is None


async def test_a_localpart_of_hex_digits_is_given_when_none_is_chosen(store: Store, acme: Company) -> None:
    account = await store.accounts.add(NewAccount(company="Acme", email="bob@acme.example"))
    assert len(account.localpart) == 32
    assert len(account.id) == 24
    assert (await store.accounts.by_localpart(account.localpart)) == account


async def test_an_address_belongs_to_one_account(store: Store, alice: Account) -> None:
    with pytest.raises(AlreadyExists) as caught:
        await store.accounts.add(NewAccount(company="Rainbow", email="ALICE@acme.example"))
    assert caught.value.field == "email"
    assert "ALICE@acme.example" in str(caught.value)


async def test_a_localpart_belongs_to_one_account(store: Store, alice: Account) -> None:
    with pytest.raises(AlreadyExists) as caught:
        await store.accounts.add(NewAccount(company="Acme", email="a2@acme.example", localpart="Alice"))
    assert caught.value.field == "localpart"


async def test_an_account_needs_a_company_that_exists(store: Store) -> None:
    with pytest.raises(NotFound, match="no company 'Nobody'"):
        await store.accounts.add(NewAccount(company="Nobody", email="a@b.example"))


@pytest.mark.parametrize("email", ["", "alice", "a@b@c", "a b@c", "@b", "a@", "a\n@b", "a@" + "b" * 300])
async def test_an_account_needs_an_address(store: Store, email: str) -> None:
    with pytest.raises(InvalidAddress):
        await store.accounts.add(NewAccount(company="Rainbow", email=email))


@pytest.mark.parametrize("localpart", ["", "a b", "a@b", "a/b", "<a>", "x" * 2000])
async def test_a_localpart_must_fit_into_a_jid(store: Store, localpart: str) -> None:
    with pytest.raises(InvalidLocalpart):
        await store.accounts.add(NewAccount(company="Rainbow", email="a@b.example", localpart=localpart))


async def test_a_company_lists_its_own_people_only(store: Store, alice: Account, acme: Company) -> None:
    globex = await store.companies.add("Globex")
    carol = await store.accounts.add(NewAccount(company="Globex", email="carol@globex.example"))
    (member,) = await store.accounts.list(acme.id)
    assert (member.account, member.emails) == (alice, ("alice@acme.example",))
    assert [m.account for m in await store.accounts.list(globex.id)] == [carol]
    assert await store.accounts.list("0" * 24) == []


async def test_a_member_is_found_within_the_company_only(store: Store, alice: Account, acme: Company) -> None:
    globex = await store.companies.add("Globex")
    member = await store.accounts.member(acme.id, alice.id)
    assert member is not None
    assert member.account == alice
    assert await store.accounts.member(globex.id, alice.id) is None


async def test_role_and_disabling_end_older_tokens(store: Store, alice: Account, acme: Company) -> None:
    await store.accounts.set_role(acme.id, alice.id, Role.COMPANY_ADMIN)
    await store.accounts.set_disabled(acme.id, alice.id, True)
    changed = await store.accounts.by_localpart("alice")
    assert changed == replace(alice, role=Role.COMPANY_ADMIN, disabled=True, epoch=2)
    assert changed is not None and not changed.may_log_in
    await store.accounts.set_disabled(acme.id, alice.id, False)
    assert await store.accounts.by_localpart("alice") == replace(alice, role=Role.COMPANY_ADMIN, epoch=3)


async def test_visibility_and_service_level_are_changed_without_ending_anything(
    store: Store, alice: Account, acme: Company
) -> None:
    assert alice.effective_visibility is Visibility.PRIVATE
    await store.accounts.set_visibility(acme.id, alice.id, Visibility.ISOLATED)
    await store.accounts.set_service_level(acme.id, alice.id, "silver")
    changed = await store.accounts.by_id(alice.id)
    assert changed == replace(alice, visibility=Visibility.ISOLATED, service_level="silver")
    assert changed is not None and changed.effective_visibility is Visibility.ISOLATED


async def test_another_companys_administrator_changes_nothing(store: Store, alice: Account) -> None:
    other = (await store.companies.add("Globex")).id
    before = await store.changes.latest_id()
    for attempt in (
        store.accounts.set_role(other, alice.id, Role.OPERATOR),
        store.accounts.set_disabled(other, alice.id, True),
        store.accounts.set_visibility(other, alice.id, Visibility.PUBLIC),
        store.accounts.bump_epoch(other, alice.id),
        store.accounts.remove(other, alice.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await store.accounts.by_id(alice.id) == alice
    assert await store.changes.latest_id() == before


async def test_removing_an_account_removes_all_it_owned(store: Store, alice: Account, acme: Company) -> None:
    await store.credentials.put(alice, b"sealed", "12345678")
    await store.rosters.apply(acme.id, alice.id, "bob@x", lambda _: RosterItem(contact="bob@x"))
    await store.accounts.remove(acme.id, alice.id)
    assert await store.accounts.by_localpart("alice") is None
    assert await store.accounts.for_login("alice@acme.example") is None
    assert await store.rosters.count(acme.id, alice.id) == 0
    again = await store.accounts.add(
        NewAccount(company="Acme", email="alice@acme.example", localpart="alice")
    )
    record = await store.accounts.for_login("alice")
    assert record is not None
    assert (record.account.id, record.sealed) == (again.id, None)


async def test_every_administrative_write_leaves_a_change_in_its_order(
    store: Store, alice: Account, acme: Company
) -> None:
    start = await store.changes.latest_id()
    await store.accounts.set_role(acme.id, alice.id, Role.OPERATOR)
    await store.accounts.set_disabled(acme.id, alice.id, True)
    await store.accounts.set_disabled(acme.id, alice.id, False)
    await store.credentials.put(alice, b"x", "12345678")
    await store.accounts.bump_epoch(acme.id, alice.id)
    await store.companies.update(acme.id, disabled=True)
    await store.accounts.remove(acme.id, alice.id)
    found = await store.changes.after(start)
    assert [change.kind for change in found] == [
        ChangeKind.ACCOUNT_CHANGED,
        ChangeKind.ACCOUNT_DISABLED,
        ChangeKind.ACCOUNT_ENABLED,
        ChangeKind.CREDENTIALS_CHANGED,
        ChangeKind.CREDENTIALS_CHANGED,
        ChangeKind.COMPANY_CHANGED,
        ChangeKind.ACCOUNT_REMOVED,
    ]
    ids = [change.id for change in found]
    assert ids == sorted(set(ids))
    assert {change.company_id for change in found} == {acme.id}
    assert [change.account_id for change in found] == [alice.id] * 5 + [None, alice.id]


async def test_changes_are_read_in_portions_and_forgotten_by_age(store: Store, acme: Company) -> None:
    for _ in range(4):
        await store.companies.update(acme.id, organisation="x")
    first = await store.changes.after(0, most=3)
    rest = await store.changes.after(first[-1].id)
    assert (len(first), len(rest)) == (3, 2)
    latest = await store.changes.latest_id()
    assert await store.changes.forget_before(first[0].at + 3600) == 5
    assert await store.changes.after(0) == []
    await store.companies.update(acme.id, organisation="y")
    assert await store.changes.latest_id() > latest


async def test_a_storm_of_logins_finds_everybody(store: Store, acme: Company) -> None:
    rows = [
        NewAccount(
            company="Acme", email=f"p{n}@acme.example", localpart=f"p{n}", sealed=b"s%d" % n, key_id="k"
        )
        for n in range(300)
    ]
    accounts = await store.accounts.add_many(rows)
    by_email, by_localpart, plain = await asyncio.gather(
        asyncio.gather(*(store.accounts.for_login(f"p{n}@acme.example") for n in range(300))),
        asyncio.gather(*(store.accounts.for_login(f"p{n}") for n in range(300))),
        asyncio.gather(*(store.accounts.by_localpart(f"p{n}") for n in range(300))),
    )
    assert [record and record.account for record in by_email] == accounts
    assert [record and record.sealed for record in by_localpart] == [b"s%d" % n for n in range(300)]
    assert plain == accounts


async def test_who_wrote_sees_it_in_the_next_lookup(store: Store, alice: Account, acme: Company) -> None:
    for epoch in range(1, 6):
        asking = [asyncio.create_task(store.accounts.for_login("alice")) for _ in range(5)]
        await store.accounts.bump_epoch(acme.id, alice.id)
        record = await store.accounts.for_login("alice")
        assert record is not None
        assert record.account.epoch == epoch
        await asyncio.gather(*asking)


async def test_an_import_adds_all_rows_with_their_credentials(store: Store, acme: Company) -> None:
    rows = [
        NewAccount(company="acme", email="a@acme.example", sealed=b"blob", key_id="12345678"),
        NewAccount(company="Rainbow", email="b@x.example", imported_hash="$2b$12$x"),
    ]
    accounts = await store.accounts.add_many(rows)
    assert [account.company.name for account in accounts] == ["Acme", "Rainbow"]
    first, second = [await store.accounts.for_login(row.email) for row in rows]
    assert first is not None and (first.sealed, first.key_id) == (b"blob", "12345678")
    assert second is not None and (second.sealed, second.imported_hash) == (None, "$2b$12$x")
    kinds = [change.kind for change in await store.changes.after(1)]
    assert kinds == [ChangeKind.ACCOUNT_ADDED] * 2


async def test_an_import_reports_every_bad_row_and_adds_none(
    store: Store, alice: Account, acme: Company
) -> None:
    rows = [
        NewAccount(company="Acme", email="fine@acme.example"),
        NewAccount(company="Nobody", email="x@acme.example"),
        NewAccount(company="Acme", email="ALICE@acme.example", localpart="ALICE"),
        NewAccount(company="Acme", email="twice@acme.example", localpart="twice"),
        NewAccount(company="Acme", email="Twice@acme.example", localpart="Twice"),
        NewAccount(company="Acme", email="nonsense", localpart="a b"),
    ]
    expected = [
        (1, ConflictField.COMPANY),
        (2, ConflictField.EMAIL),
        (2, ConflictField.LOCALPART),
        (4, ConflictField.EMAIL),
        (4, ConflictField.LOCALPART),
        (5, ConflictField.EMAIL),
        (5, ConflictField.LOCALPART),
    ]
    assert [(c.index, c.field) for c in await store.accounts.conflicts(rows)] == expected
    with pytest.raises(ImportRefused) as caught:
        await store.accounts.add_many(rows)
    assert [(c.index, c.field) for c in caught.value.conflicts] == expected
    assert "'Nobody'" in caught.value.conflicts[0].reason
    assert [member.account for member in await store.accounts.list(acme.id)] == [alice]


async def test_of_two_who_take_one_address_at_the_same_time_one_is_refused(
    store: Store, acme: Company
) -> None:
    outcomes = await asyncio.gather(
        *(store.accounts.add(NewAccount(company="Acme", email="same@acme.example")) for _ in range(4)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Account"] + ["AlreadyExists"] * 3
    assert len(await store.accounts.list(acme.id)) == 1


async def test_a_large_company_is_read_in_pages(store: Store, acme: Company) -> None:
    await store.companies.add("Other")
    rows = [NewAccount(company="Acme", email=f"p{n}@acme.example") for n in range(7)]
    added = await store.accounts.add_many([*rows, NewAccount(company="Other", email="o@other.example")])
    shut_out = added[3]
    await store.accounts.set_disabled(acme.id, shut_out.id, True)
    found, last = [], ""
    while page := await store.accounts.page(acme.id, after=last, most=3):
        assert len(page) <= 3
        found += page
        last = page[-1].id
    assert [account.id for account in found] == sorted(account.id for account in added[:7])
    disabled = await store.accounts.page(acme.id, disabled=True)
    assert [account.id for account in disabled] == [shut_out.id]
    assert len(await store.accounts.page(acme.id, disabled=False)) == 6


async def test_people_are_counted_by_company(store: Store, acme: Company, alice: Account) -> None:
    await store.accounts.add(NewAccount(company="Acme", email="bob@acme.example"))
    await store.accounts.set_disabled(acme.id, alice.id, True)
    assert await store.accounts.counts() == {acme.id: Headcount(registered=2, disabled=1)}


async def test_the_addresses_of_several_people_are_read_together(
    store: Store, acme: Company, alice: Account
) -> None:
    bob = await store.accounts.add(NewAccount(company="Acme", email="bob@acme.example"))
    other = await store.companies.add("Other")
    ids = [alice.id, bob.id, "0" * 24]
    assert await store.accounts.emails_of(acme.id, ids) == {
        alice.id: ("alice@acme.example",),
        bob.id: ("bob@acme.example",),
    }
    assert await store.accounts.emails_of(other.id, ids) == {}
