"""What a recorder answers that keeps a message: it is delivered when it is on the disk, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from rainbow_xmpp.session import Settling


class Commit(Protocol):
    """What many messages go to the disk with; `rainbow_xmpp.store.group_commit.Batch` is one."""

    is_settled: bool
    """It is over; see `error`."""
    error: Exception | None
    """Why nothing of it was kept."""

    def after(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call this when it is settled, behind what was left here before."""


class Kept:
    """One message that is being kept."""

    __slots__ = ("commit", "data", "leaves", "number", "was_known")

    def __init__(self, number: int, data: bytes) -> None:
        """`data` is what receivers get, with what they shall know of its place in their log."""
        self.number = number
        self.data = data
        self.leaves = False
        """It is written down for another region with it, which gets it from there."""
        self.commit: Commit | None = None
        """Set before the recorder returns."""
        self.was_known = False
        """Once settled: it was kept and delivered before, and is not delivered again."""

    def kept_before(self) -> tuple[int, float] | None:
        """Of what `was_known`: the node that kept it, and when (Unix time in seconds); None when that is not told."""
        return None

    def as_before(self) -> None:
        """Be what was kept before, under the id that it got then: it is delivered after all."""

    def for_sender(self) -> bytes:
        """The message as its sender's other devices get it, with its place in their own log."""
        return self.data


def until_settled(commit: Settling) -> asyncio.Future[None]:
    """Done when this is settled; whoever waits for it may be cancelled."""
    settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    commit.after(_done, settled)
    return settled


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
