"""Which regions answer, and what people see of it: contacts of one that is away are unknown, and not offline."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.session import Session, SessionTable
from rainbow_xmpp.xml import escape_attr, names

log = logging.getLogger(__name__)

PING_S = 15.0
"""A region that nothing is said to is asked so often whether it is there."""
PING_AWAY_S = 1.0
"""The same for one that does not answer."""
UNKNOWN_AFTER_S = 90.0
"""So long a region may be away before its people are shown as unknown."""


class Sight:
    """Told with `heard` whenever a region answers something, or does not."""

    def __init__(
        self,
        sessions: SessionTable,
        is_of: Callable[[str, str], bool],
        probe: Callable[[Session, str], None],
        regions: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_of` says whether a bare JID is, or may be, of a region; `probe` asks for a contact's presence."""
        self._sessions = sessions
        self._is_of = is_of
        self._probe = probe
        self._regions = regions
        self._clock = clock
        self._heard_at: dict[str, float] = {}
        self._away_since: dict[str, float] = {}
        self._unknown: set[str] = set()

    @property
    def away(self) -> dict[str, float]:
        """For each region that does not answer, for how many seconds."""
        now = self._clock()
        return {region: now - since for region, since in sorted(self._away_since.items())}

    def heard(self, region: str, has_answered: bool) -> None:
        """A region answered, or it did not."""
        if not has_answered:
            if region not in self._away_since:
                self._away_since[region] = self._clock()
                log.warning("the region %s does not answer: what is for it waits", region)
            return
        self._heard_at[region] = self._clock()
        if self._away_since.pop(region, None) is not None:
            log.info("the region %s answers again", region)
            self._unknown.discard(region)
            for session, contact in self._who_sees(region):
                self._probe(session, contact)

    async def run(self, ping: Callable[[str], Awaitable[None]]) -> None:
        """Keep looking; `ping` asks a region whether it is there, and tells `heard`."""
        while True:
            await asyncio.sleep(PING_AWAY_S)
            await asyncio.gather(*(ping(region) for region in self._regions if self._is_due(region)))
            self.look()

    def look(self) -> None:
        """Show as unknown who is of a region that has been away for long."""
        for region, away_s in self.away.items():
            if away_s > UNKNOWN_AFTER_S and region not in self._unknown:
                self._unknown.add(region)
                for session, contact in self._who_sees(region):
                    session.wire.send(_unknown(contact, session.full))

    def _is_due(self, region: str) -> bool:
        return region in self._away_since or self._clock() - self._heard_at.get(region, 0.0) > PING_S

    def _who_sees(self, region: str) -> Iterator[tuple[Session, str]]:
        """Sessions of this node, each with a contact in that region whose presence it sees."""
        for session in self._sessions:
            if session.presence is not None:
                for contact in session.home.contacts:
                    if self._is_of(contact, region):
                        yield session, contact


def _unknown(contact: str, to: str) -> bytes:
    return (
        f"<presence xmlns='{names.CLIENT}' type='error' from='{escape_attr(contact)}' to='{escape_attr(to)}'>"
        f"<error type='wait'><{Condition.REMOTE_SERVER_TIMEOUT} xmlns='{names.STANZAS}'/></error></presence>"
    ).encode()
