"""RFC 6121 §8.5, rule by rule: every kind and type of stanza, for every kind of address, whoever is there.

What is expected is written from the RFC's text, on its own; where the RFC leaves a choice, ours is that of
docs/decisions/0005. The same cases run in memory, over WebSockets and over direct TLS.
"""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import pytest
import pytest_asyncio

from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.testing import TestServer
from tests.conformance.seats import MemorySeat, Seat, WireSeat
from tests.doors import Door
from tests.process import ChatServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITUATIONS: Mapping[str, Sequence[int | None]] = {
    "nobody": (),
    "connected only": (None,),
    "one": (0,),
    "several": (0, 5, 127),
    "negative": (-1,),
    "all negative": (-1, -128),
    "mixed": (-1, 0, None, 3),
}
"""The priorities of the recipient's resources; None has sent no presence (RFC 6121 §4)."""

Target = Literal["bare", "first", "last", "absent resource"]


class Fate(Enum):
    """What becomes of a stanza that no resource gets."""

    ERROR = "error"
    IGNORED = "ignored"
    STORED = "stored"
    """Kept for later; its sender hears nothing (§8.5.2.2.1)."""
    ANSWERED = "answered"
    """The server answers for the account (§8.5.2.1.3)."""


@dataclass(frozen=True)
class Case:
    """A stanza of this kind and type for somebody in this situation."""

    kind: str
    type: str
    situation: str
    target: Target

    @property
    def priorities(self) -> Sequence[int | None]:
        return SITUATIONS[self.situation]

    def __str__(self) -> str:
        return f"{self.kind} {self.type or 'without type'} to {self.target}, {self.situation}"

    def takers(self) -> list[int]:
        """Which resources get it, by their number."""
        everyone = range(len(self.priorities))
        available = [n for n in everyone if self.priorities[n] is not None]
        willing = [n for n in available if (self.priorities[n] or 0) >= 0]
        if self.target in ("first", "last"):  # §8.5.3.1
            return [0 if self.target == "first" else len(self.priorities) - 1]
        if self.kind == "iq":  # §8.5.2.1.3, §8.5.3.2.3
            return []
        if self.kind == "presence":  # §8.5.2.1.2, §8.5.3.2.2
            return available if self.target == "bare" else []
        if self.target == "bare":  # §8.5.2.1.1
            return [] if self.type in ("groupchat", "error") else willing
        return willing if self.type == "chat" else []  # §8.5.3.2.1

    def fate(self) -> Fate:
        """What happens when nobody gets it."""
        if self.kind == "presence" or self.type in ("result", "error"):
            return Fate.IGNORED  # §8.5.2.2.2, §8.5.3.2.2; RFC 6120 §8.2.3
        if self.kind == "iq":
            return Fate.ANSWERED if self.target == "bare" else Fate.ERROR
        if self.type == "headline":
            return Fate.IGNORED
        if self.type == "groupchat":
            return Fate.ERROR
        if self.target == "bare" or self.type == "chat":
            return Fate.STORED
        return Fate.ERROR


def cases() -> list[Case]:
    """All of them that there can be."""
    types = {
        "message": ("", "normal", "chat", "headline", "groupchat", "error", "unheard-of"),
        "presence": ("", "unavailable"),
        "iq": ("get", "set", "result", "error"),
    }
    found = []
    for situation, priorities in SITUATIONS.items():
        targets: list[Target] = ["bare", "absent resource"]
        if priorities:
            targets.append("first")
        if len(priorities) > 1:
            targets.append("last")
        for kind, of_kind in types.items():
            found += [Case(kind, t, situation, target) for t in of_kind for target in targets]
    return found


@dataclass
class Crowd:
    """A sender, and somebody in each situation: their bare JID and their resources."""

    sender: Seat
    people: dict[str, tuple[str, list[Seat]]]


def presence_of(priority: int | None) -> str:
    return "" if priority is None else f"<presence><priority>{priority}</priority></presence>"


async def crowd_in_memory(server: TestServer) -> Crowd:
    people: dict[str, tuple[str, list[Seat]]] = {}
    for number, (situation, priorities) in enumerate(SITUATIONS.items()):
        person = await server.person(f"someone{number}@acme")
        seats: list[Seat] = []
        for priority in priorities:
            client = await server.login(f"someone{number}@acme", available=False)
            if priority is not None:
                client.send(presence_of(priority))
            seats.append(MemorySeat(client))
        people[situation] = (person.bare, seats)
    return Crowd(MemorySeat(await server.login("sender@acme")), people)


async def crowd_outside(door: Door) -> Crowd:
    people: dict[str, tuple[str, list[Seat]]] = {}
    for situation, priorities in SITUATIONS.items():
        person = door.server.new_person()
        seats = [WireSeat(await door.log_in(person, presence=presence_of(p))) for p in priorities]
        people[situation] = (person.jid, [*seats])
    return Crowd(WireSeat(await door.log_in()), people)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "wss", "tls"])
async def crowd(request: pytest.FixtureRequest) -> AsyncIterator[Crowd]:
    """Everybody is there once for all cases."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            server = await stack.enter_async_context(TestServer(plugins=[Offline]))
            yield await crowd_in_memory(server)
            return
        process: ChatServer = request.getfixturevalue("server_process")
        since = process.log_file.stat().st_size
        yield await crowd_outside(Door(process, request.param, stack))
        process.assert_no_fault(since)


_numbers = itertools.count()


def stanza_of(case: Case, to: str, stanza_id: str) -> str:
    kind = f" type='{case.type}'" if case.type else ""
    content = {
        "message": "<body>anybody there?</body>",
        "presence": "<status>here</status>",
        "iq": "" if case.type == "result" else "<query xmlns='urn:example:question'/>",
    }[case.kind]
    return f"<{case.kind} to='{to}' id='{stanza_id}'{kind}>{content}</{case.kind}>"


@pytest.mark.parametrize("case", cases(), ids=str)
async def test_a_stanza_goes_where_the_rfc_says(crowd: Crowd, case: Case) -> None:
    bare, seats = crowd.people[case.situation]
    to = {
        "bare": bare,
        "absent resource": f"{bare}/not-here",
        "first": seats[0].jid if seats else "",
        "last": seats[-1].jid if seats else "",
    }[case.target]
    stanza_id = f"case-{next(_numbers)}"
    await crowd.sender.say(stanza_of(case, to, stanza_id))
    got = [[e for e in await seat.take() if e.get("id") == stanza_id] for seat in seats]
    heard = [e for e in await crowd.sender.take() if e.get("id") == stanza_id]

    takers = case.takers()
    assert [number for number, stanzas in enumerate(got) if stanzas] == takers
    assert all(len(stanzas) == 1 for stanzas in got if stanzas)
    for stanza in itertools.chain.from_iterable(got):
        assert stanza.get("from") == crowd.sender.jid
        assert stanza.get("to") == to
        assert stanza.get("type", "") == case.type
    is_refused = not takers and case.fate() in (Fate.ERROR, Fate.ANSWERED)
    assert [e.get("type") for e in heard] == (["error"] if is_refused else [])
    for error in heard:
        assert (
            error.find("{jabber:client}error/{urn:ietf:params:xml:ns:xmpp-stanzas}service-unavailable")
            is not None
        )
        assert error.get("from") == to
        assert error.get("to") == crowd.sender.jid
