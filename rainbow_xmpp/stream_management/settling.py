"""The moment in which it is certain what of a peer's stanzas was handled."""

from __future__ import annotations

from rainbow_xmpp.router import kept
from rainbow_xmpp.session import Session


async def until_settled(session: Session) -> None:
    """Drop what was received and is not being handled; wait for what is, and until it is kept.

    What is dropped was not acknowledged, so that its sender sends it again.
    """
    session.close()
    await session.idle()
    commit = session.unsettled
    if commit is not None and not commit.is_settled:
        await kept.until_settled(commit)
