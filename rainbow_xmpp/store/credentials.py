"""Sealed credentials: replacing them, and finding those sealed under an old key. Reading is `for_login`'s."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import ChangedMeanwhile, NotFound
from rainbow_xmpp.store.moves import refuse_if_frozen
from rainbow_xmpp.store.refresh_tokens import end_logins
from rainbow_xmpp.store.upsert import upsert
from rainbow_xmpp.store.values import Account, ChangeKind

_k = tables.credentials.c
_u = tables.users.c

_OTHER_KEYS = (
    sa.select(_k.company_id, _k.owner_id, _k.sealed, _k.key_id)
    .where(_k.key_id != sa.bindparam("key_id"))
    .order_by(_k.owner_id)
    .limit(sa.bindparam("most"))
)
_RESEAL = (
    sa.update(tables.credentials)
    .where(
        _k.company_id == sa.bindparam("company"),
        _k.owner_id == sa.bindparam("owner"),
        _k.sealed == sa.bindparam("before"),  # a password changed meanwhile is not undone
    )
    .values(sealed=sa.bindparam("after"), key_id=sa.bindparam("new_key_id"))
)


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One account's sealed credentials, for the job that moves them to another key."""

    company_id: str
    account_id: str
    sealed: bytes = field(repr=False)
    key_id: str


class Credentials:
    """What passwords are checked against, sealed. `now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def put(self, account: Account, sealed: bytes, key_id: str) -> int:
        """Set new credentials, dropping an imported hash; returns the account's risen epoch.

        Older tokens, cached passwords and sessions end with the old epoch. Raises NotFound.
        """
        return await self._put(account, {"sealed": sealed, "key_id": key_id, "imported_hash": None}, end=True)

    async def exchange(self, account: Account, before: bytes, after: bytes, key_id: str) -> None:
        """Other keys beside those of the password, which stays as it is: nothing ends.

        `before` is what was read. Raises ChangedMeanwhile when it is something else by now, and BeingMoved.
        """
        async with self._database.write() as connection:
            await refuse_if_frozen(connection, account.id)
            replacing = (
                sa.update(tables.credentials)
                .where(_k.company_id == account.company.id, _k.owner_id == account.id, _k.sealed == before)
                .values(sealed=after, key_id=key_id)
            )
            if (await connection.execute(replacing)).rowcount == 0:
                raise ChangedMeanwhile("the credentials were changed meanwhile")
            await changes.record(
                connection, int(self._now()), ChangeKind.ACCOUNT_CHANGED, account.company.id, [account.id]
            )

    async def replace_imported(self, account: Account, sealed: bytes, key_id: str) -> None:
        """Replace an imported hash by keys made from the same password: nothing ends, the epoch stays."""
        await self._put(account, {"sealed": sealed, "key_id": key_id, "imported_hash": None}, end=False)

    async def put_imported(self, account: Account, imported_hash: str) -> int:
        """Set a bcrypt hash brought from elsewhere; returns the account's risen epoch. Raises NotFound."""
        return await self._put(
            account, {"sealed": None, "key_id": None, "imported_hash": imported_hash}, end=True
        )

    async def sealed_otherwise(self, key_id: str, *, most: int = 500) -> list[SealedRow]:
        """Some of the credentials sealed under another key than this one; none: nothing is left to do."""
        async with self._database.read() as connection:
            rows = await connection.execute(_OTHER_KEYS, {"key_id": key_id, "most": most})
            return [SealedRow(*row) for row in rows]

    async def reseal(self, rows: Sequence[tuple[SealedRow, bytes]], key_id: str) -> None:
        """Replace each row's blob by one sealed under `key_id`, unless its password changed meanwhile."""
        parameters = [
            {
                "company": row.company_id,
                "owner": row.account_id,
                "before": row.sealed,
                "after": sealed,
                "new_key_id": key_id,
            }
            for row, sealed in rows
        ]
        async with self._database.write() as connection:
            await connection.execute(_RESEAL, parameters)

    async def _put(self, account: Account, values: dict[str, object], *, end: bool) -> int:
        company_id, at = account.company.id, int(self._now())
        async with self._database.write() as connection:
            await refuse_if_frozen(connection, account.id)
            touched = await connection.execute(
                sa.update(tables.users)
                .where(_u.company_id == company_id, _u.id == account.id)
                .values(epoch=_u.epoch + (1 if end else 0))
                .returning(_u.epoch, _u.region)
            )
            user = touched.one_or_none()
            if user is None:
                raise NotFound("account", account.id)
            epoch, region = user
            row = {
                "company_id": company_id,
                "owner_id": account.id,
                "region": region,
                "created_at": at,
                **values,
            }
            await connection.execute(upsert(self._database.dialect, tables.credentials, list(values)), row)
            if end:
                await end_logins(connection, company_id, account.id)
            kind = ChangeKind.CREDENTIALS_CHANGED if end else ChangeKind.ACCOUNT_CHANGED
            await changes.record(connection, at, kind, company_id, [account.id])
        return int(epoch)
