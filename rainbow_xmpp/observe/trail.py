"""What a running server puts into the audit log by itself, without ever failing or waiting for it."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

from rainbow_xmpp.config import Audit
from rainbow_xmpp.observe.audit import MAX_FACT, PRUNED_AT_ONCE, AuditLog, Fact, Kind
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

SYSTEM = "system"
CLOSE_S = 0.5


class Trail:
    """The server's own records. What cannot be written while the database is away is told in the log."""

    def __init__(
        self, audit: AuditLog, config: Audit, counters: Counters, spawn: Callable[[Awaitable[None]], None]
    ) -> None:
        self._audit = audit
        self._counters = counters
        self._spawn = spawn
        self._refused = 0
        self._has_started = False
        self.config = config
        """A reload puts another one here."""

    async def note(
        self,
        kind: Kind,
        *,
        company_id: str = "",
        actor: str = SYSTEM,
        target: str = "",
        reason: str = "",
        **facts: Fact,
    ) -> None:
        """Record it, or say in the log that it could not be recorded. A text that is too long is cut off."""
        facts = {name: fact[:MAX_FACT] if isinstance(fact, str) else fact for name, fact in facts.items()}
        try:
            await self._audit.record(
                kind, company_id=company_id, actor=actor, target=target, reason=reason, **facts
            )
        except Exception as error:
            if not is_outage(error):
                raise
            log.error("not in the audit log, since the database is away: %s", kind, extra={"actor": actor})

    def logged_in(self, account: Account, mechanism: str, through: str = "") -> None:
        """A login succeeded; recorded where the configuration wants it. `through`: the region it came in at, or ""."""
        if self.config.logins:
            facts = {"mechanism": mechanism} | ({"through": through} if through else {})
            self._spawn(
                self.note(
                    Kind.LOGIN_OK,
                    company_id=account.company.id,
                    actor=account.id,
                    target=account.id,
                    **facts,
                )
            )

    async def summarise(self) -> None:
        """One record for all login attempts refused since the last one; a flood does not fill the disk."""
        counts = self._counters
        refused = counts.limit_login_attempts + counts.limit_login_failures
        if refused == self._refused:
            return
        more, self._refused = refused - self._refused, refused
        await self.note(Kind.LOGINS_THROTTLED, refused=more)

    async def server_started(self) -> None:
        """The server is ready; its end will be recorded too."""
        self._has_started = True
        await self.note(Kind.SERVER_STARTED, pid=os.getpid())

    async def close(self) -> None:
        """Record what is left, within the time that a stop has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.summarise()
                if self._has_started:
                    await self.note(Kind.SERVER_STOPPED, pid=os.getpid())
        await self._audit.close(CLOSE_S)

    def tidy(self) -> None:
        """Begin to drop what is older than the configuration says."""
        if self.config.keep_days:
            self._spawn(self._prune(self.config.keep_days))

    async def _prune(self, keep_days: int) -> None:
        try:
            while await self._audit.prune(keep_days) == PRUNED_AT_ONCE:
                pass
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("old audit records could not be dropped, since the database is away")
