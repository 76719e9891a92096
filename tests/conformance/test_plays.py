"""Every play, in memory, over WebSockets, over direct TLS, and on Debian's Prosody, which tests the plays."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from rainbow_xmpp.testing.play import PlayFailed, Scene, Venue, memory_venue, perform, read_plays
from tests.conformance.venues import PROSODY_HAS, VenueName, WireVenue
from tests.doors import Door
from tests.interop.prosody import ProsodyServer
from tests.process import ChatServer

SCENES = read_plays(Path(__file__).parent / "plays")
BY_TURNS = list(zip(SCENES, itertools.cycle(("wss", "tls")), strict=False))
PATIENCE_S = 30
PATIENCE_IN_VAIN_S = 2
"""That something does not come which a play says does not come shall not take long to find out."""


@asynccontextmanager
async def outside(
    server: ChatServer, over: VenueName, patience_s: float = PATIENCE_S
) -> AsyncIterator[Venue]:
    """The way into a server process."""
    async with AsyncExitStack() as stack:
        yield WireVenue(Door(server, "wss" if over == "wss" else "tls", stack), patience_s)


@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_in_memory(scene: Scene) -> None:
    async with memory_venue(scene) as venue:
        await perform(scene, venue)


@pytest.mark.parametrize(("scene", "over"), BY_TURNS, ids=str)
async def test_over_sockets(scene: Scene, over: VenueName, server: ChatServer) -> None:
    """By turns: what is beneath differs up to where a stanza begins, and has tests of its own."""
    async with outside(server, over) as venue:
        await perform(scene, venue)


@pytest.mark.parametrize("scene", [s for s in SCENES if PROSODY_HAS.issuperset(s.needs)], ids=str)
async def test_on_prosody(scene: Scene, prosody: ProsodyServer) -> None:
    """Where a play says that Prosody does otherwise, it must be so, or the play tells an old story."""
    if "prosody" not in scene.not_on:
        async with outside(prosody, "tls") as venue:
            await perform(scene, venue)
        return
    async with outside(prosody, "tls", PATIENCE_IN_VAIN_S) as venue:
        with pytest.raises(PlayFailed):
            await perform(scene, venue)
