"""Plays: conversations of several clients with a server, written down as they are spoken.

    play: Directed presence
    spec: RFC 6121 §4.6
    cast: ann, bob

    scene: somebody who did not subscribe sees it
    ann and bob come online
    ann sends:
        <presence to='{bob}'><status>just for you</status></presence>
    bob receives:
        <presence from='{ann/device}'><status>just for you</status></presence>

`read_plays(folder)` gives the scenes of every `*.play` file, `perform(scene, venue)` acts one; `MemoryVenue` is a
server in memory. docs/plugin-authors/plays.md says how plays are written.
"""

from rainbow_xmpp.testing.play.failure import PlayError, PlayFailed
from rainbow_xmpp.testing.play.memory import MemoryVenue, memory_venue
from rainbow_xmpp.testing.play.parser import read_play, read_plays
from rainbow_xmpp.testing.play.performance import perform
from rainbow_xmpp.testing.play.script import Device, Member, Scene
from rainbow_xmpp.testing.play.venue import Seat, Venue

__all__ = [
    "Device",
    "Member",
    "MemoryVenue",
    "PlayError",
    "PlayFailed",
    "Scene",
    "Seat",
    "Venue",
    "memory_venue",
    "perform",
    "read_play",
    "read_plays",
]
