"""Sealed credentials in the store, and moving them to another key."""

import pytest

from rainbow_xmpp.auth.credentials import check_password, derive
from rainbow_xmpp.auth.reseal import reseal_all
from rainbow_xmpp.auth.seal import Sealer, SealError
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.values import Account, ChangeKind, LoginRecord, NewAccount

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
async def alice(store: Store) -> Account:
    new = NewAccount(company="Rainbow", email="alice@acme.example", localpart="alice", imported_hash="$2b$x")
    return await store.accounts.add(new)


async def login(store: Store, name: str = "alice") -> LoginRecord:
    record = await store.accounts.for_login(name)
    assert record is not None
    return record


async def test_new_credentials_replace_all_older_ones_and_end_tokens(store: Store, alice: Account) -> None:
    start = await store.changes.latest_id()
    assert await store.credentials.put(alice, b"one", "11111111") == 1
    assert await store.credentials.put(alice, b"two", "22222222") == 2
    record = await login(store)
    assert (record.sealed, record.key_id, record.imported_hash) == (b"two", "22222222", None)
    assert record.account.epoch == 2
    changes = await store.changes.after(start)
    assert [change.kind for change in changes] == [ChangeKind.CREDENTIALS_CHANGED] * 2


async def test_replacing_an_imported_hash_ends_nothing(store: Store, alice: Account) -> None:
    await store.credentials.replace_imported(alice, b"keys", "11111111")
    record = await login(store)
    assert (record.sealed, record.imported_hash, record.account.epoch) == (b"keys", None, 0)


async def test_an_imported_hash_replaces_keys(store: Store, alice: Account) -> None:
    await store.credentials.put(alice, b"keys", "11111111")
    assert await store.credentials.put_imported(alice, "$2b$y") == 2
    record = await login(store)
    assert (record.sealed, record.key_id, record.imported_hash) == (None, None, "$2b$y")


async def test_nobody_who_is_gone_gets_credentials(store: Store, alice: Account) -> None:
    await store.accounts.remove(alice.company.id, alice.id)
    with pytest.raises(NotFound):
        await store.credentials.put(alice, b"keys", "11111111")
    assert await store.credentials.sealed_otherwise("other") == []


async def test_a_record_does_not_show_its_secrets(store: Store, alice: Account) -> None:
    await store.credentials.put(alice, b"very-secret", "11111111")
    assert "very-secret" not in repr(await login(store))


async def test_resealing_moves_everything_to_the_new_key(store: Store) -> None:
    old, both = Sealer(OLD), Sealer(NEW, [OLD])
    verifier = derive("Correct-horse1", 4096)
    rows = []
    for n in range(5):
        new = NewAccount(company="Rainbow", email=f"p{n}@x.example")
        key_id, sealed = old.seal(verifier, new.id)
        rows.append(NewAccount(company="Rainbow", email=new.email, id=new.id, sealed=sealed, key_id=key_id))
    await store.accounts.add_many(rows)
    start = await store.changes.latest_id()
    assert await reseal_all(store.credentials, both, batch=2) == 5
    assert await reseal_all(store.credentials, both) == 0
    record = await login(store, "p3@x.example")
    assert record.sealed is not None and record.key_id is not None
    opened = Sealer(NEW).open(record.key_id, record.sealed, record.account.id)
    assert check_password(opened, "Correct-horse1")
    assert record.account.epoch == 0
    assert await store.changes.latest_id() == start


async def test_resealing_never_undoes_a_password_changed_meanwhile(store: Store, alice: Account) -> None:
    await store.credentials.put(alice, b"before", "11111111")
    (row,) = await store.credentials.sealed_otherwise("22222222")
    await store.credentials.put(alice, b"changed", "11111111")
    await store.credentials.reseal([(row, b"resealed-before")], "22222222")
    assert (await login(store)).sealed == b"changed"


async def test_resealing_stops_at_what_no_key_opens(store: Store, alice: Account) -> None:
    await store.credentials.put(alice, *reversed(Sealer(b"x" * 32).seal(derive("a", 4096), alice.id)))
    with pytest.raises(SealError, match=alice.id):
        await reseal_all(store.credentials, Sealer(NEW, [OLD]))
