"""Who is it, and is the password right? Joins store, sealed keys, throttle and hashing for the login."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.auth.credentials import (
    InvalidPassword,
    ScramKeys,
    Verifier,
    check_imported,
    derive,
    fake_keys,
    matching,
)
from rainbow_xmpp.auth.pool import HashPool, PoolFull
from rainbow_xmpp.auth.seal import Sealer, SealError
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.auth.verified import VerifiedPasswords
from rainbow_xmpp.config import Limits
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.sasl import FailureCondition, OtherKeys
from rainbow_xmpp.store.values import Account, LoginRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """The keys a SCRAM exchange goes on with; made up, and without an account, where there is none."""

    account: Account | None
    keys: ScramKeys
    others: tuple[OtherKeys, ...] = ()
    """Those of the account's app passwords."""


@dataclass(frozen=True, slots=True)
class Known:
    """The password was right."""

    account: Account
    app_password: str = ""
    """The id of the app password that it was; "" when it was the account's own."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt ends; `detail` is for the log."""

    condition: FailureCondition
    detail: str = ""


WRONG = Refused(FailureCondition.NOT_AUTHORIZED)
LATER = Refused(FailureCondition.TEMPORARY_AUTH_FAILURE)


class Accounts(Protocol):
    """What logins need of the store's accounts."""

    async def for_login(self, identifier: str) -> LoginRecord | None: ...


class Adopting(Protocol):
    """What logins need of the store's credentials."""

    async def replace_imported(self, account: Account, sealed: bytes, key_id: str) -> None: ...


