"""People who have no account any more, in the rosters of those who have one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.rosters import Rosters


class Forget(Protocol):
    """Takes a contact out of a roster; see `RosterService.forget_contact`."""

    async def __call__(self, company_id: str, owner_id: str, bare: str, contact: str, /) -> None: ...


class Departed:
    """Takes out of all rosters who is gone: a name that is given again must not inherit who saw its last bearer."""

    def __init__(
        self,
        rosters: Rosters,
        forget: Forget,
        domain: str,
        lives_elsewhere: Callable[[str], Awaitable[bool]],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        """`lives_elsewhere` says whether a bare JID is of somebody of another region, or may be."""
        self._rosters = rosters
        self._forget = forget
        self._domain = domain
        self._spawn = spawn
        self._lives_elsewhere = lives_elsewhere
        self._is_due = False
        self._is_looking = False

    def look(self) -> None:
        """Somebody may be gone. However many go at a time, rosters are gone through once or twice."""
        self._is_due = True
        if not self._is_looking:
            self._is_looking = True
            self._spawn(self._look())

    async def _look(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                await self._take_out()
        finally:
            self._is_looking = False

    async def _take_out(self) -> None:
        for left in await self._rosters.of_nobody(self._domain):
            owner = f"{left.owner_localpart}@{self._domain}"
            if await self._lives_elsewhere(left.contact):
                continue
            try:
                await self._forget(left.company_id, left.owner_id, owner, left.contact)
            except NotFound:
                continue  # the owner is gone as well, by now
