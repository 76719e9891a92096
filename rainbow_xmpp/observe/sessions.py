"""What `rainbow-xmpp user sessions` is told: with what somebody is connected now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rainbow_xmpp.session import Session, SessionTable


class SessionList:
    """Answers requests on the control socket."""

    def __init__(self, sessions: SessionTable) -> None:
        self._sessions = sessions

    async def asked(self, request: Mapping[str, object]) -> list[dict[str, object]]:
        """The sessions of the account with the id `account`; no network addresses."""
        return [_told(session) for session in self._sessions.of_account(str(request.get("account")))]


def _told(session: Session) -> dict[str, object]:
    is_available = session.presence is not None
    return {
        "resource": session.resource,
        "available": is_available,
        "priority": session.priority if is_available else None,
    }
