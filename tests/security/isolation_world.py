"""The world of the walk (`isolation_walk.py`): who is what to whom, told by the table of the page and by nothing else.

What is done to the server is noted here. Whether somebody may do something with somebody is then read from the cells of
`docs/admin/isolation.md`; `rainbow_xmpp.company.policy`, which the server asks, is not asked here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rainbow_xmpp.company import Action, Relation
from rainbow_xmpp.store.values import OPENNESS, Account, Company, Visibility
from rainbow_xmpp.testing import Client, TestServer
from tests.security.isolation_table import cells

ALLOWED = {(cell.actor, cell.target, cell.relation): cell.allowed for cell in cells()}
PUBLIC = "Rainbow"
FINDING = (Action.SEARCH, Action.PROFILE)


@dataclass(eq=False)
class Firm:
    """A company, as the walk made it."""

    number: int
    name: str
    company: Company
    visibility: Visibility
    organisation: str = ""

    def __hash__(self) -> int:
        return self.number


@dataclass(eq=False)
class Human:
    """Somebody: `tag` stands in everything that is theirs, so that whatever shows up somewhere tells whose it is."""

    number: int
    firm: Firm
    account: Account
    own: Visibility = Visibility.SAME_THAN_COMPANY
    is_disabled: bool = False
    has_card: bool = False
    client: Client | None = None
    blocked: set[Human] = field(default_factory=set)
    token: str = ""

    def __hash__(self) -> int:
        return self.number

    @property
    def tag(self) -> str:
        return f"{self.number:02}"

    @property
    def localpart(self) -> str:
        return self.account.localpart

    @property
    def visibility(self) -> Visibility:
        """The page: one's own, or the company's; nobody leaves an isolated company."""
        own = self.own is not Visibility.SAME_THAN_COMPANY
        return self.own if own and self.firm.visibility is not Visibility.ISOLATED else self.firm.visibility


@dataclass
class Agreement:
    """An invitation, or what became of it."""

    inviter: Human
    is_accepted: bool = False
    expires_at: int | None = None


Pair = frozenset[Human]


class World:
    """Everybody, and what they agreed on."""

    def __init__(self, server: TestServer, dice: random.Random) -> None:
        self.server = server
        self.dice = dice
        self.firms: list[Firm] = []
        self.people: list[Human] = []
        self.links: dict[frozenset[Firm], tuple[str, bool]] = {}
        """The link's id, and whether it was confirmed."""
        self.agreements: dict[Pair, Agreement] = {}
        self.over: dict[Pair, Agreement] = {}
        """Those whose time is over; the server's job takes them out, and until then it tells of them."""
        self.met: set[Pair] = set()
        """Who could ever reach each other: they may hear of the other's going."""
        self.invited: set[Pair] = set()
        """Who could ever invite the other: they may hear of the answer."""

        self.friends: set[Pair] = set()
        """Who subscribed to each other, once."""
        self.approved: set[tuple[Human, Human]] = set()
        """Who approved of whom, perhaps before they were asked (RFC 6121 §3.4)."""
        self.traces: set[tuple[Human, Human]] = set()
        """Whose roster was made to say that somebody sees them who is out of reach."""

        self.touched: deque[Pair] = deque(maxlen=8)
        """Of whom something was changed lately: whom to try first."""

    # -- where it is ---------------------------------------------------------------------------------------

    @property
    def servers(self) -> Sequence[TestServer]:
        """Every server of this world."""
        return (self.server,)

    def at(self, human: Human) -> TestServer:
        """The server where somebody is at home."""
        return self.server

    def home_of(self, firm: Firm) -> TestServer:
        """The server that decides about a company."""
        return self.server

    def may_be_stale(self, human: Human, hearer: Human) -> bool:
        """Somebody may be shown a while longer than they are in reach."""
        return False

    async def settle(self) -> None:
        """No server has anything left to do."""
        await self.server.settle()

    # -- the rule, by the page ---------------------------------------------------------------------------

    def relation(self, one: Human, other: Human) -> Relation:
        """What two people are to each other: the first of the tables that is about them."""
        if one.firm is other.firm:
            both_public = {one.visibility, other.visibility} == {Visibility.PUBLIC}
            if one.firm.name != PUBLIC or both_public:
                return Relation.COLLEAGUE
        agreement = self.agreements.get(frozenset((one, other)))
        if agreement is not None and agreement.is_accepted:
            return Relation.AUTHORISED
        if self.links.get(frozenset((one.firm, other.firm)), ("", False))[1]:
            return Relation.LINKED
        if one.firm is other.firm:  # of the public company: a place, and no organisation
            return Relation.STRANGER
        if one.firm.organisation and one.firm.organisation == other.firm.organisation:
            return Relation.ORGANISATION
        return Relation.STRANGER

    def time_passes(self, seconds: float) -> None:
        """What was agreed for a time is over, whether anybody has taken it out or not."""
        for server in self.servers:
            server.clock.advance(seconds)
        now = self.server.clock()
        for pair, each in list(self.agreements.items()):
            if each.expires_at is not None and each.expires_at <= now:
                self.over[pair] = self.agreements.pop(pair)

    def allows(self, action: Action, actor: Human, target: Human) -> bool:
        """What the cell says, whoever has blocked whom."""
        return (
            actor is target
            or action in ALLOWED[actor.visibility, target.visibility, self.relation(actor, target)]
        )

    def may(self, action: Action, actor: Human, target: Human) -> bool:
        """What the cell says, and nobody blocked anybody (who blocked somebody may still look up who that is)."""
        if actor in target.blocked or (target in actor.blocked and action not in FINDING):
            return False
        return self.allows(action, actor, target)

    def reaches(self, action: Action, actor: Human, target: Human) -> bool:
        """The same of stanzas, which go to nobody whom their sender has blocked, nor to who is disabled."""
        is_blocked = target in actor.blocked and action is not Action.SEARCH
        return not target.is_disabled and not is_blocked and self.may(action, actor, target)

    def noted_invitation(self, inviter: Human, invitee: Human, expires_at: int | None) -> None:
        """Somebody invited somebody whom they may invite; when they had been invited, that accepts it."""
        pair = frozenset((inviter, invitee))
        known = self.agreements.get(pair)
        if known is None or (known.inviter is inviter and not known.is_accepted):
            self.agreements[pair] = Agreement(inviter, expires_at=expires_at)
            self.over.pop(pair, None)
        else:
            known.is_accepted = True

    def note(self) -> None:
        """Remember who can reach whom by now."""
        for one in self.people:
            for other in self.people:
                pair = frozenset((one, other))
                if self.allows(Action.PRESENCE, one, other):
                    self.met.add(pair)
                if self.allows(Action.INVITE, one, other):
                    self.invited.add(pair)

    # -- the beginning -----------------------------------------------------------------------------------

    async def people_it(self, firms: int, people: int) -> None:
        """So many companies with so many people each, the public one among them."""
        dice = self.dice
        names = [PUBLIC, *(f"firm-{number:02}-x" for number in range(1, firms))]
        for number, name in enumerate(names):
            chosen = Visibility.PUBLIC if name == PUBLIC else self.any_visibility()
            self.firms.append(await self.found(number, name, chosen))
        for number in range(firms * people):
            firm = self.firms[number % firms]
            localpart = f"human{number:02}x"
            server = self.birthplace(number, firm)
            account = (await server.person(f"{localpart}@{firm.name}")).account
            await server.store.accounts.set_name(account.company.id, account.id, f"name-{number:02}-x")
            self.people.append(Human(number, firm, account))
        for human in dice.sample(self.people, len(self.people) // 3):
            await self.set_own_visibility(human)
        await self.applied()

    async def found(self, number: int, name: str, visibility: Visibility) -> Firm:
        """A new company."""
        return Firm(number, name, await self.server.company(name, visibility=visibility), visibility)

    def birthplace(self, number: int, firm: Firm) -> TestServer:
        """Where somebody of a company is to be at home."""
        return self.server

    def any_visibility(self) -> Visibility:
        return self.dice.choices(OPENNESS, [3, 3, 3, 2, 1])[0]

    async def set_own_visibility(self, human: Human) -> None:
        human.own = self.dice.choice((Visibility.SAME_THAN_COMPANY, self.any_visibility()))
        account = human.account
        await self.at(human).store.accounts.set_visibility(account.company.id, account.id, human.own)

    async def applied(self) -> None:
        """The server has heard of what was written, and done what it does about that."""
        await self.server.node.watch.poll()
        await self.server.settle()
        self.note()

    async def seen_by(self, viewer: Human, human: Human) -> Account | None:
        """What the viewer's server knows of somebody; None while it must know of nobody."""
        return await self.fresh(human)

    async def fresh(self, human: Human) -> Account:
        """The account as it is now."""
        account = await self.at(human).store.accounts.by_id(human.account.id)
        assert account is not None, "nobody is removed here"
        return account
