"""RFC 6121 appendix A from end to end: two rosters in any two states, and one of the two says something.

What must come of it is worked out from the tables alone: the sender's state moves by A.2; what is routed moves the
contact's by A.3; what the contact's server answers moves the sender's by A.3 again.
"""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import pytest_asyncio

from rainbow_xmpp.store.values import RosterItem, Subscription
from rainbow_xmpp.testing import Client, Person, TestServer
from rainbow_xmpp.xml import Element
from tests.appendix_a import INBOUND, MIRRORED, OUTBOUND, REPLIES, STATES, Row, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUT = {(row.kind, row.before): row for row in rows(OUTBOUND)}
IN = {(row.kind, row.before): row for row in rows(INBOUND)}
SEES_US = ("From", "From + Pending Out", "Both")
"""Those who are in these states of ours see our presence."""


@dataclass(frozen=True)
class Case:
    """Two states, and what the first of the two people says to the other."""

    kind: str
    mine: str
    theirs: str
    is_approved: bool
    """Whoever lets the other one see them has said so beforehand (§3.4): the contact of a "subscribe", the sender
    of a "subscribed"."""

    def __str__(self) -> str:
        approved = ", approved before" if self.is_approved else ""
        return f"{self.kind}: {self.mine} / {self.theirs}{approved}"


class Expected(NamedTuple):
    """What comes of a case: both states, and what each of the two is told."""

    mine: str
    theirs: str
    is_told: bool
    """The contact receives the stanza."""
    reply: str | None
    """What the sender receives on the contact's behalf."""


def expected(case: Case) -> Expected:
    """What the tables say."""
    sent = OUT[case.kind, case.mine]
    if not sent.is_passed_on:
        return Expected(sent.after, case.theirs, is_told=False, reply=None)
    received = IN[case.kind, case.theirs]
    if case.kind == "subscribe" and case.is_approved and case.theirs not in SEES_US:  # §3.4.2, [1] of table 6
        asked = OUT["subscribed", received.after]
        received = Row(case.kind, case.theirs, is_passed_on=False, is_answered=True, after=asked.after)
    if not received.is_answered:
        return Expected(sent.after, received.after, received.is_passed_on, reply=None)
    reply = REPLIES[case.kind]
    answered = IN[reply, sent.after]
    told = reply if answered.is_passed_on else None
    return Expected(answered.after, received.after, received.is_passed_on, told)


def cases() -> list[Case]:
    """Every pair of states; approvals where they matter."""
    found = []
    for kind, mine, theirs in itertools.product(OUTBOUND, STATES, STATES):
        found.append(Case(kind, mine, theirs, is_approved=False))
        if kind == "subscribe" or kind == "unsubscribed":
            found.append(Case(kind, mine, theirs, is_approved=True))
    return found


def item_in(state: str, contact: str, *, is_approved: bool) -> RosterItem:
    subscription, ask, pending_in = STATES[state]
    return RosterItem(
        contact=contact,
        name="Friend",
        subscription=Subscription(subscription),
        ask=ask,
        pending_in=pending_in,
        request=f"<presence xmlns='jabber:client' type='subscribe' from='{contact}'/>".encode()
        if pending_in
        else None,
        approved=is_approved,
    )


class Two:
    """The two people of a case."""

    def __init__(self, server: TestServer, ann: Person, bob: Person) -> None:
        self.server, self.ann, self.bob = server, ann, bob

    async def put(self, case: Case) -> None:
        """Bring both rosters into the case's states."""
        is_mine = case.kind == "unsubscribed"
        mine = item_in(case.mine, self.bob.bare, is_approved=is_mine and case.is_approved)
        theirs = item_in(case.theirs, self.ann.bare, is_approved=not is_mine and case.is_approved)
        await self._put(self.ann, mine)
        await self._put(self.bob, theirs)

    async def _put(self, owner: Person, item: RosterItem) -> None:
        account = owner.account
        await self.server.store.rosters.apply(account.company.id, account.id, item.contact, lambda _: item)

    async def item(self, owner: Person, contact: str) -> RosterItem:
        account = owner.account
        roster = await self.server.store.rosters.load(account.company.id, account.id)
        return next(item for item in roster.items if item.contact == contact)

    async def state(self, owner: Person, contact: str) -> str:
        item = await self.item(owner, contact)
        state = (str(item.subscription), item.ask, item.pending_in)
        return next(name for name, known in STATES.items() if known == state)


_numbers = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[TestServer]:
    async with TestServer() as server:
        yield server


async def two(server: TestServer, case: Case) -> Two:
    number = next(_numbers)
    people = Two(server, await server.person(f"ann{number}@acme"), await server.person(f"bob{number}@acme"))
    await people.put(case)
    return people


