"""RFC 6121 §8.5, rule by rule: every kind and type of stanza, for every kind of address, whoever is there.

What is expected is written from the RFC's text, on its own; where the RFC leaves a choice, ours is that of
docs/decisions/0005. The same cases run in memory, over WebSockets and over direct TLS. The sender and the others
have no subscriptions.
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
from rainbow_xmpp.testing.play import Device, Member, MemoryVenue, Seat, Venue
from tests.conformance.venues import WireVenue
from tests.doors import Door
from tests.process import ChatServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_SUCH_USER = "no such user"
SITUATIONS: Mapping[str, Sequence[int | None]] = {
    NO_SUCH_USER: (),
    "nobody": (),
    "connected only": (None,),
    "one": (0,),
    "one positive": (1,),
    "several": (0, 5, 127),
    "negative": (-1,),
    "all negative": (-1, -128),
    "mixed": (-1, 0, None, 3),
}
"""The priorities of the recipient's resources; None has sent no presence (RFC 6121 §4)."""

SUBSCRIPTION_TYPES = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
TYPES: Mapping[str, Sequence[str]] = {
    "message": ("", "normal", "chat", "headline", "groupchat", "error", "unheard-of"),
    "presence": ("", "unavailable", "probe", "error", *SUBSCRIPTION_TYPES),
    "iq": ("get", "set", "result", "error"),
}

Target = Literal["bare", "first", "last", "absent resource"]


class Fate(Enum):
    """What becomes of a stanza that no resource gets."""

    ERROR = "error"
    IGNORED = "ignored"
    STORED = "stored"
    """Kept for later; its sender hears nothing (§8.5.2.2.1)."""
    UNSUBSCRIBED = "unsubscribed"
    """Who may not see the account's presence is told so (§4.3.2)."""


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
        if self.type == "subscribe":  # §3.1.3, to whatever address
            return available
        if self.kind == "presence" and self.type in (*SUBSCRIPTION_TYPES, "probe"):  # A.2, A.3; §4.3.2
            return []
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
        if self.kind == "presence":  # §8.5.1, §8.5.2.2.2, §8.5.3.2.2
            return Fate.UNSUBSCRIBED if self.type == "probe" else Fate.IGNORED
        if self.type in ("result", "error"):  # RFC 6120 §8.2.3, §8.3.1
            return Fate.IGNORED
        if self.kind == "iq":  # §8.5.1, §8.5.2.1.3, §8.5.3.2.3: nobody understands this one
            return Fate.ERROR
        if self.type == "headline":  # §8.5.2.1.1, §8.5.2.2.1, §8.5.3.2.1, table 1
            return Fate.IGNORED
        if self.situation == NO_SUCH_USER or self.type == "groupchat":  # §8.5.1, §8.5.2.1.1, §8.5.2.2.1
            return Fate.ERROR
        is_kept = self.target == "bare" or self.type == "chat"
        return Fate.STORED if is_kept else Fate.ERROR  # §8.5.2.2.1, §8.5.3.2.1


def cases() -> list[Case]:
    """All of them that there can be."""
    found = []
    for situation, priorities in SITUATIONS.items():
        targets: list[Target] = ["bare", "absent resource"]
        if priorities:
            targets.append("first")
        if len(priorities) > 1:
            targets.append("last")
        for kind, of_kind in TYPES.items():
            found += [Case(kind, t, situation, target) for t in of_kind for target in targets]
    return found


@dataclass
class Crowd:
    """A sender, and somebody in each situation: their bare JID and their resources."""

    domain: str
    sender: Seat
    people: dict[str, tuple[str, list[Seat]]]

    def address(self, case: Case) -> str:
        """Where the case's stanza goes."""
        bare, seats = self.people[case.situation]
        match case.target:
            case "bare":
                return bare
            case "absent resource":
                return f"{bare}/not-here"
            case "first":
                return seats[0].jid
            case "last":
                return seats[-1].jid


async def crowd_at(venue: Venue) -> Crowd:
    """Everybody, logged in."""
    people: dict[str, tuple[str, list[Seat]]] = {NO_SUCH_USER: (f"nobody@{venue.domain}", [])}
    for number, (situation, priorities) in enumerate(SITUATIONS.items()):
        if situation != NO_SUCH_USER:
            member = Member(f"someone{number}", "Acme")
            bare = await venue.admit(member)
            seats = [
                await seat_with(venue, Device(member.name, f"d{n}"), p) for n, p in enumerate(priorities)
            ]
            people[situation] = (bare, seats)
    await venue.admit(Member("sender", "Acme"))
    return Crowd(venue.domain, await seat_with(venue, Device("sender"), 0), people)


