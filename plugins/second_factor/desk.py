"""What happens when somebody makes a second factor, shows a code of it, or ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.readable import new_readable_secret
from rainbow_xmpp.auth.throttle import Throttle, source_of
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.plugin import (
    Account,
    AppPassword,
    Asker,
    Enrolment,
    FactorRule,
    FactorStatus,
    IsRequired,
    NotBegun,
    NotOffered,
    NotOn,
    Services,
    TooMany,
    WrongCode,
)
from rainbow_xmpp.plugins.second_factor import codes
from rainbow_xmpp.plugins.second_factor.codes import Typed
from rainbow_xmpp.plugins.second_factor.notices import Notices, What
from rainbow_xmpp.plugins.second_factor.options import FactorOptions
from rainbow_xmpp.plugins.second_factor.store import HOUR_S, Factor, Factors
from rainbow_xmpp.plugins.second_factor.tables import BOX
from rainbow_xmpp.store.joined import joining

log = logging.getLogger(__name__)

MOST_NAME = 60
_FAILURES_PER_SOURCE = 5


class FactorDesk:
    """As the interface `SecondFactor`. `settings` is asked each time, since a reload may change it."""

    def __init__(self, services: Services, settings: Callable[[], FactorOptions]) -> None:
        self._services = services
        self._settings = settings
        self._box = services.box_for(BOX)
        self._factors = Factors(services.store)
        self._notices = Notices(services)
        self._throttle = Throttle(per_account=_FAILURES_PER_SOURCE, per_source=4 * _FAILURES_PER_SOURCE)

    async def status(self, account: Account) -> FactorStatus:
        """As `SecondFactor.status`."""
        rule = account.company.settings.second_factor
        offered, required = rule is not FactorRule.OFF, rule is FactorRule.REQUIRED
        if not account.second_factor:
            return FactorStatus(False, offered, required)
        factor = await self._factors.get(account)
        known = await self._factors.apps_of(account)
        apps = [
            AppPassword(id, known[id].name, known[id].created_at, known[id].used_at)
            for id in await self._services.app_passwords.ids(account)
            if id in known
        ]
        return FactorStatus(
            is_on=True,
            is_offered=offered,
            is_required=required,
            recovery_codes_left=await self._factors.count_codes(account),
            on_since=None if factor is None else factor.on_since,
            app_passwords=apps,
        )

    # -- making one ------------------------------------------------------------------------------------

    async def begin(self, account: Account, code: str = "", *, asker: Asker) -> Enrolment:
        """As `SecondFactor.begin`."""
        if account.second_factor:
            await self._require(account, code, asker)
        elif account.company.settings.second_factor is FactorRule.OFF:
            raise NotOffered("the company has no second factors")
        secret, until = codes.new_secret(), self._now() + 60 * self._settings().enrolment_minutes
        await self._factors.put_pending(account, self._box.seal(secret.encode(), account.id), until)
        issuer = self._settings().issuer or self._services.domain
        uri = codes.uri(secret, self._services.bare_jid(account), issuer)
        return Enrolment(uri, codes.for_typing(secret), until)

    async def confirm(self, account: Account, code: str, *, asker: Asker) -> tuple[str, ...]:
        """As `SecondFactor.confirm`."""
        pending, secret, step = await self._pending(account, Typed.read(code), asker)
        made = codes.new_recovery_codes()

        async def turn_on(connection: AsyncConnection) -> None:
            if not await self._factors.confirm(connection, account, pending, step, self._now()):
                raise WrongCode("confirmed already, or begun anew")
            hashes = [codes.hash_of(secret, each) for each in made]
            await self._factors.replace_codes(connection, account, hashes)

        with joining(turn_on):
            await self._services.store.accounts.set_second_factor(account.company.id, account.id, True)
        what = What.REPLACED if account.second_factor else What.TURNED_ON
        await self._changed(account, what, asker)
        return made

    async def _pending(self, account: Account, typed: Typed, asker: Asker) -> tuple[bytes, str, int]:
        """What is confirmed by this code: sealed, its secret, and the code's step."""
        now = self._may_try(account, asker)
        async with self._services.store.write() as connection:
            factor = await self._spend(connection, account)
            if factor is None or factor.pending is None or factor.pending_until <= now:
                raise NotBegun("nothing waits to be confirmed")  # and the try was none
            pending = bytes(factor.pending)
            secret = self._opened(account, pending)
            step = codes.step_of(secret, typed.totp, now)
            if step is not None:
                await self._factors.give_back(connection, account)
        if step is None:
            self._wrong(account, asker)
            raise WrongCode("wrong")
        return pending, secret, step

    # -- codes -----------------------------------------------------------------------------------------

    async def check(self, account: Account, code: str, *, asker: Asker) -> bool:
        """As `SecondFactor.check`."""
        now, typed = self._may_try(account, asker), Typed.read(code)
        async with self._services.store.write() as connection:
            factor = await self._spend(connection, account)
            if factor is None or factor.secret is None:
                return False
            is_right = await self._use(connection, account, bytes(factor.secret), typed, now)
            if is_right:
                await self._factors.give_back(connection, account)
        if not is_right:
            self._wrong(account, asker)
            return False
        self._throttle.succeeded(account.id, source_of(asker.source))
        if typed.recovery:
            self._services.counters.factors_recovered += 1
            await self._changed(account, What.RECOVERY_CODE_USED, asker)
        else:
            self._services.counters.factors_right += 1
        return True

    async def _use(
        self, connection: AsyncConnection, account: Account, sealed: bytes, typed: Typed, now: int
    ) -> bool:
        secret = self._opened(account, sealed)
        if typed.recovery:
            hash = codes.hash_of(secret, typed.recovery)
            return await self._factors.use_recovery_code(connection, account, hash)
        step = codes.step_of(secret, typed.totp, now)
        return step is not None and await self._factors.use_step(connection, account, sealed, step)

    async def _spend(self, connection: AsyncConnection, account: Account) -> Factor | None:
        """The factor, with one try more counted as wrong; None when there is none. Raises TooMany."""
        most = self._settings().wrong_codes_per_hour
        factor = await self._factors.spend(connection, account, self._now(), most)
        if factor is not None:
            return factor
        known = await self._factors.get_within(connection, account)
        if known is None:
            return None
        self._services.counters.factors_held_back += 1
        raise TooMany(max(1, known.tries_since + HOUR_S - self._now()))

    def _may_try(self, account: Account, asker: Asker) -> int:
        """The time. Raises TooMany for a source that was wrong too often."""
        wait_s = self._throttle.wait_s(account.id, source_of(asker.source), self._services.now())
        if wait_s:
            self._services.counters.factors_held_back += 1
            raise TooMany(max(1, round(wait_s)))
        return self._now()

    def _wrong(self, account: Account, asker: Asker) -> None:
        self._throttle.failed(account.id, source_of(asker.source), self._services.now())
        self._services.counters.factors_wrong += 1
        log.info("a wrong code of the second factor of %s", account.id)

    async def _require(self, account: Account, code: str, asker: Asker) -> None:
        if not await self.check(account, code, asker=asker):
            raise WrongCode("wrong")

    async def new_recovery_codes(self, account: Account, code: str, *, asker: Asker) -> tuple[str, ...]:
        """As `SecondFactor.new_recovery_codes`."""
        self._require_on(account)
        await self._require(account, code, asker)
        factor = await self._factors.get(account)
        if factor is None or factor.secret is None:
            raise NotOn("turned off meanwhile")
        made, secret = codes.new_recovery_codes(), self._opened(account, bytes(factor.secret))
        async with self._services.store.write() as connection:
            hashes = [codes.hash_of(secret, each) for each in made]
            await self._factors.replace_codes(connection, account, hashes)
        await self._changed(account, What.NEW_RECOVERY_CODES, asker)
        return made

    # -- ending it -------------------------------------------------------------------------------------

    async def turn_off(self, account: Account, code: str, *, asker: Asker) -> None:
        """As `SecondFactor.turn_off`."""
        self._require_on(account)
        if account.company.settings.second_factor is FactorRule.REQUIRED:
            raise IsRequired("the company wants a second factor")
        await self._require(account, code, asker)
        await self._end(account)
        await self._changed(account, What.TURNED_OFF, asker)

    async def turn_off_for(self, account: Account, *, actor: str, reason: str = "") -> bool:
        """As `SecondFactor.turn_off_for`."""
        if not account.second_factor:
            return False
        await self._end(account)
        await self._changed(account, What.TURNED_OFF_BY_ADMINISTRATOR, Asker(""), actor=actor, reason=reason)
        return True

    async def _end(self, account: Account) -> None:
        """App passwords first: should only a part be done, nothing is open that was not."""

        async def nothing(_: AsyncConnection) -> None: ...

        async def forget(connection: AsyncConnection) -> None:
            await self._factors.forget(connection, account)

        if await self._services.app_passwords.ids(account):
            await self._services.app_passwords.drop_all(account, nothing)
        with joining(forget):
            await self._services.store.accounts.set_second_factor(account.company.id, account.id, False)

    # -- app passwords ---------------------------------------------------------------------------------

    async def new_app_password(self, account: Account, name: str, *, asker: Asker) -> tuple[str, str]:
        """As `SecondFactor.new_app_password`."""
        self._require_on(account)
        name = " ".join(name.split())
        if not name or len(name) > MOST_NAME or not name.isprintable():
            raise ValueError("an app password needs a short name")
        id, password = new_id(), new_readable_secret()

        async def add(connection: AsyncConnection) -> None:
            await self._factors.add_app(connection, account, id, name)

        await self._services.app_passwords.add(account, id, password, add)
        await self._changed(account, What.APP_MADE, asker, target=id)
        return id, password

    async def drop_app_password(self, account: Account, app_password_id: str, *, asker: Asker) -> bool:
        """As `SecondFactor.drop_app_password`."""
        if app_password_id not in await self._services.app_passwords.ids(account):
            return False

        async def drop(connection: AsyncConnection) -> None:
            await self._factors.drop_app(connection, account, app_password_id)

        await self._services.app_passwords.drop(account, app_password_id, drop)
        await self._changed(account, What.APP_DROPPED, asker, target=app_password_id)
        return True

    async def app_used(self, account: Account, app_password_id: str) -> None:
        """A client came by it."""
        await self._factors.app_used(account, app_password_id, self._now())

    # -- what they have in common ----------------------------------------------------------------------

    async def use_current_key(self) -> None:
        """Seal secrets anew that an older sealing key sealed, so that it can go; the log tells of lost ones."""
        after, lost = "", 0
        while rows := await self._factors.sealed(after=after):
            for company_id, account_id, sealed in rows:
                after = account_id
                secret = self._box.open(sealed, account_id)
                if secret is None:
                    lost += 1
                elif not self._box.is_current(sealed):
                    anew = self._box.seal(secret, account_id)
                    await self._factors.reseal(company_id, account_id, sealed, anew)
        if lost:
            log.error(
                "%s people cannot show their second factor: it is sealed under a key which is neither "
                "auth.sealing_key nor among auth.old_sealing_keys",
                lost,
            )

    def _opened(self, account: Account, sealed: bytes) -> str:
        secret = self._box.open(sealed, account.id)
        if secret is None:
            raise RuntimeError(f"the second factor of {account.id} is sealed under a key that is not here")
        return secret.decode()

    def _require_on(self, account: Account) -> None:
        if not account.second_factor:
            raise NotOn("the account has no second factor")

    async def _changed(
        self,
        account: Account,
        what: What,
        asker: Asker,
        *,
        actor: str = "",
        target: str = "",
        reason: str = "",
    ) -> None:
        """In effect here; recorded; told to whom it concerns."""
        await self._services.apply_changes()
        facts = {"app_password": target} if target else {}
        await self._services.audit(
            what.value,
            company_id=account.company.id,
            actor=actor or account.id,
            target=account.id,
            reason=reason,
            **facts,
        )
        await self._notices.tell(account, what, asker.language)

    def _now(self) -> int:
        return int(self._services.now())