async def interested(server: TestServer, person: Person) -> Client:
    """A device that is available, has asked for the roster and has read everything."""
    client = await server.login(f"{person.account.localpart}@acme")
    await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    return client


def heard(stanzas: list[Element], speaker: str) -> list[str]:
    """What somebody was told, in order: types of subscription stanzas, and "push"."""
    found = []
    for stanza in stanzas:
        type_ = stanza.get("type", "")
        if stanza.tag.endswith("}iq"):
            found.append("push")
        elif stanza.get("from") == speaker and type_.rstrip("d") in ("subscribe", "unsubscribe"):
            found.append(type_)
    return found


@pytest.mark.parametrize("mine", STATES)
@pytest.mark.parametrize("kind", OUTBOUND)
async def test_both_rosters_and_all_who_must_hear_of_it(server: TestServer, kind: str, mine: str) -> None:
    for case in cases():
        if (case.kind, case.mine) == (kind, mine):
            await assert_both_say_what_the_tables_say(server, case)


async def assert_both_say_what_the_tables_say(server: TestServer, case: Case) -> None:
    people = await two(server, case)
    ann, bob = await interested(server, people.ann), await interested(server, people.bob)
    await ann.rest(), await bob.rest()
    before = (await people.item(people.ann, bob.bare), await people.item(people.bob, ann.bare))

    ann.send(f"<presence type='{case.kind}' to='{bob.bare}'/>")
    to_ann, to_bob = heard(await ann.rest(), bob.bare), heard(await bob.rest(), ann.bare)

    wanted = expected(case)
    assert await people.state(people.ann, bob.bare) == wanted.mine
    assert await people.state(people.bob, ann.bare) == wanted.theirs
    after = (await people.item(people.ann, bob.bare), await people.item(people.bob, ann.bare))
    assert [stanza for stanza in to_bob if stanza != "push"] == ([case.kind] if wanted.is_told else [])
    assert [stanza for stanza in to_ann if stanza != "push"] == ([wanted.reply] if wanted.reply else [])
    if wanted.is_told and "push" in to_bob:
        assert to_bob == [case.kind, "push"]  # §3.1.6, §3.2.3, §3.3.3: in this order
    if not before[0].looks_like(after[0]):
        assert "push" in to_ann
    assert ("push" in to_bob) is not before[1].looks_like(after[1])
    await ann.leave()
    await bob.leave()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", OUTBOUND)
async def test_presence_is_seen_by_those_who_may_see_it_and_by_nobody_else(
    server: TestServer, kind: str, state: str
) -> None:
    """Rosters that agree: afterwards each sees the other exactly when the state says so (§3, §4)."""
    case = Case(kind, state, MIRRORED[state], is_approved=False)
    people = await two(server, case)
    ann, bob = await interested(server, people.ann), await interested(server, people.bob)
    screens = {client.bare: set[str]() for client in (ann, bob)}
    for client in (ann, bob):
        look(await client.rest(), screens[client.bare])

    ann.send(f"<presence type='{kind}' to='{bob.bare}'/>")
    for client in (ann, bob):
        look(await client.rest(), screens[client.bare])

    wanted = expected(case)
    assert wanted.theirs == MIRRORED[wanted.mine]
    assert (bob.jid in screens[ann.bare]) is (wanted.theirs in SEES_US)
    assert (ann.jid in screens[bob.bare]) is (wanted.mine in SEES_US)
    await ann.leave()
    await bob.leave()


def look(stanzas: list[Element], screen: set[str]) -> None:
    """What a client shows after these stanzas."""
    for stanza in stanzas:
        if stanza.tag.endswith("}presence") and stanza.get("type") is None:
            screen.add(stanza.get("from", ""))
        elif stanza.get("type") == "unavailable":
            screen.discard(stanza.get("from", ""))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", OUTBOUND)
async def test_who_is_away_finds_the_same_when_they_come(server: TestServer, kind: str, state: str) -> None:
    case = Case(kind, state, MIRRORED[state], is_approved=False)
    people = await two(server, case)
    ann = await interested(server, people.ann)
    ann.send(f"<presence type='{kind}' to='{people.bob.bare}'/>")
    await ann.rest()
    wanted = expected(case)
    assert await people.state(people.ann, people.bob.bare) == wanted.mine
    assert await people.state(people.bob, people.ann.bare) == wanted.theirs

    bob = await interested(server, people.bob)
    is_asked = "subscribe" in heard(await bob.rest(), ann.bare)
    assert is_asked is STATES[wanted.theirs][2]  # §3.1.3: as long as it waits
    sees = any(stanza.get("from") == bob.jid for stanza in await ann.rest())
    assert sees is (wanted.theirs in SEES_US)
    await ann.leave()
    await bob.leave()
