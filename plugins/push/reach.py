"""Which devices get a message by themselves, so that nobody needs to wake them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rainbow_xmpp.plugin import ClientActivity, Services, Session, unacknowledged
from rainbow_xmpp.plugins.push.values import Registered


class Reach:
    """`wakes_each`: a device is told of what comes while it is away itself, whatever other device is there."""

    def __init__(self, services: Services, wakes_each: Callable[[], bool]) -> None:
        self._services = services
        self._wakes_each = wakes_each

    def away(
        self, registered: Collection[Registered], sessions: Collection[Session]
    ) -> Collection[Registered]:
        """Those devices of an account's that do not get a message as it comes, by those of its sessions that are given
        it."""
        here = [session for session in sessions if self.is_here(session)]
        if not here:
            return registered
        if not self._wakes_each():
            return ()
        agents = {session.agent.id for session in here}
        return [each for each in registered if each.agent and each.agent not in agents]

    def is_here(self, session: Session) -> bool:
        """It has a connection, and somebody looks at it (XEP-0352)."""
        if session.is_adrift:
            return False
        activity = self._services.offered(ClientActivity, session.account)
        return activity is None or not activity.is_inactive(session)

    def has_everything(self, registered: Registered, sessions: Collection[Session]) -> bool:
        """The device, or another one that does in its place, is back, or has acknowledged all that it was sent."""
        return any(self._has_all(session) for session in sessions if self._counts_for(registered, session))

    def _has_all(self, session: Session) -> bool:
        if session.is_adrift:
            return False
        unread = unacknowledged(session)
        return not len(unread) if unread is not None else self.is_here(session)

    def back(self, registered: Collection[Registered], session: Session) -> Collection[Registered]:
        """Whose messages are there now that this session is."""
        return [each for each in registered if self._counts_for(each, session)]

    def _counts_for(self, registered: Registered, session: Session) -> bool:
        if self._wakes_each() and registered.agent:
            return registered.agent == session.agent.id
        return True


def receiving(sessions: Collection[Session]) -> list[Session]:
    """Those of an account's sessions that get messages to it."""
    return [session for session in sessions if session.presence is not None and session.priority >= 0]