async def seat_with(venue: Venue, device: Device, priority: int | None) -> Seat:
    """A device with a presence of this priority, or without."""
    seat = await venue.log_in(device)
    if priority is not None:
        await seat.send(f"<presence><priority>{priority}</priority></presence>")
    await seat.settle()
    return seat


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "wss", "tls"])
async def crowd(request: pytest.FixtureRequest) -> AsyncIterator[Crowd]:
    """Everybody is there once for all cases."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            server = await stack.enter_async_context(TestServer(plugins=[Offline]))
            yield await crowd_at(MemoryVenue(server))
            return
        process: ChatServer = request.getfixturevalue("server_process")
        since = process.log_file.stat().st_size
        yield await crowd_at(WireVenue(Door(process, request.param, stack)))
        process.assert_no_fault(since)


_numbers = itertools.count()


def stanza_of(kind: str, type_: str, to: str, stanza_id: str) -> str:
    attributes = (f" type='{type_}'" if type_ else "") + (f" to='{to}'" if to else "")
    content = {
        "message": "<body>anybody there?</body>",
        "presence": "<status>here</status>",
        "iq": "" if type_ == "result" else "<query xmlns='urn:example:question'/>",
    }[kind]
    return f"<{kind} id='{stanza_id}'{attributes}>{content}</{kind}>"


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("kind", TYPES)
async def test_a_stanza_goes_where_the_rfc_says(crowd: Crowd, kind: str, situation: str) -> None:
    for case in cases():
        if (case.kind, case.situation) == (kind, situation):
            await assert_it_goes_there(crowd, case)


async def assert_it_goes_there(crowd: Crowd, case: Case) -> None:
    bare, seats = crowd.people[case.situation]
    to, stanza_id = crowd.address(case), f"case-{next(_numbers)}"
    await crowd.sender.send(stanza_of(case.kind, case.type, to, stanza_id))
    await crowd.sender.settle()
    got = [[e for e in await seat.rest() if e.get("id") == stanza_id] for seat in seats]
    heard = [e for e in await crowd.sender.rest() if e.get("id") == stanza_id]
    await take_back(crowd, case, bare)

    takers = case.takers()
    is_subscription = case.type in SUBSCRIPTION_TYPES
    assert [number for number, stanzas in enumerate(got) if stanzas] == takers
    assert all(len(stanzas) == 1 for stanzas in got if stanzas)
    for stanza in itertools.chain.from_iterable(got):
        assert stanza.get("from") == (
            crowd.sender.jid.partition("/")[0] if is_subscription else crowd.sender.jid
        )
        assert stanza.get("to") == (bare if is_subscription else to)
        assert stanza.get("type", "") == case.type
    answers = {Fate.ERROR: ["error"], Fate.UNSUBSCRIBED: ["unsubscribed"]}
    assert [e.get("type") for e in heard] == ([] if takers else answers.get(case.fate(), []))
    for answer in heard:
        assert answer.get("from") == (bare if case.type == "probe" else to)
        assert answer.get("to") == crowd.sender.jid
        if case.type != "probe":
            error = "{jabber:client}error/{urn:ietf:params:xml:ns:xmpp-stanzas}service-unavailable"
            assert answer.find(error) is not None


async def take_back(crowd: Crowd, case: Case, bare: str) -> None:
    """Leave no request and no approval behind."""
    undo = {"subscribe": "unsubscribe", "subscribed": "unsubscribed"}.get(case.type)
    if undo is not None:
        await crowd.sender.send(f"<presence type='{undo}' to='{bare}'/>")
        await crowd.sender.settle()


@pytest.mark.parametrize("to", ["{domain}", "{domain}/resource"])
@pytest.mark.parametrize("kind", TYPES)
async def test_what_the_server_itself_is_sent(crowd: Crowd, kind: str, to: str) -> None:
    """RFC 6120 §10.5.1, §10.5.2: it has no use for messages, and none for presence, which it ignores."""
    for type_ in TYPES[kind]:
        await assert_it_is_refused_or_ignored(crowd, kind, type_, to.format(domain=crowd.domain))


async def assert_it_is_refused_or_ignored(crowd: Crowd, kind: str, type_: str, to: str) -> None:
    stanza_id = f"case-{next(_numbers)}"
    await crowd.sender.send(stanza_of(kind, type_, to, stanza_id))
    await crowd.sender.settle()
    heard = [e for e in await crowd.sender.rest() if e.get("id") == stanza_id]
    is_refused = kind != "presence" and type_ not in ("result", "error")
    assert [(e.get("type"), e.get("from")) for e in heard] == ([("error", to)] if is_refused else [])
