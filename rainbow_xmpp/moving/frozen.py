"""Accounts that must not change, since they are on their way to another region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.errors import PeerViolation, SeeOther, StreamCondition
from rainbow_xmpp.router.faults import being_moved
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.router.stages import Hook, Stage
from rainbow_xmpp.session import Session, SessionTable
from rainbow_xmpp.xml import escape_attr, names

OWNER = "moving"
"""Whose hook it is."""
_TOLD = (
    "Your account is being moved to another region. Until that is done nothing can be sent or changed; "
    "your client will be connected again then."
)


class Kept(Protocol):
    """See `rainbow_xmpp.store.moves`."""

    async def frozen(self) -> frozenset[str]: ...

    async def gone(self) -> dict[str, str]: ...


class Frozen:
    """What is known of it in memory: `read` again whenever a move goes on. Nobody pays for it while nobody moves."""

    def __init__(
        self, moves: Kept, pipeline: Pipeline, sessions: SessionTable, regions: Mapping[str, Region]
    ) -> None:
        self._moves = moves
        self._pipeline = pipeline
        self._sessions = sessions
        self._regions = regions
        self._hook = Hook(Stage.RECORD, self._refuse, OWNER, before=frozenset(("archive",)))
        self._remove_hook = _nothing
        self._gone: dict[str, str] = {}
        self.ids: set[str] = set()
        """The accounts. One object for ever: others look into it."""

    async def read(self) -> None:
        """What the database says. Sessions of whoever was frozen just now are told."""
        frozen, self._gone = await self._moves.frozen(), await self._moves.gone()
        new = frozen - self.ids
        self.ids.clear()
        self.ids.update(frozen)
        self._remove_hook()
        self._remove_hook = self._pipeline.add_hook(self._hook) if frozen else _nothing
        for account_id in new:
            for session in self._sessions.of_account(account_id):
                session.wire.send(_headline(session))

    def goodbye(self, session: Session) -> PeerViolation:
        """What ends the session of somebody who lives elsewhere now: where that is, when it is known."""
        region = self._regions.get(self._gone.get(session.account.localpart, ""))
        if region is None or not region.hosts:
            return PeerViolation(StreamCondition.RESET, "this account was moved to another region")
        host = region.hosts[0]
        return SeeOther(host, f"wss://{host}/xmpp-websocket")

    def _refuse(self, p: Passage) -> None:
        """Before anything is kept of what is said to them; whoever may not know them was turned away before."""
        if p.recipient is not None and p.recipient.id in self.ids:
            raise being_moved()


def _headline(session: Session) -> bytes:
    to = escape_attr(session.full)
    return (
        f"<message xmlns='{names.CLIENT}' type='headline' to='{to}'><body>{_TOLD}</body></message>".encode()
    )


def _nothing() -> None:
    """No hook is there."""
