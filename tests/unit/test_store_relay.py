"""What people used of the relay, and whose credentials are void, on both databases."""

import asyncio

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.webrtc_relay.store import Owner, RelayUsage, Used
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import NewAccount

NOW, MONTH = 1_700_000_000, 202311


async def people(store: Store) -> tuple[Account, Account]:
    await store.companies.add("Acme")
    ann, bob = [
        await store.accounts.add(NewAccount(company="Acme", email=f"{name}@x.example"))
        for name in ("ann", "bob")
    ]
    return ann, bob


def owner(account: Account) -> Owner:
    return Owner(account.company.id, account.id)


async def test_what_is_used_adds_up_for_the_person_and_the_company(store: Store) -> None:
    ann, bob = await people(store)
    usage, acme = RelayUsage(store), ann.company.id
    assert await usage.owner_of("acme-ann") is None
    for _ in range(2):  # credentials are given again and again
        await usage.begin(ann, "acme-ann", MONTH, NOW)
    assert await usage.owner_of("acme-ann") == owner(ann)
    one = {(owner(ann), "acme-ann"): Used(60, 1, 10**10, 5), (owner(bob), "acme-bob"): Used(30, 1, 7, 7)}
    await usage.add(MONTH, one)
    await usage.add(MONTH, {(owner(ann), "acme-ann"): Used(60, 0, 10**10, 5)})
    await usage.add(MONTH + 1, {(owner(ann), "acme-ann"): Used(5)})
    assert await usage.seconds(acme, ann.id, MONTH) == 120
    assert await usage.company_seconds(acme, MONTH) == 150
    assert await usage.of_company(acme, MONTH) == Used(150, 2, 2 * 10**10 + 7, 17)
    shown = await usage.of_people(acme, MONTH, after="", most=10)
    assert {each.account_id: each.used.seconds for each in shown} == {ann.id: 120, bob.id: 30}
    first = min(ann.id, bob.id)
    assert [each.account_id for each in await usage.of_people(acme, MONTH, after=first, most=1)] == [
        max(ann.id, bob.id)
    ]
    assert await usage.people_of(acme, MONTH + 1) == [ann.id]
    await usage.forget_months(MONTH + 1)
    assert await usage.seconds(acme, ann.id, MONTH) == 0
    assert await usage.company_seconds(acme, MONTH) == 150


async def test_sums_that_several_servers_write_at_one_time_are_all_counted(store: Store) -> None:
    ann, bob = await people(store)
    usage, acme = RelayUsage(store), ann.company.id
    for account, userid in ((ann, "acme-ann"), (bob, "acme-bob")):
        await usage.begin(account, userid, MONTH, NOW)
    both = [
        {(owner(ann), "acme-ann"): Used(1), (owner(bob), "acme-bob"): Used(1)},
        {(owner(bob), "acme-bob"): Used(1), (owner(ann), "acme-ann"): Used(1)},
    ]
    await asyncio.gather(*(RelayUsage(store).add(MONTH, both[number % 2]) for number in range(10)))
    assert await usage.company_seconds(acme, MONTH) == 20
    assert await usage.seconds(acme, ann.id, MONTH) == await usage.seconds(acme, bob.id, MONTH) == 10


async def test_of_a_removed_person_the_companys_sum_stays_and_nothing_else(store: Store) -> None:
    ann, _ = await people(store)
    usage, acme = RelayUsage(store), ann.company.id
    await usage.begin(ann, "acme-ann", MONTH, NOW)
    await usage.add(MONTH, {(owner(ann), "acme-ann"): Used(60)})
    await store.accounts.remove(acme, ann.id)
    await usage.add(MONTH, {(owner(ann), "acme-ann"): Used(5)})
    await usage.begin(ann, "acme-ann", MONTH, NOW)
    assert await usage.owner_of("acme-ann") is None
    assert await usage.of_people(acme, MONTH, after="", most=10) == []
    assert await usage.company_seconds(acme, MONTH) == 65


async def test_void_credentials_are_known_until_they_end_by_themselves(store: Store) -> None:
    usage = RelayUsage(store)
    await usage.revoke("acme-ann", NOW + 10)
    await usage.revoke("acme-ann", NOW + 3600)
    await usage.revoke("acme-bob", NOW + 5)
    assert await usage.revoked(NOW) == {"acme-ann": NOW + 3600, "acme-bob": NOW + 5}
    await usage.forget_revocations(NOW + 5)
    assert await usage.revoked(NOW) == {"acme-ann": NOW + 3600}