class Attempts:
    """Login attempts of each source in the current minute. 0 = no limit."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._minute = 0
        self._counts: dict[str, int] = {}

    def allow(self, source: str, now: float) -> bool:
        """Count an attempt; False when the source had its share of this minute."""
        if not self.per_minute:
            return True
        minute = int(now // 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(source, 0) + 1
        self._counts[source] = count
        return count <= self.per_minute


@dataclass(frozen=True, slots=True)
class Guards:
    """What keeps logins from being guessed or flooded."""

    throttle: Throttle
    attempts: Attempts
    pool: HashPool
    verified: VerifiedPasswords
    counters: Counters


class Authenticator:
    """Shared by all logins of a server; keeps no state of one attempt.

    Somebody who does not exist costs and looks the same as somebody whose password is wrong: keys are made up
    from the name, and a password is hashed against them.
    """

    def __init__(
        self,
        accounts: Accounts,
        credentials: Adopting,
        sealer: Sealer,
        guards: Guards,
        *,
        iterations: int,
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives seconds of a monotonic clock."""
        self._accounts = accounts
        self._credentials = credentials
        self._sealer = sealer
        self._throttle = guards.throttle
        self._attempts = guards.attempts
        self._pool = guards.pool
        self._verified = guards.verified
        self._counters = guards.counters
        # Made-up salts must be the same after a restart, or they would give themselves away.
        self._secret = sealer.secret_for("made-up salts")
        self._iterations = iterations
        self._clock = clock
        self._decoy = self._sealed_decoy()

    def use(self, limits: Limits, iterations: int) -> None:
        """These count from the next attempt on."""
        self._throttle.limit(
            per_account=limits.login_failures_per_account_per_minute,
            per_source=limits.login_failures_per_address_per_minute,
        )
        self._attempts.per_minute = limits.logins_per_address_per_minute
        self._iterations = iterations

    async def scram_keys(self, names: tuple[str, ...], hash_name: str, source: str) -> Found | Refused:
        """The keys of the first of these names that somebody has."""
        if not self.may_try(names[0], source):
            return LATER
        record = await self._record(names)
        made_up = self._made_up(names[0], hash_name)
        if record is None or record.sealed is None or record.key_id is None:
            # Also for a hash brought from elsewhere: it is replaced at the first login with PLAIN.
            self._sealer.open(*self._decoy)
            return Found(None, made_up)
        try:
            verifier = self._sealer.open(record.key_id, record.sealed, record.account.id)
        except SealError as error:
            return _unreadable(error)
        others = [OtherKeys(app.id, *app.keys(hash_name)) for app in verifier.app_passwords]
        return Found(record.account, verifier.keys(hash_name), tuple(others))

    async def check_password(self, names: tuple[str, ...], password: str, source: str) -> Known | Refused:
        """The account with one of these names, when the password is right: its own, or an app password.

        Whether that suffices is for the caller to say.
        """
        if not self.may_try(names[0], source):
            return LATER
        record = await self._record(names)
        try:
            which = await self._which(record, names[0], password)
        except PoolFull:
            self._counters.limit_password_checks += 1
            return LATER
        except SealError as error:
            return _unreadable(error)
        return WRONG if record is None or which is None else Known(record.account, which)

    async def prove(self, names: tuple[str, ...], password: str, source: str) -> Account | Refused:
        """Whose own password this is; app passwords are for XMPP, and worth nothing here. Counted as a login is.

        Whether it suffices is for the caller to say.
        """
        found = await self.check_password(names, password, source)
        if isinstance(found, Known) and found.app_password:
            found = WRONG
        if isinstance(found, Refused):
            if found.condition is FailureCondition.NOT_AUTHORIZED:
                self.failed(names[0], source)
            return found
        self.succeeded(names[0], source)
        return found.account

    async def confirm(self, account: Account, password: str, source: str) -> Account | Refused:
        """Whether this is the account's own password: asked again before something that matters."""
        return await self.prove((account.localpart,), password, source)

    def failed(self, name: str, source: str) -> None:
        """A password or proof was wrong."""
        self._throttle.failed(name, source, self._clock())

    def succeeded(self, name: str, source: str) -> None:
        """A login was completed."""
        self._throttle.succeeded(name, source)

    def forget(self, account_id: str) -> None:
        """The account was changed: what is remembered of its password is void."""
        self._verified.forget(account_id)

    def may_ask(self, source: str) -> bool:
        """Count a request of somebody who has not logged in: as an attempt to log in, of which a minute has so many."""
        if self._attempts.allow(source, self._clock()):
            return True
        self._counters.limit_login_attempts += 1
        return False

    def may_try(self, name: str, source: str) -> bool:
        """Count an attempt to log in; False when this source, or this name from it, has to wait."""
        if not self.may_ask(source):
            return False
        if not self._throttle.may_try(name, source, self._clock()):
            self._counters.limit_login_failures += 1
            return False
        return True

    async def knows(self, names: tuple[str, ...]) -> bool:
        """Somebody who may log in here has one of these names."""
        return await self._record(names) is not None

    async def _record(self, names: tuple[str, ...]) -> LoginRecord | None:
        """What the first of these names that somebody has says. All are looked up, or the time would tell."""
        found = [await self._accounts.for_login(name) for name in names]
        first = next((record for record in found if record is not None), None)
        return first if first is not None and first.account.may_log_in else None

    async def _which(self, record: LoginRecord | None, name: str, password: str) -> str | None:
        """As `matching`."""
        if record is not None and record.sealed is None and record.imported_hash is not None:
            return "" if await self._check_imported(record, password) else None
        if record is None or record.sealed is None or record.key_id is None:
            made_up = Verifier(self._made_up(name, "sha256"), self._made_up(name, "sha1"))
            await self._pool.run(matching, made_up, password)
            return None
        account = record.account
        if self._verified.knows(account.id, account.epoch, password):
            return ""
        verifier = self._sealer.open(record.key_id, record.sealed, account.id)
        which = await self._pool.run(matching, verifier, password)
        if which == "":  # app passwords are few, and for clients that stay
            self._verified.remember(account.id, account.epoch, password)
        return which

    async def _check_imported(self, record: LoginRecord, password: str) -> bool:
        assert record.imported_hash is not None
        if not await self._pool.run(check_imported, record.imported_hash, password):
            return False
        try:
            verifier = await self._pool.run(derive, password, self._iterations)
        except InvalidPassword:
            return True  # right, but of characters that SCRAM cannot carry: it stays as it was brought
        key_id, sealed = self._sealer.seal(verifier, record.account.id)
        await self._credentials.replace_imported(record.account, sealed, key_id)
        log.info("the imported password hash of %s was replaced by SCRAM keys", record.account.id)
        return True

    def _sealed_decoy(self) -> tuple[str, bytes, str]:
        """Sealed keys to open where nobody's are there: key id, blob and account."""
        nobody = Verifier(self._made_up("", "sha256"), self._made_up("", "sha1"))
        return *self._sealer.seal(nobody, "nobody"), "nobody"

    def _made_up(self, name: str, hash_name: str) -> ScramKeys:
        return fake_keys(name, self._secret, self._iterations, hash_name)


def _unreadable(error: SealError) -> Refused:
    """Nobody's fault but ours: the client may come back, the administrator reads which key is missing."""
    log.error("%s", error)
    return LATER
