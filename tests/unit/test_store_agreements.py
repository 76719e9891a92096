"""What two sides agree on: links between companies, authorisations between people; and the tokens of logins."""

import asyncio

import pytest

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import AlreadyExists, NotFound
from rainbow_xmpp.store.values import (
    Account,
    AuthorisationState,
    ChangeKind,
    Company,
    CompanySettings,
    NewAccount,
    Role,
    Visibility,
)

JIDS = ("ann@test", "bob@test")


@pytest.fixture
async def companies(store: Store) -> tuple[Company, Company]:
    return await store.companies.add("Acme"), await store.companies.add("Globex")


@pytest.fixture
async def people(store: Store, companies: tuple[Company, Company]) -> tuple[Account, Account]:
    ann = NewAccount(company="Acme", email="ann@acme.example", localpart="ann", name="  Ann   Onymous ")
    bob = NewAccount(company="Globex", email="bob@globex.example", localpart="bob")
    added = await store.accounts.add_many([ann, bob])
    return added[0], added[1]


# -- links -------------------------------------------------------------------------------------------------


async def test_a_link_counts_once_the_other_company_confirmed_it(store: Store, companies) -> None:
    acme, globex = companies
    link = await store.links.ask(acme.id, globex.id)
    assert await store.links.confirmed() == {}
    with pytest.raises(NotFound):
        await store.links.confirm(acme.id, link.id)  # whoever asks cannot answer
    assert (await store.links.confirm(globex.id, link.id)).is_confirmed
    assert await store.links.confirmed() == {acme.id: {globex.id}, globex.id: {acme.id}}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_companies_have_one_link_whoever_asks(store: Store, companies, order) -> None:
    await store.links.ask(companies[0].id, companies[1].id)
    with pytest.raises(AlreadyExists):
        await store.links.ask(companies[order[0]].id, companies[order[1]].id)


@pytest.mark.parametrize("ender", [0, 1])
async def test_either_company_ends_a_link_and_nobody_else_can(store: Store, companies, ender) -> None:
    link = await store.links.ask(companies[0].id, companies[1].id)
    await store.links.confirm(companies[1].id, link.id)
    third = await store.companies.add("Initech")
    with pytest.raises(NotFound):
        await store.links.end(third.id, link.id)
    await store.links.end(companies[ender].id, link.id)
    assert await store.links.confirmed() == {}
    assert await store.links.of_company(companies[0].id) == []


async def test_running_servers_hear_of_links_on_both_sides(store: Store, companies) -> None:
    before = await store.changes.latest_id()
    await store.links.ask(companies[0].id, companies[1].id)
    told = await store.changes.after(before)
    assert {(c.kind, c.company_id) for c in told} == {(ChangeKind.LINKS_CHANGED, c.id) for c in companies}


# -- authorisations ----------------------------------------------------------------------------------------


async def states(store: Store, *people: Account) -> list[list[AuthorisationState]]:
    return [[a.state for a in await store.authorisations.of(p.company.id, p.id)] for p in people]


async def test_an_invitation_is_seen_by_both_and_holds_once_accepted(store: Store, people) -> None:
    ann, bob = people
    made = await store.authorisations.invite(ann, bob, JIDS, note="hello")
    assert await states(store, ann, bob) == [[AuthorisationState.INVITED], [AuthorisationState.ASKED]]
    (asked,) = await store.authorisations.of(bob.company.id, bob.id)
    assert (asked.note, asked.contact_jid, asked.id) == ("hello", "ann@test", made.id)
    assert not made.holds_at(store.now())
    assert (await store.authorisations.accept(bob, ann)).holds_at(store.now())
    assert await states(store, ann, bob) == [[AuthorisationState.ACCEPTED]] * 2


async def test_nobody_accepts_their_own_invitation(store: Store, people) -> None:
    ann, bob = people
    await store.authorisations.invite(ann, bob, JIDS)
    with pytest.raises(NotFound):
        await store.authorisations.accept(ann, bob)


async def test_two_who_invite_each_other_agree(store: Store, people) -> None:
    ann, bob = people
    await store.authorisations.invite(ann, bob, JIDS)
    made = await store.authorisations.invite(bob, ann, JIDS[::-1])
    assert made.holds_at(store.now())
    assert await states(store, ann, bob) == [[AuthorisationState.ACCEPTED]] * 2


async def test_an_expired_invitation_cannot_be_accepted_and_is_listed_to_be_ended(
    store: Store, people
) -> None:
    ann, bob = people
    await store.authorisations.invite(ann, bob, JIDS, expires_at=int(store.now()) - 1)
    with pytest.raises(NotFound):
        await store.authorisations.accept(bob, ann)
    assert {a.owner_id for a in await store.authorisations.expired()} == {ann.id, bob.id}


@pytest.mark.parametrize("ender", [0, 1])
async def test_either_ends_an_authorisation_for_both(store: Store, people, ender) -> None:
    await store.authorisations.invite(*people, JIDS)
    await store.authorisations.accept(people[1], people[0])
    await store.authorisations.end(people[ender], people[1 - ender])
    assert await states(store, *people) == [[], []]
    with pytest.raises(NotFound):
        await store.authorisations.end(*people)


