"""Contact requests that are on their way, on both databases."""

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import Account, NewAccount


async def person(store: Store) -> Account:
    await store.companies.add("Acme")
    return await store.accounts.add(NewAccount(company="Acme", email="ann@x.example"))


async def test_a_request_is_there_until_it_was_carried_and_the_oldest_are_first(store: Store) -> None:
    ann = await person(store)
    requests = store.contact_requests
    async with store.write() as connection:
        one = await requests.put(connection, ann, "bob@other.example", stanza=b"<presence/>")
        await requests.touch(connection, one)
    two = await requests.add(ann, "Carol@Other.example", note="hello", expires_at=1_700_000_000)
    assert await requests.left() == [one, two] and await requests.left(most=1) == [one]
    assert (two.to, two.stanza, two.note, two.expires_at) == (
        "Carol@Other.example",
        None,
        "hello",
        1_700_000_000,
    )
    await requests.remove(one)
    assert not await requests.is_there(one) and await requests.is_there(two)
    assert await requests.left() == [two]


async def test_what_is_not_committed_was_never_written(store: Store) -> None:
    ann = await person(store)
    try:
        async with store.write() as connection:
            await store.contact_requests.put(connection, ann, "bob@other.example", stanza=b"<presence/>")
            raise InterruptedError
    except InterruptedError:
        pass
    assert await store.contact_requests.left() == []


async def test_requests_go_with_their_owner(store: Store) -> None:
    ann = await person(store)
    one = await store.contact_requests.add(ann, "bob@other.example", note="", expires_at=None)
    await store.accounts.remove(ann.company.id, ann.id)
    assert not await store.contact_requests.is_there(one)
