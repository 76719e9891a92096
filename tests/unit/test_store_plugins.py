"""The stores of the plugins offline, private_xml and vcard_temp."""

import asyncio
from datetime import date

import pytest

from rainbow_xmpp.plugins.announcements.notices import EVERYBODY, Kind, Notice, Words
from rainbow_xmpp.plugins.announcements.store import Notices
from rainbow_xmpp.plugins.blocking.store import BlockedJids
from rainbow_xmpp.plugins.offline.store import OfflineMessages, Room
from rainbow_xmpp.plugins.private_xml.store import PrivateXml
from rainbow_xmpp.plugins.service_admin.store import LastLogins
from rainbow_xmpp.plugins.usage.store import UsageDays
from rainbow_xmpp.plugins.vcard_temp.store import VCards
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Account, NewAccount


@pytest.fixture
async def alice(store: Store) -> Account:
    return await store.accounts.add(NewAccount(company="Rainbow", email="alice@x.example"))


@pytest.fixture
async def other(store: Store) -> Account:
    await store.companies.add("Other")
    return await store.accounts.add(NewAccount(company="Other", email="other@x.example"))


async def test_offline_messages_wait_in_their_order_until_forgotten(store: Store, alice: Account) -> None:
    messages, whose = OfflineMessages(store), (alice.company.id, alice.id)
    for n in range(5):
        assert await messages.keep(*whose, b"m%d" % n, Room(100, 1000))
    first = await messages.load(*whose, most=3)
    assert [kept.stanza for kept in first] == [b"m0", b"m1", b"m2"]
    assert abs(first[0].at - store.now()) < 60
    rest = await messages.load(*whose, after=first[-1].id)
    assert [kept.stanza for kept in rest] == [b"m3", b"m4"]
    assert await messages.forget(*whose, [kept.id for kept in first]) == 3
    assert await messages.count(*whose) == 2
    assert [kept.stanza for kept in await messages.load(*whose)] == [b"m3", b"m4"]


async def test_offline_messages_that_come_together_are_all_kept(store: Store, alice: Account) -> None:
    messages, whose = OfflineMessages(store), (alice.company.id, alice.id)
    kept = await asyncio.gather(*(messages.keep(*whose, b"%03d" % n, Room(500, 1000)) for n in range(300)))
    assert all(kept)
    found = await messages.load(*whose, most=500)
    assert [each.stanza for each in found] == [b"%03d" % n for n in range(300)]
    await messages.close()


async def test_a_full_row_of_offline_messages_takes_no_more(store: Store, alice: Account) -> None:
    messages, whose = OfflineMessages(store), (alice.company.id, alice.id)
    kept = await asyncio.gather(*(messages.keep(*whose, b"x", Room(3, 1000)) for n in range(5)))
    assert kept == [True, True, True, False, False]
    assert not await messages.keep(*whose, b"x", Room(3, 1000))
    assert await messages.count(*whose) == 3


async def test_offline_messages_of_one_person_have_a_greatest_size(store: Store, alice: Account) -> None:
    messages, whose = OfflineMessages(store), (alice.company.id, alice.id)
    together = await asyncio.gather(*(messages.keep(*whose, b"x" * 40, Room(9, 100)) for n in range(3)))
    assert together == [True, True, False]
    assert not await messages.keep(*whose, b"x" * 21, Room(9, 100))
    assert await messages.keep(*whose, b"x" * 20, Room(9, 100))


async def test_an_offline_message_for_nobody_is_not_kept(
    store: Store, alice: Account, other: Account
) -> None:
    messages = OfflineMessages(store)
    assert not await messages.keep(other.company.id, alice.id, b"x", Room(3, 1000))
    assert not await messages.keep(alice.company.id, "0" * 24, b"x", Room(3, 1000))
    assert await messages.count(alice.company.id, alice.id) == 0


async def test_offline_messages_are_their_owners_alone(store: Store, alice: Account, other: Account) -> None:
    messages = OfflineMessages(store)
    await asyncio.gather(
        messages.keep(alice.company.id, alice.id, b"for alice", Room(9, 1000)),
        messages.keep(other.company.id, other.id, b"for other", Room(9, 1000)),
    )
    (kept,) = await messages.load(other.company.id, other.id)
    assert kept.stanza == b"for other"
    assert await messages.load(other.company.id, alice.id) == []
    assert await messages.forget(other.company.id, alice.id, [kept.id, kept.id - 1]) == 0
    assert await messages.count(alice.company.id, alice.id) == 1


async def test_who_has_offline_messages_is_asked_together(
    store: Store, alice: Account, other: Account
) -> None:
    messages = OfflineMessages(store)
    await messages.keep(other.company.id, other.id, b"x", Room(3, 1000))
    asked = [alice, other, other, alice]
    found = await asyncio.gather(*(messages.has_any(who.company.id, who.id) for who in asked))
    assert found == [False, True, True, False]
    assert not await messages.has_any(alice.company.id, other.id)
    await messages.close()


async def test_old_offline_messages_expire(store: Store, alice: Account) -> None:
    messages, whose = OfflineMessages(store), (alice.company.id, alice.id)
    await messages.keep(*whose, b"x", Room(3, 1000))
    assert await messages.expire(int(store.now()) - 60) == 0
    assert await messages.expire(int(store.now()) + 60) == 1
    assert await messages.count(*whose) == 0


