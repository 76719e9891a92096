"""The query of searches, on both databases."""

import itertools

import pytest

from rainbow_xmpp.company import Action, Relation, may
from rainbow_xmpp.plugins.search.store import Directory
from rainbow_xmpp.plugins.search.wanted import NotSearchable, Place, Wanted
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import OPENNESS, Account, NewAccount, Visibility


def wanted(name: str = "", email: str = "", company: str = "") -> Wanted:
    return Wanted.of(name=name, email=email, company=company, shortest=1)


async def person(
    store: Store, name: str, company: str, visibility: Visibility = Visibility.SAME_THAN_COMPANY
) -> Account:
    localpart = name.lower().replace(" ", "-").replace("'", "")
    new = NewAccount(
        company=company,
        email=f"{localpart}@{company.replace(' ', '')}.example",
        localpart=f"{localpart}.{company}".replace(" ", ""),
        name=name,
        visibility=visibility,
    )
    return await store.accounts.add(new)


async def names_found(store: Store, actor: Account, asked: Wanted) -> list[str]:
    hits = await Directory(store).find(actor, asked, after=None, most=100)
    return [hit.account.name for hit in hits]


async def test_between_companies_it_follows_the_rule(store: Store) -> None:
    """Every visibility of the searcher, of the company and of the person, in every relation of companies."""
    groups = {Relation.STRANGER: "", Relation.ORGANISATION: "group", Relation.LINKED: ""}
    for (relation, organisation), visibility in itertools.product(groups.items(), OPENNESS):
        name = f"{relation}-{visibility}"
        await store.companies.add(name, visibility=visibility, organisation=organisation)
        for own in (*OPENNESS, Visibility.SAME_THAN_COMPANY):
            await person(store, f"Pat {relation} {visibility} {own}", name, own)
    home = await store.companies.add("Home", organisation="group")
    for visibility in OPENNESS:
        other = await store.companies.by_name(f"{Relation.LINKED}-{visibility}")
        assert other is not None
        await store.links.confirm(other.id, (await store.links.ask(home.id, other.id)).id)
    for seeker in OPENNESS:
        ann = await person(store, f"Ann {seeker}", "Home", seeker)
        expected = set()
        for relation, visibility in itertools.product(groups, OPENNESS):
            for own in (*OPENNESS, Visibility.SAME_THAN_COMPANY):
                counts = visibility if own is Visibility.SAME_THAN_COMPANY else own
                if visibility is Visibility.ISOLATED:
                    counts = visibility
                if may(Action.SEARCH, seeker, counts, relation):
                    expected.add(f"Pat {relation} {visibility} {own}")
        hits = await Directory(store).find(ann, wanted("pat"), after=None, most=1000)
        assert {hit.account.name for hit in hits} == expected


async def test_it_reads_pages_in_one_order_without_gaps(store: Store) -> None:
    await store.companies.add("Acme")
    people = ["Zoë", "anna", "Änne", "Özlem", "O'Brien", "ß", "Łukasz", "李雷", "Ann-Marie"]
    for n, name in enumerate(people):
        new = NewAccount(company="Acme", email=f"p{n}@acme.example", localpart=f"p{n}", name=f"Dr {name}")
        await store.accounts.add(new)
    ann = await person(store, "Ann", "Acme")
    directory, after, read = Directory(store), None, []
    while page := await directory.find(ann, wanted("dr"), after=after, most=2):
        read += [hit.account.name for hit in page]
        after = Place.from_text(page[-1].place.to_text())
    whole = [h.account.name for h in await directory.find(ann, wanted("dr"), after=None, most=99)]
    assert read == whole
    assert sorted(read) == sorted(f"Dr {name}" for name in people)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("o'b", ["Tim O'Brien"]),
        ("%", []),
        ("_im", []),
        ("\\", []),
        ("brien", []),
        ("tim o'brien", ["Tim O'Brien"]),
        ("'; DROP TABLE users; --", []),
        ("ＴＩＭ", ["Tim O'Brien"]),
    ],
)
async def test_nothing_that_is_typed_means_more_than_itself(
    store: Store, text: str, expected: list[str]
) -> None:
    await store.companies.add("Acme")
    tim = await person(store, "Tim O'Brien", "Acme")
    assert await names_found(store, tim, wanted(text)) == expected


async def test_a_company_and_an_address_narrow_together(store: Store) -> None:
    await store.companies.add("Acme Rockets", visibility=Visibility.PUBLIC)
    await store.companies.add("Globex", visibility=Visibility.PUBLIC)
    new = NewAccount(company="Acme Rockets", email="tim@x.example", localpart="tim", name="Tim")
    await store.accounts.add(new)
    ann = await person(store, "Ann", "Globex")
    for asked, expected in (
        (wanted(company="ROCK"), ["Tim"]),
        (wanted("tim", company="acme"), ["Tim"]),
        (wanted("tim", company="glob"), []),
        (wanted(email="Tim@X.example", company="acme"), ["Tim"]),
        (wanted(email="tim@x.example", company="glob"), []),
        (wanted("ann", email="tim@x.example"), []),
    ):
        assert await names_found(store, ann, asked) == expected


async def test_who_is_shut_out_is_not_found(store: Store) -> None:
    acme = await store.companies.add("Acme")
    shut = await store.companies.add("Shut", visibility=Visibility.PUBLIC)
    ann, tim = await person(store, "Ann", "Acme"), await person(store, "Tim", "Acme")
    await person(store, "Tim Too", "Shut")
    await store.accounts.set_disabled(acme.id, tim.id, True)
    await store.companies.update(shut.id, disabled=True)
    assert await names_found(store, ann, wanted("tim")) == []


@pytest.mark.parametrize("text", ["", "!", "AAAA", "W10", "e30", "bnVsbA", "WyJhIiwgMV0", "é", "[" * 1000])
def test_a_place_that_no_page_gave_is_refused(text: str) -> None:
    with pytest.raises(NotSearchable):
        Place.from_text(text)
