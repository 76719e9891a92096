"""Accounts as administrators change them: added, shut out, let in again, logged out, removed; each recorded.

The command line, plugins and the web do it here, so that a password is judged and an action is recorded whoever acts.
What is changed is in effect on this server when a method returns, and on others a moment later (`store.changes`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.credentials import Verifier, derive
from rainbow_xmpp.auth.policy import PasswordPolicy, WeakPassword
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.auth.tightening import tightened
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.config.auth import Auth
from rainbow_xmpp.observe.audit import AuditLog, Fact, Kind
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.joined import joining
from rainbow_xmpp.store.values import Account, ChangeKind, Company, NewAccount, Role, Visibility


class Hashing(Protocol):
    """Runs slow functions beside the event loop: `HashPool.run`, `asyncio.to_thread`."""

    def __call__(
        self, function: Callable[[str, int], Verifier], password: str, iterations: int, /
    ) -> Awaitable[Verifier]: ...


@dataclass(frozen=True, slots=True)
class Added:
    """Somebody new. `password` is the one that was made for them, to be shown once; "" when they had their own."""

    account: Account
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What of an account is to be changed; None stays as it is."""

    name: str | None = None
    role: Role | None = None
    visibility: Visibility | None = None
    service_level: str | None = None
    """"" for the company's."""
    listed: bool | None = None


