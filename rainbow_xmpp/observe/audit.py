"""The audit log: who did what to whom, in records that nobody can change unnoticed.

    await audit.record("user.disabled", company_id=company.id, actor=cli_actor(), target=account.id)

A record says what happened with identifiers: no e-mail or network addresses, message bodies, passwords, PINs or
tokens. It is committed when `record` returns; a burst shares transactions.
"""

import asyncio
import ipaddress
import logging
import os
import platform
import pwd
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.store.audit import AuditRecords, append
from rainbow_xmpp.store.audit_chain import ChainKeys, Entry, canonical
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.joined import joining

log = logging.getLogger(__name__)

Fact = str | int | bool

PRUNED_AT_ONCE = 5000
"""So many old records at most go in one transaction, since writers wait for it."""
MAX_FACTS = 16
MAX_FACT = 200
MAX_REASON = 500
_KIND = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
_MAX_KIND = 64
_MAX_WHO = 100
_CORE = "the server"


class Kind(StrEnum):
    """What the core records."""

    COMPANY_ADDED = "company.added"
    COMPANY_CHANGED = "company.changed"
    COMPANY_MOVING = "company.moving"
    COMPANY_MOVED = "company.moved"
    COMPANY_ARRIVED = "company.arrived"
    COMPANY_NOT_MOVED = "company.not_moved"
    USER_ADDED = "user.added"
    USERS_IMPORTED = "user.imported"
    USER_REMOVED = "user.removed"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_CHANGED = "user.changed"
    USER_MOVING = "user.moving"
    USER_MOVED = "user.moved"
    USER_ARRIVED = "user.arrived"
    USER_NOT_MOVED = "user.not_moved"
    USER_LEFT_NOTHING = "user.left_nothing"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105
    SESSIONS_ENDED = "user.sessions_ended"
    AUTHORISATION_INVITED = "authorisation.invited"
    AUTHORISATION_ACCEPTED = "authorisation.accepted"
    AUTHORISATION_ENDED = "authorisation.ended"
    LINK_ASKED = "link.asked"
    LINK_CONFIRMED = "link.confirmed"
    LINK_ENDED = "link.ended"
    LOGIN_OK = "login.ok"
    LOGINS_THROTTLED = "login.throttled"
    DATABASE_UPGRADED = "db.upgraded"
    REGION_RENAMED = "region.renamed"
    RESIDENCY_AUDITED = "residency.audited"
    CREDENTIALS_RESEALED = "db.resealed"
    SERVER_STARTED = "server.started"
    SERVER_STOPPED = "server.stopped"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REFUSED = "config.refused"
    AUDIT_PRUNED = "audit.pruned"


