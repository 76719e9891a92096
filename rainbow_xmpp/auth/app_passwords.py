"""App passwords: made by the server, each for one client that knows no second factor, and ended one by one.

Their keys lie sealed beside those of the account's own password, under the same salts: a login reads them with it,
another sealing key comes to both, and a new password ends them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from rainbow_xmpp.auth.credentials import AppKeys, Verifier, derive_app_keys
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import ChangedMeanwhile, NotFound
from rainbow_xmpp.store.joined import Work, joining
from rainbow_xmpp.store.values import Account

MOST = 20
_TRIES = 5


class Hashing(Protocol):
    """Runs a slow function beside the event loop: `HashPool.run`."""

    def __call__(
        self, function: Callable[[Verifier, str, str], AppKeys], verifier: Verifier, id: str, password: str, /
    ) -> Awaitable[AppKeys]: ...


class AppPasswords:
    """`changed` brings what was written into effect on this server."""

    def __init__(
        self, store: Store, sealer: Sealer, hashing: Hashing, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._hashing = hashing
        self._changed = changed

    async def ids(self, account: Account) -> tuple[str, ...]:
        """Of those that are good, oldest first."""
        verifier, _ = await self._read(account)
        return () if verifier is None else tuple(app.id for app in verifier.app_passwords)

    async def add(self, account: Account, id: str, password: str, work: Work) -> None:
        """Let clients log in with it; `work` joins the transaction.

        Raises NotAllowed when there are MOST already, or the account has no password of its own to stand beside.
        """

        async def added(verifier: Verifier) -> Verifier:
            if len(verifier.app_passwords) >= MOST:
                raise NotAllowed(f"there are {MOST} app passwords, which are the most")
            keys = await self._hashing(derive_app_keys, verifier, id, password)
            return replace(verifier, app_passwords=(*verifier.app_passwords, keys))

        await self._exchange(account, added, work)

    async def drop(self, account: Account, id: str, work: Work) -> None:
        """Let it be worth nothing; `work` joins the transaction. It may be gone already."""

        async def dropped(verifier: Verifier) -> Verifier:
            left = tuple(app for app in verifier.app_passwords if app.id != id)
            return replace(verifier, app_passwords=left)

        await self._exchange(account, dropped, work)

    async def drop_all(self, account: Account, work: Work) -> None:
        """Let none be worth anything; `work` joins the transaction."""

        async def dropped(verifier: Verifier) -> Verifier:
            return replace(verifier, app_passwords=())

        await self._exchange(account, dropped, work)

    async def _exchange(
        self, account: Account, step: Callable[[Verifier], Awaitable[Verifier]], work: Work
    ) -> None:
        for _ in range(_TRIES):
            verifier, before = await self._read(account)
            if verifier is None:
                raise NotAllowed("the account has no password that others could stand beside")
            key_id, after = self._sealer.seal(await step(verifier), account.id)
            try:
                with joining(work):
                    await self._store.credentials.exchange(account, before, after, key_id)
            except ChangedMeanwhile:
                continue
            await self._changed()
            return
        raise ChangedMeanwhile("the credentials change all the time")

    async def _read(self, account: Account) -> tuple[Verifier | None, bytes]:
        record = await self._store.accounts.for_login(account.localpart)
        if record is None or record.account.id != account.id:
            raise NotFound("account", account.id)
        if record.sealed is None or record.key_id is None:
            return None, b""
        return self._sealer.open(record.key_id, record.sealed, account.id), record.sealed