# -- companies' settings and people's names ------------------------------------------------------------------


async def test_settings_of_a_company_come_back_as_they_were_set(store: Store, companies) -> None:
    acme = companies[0]
    assert acme.settings == CompanySettings()
    wanted = CompanySettings(visibilities=(Visibility.CLOSED,), roster_limit=20)
    await store.companies.update(acme.id, settings=wanted)
    found = await store.companies.by_id(acme.id)
    assert found is not None
    assert found.settings == wanted
    assert found.allowed_visibilities == (Visibility.SAME_THAN_COMPANY, Visibility.CLOSED)


async def test_people_may_choose_what_is_no_more_open_than_their_company(companies) -> None:
    private = [Visibility.SAME_THAN_COMPANY, Visibility.PRIVATE, Visibility.CLOSED, Visibility.ISOLATED]
    assert list(companies[0].allowed_visibilities) == private


async def test_a_name_is_kept_tidily_and_can_be_changed(store: Store, people) -> None:
    ann = people[0]
    assert ann.name == "Ann Onymous"
    await store.accounts.set_name(ann.company.id, ann.id, "Zoë")
    found = await store.accounts.by_id(ann.id)
    assert found is not None
    assert found.name == "Zoë"


# -- refresh tokens ------------------------------------------------------------------------------------------


async def test_a_refresh_token_is_good_for_one_use(store: Store, people) -> None:
    first = await store.refresh_tokens.begin(people[0], 3600)
    second = await store.refresh_tokens.rotate(first.text, 3600)
    assert second is not None
    assert (second.family, second.account_id) == (first.family, people[0].id)
    assert await store.refresh_tokens.is_alive(first.family)


async def test_a_token_that_is_used_twice_ends_its_family(store: Store, people) -> None:
    first = await store.refresh_tokens.begin(people[0], 3600)
    second = await store.refresh_tokens.rotate(first.text, 3600)
    assert second is not None
    assert await store.refresh_tokens.rotate(first.text, 3600) is None
    assert not await store.refresh_tokens.is_alive(first.family)
    assert await store.refresh_tokens.rotate(second.text, 3600) is None


async def test_of_many_uses_at_once_one_succeeds_at_most(store: Store, people) -> None:
    first = await store.refresh_tokens.begin(people[0], 3600)
    results = await asyncio.gather(*(store.refresh_tokens.rotate(first.text, 3600) for _ in range(10)))
    assert sum(result is not None for result in results) == 1
    assert not await store.refresh_tokens.is_alive(first.family)


async def test_unknown_and_expired_tokens_are_worth_nothing_and_end_nothing(store: Store, people) -> None:
    kept = await store.refresh_tokens.begin(people[0], 3600)
    over = await store.refresh_tokens.begin(people[0], 0)
    for text in ("", "made up", over.text):
        assert await store.refresh_tokens.rotate(text, 3600) is None
    assert await store.refresh_tokens.is_alive(kept.family)
    assert await store.refresh_tokens.forget_expired() == 1


async def test_logging_out_ends_one_family_or_all(store: Store, people) -> None:
    ann = people[0]
    families = [(await store.refresh_tokens.begin(ann, 3600)).family for _ in range(3)]
    await store.refresh_tokens.end_family(families[0])
    assert [await store.refresh_tokens.is_alive(f) for f in families] == [False, True, True]
    await store.accounts.bump_epoch(ann.company.id, ann.id)
    assert not any([await store.refresh_tokens.is_alive(f) for f in families])


@pytest.mark.parametrize("what", ["password", "imported password", "role", "disabled", "logged out"])
async def test_whatever_raises_the_epoch_ends_every_login_of_that_account(
    store: Store, people, what: str
) -> None:
    ann, other = people[0], people[1]
    hers, others = [await store.refresh_tokens.begin(each, 3600) for each in (ann, other)]
    match what:
        case "password":
            await store.credentials.put(ann, b"sealed", "key")
        case "imported password":
            await store.credentials.put_imported(ann, "$2b$04$" + "x" * 53)
        case "role":
            await store.accounts.set_role(ann.company.id, ann.id, Role.COMPANY_ADMIN)
        case "disabled":
            await store.accounts.set_disabled(ann.company.id, ann.id, True)
        case "logged out":
            await store.accounts.bump_epoch(ann.company.id, ann.id)
    assert await store.refresh_tokens.rotate(hers.text, 3600) is None
    assert await store.refresh_tokens.rotate(others.text, 3600) is not None


async def test_the_text_of_a_token_is_nowhere_in_the_database(store: Store, people) -> None:
    issued = await store.refresh_tokens.begin(people[0], 3600)
    assert issued.text not in repr(issued)
    async with store.read() as connection:
        rows = (await connection.exec_driver_sql("SELECT * FROM refresh_tokens")).all()
    assert issued.text not in repr(rows)