class AuditLog:
    """Appends to the chain of one database. Kinds must be declared: the core's are, plugins declare theirs.

    `now` gives Unix time in seconds. Close it before the store.
    """

    def __init__(
        self,
        records: AuditRecords,
        keys: ChainKeys,
        *,
        node: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.records = records
        self.keys = keys
        self.written = 0
        self.failed = 0
        self._node = (node or platform.node())[:64]
        self._now = now
        self._owners: dict[str, str] = dict.fromkeys(Kind, _CORE)
        self._batch: Batcher[Entry, bool] = Batcher(self._append, most=500)

    def declare(self, owner: str, kinds: Iterable[str]) -> Callable[[], None]:
        """Let these kinds be recorded; call what is returned to take it back. `owner` is a plugin's name.

        Raises LocalMisuse for a kind of another form than `thing.happened`, or one that is somebody else's.
        """
        kinds = tuple(kinds)
        for kind in kinds:
            if not _KIND.fullmatch(kind) or len(kind) > _MAX_KIND:
                raise LocalMisuse(f'{owner}: "{kind}" is no kind of audit record; write it as thing.happened')
            if self._owners.get(kind, owner) != owner:
                raise LocalMisuse(f'{owner}: the kind "{kind}" belongs to {self._owners[kind]}')
        for kind in kinds:
            self._owners[kind] = owner
        return lambda: self._forget(kinds)

    def owners(self) -> set[str]:
        """Who declared a kind."""
        return set(self._owners.values())

    async def record(
        self, kind: str, *, company_id: str, actor: str, target: str = "", reason: str = "", **facts: Fact
    ) -> None:
        """Append a record; returns when it is committed.

        `actor` is an account's id, "cli:USER", "operator:NAME" or "system"; `target` an id too; `company_id` is
        empty for what concerns no company. Raises LocalMisuse for what may not stand in a record, and what the
        database raises.
        """
        await self._batch.get(self._entry(kind, company_id, actor, target, reason, facts))

    @asynccontextmanager
    async def with_write(
        self, kind: str, *, company_id: str, actor: str, target: str = "", reason: str = "", **facts: Fact
    ) -> AsyncIterator[None]:
        """Record it in the transaction that is made within: what is done and its record are kept, or neither.

        async with audit.with_write(Kind.USER_DISABLED, company_id=…, actor=…, target=id):
            await store.accounts.set_disabled(company_id, id, True)
        """
        entry = self._entry(kind, company_id, actor, target, reason, facts)

        async def append_to(connection: AsyncConnection) -> None:
            self._appended(1, is_sound=await append(connection, [entry], self.keys))

        with joining(append_to) as joins:
            yield
        if not joins.is_done:  # there was nothing to write
            await self._batch.get(entry)

    @contextmanager
    def rehearsed(
        self, kind: str, *, company_id: str, actor: str, target: str, **facts: Fact
    ) -> Iterator[None]:
        """The work of `with_write`, for a transaction that takes it back: nothing is recorded, and nothing counted."""
        entry = self._entry(kind, company_id, actor, target, "", facts)

        async def append_to(connection: AsyncConnection) -> None:
            await append(connection, [entry], self.keys)

        with joining(append_to):
            yield

    def _entry(
        self, kind: str, company_id: str, actor: str, target: str, reason: str, facts: Mapping[str, Fact]
    ) -> Entry:
        if kind not in self._owners:
            raise LocalMisuse(f'the kind of audit record "{kind}" was not declared')
        _check(kind, actor, target, facts)
        return Entry(
            at=int(self._now() * 1000),
            kind=kind,
            company_id=company_id,
            actor=actor,
            target=target,
            reason=reason[:MAX_REASON],
            facts=canonical(facts),
            node=self._node,
        )

    async def prune(self, keep_days: int) -> int:
        """Drop the oldest records, if they are older than this many days, and record that; returns how many.

        `PRUNED_AT_ONCE` were dropped: call it again.
        """
        before = int((self._now() - keep_days * 86_400) * 1000)
        gone = await self.records.prune(before, self.keys, most=PRUNED_AT_ONCE)
        if gone:
            await self.record(
                Kind.AUDIT_PRUNED, company_id="", actor="system", records=gone, keep_days=keep_days
            )
        return gone

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for what is under way, at most this long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._batch.close(), timeout_s)

    async def _append(self, entries: Sequence[Entry]) -> Mapping[Entry, bool]:
        try:
            is_sound = await self.records.append(entries, self.keys)
        except BaseException:
            self.failed += len(entries)
            raise
        self._appended(len(entries), is_sound=is_sound)
        return dict.fromkeys(entries, True)

    def _appended(self, records: int, *, is_sound: bool) -> None:
        self.written += records
        if not is_sound:
            log.error("the audit log was tampered with, or its key is not configured: see audit verify")

    def _forget(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            self._owners.pop(kind, None)


def chain_keys(sealer: Sealer) -> ChainKeys:
    """The keys of the chain: derived from the sealing keys, which are not in the database."""
    return ChainKeys(sealer.key_id, sealer.secrets_for("audit chain"))


def cli_actor() -> str:
    """Who calls the command line: `cli:root/alice` for alice by sudo."""
    user = _user_name(os.getuid())
    behind = os.environ.get("SUDO_USER", "") if os.getuid() == 0 else ""
    names = [user, behind] if behind and behind != user else [user]
    return "cli:" + "/".join(name.partition("@")[0] for name in names)[: _MAX_WHO - 4]


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user without a name
        return str(uid)


def _check(kind: str, actor: str, target: str, facts: Mapping[str, Fact]) -> None:
    for what, text in (("actor", actor), ("target", target)):
        if len(text) > _MAX_WHO or _is_personal(text):
            raise LocalMisuse(f"the {what} of an audit record is an id; {kind} gave something else")
    if not actor:
        raise LocalMisuse(f"{kind}: an audit record has an actor")
    if len(facts) > MAX_FACTS:
        raise LocalMisuse(f"{kind}: {len(facts)} facts are too many for an audit record")
    for name, fact in facts.items():
        if not isinstance(fact, str | int | bool):
            raise LocalMisuse(f"{kind}: the fact {name} is no text, number or boolean")
        if isinstance(fact, str) and (len(fact) > MAX_FACT or _is_personal(fact)):
            raise LocalMisuse(f"{kind}: the fact {name} is too long, or an address")


def _is_personal(text: str) -> bool:
    """An e-mail address, a JID or a network address."""
    if "@" in text:
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
