"""Who is it, and is the password right? Joins store, sealed keys, throttle and hashing for the login."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.auth.cache import VerifiedPasswords
from rainbow_xmpp.auth.credentials import (
    ScramKeys,
    Verifier,
    check_imported,
    check_password,
    derive,
    fake_keys,
)
from rainbow_xmpp.auth.hash_pool import HashPool, HashPoolFull
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.auth.secret import Secret
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.store.values import Account, LoginRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """The keys a SCRAM exchange goes on with; made up, and without an account, where there is none."""

    account: Account | None
    keys: ScramKeys


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt ends; `detail` is for the log."""

    condition: FailureCondition
    detail: str = ""


WRONG = Refused(FailureCondition.NOT_AUTHORIZED)
LATER = Refused(FailureCondition.TEMPORARY_AUTH_FAILURE)


class LoginStore(Protocol):
    """What logins need of the store."""

    async def for_login(self, identifier: str) -> LoginRecord | None: ...

    async def replace_imported(self, account: Account, sealed: bytes, key_id: str) -> None: ...


class Authenticator:
    """Shared by all logins of a server; keeps no state of one attempt.

    Somebody who does not exist costs and looks the same as somebody whose password is wrong: keys are made up
    from the name (RFC 5802 has no other way), and a password is hashed against them.
    """

    def __init__(
        self,
        store: LoginStore,
        sealer: Sealer,
        throttle: Throttle,
        pool: HashPool,
        cache: VerifiedPasswords,
        *,
        secret: bytes,
        iterations: int,
        clock: Callable[[], float],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        """`secret` (32 bytes) makes up the salts of unknown names; it must not change at a restart."""
        self._store = store
        self._sealer = sealer
        self._throttle = throttle
        self._pool = pool
        self._cache = cache
        self._secret = secret
        self._iterations = iterations
        self._clock = clock
        self.spawn = spawn

    async def scram_keys(self, names: tuple[str, ...], hash_name: str, source: str) -> Found | Refused:
        """The keys of the first of these names that somebody has."""
        if not self._throttle.may_try(names[-1], source, self._clock()):
            return LATER
        record = await self._record(names)
        if record is None or record.sealed is None or record.key_id is None:
            # Also for a hash brought from elsewhere: it is replaced at the first login with PLAIN.
            return Found(None, self._made_up(names[-1], hash_name))
        verifier = self._sealer.open(record.key_id, record.sealed, record.account.id)
        return Found(record.account, verifier.sha256 if hash_name == "sha256" else verifier.sha1)

    async def check_password(
        self, names: tuple[str, ...], password: Secret, source: str
    ) -> Account | Refused:
        """The account with one of these names, when the password is right."""
        name = names[-1]
        if not self._throttle.may_try(name, source, self._clock()):
            return LATER
        record = await self._record(names)
        try:
            is_right = await self._is_right(record, name, password)
        except HashPoolFull:
            return LATER
        if record is None or not is_right:
            self.failed(name, source)
            return WRONG
        return record.account

    def failed(self, name: str, source: str) -> None:
        """A password or proof was wrong."""
        self._throttle.failed(name, source, self._clock())

    def succeeded(self, account: Account, source: str) -> None:
        """A login was completed."""
        self._throttle.succeeded(account.localpart, source)

    async def _record(self, names: tuple[str, ...]) -> LoginRecord | None:
        for name in names:
            record = await self._store.for_login(name)
            if record is not None:
                return record if record.account.may_log_in else None
        return None

    async def _is_right(self, record: LoginRecord | None, name: str, password: Secret) -> bool:
        if record is not None and record.sealed is None and record.imported_hash is not None:
            return await self._check_imported(record, password)
        if record is None or record.sealed is None or record.key_id is None:
            made_up = Verifier(self._made_up(name, "sha256"), self._made_up(name, "sha1"))
            await self._pool.run(check_password, made_up, password)
            return False
        account = record.account
        if self._cache.knows(account.id, account.epoch, password):
            return True
        verifier = self._sealer.open(record.key_id, record.sealed, account.id)
        is_right = await self._pool.run(check_password, verifier, password)
        if is_right:
            self._cache.remember(account.id, account.epoch, password)
        return is_right

    async def _check_imported(self, record: LoginRecord, password: Secret) -> bool:
        assert record.imported_hash is not None
        if not await self._pool.run(check_imported, record.imported_hash, password):
            return False
        verifier = await self._pool.run(derive, password, self._iterations)
        key_id, sealed = self._sealer.seal(verifier, record.account.id)
        await self._store.replace_imported(record.account, sealed, key_id)
        log.info("the imported password hash of %s was replaced by SCRAM keys", record.account.id)
        return True

    def _made_up(self, name: str, hash_name: str) -> ScramKeys:
        return fake_keys(name, self._secret, self._iterations, hash_name)