async def test_private_xml_is_kept_by_element(store: Store, alice: Account, other: Account) -> None:
    private, whose = PrivateXml(store), (alice.company.id, alice.id)
    assert await private.get(*whose, "{a}x") is None
    assert await private.put(*whose, {"{a}x": b"<x xmlns='a'>1</x>"}, most=2)
    assert await private.put(*whose, {"{b}y": b"<y xmlns='b'/>"}, most=2)
    assert await private.put(*whose, {"{a}x": b"<x xmlns='a'>2</x>"}, most=2)
    assert await private.get(*whose, "{a}x") == b"<x xmlns='a'>2</x>"
    assert not await private.put(*whose, {"{c}z": b"<z xmlns='c'/>"}, most=2)
    assert not await private.put(*whose, {"{%s}x" % ("n" * 1100): b""}, most=9)
    assert await private.get(*whose, "{c}z") is None
    assert not await private.put(*whose, {"{a}x": b"3", "{c}z": b""}, most=2)
    assert await private.get(*whose, "{a}x") == b"<x xmlns='a'>2</x>"
    assert await private.put(*whose, {"{a}x": b"<x xmlns='a'/>", "{b}y": b"<y xmlns='b'/>"}, most=2)
    assert await private.get(other.company.id, other.id, "{a}x") is None
    with pytest.raises(NotFound):
        await private.put(other.company.id, alice.id, {"{a}x": b""}, most=9)


async def test_an_account_has_one_vcard(store: Store, alice: Account, other: Account) -> None:
    vcards, whose = VCards(store), (alice.company.id, alice.id)
    assert await vcards.get(*whose) is None
    await vcards.put(*whose, b"<vCard/>")
    await vcards.put(*whose, b"<vCard>2</vCard>")
    assert await vcards.get(*whose) == b"<vCard>2</vCard>"
    assert await vcards.get(other.company.id, alice.id) is None
    with pytest.raises(NotFound):
        await vcards.put(other.company.id, alice.id, b"<vCard/>")


async def test_usage_is_added_to_the_days_sum(store: Store) -> None:
    days, first, second = UsageDays(store), date(2026, 12, 31), date(2027, 1, 1)
    await days.add(first, {"a" * 24: 3, "b" * 24: 1})
    await days.add(second, {"a" * 24: 5})
    await days.add(first, {"a" * 24: 4})
    assert await days.of("a" * 24) == {first: 7, second: 5}
    assert await days.of("b" * 24) == {first: 1}
    assert await days.of("c" * 24) == {}


async def test_last_logins_are_kept_for_those_who_are_still_there(
    store: Store, alice: Account, other: Account
) -> None:
    logins, whose = LastLogins(store), (alice.company.id, alice.id)
    assert await logins.get(*whose) is None
    await store.accounts.remove(other.company.id, other.id)
    await logins.put({whose: 1000, (other.company.id, other.id): 1001})
    assert await logins.get(*whose) == 1000
    await logins.put({whose: 2000})
    assert await logins.get(*whose) == 2000
    assert await logins.get(other.company.id, other.id) is None


async def test_notices_are_replaced_and_dropped_with_who_saw_them(
    store: Store, alice: Account, other: Account
) -> None:
    notices = Notices(store)
    first = Notice(Kind.MOTD, EVERYBODY, "a" * 24, 1000, Words("Monday", "News"))
    second = Notice(Kind.MOTD, alice.company.id, "b" * 24, 2000, Words("Cake"))
    for notice in (first, second):
        await notices.put(notice)
        await asyncio.gather(*(notices.was_shown(notice, who.company.id, who.id) for who in (alice, other)))
    assert sorted(await notices.all(), key=lambda notice: notice.since) == [first, second]
    changed = Notice(Kind.MOTD, EVERYBODY, "c" * 24, 3000, Words("Tuesday"))
    await notices.put(changed)
    await notices.drop(Kind.MOTD, alice.company.id)
    assert await notices.all() == [changed]
    known = await notices.known_to(alice.company.id, alice.id)
    assert known is not None
    assert known.shown == {(Kind.MOTD, EVERYBODY): first.id}
    assert await notices.known_to(alice.company.id, "0" * 24) is None
    await notices.close()


async def test_block_lists_grow_as_far_as_they_may_and_shrink(
    store: Store, alice: Account, other: Account
) -> None:
    blocked, whose = BlockedJids(store), (alice.company.id, alice.id)
    assert await blocked.add(*whose, ["b@x", "a", "b@x"], most=2) == {"a", "b@x"}
    assert await blocked.add(*whose, ["a"], most=2) == {"a", "b@x"}
    assert await blocked.add(*whose, ["a", "c"], most=2) is None
    assert await blocked.load([whose, (other.company.id, other.id)]) == {alice.id: {"a", "b@x"}}
    assert await blocked.remove(*whose, ["b@x", "unknown"]) == {"a"}
    assert await blocked.remove(*whose, []) == frozenset()
    assert await blocked.load([whose]) == {}


async def test_nobody_reaches_the_block_list_of_another_company(
    store: Store, alice: Account, other: Account
) -> None:
    blocked = BlockedJids(store)
    await blocked.add(alice.company.id, alice.id, ["a@b"], most=9)
    with pytest.raises(NotFound):
        await blocked.add(other.company.id, alice.id, ["c@d"], most=9)
    await blocked.remove(other.company.id, alice.id, [])
    assert await blocked.load([(other.company.id, alice.id)]) == {}
    assert await blocked.load([(alice.company.id, alice.id)]) == {alice.id: {"a@b"}}