class People:
    """Everything takes `actor`: who does it, as the audit log names them."""

    def __init__(
        self,
        store: Store,
        audit: AuditLog,
        sealer: Sealer,
        settings: Auth,
        levels: ServiceLevels,
        regions: Regions,
        *,
        hashing: Hashing,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        """`changed` brings what was written into effect on the server that runs in this process, if one does."""
        self._store = store
        self._audit = audit
        self._sealer = sealer
        self._hashing = hashing
        self._changed = changed
        self._levels = levels
        self._regions = regions
        self.settings = settings
        """A reload puts others here."""

    async def add(self, new: NewAccount, password: str = "", *, actor: str, reason: str = "") -> Added:
        """Make an account, with a random password when none is given.

        Raises WeakPassword, NotAllowed when the company's service level has no room for more, WrongRegion when its
        people may not live in this server's region, and what `Accounts.add` raises.
        """
        self._levels.require(new.service_level)
        company = await self._store.companies.by_name(new.company)
        if company is not None:
            new = replace(new, region=self._regions.for_new_person(company))
            self._levels.room_for(company, await self._store.accounts.count(company.id))
        own_words = (new.email, new.localpart, new.company, new.name)
        made = "" if password else self._policy_of(company).generate()
        self.judge(password or made, *own_words, company=company)
        key_id, blob = await self._sealed(password or made, new.id)
        company_id = company.id if company is not None else ""

        async def still_has_room(connection: AsyncConnection) -> None:
            """Of several who are added at once, those are refused for whom there is no room any more."""
            if company is not None:
                others = await self._store.accounts.count_within(connection, company.id) - 1
                self._levels.room_for(company, others)

        async with self._recorded(
            Kind.USER_ADDED, company_id, new.id, actor, reason=reason, role=str(new.role)
        ):
            with joining(still_has_room):
                account = await self._store.accounts.add(replace(new, sealed=blob, key_id=key_id))
        return Added(account, made)

    async def set_password(
        self, account: Account, password: str = "", *, actor: str, reason: str = ""
    ) -> str:
        """A new password, which ends what was logged in with the old one; returns it when it was made here.

        Raises WeakPassword and NotFound.
        """
        made = "" if password else self._policy_of(account.company).generate()
        await self.judge_for(account, password or made)
        key_id, blob = await self._sealed(password or made, account.id)
        async with self._recorded(
            Kind.PASSWORD_CHANGED, account.company.id, account.id, actor, reason=reason
        ):
            await self._store.credentials.put(account, blob, key_id)
        return made

    async def change(
        self, account: Account, wanted: AccountChange, *, actor: str, reason: str = ""
    ) -> Account:
        """Change what is given; the account as it is then. Another role ends the account's tokens.

        Raises NotAllowed for a visibility that the company does not allow or a service level that is not
        configured, NotFound, and StoreError for a name
        that does not fit.
        """
        self._levels.require(wanted.service_level)
        visibility, company = wanted.visibility, account.company
        if visibility is not None and visibility not in company.allowed_visibilities:
            allowed = ", ".join(company.allowed_visibilities)
            raise NotAllowed(f"people of {company.name} may be {allowed}")
        values = {key: value for key, value in asdict(wanted).items() if value is not None}
        if not values:
            return account
        facts = {key: value if isinstance(value, bool) else str(value) for key, value in values.items()}
        if "name" in facts:
            facts["name"] = True  # that it was changed; what it is now is nobody's business here
        async with self._recorded(Kind.USER_CHANGED, company.id, account.id, actor, reason=reason, **facts):
            await self._store.accounts.change(company.id, account.id, values)
        found = await self._store.accounts.by_id(account.id)
        if found is None:
            raise NotFound("account", account.id)
        return found

    async def disable(self, account: Account, *, actor: str, reason: str = "") -> None:
        """Shut somebody out; nothing of theirs is lost. Raises NotFound."""
        async with self._recorded(Kind.USER_DISABLED, account.company.id, account.id, actor, reason=reason):
            await self._store.accounts.set_disabled(account.company.id, account.id, True)

    async def enable(self, account: Account, *, actor: str, reason: str = "") -> None:
        """Let somebody in again. Raises NotFound."""
        async with self._recorded(Kind.USER_ENABLED, account.company.id, account.id, actor, reason=reason):
            await self._store.accounts.set_disabled(account.company.id, account.id, False)

    async def end_sessions(self, account: Account, *, actor: str, reason: str = "") -> None:
        """Log somebody out everywhere, tokens too; they may log in again. Raises NotFound."""
        async with self._recorded(Kind.SESSIONS_ENDED, account.company.id, account.id, actor, reason=reason):
            await self._store.accounts.bump_epoch(account.company.id, account.id, ChangeKind.SESSIONS_ENDED)

    async def remove(self, account: Account, *, actor: str, reason: str = "") -> None:
        """Remove an account with everything that is its owner's. Raises NotFound."""
        async with self._recorded(Kind.USER_REMOVED, account.company.id, account.id, actor, reason=reason):
            await self._store.accounts.remove(account.company.id, account.id)

    async def judge_for(self, account: Account, password: str) -> None:
        """Raise WeakPassword unless the policy accepts it as a new one of this account."""
        member = await self._store.accounts.member(account.company.id, account.id)
        emails = member.emails if member is not None else ()
        own_words = (account.localpart, account.company.name, account.name, *emails)
        self.judge(password, *own_words, company=account.company)

    def judge(self, password: str, *own_words: str, company: Company | None = None) -> None:
        """Raise WeakPassword unless the policy accepts it; `own_words` are what others would guess first.

        `company`: what it wants beyond what is configured counts too.
        """
        if problems := self._policy_of(company).problems(password, own_words):
            raise WeakPassword(problems)

    def _policy_of(self, company: Company | None) -> PasswordPolicy:
        settings = self.settings.password
        return PasswordPolicy(settings if company is None else tightened(settings, company.settings))

    async def _sealed(self, password: str, account_id: str) -> tuple[str, bytes]:
        """Key id and sealed SCRAM keys, for this account only."""
        verifier = await self._hashing(derive, password, self.settings.scram_iterations)
        return self._sealer.seal(verifier, account_id)

    @asynccontextmanager
    async def _recorded(
        self, kind: Kind, company_id: str, account_id: str, actor: str, *, reason: str = "", **facts: Fact
    ) -> AsyncIterator[None]:
        """What is written within, and its record: both or neither. Then it comes into effect here."""
        async with self._audit.with_write(
            kind, company_id=company_id, actor=actor, target=account_id, reason=reason, **facts
        ):
            yield
        await self._changed()
