"""What happens to the world of the walk: companies change, people come and go, agree, part, and block each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rainbow_xmpp.company import Action, Relation
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.store.errors import AlreadyExists
from rainbow_xmpp.store.values import AuthorisationState, RosterItem, Subscription, Visibility
from rainbow_xmpp.xml import names
from tests.security.isolation_world import PUBLIC, Agreement, Firm, Human, Pair, World

LIFE_S = 3600
OPEN_NODE, PRESENCE_NODE = "urn:example:open", "urn:example:presence"
"""Where everybody publishes something: a part of their profile, and what is for who sees their presence."""
ENDING = ("unsubscribe", "unsubscribed", "a contact removed")
AGREEING = ("subscribe", "subscribed", *ENDING)
"""Stanzas by which people of two companies agree on something, or end it."""


class Leak(AssertionError):
    """Somebody heard, or was told, what the table does not allow; or was not, what it does."""


def publication(node: str, content: str, access: str) -> str:
    """A request that publishes something to a node of this access model."""
    options = (
        "<x xmlns='jabber:x:data' type='submit'>"
        f"<field var='pubsub#access_model'><value>{access}</value></field></x>"
    )
    return (
        f"<iq type='set' id='publish'><pubsub xmlns='{names.PUBSUB}'>"
        f"<publish node='{node}'><item id='current'><own xmlns='urn:example:own'>{content}</own></item></publish>"
        f"<publish-options>{options}</publish-options></pubsub></iq>"
    )


class Events:
    """Each is done to the server and noted in the world; which one is a matter of dice."""

    def __init__(self, world: World, heard: Callable[[], object]) -> None:
        """`heard` judges what has come so far, before something changes that it is judged by."""
        self.world = world
        self.heard = heard
        self._kinds: dict[Callable[[], Awaitable[None]], int] = {
            self.company_visibility: 6,
            self.organisation: 5,
            self.own_visibility: 8,
            self.link: 12,
            self.unlink: 6,
            self.agree: 12,
            self.part: 8,
            self.time_passes: 5,
            self.disable: 2,
            self.enable: 4,
            self.come: 22,
            self.go: 10,
            self.block: 6,
            self.unblock: 5,
            self.leave_a_trace: 3,
            self.befriend: 14,
            self.show: 8,
            self.revoke_what_waits: 8,
            self.block_who_asked: 4,
        }

    def leave_out(self, *kinds: Callable[[], Awaitable[None]]) -> None:
        """These do not happen in this world."""
        for kind in kinds:
            del self._kinds[kind]

    async def one(self) -> None:
        """Something happens, and the server has heard of it."""
        [happens] = self.world.dice.choices(list(self._kinds), list(self._kinds.values()))
        await happens()
        await self.world.applied()

    # -- companies ---------------------------------------------------------------------------------------

    def _firm(self) -> Firm:
        return self.world.dice.choice([firm for firm in self.world.firms if firm.name != PUBLIC])

    async def company_visibility(self) -> None:
        firm = self._firm()
        firm.visibility = self.world.any_visibility()
        await self.world.home_of(firm).store.companies.update(firm.company.id, visibility=firm.visibility)

    async def organisation(self) -> None:
        firm = self._firm()
        firm.organisation = self.world.dice.choice(("", "Group", "Group", "Other"))
        await self.world.home_of(firm).store.companies.update(firm.company.id, organisation=firm.organisation)

    async def link(self) -> None:
        """Ask for a link, or confirm one; isolated companies have none."""
        one, other = self._firm(), self._firm()
        agreements, companies = self.world.server.node.agreements, self.world.server.store.companies
        here, there = await companies.by_id(one.company.id), await companies.by_id(other.company.id)
        assert here is not None and there is not None
        pair = frozenset((one, other))
        link_id, is_confirmed = self.world.links.get(pair, ("", False))
        self._touch_firms(one, other)
        isolated = Visibility.ISOLATED in (one.visibility, other.visibility)
        try:
            if not link_id:
                link = await agreements.ask_link(here, there, actor="walk")
                self.world.links[pair] = (link.id, False)
                if self.world.dice.random() < 0.7:
                    await self.world.server.store.links.confirm(there.id, link.id)
                    self.world.links[pair] = (link.id, True)
            elif not is_confirmed:
                link = await self.world.server.store.links.confirm(
                    (await self._asked(link_id, here.id, there.id)), link_id
                )
                self.world.links[pair] = (link.id, True)
                return
            else:
                return
        except (NotAllowed, AlreadyExists):
            if not isolated and one is not other:
                raise Leak(f"{one.name} and {other.name} may have a link") from None
            return
        if isolated or one is other:
            raise Leak(f"{one.name} and {other.name} may have no link")

    async def _asked(self, link_id: str, *companies: str) -> str:
        """The one of the two companies that was asked for this link."""
        [link] = [
            each
            for each in await self.world.server.store.links.of_company(companies[0])
            if each.id == link_id
        ]
        return link.other_id

    def _touch_firms(self, one: Firm, other: Firm) -> None:
        """Somebody of the one and somebody of the other: such as know each other, if there are any."""
        between = [
            frozenset((a, b))
            for a in self.world.people
            for b in self.world.people
            if a.firm is one and b.firm is other and a is not b
        ]
        friends = [pair for pair in between if pair in self.world.friends]
        if between:
            self.world.touched.append(self.world.dice.choice(friends or between))

    async def unlink(self) -> None:
        if self.world.links:
            await self._end_link(self.world.dice.choice(list(self.world.links)))

    async def _end_link(self, pair: frozenset[Firm]) -> None:
        link_id, _ = self.world.links.pop(pair)
        self._touch_firms(*sorted(pair, key=lambda firm: firm.number))
        await self.world.server.store.links.end(next(iter(pair)).company.id, link_id)

    # -- people ------------------------------------------------------------------------------------------

    def _two(self) -> tuple[Human, Human]:
        one, other = self.world.dice.sample(self.world.people, 2)
        self.world.touched.append(frozenset((one, other)))
        return one, other

    async def own_visibility(self) -> None:
        await self.world.set_own_visibility(self.world.dice.choice(self.world.people))

    async def agree(self) -> None:
        """Invite, or accept an invitation."""
        one, other = self._two()
        open_ones = [
            (pair, agreement)
            for pair, agreement in self.world.agreements.items()
            if not agreement.is_accepted
        ]
        if open_ones and self.world.dice.random() < 0.6:
            pair, agreement = self.world.dice.choice(open_ones)
            [one], other = pair - {agreement.inviter}, agreement.inviter
            self.world.touched.append(pair)
        if one.firm is not other.firm or one.firm.name == PUBLIC:
            await self._invite(one, other)

    async def _invite(self, one: Human, other: Human) -> None:
        world, agreements = self.world, self.world.at(one).node.agreements
        until = int(world.server.clock()) + LIFE_S if world.dice.random() < 0.5 else None
        invitee = await world.seen_by(one, other)
        if invitee is None:
            return
        try:
            await agreements.invite(await world.fresh(one), invitee, expires_at=until, actor="walk")
        except NotAllowed:
            if world.allows(Action.INVITE, one, other):
                raise Leak(f"{one.tag} may invite {other.tag}") from None
            return
        if not world.allows(Action.INVITE, one, other):
            raise Leak(f"{one.tag} ({one.visibility}) must not invite {other.tag} ({other.visibility})")
        world.noted_invitation(one, other, until)

    async def follow(self, actor: Human, target: Human, stanza: str) -> None:
        """What a subscription stanza agreed on, or ended: nothing but what it may. Raises `Leak`."""
        world, pair = self.world, frozenset((actor, target))
        if stanza == "subscribed":
            world.approved.add((actor, target))
        halves = await world.at(actor).store.authorisations.of(actor.account.company.id, actor.account.id)
        now = next((half for half in halves if half.contact_id == target.account.id), None)
        if now is not None and now.is_over_at(world.server.clock()):
            now = None
        before = world.agreements.get(pair)
        if now is None:
            if before is not None and stanza not in ENDING:
                raise Leak("ended an agreement")
            world.agreements.pop(pair, None)
            return
        if before is None:
            if stanza != "subscribe" or not world.reaches(Action.INVITE, actor, target):
                raise Leak("made an agreement")
            before = world.agreements[pair] = Agreement(actor)
            world.over.pop(pair, None)
        if now.state is AuthorisationState.ACCEPTED and not before.is_accepted:
            self._accepts(before, actor, target, stanza)
        world.note()

    def _accepts(self, agreement: Agreement, actor: Human, target: Human, stanza: str) -> None:
        """By an answer, or because it had been approved beforehand (RFC 6121 §3.4)."""
        world = self.world
        is_answer = agreement.inviter is not actor or (target, actor) in world.approved
        if not is_answer or stanza not in ("subscribe", "subscribed"):
            raise Leak("accepted an agreement")
        if not world.allows(Action.INVITE, actor, target):
            raise Leak("accepted an agreement that must not be")
        agreement.is_accepted = True

    async def part(self) -> None:
        if self.world.agreements:
            await self._end(self.world.dice.choice(list(self.world.agreements)))

    async def _end(self, pair: Pair) -> None:
        one, other = pair
        contact = await self.world.seen_by(one, other)
        if contact is None:
            return
        del self.world.agreements[pair]
        self.world.touched.append(pair)
        await self.world.at(one).node.agreements.end(one.account, contact, actor="walk")

    async def time_passes(self) -> None:
        """What was agreed for a time is over; the job that takes it out may come later, or not."""
        world = self.world
        world.touched.extend(pair for pair, each in world.agreements.items() if each.expires_at is not None)
        world.time_passes(LIFE_S)
        if world.dice.random() < 0.3:
            for server in world.servers:
                await server.plugin(CompanyIsolation).end_expired()

    async def disable(self) -> None:
        human = self.world.dice.choice(self.world.people)
        if sum(each.is_disabled for each in self.world.people) < len(self.world.people) // 6:
            human.is_disabled, human.client = True, None
            await self.world.at(human).node.people.disable(human.account, actor="walk")

    async def enable(self) -> None:
        for human in self.world.people:
            if human.is_disabled:
                human.is_disabled = False
                return await self.world.at(human).node.people.enable(human.account, actor="walk")
        return None

    async def come(self) -> None:
        away = [each for each in self.world.people if each.client is None and not each.is_disabled]
        if away:
            await self._comes(self.world.dice.choice(away))

    async def _comes(self, human: Human) -> None:
        if human.client is None and not human.is_disabled:
            name = f"{human.localpart}@{human.firm.name}"
            server = self.world.at(human)
            human.client = await server.login(name, resource="phone", available=False)
            human.has_card = True
            wanted = frozenset((f"{OPEN_NODE}+notify", f"{PRESENCE_NODE}+notify"))
            server.plugin(Caps)._clients._features[human.client.session] = wanted
            human.client.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
            human.client.send(f"<presence><status>mood-{human.tag}-x</status></presence>")
            human.client.send(
                f"<iq type='set' id='card'><vCard xmlns='vcard-temp'><FN>card-{human.tag}-x</FN></vCard></iq>"
            )
            human.client.send(publication(OPEN_NODE, f"card-{human.tag}-x", "open"))
            human.client.send(publication(PRESENCE_NODE, f"mood-{human.tag}-x", "presence"))
            human.client.send(
                "<iq type='set' id='note'><query xmlns='jabber:iq:private'>"
                f"<own xmlns='urn:example:own'>private-{human.tag}-x</own></query></iq>"
            )

    async def go(self) -> None:
        here = [each for each in self.world.people if each.client is not None]
        if len(here) > len(self.world.people) // 2:
            await self._goes(self.world.dice.choice(here))

    async def _goes(self, human: Human) -> None:
        if human.client is not None:
            client, human.client = human.client, None
            client.send(f"<presence type='unavailable'><status>mood-{human.tag}-x</status></presence>")
            await client.leave()

    # -- being friends -----------------------------------------------------------------------------------

    def _reaching(self) -> tuple[Human, Human] | None:
        """Two people who are there and may reach each other, rather not of one company."""
        world = self.world
        here = [each for each in world.people if each.client is not None]
        pairs = [
            (one, other)
            for one in here
            for other in here
            if one.number < other.number
            and world.reaches(Action.PRESENCE, one, other)
            and world.reaches(Action.PRESENCE, other, one)
        ]
        across = [
            (one, other) for one, other in pairs if one.firm is not other.firm or one.firm.name == PUBLIC
        ]
        if not pairs:
            return None
        one, other = world.dice.choice(across or pairs)
        world.touched.append(frozenset((one, other)))
        return one, other

    async def befriend(self) -> None:
        """Two who may reach each other subscribe to each other, as clients do."""
        found = self._reaching()
        if found is None:
            return
        self.world.friends.add(frozenset(found))
        self.world.approved |= {found, found[::-1]}
        for type_ in ("subscribe", "subscribed"):
            for one, other in (found, found[::-1]):
                assert one.client is not None
                to = f"{other.localpart}@{self.world.server.domain}"
                one.client.send(f"<presence to='{to}' type='{type_}'/>")
                await self.world.settle()

    async def show(self) -> None:
        """One of two who may reach each other directs presence to the other."""
        found = self._reaching()
        if found is not None:
            one, other = found
            assert one.client is not None and other.client is not None
            to = self.world.dice.choice((other.client.bare, other.client.jid))
            one.client.send(f"<presence to='{to}'><status>mood-{one.tag}-x</status></presence>")

    # -- while something waits ---------------------------------------------------------------------------

    async def revoke_what_waits(self) -> None:
        """Somebody writes to somebody who is away, and asks them; before they come, it is all over."""
        world = self.world
        pairs = [
            (one, other)
            for one in world.people
            for other in world.people
            if one.client is not None
            and other.client is None
            and one.firm is not other.firm
            and world.reaches(Action.INVITE, one, other)
        ]
        near = [pair for pair in pairs if world.reaches(Action.MESSAGE, *pair)]
        if not pairs:
            return
        one, other = world.dice.choice(near or pairs)
        assert one.client is not None
        to, mark = f"{other.localpart}@{world.server.domain}", f"{one.tag}-{other.tag}-x"
        one.client.send(f"<message to='{to}' type='chat'><body>word-{mark}</body></message>")
        if (one, other) not in near:  # an invitation, which an API could make as well
            await self._invite(one, other)
        one.client.send(f"<presence to='{to}' type='subscribe'><status>invite-{mark}</status></presence>")
        await world.applied()
        await self.follow(one, other, "subscribe")
        self.heard()
        await self._is_over(one, other)
        await world.applied()
        await self._comes(other)

    async def _is_over(self, one: Human, other: Human) -> None:
        """What lets one reach the other ends, or the company of one of them becomes isolated."""
        world, link = self.world, frozenset((one.firm, other.firm))
        if world.relation(one, other) is Relation.AUTHORISED and world.dice.random() < 0.7:
            await self._end(frozenset((one, other)))
        elif world.relation(one, other) is Relation.LINKED and world.dice.random() < 0.7:
            await self._end_link(link)
        else:
            firm = one.firm if one.firm.name != PUBLIC else other.firm
            firm.visibility = Visibility.ISOLATED
            await world.home_of(firm).store.companies.update(firm.company.id, visibility=firm.visibility)

    # -- blocking ----------------------------------------------------------------------------------------

    async def block(self) -> None:
        one, other = self._two()
        if one.client is not None and len(one.blocked) < 2:
            one.blocked.add(other)
            self._say(one, "block", other)

    async def unblock(self) -> None:
        blocking = [each for each in self.world.people if each.blocked and each.client is not None]
        if blocking:
            one = self.world.dice.choice(blocking)
            self._say(one, "unblock", one.blocked.pop())

    async def block_who_asked(self) -> None:
        """Somebody asks to subscribe, is blocked instead of answered, and waits for the other to come again."""
        world = self.world
        here = [each for each in world.people if each.client is not None]
        pairs = [
            (one, other)
            for one in here
            for other in here
            if one.firm is not other.firm and world.reaches(Action.INVITE, one, other)
        ]
        if not pairs:
            return
        one, other = world.dice.choice(pairs)
        assert one.client is not None
        to, mark = f"{other.localpart}@{world.server.domain}", f"{one.tag}-{other.tag}-x"
        one.client.send(f"<presence to='{to}' type='subscribe'><status>invite-{mark}</status></presence>")
        await world.applied()
        await self.follow(one, other, "subscribe")
        self.heard()
        other.blocked.add(one)
        self._say(other, "block", one)
        await world.applied()
        await self._goes(other)
        await self._comes(other)

    def _say(self, one: Human, what: str, other: Human) -> None:
        domain = self.world.server.domain
        items = f"<item jid='{other.localpart}@{domain}'/><item jid='{ghost(one, other)}@{domain}'/>"
        assert one.client is not None
        one.client.send(f"<iq type='set' id='b'><{what} xmlns='urn:xmpp:blocking'>{items}</{what}></iq>")

    # -- what should not be there ------------------------------------------------------------------------

    async def leave_a_trace(self) -> None:
        """A roster says that somebody sees somebody who is out of reach, as a crash may leave it."""
        away = [each for each in self.world.people if each.client is None]
        if away:
            owner, viewer = self.world.dice.choice(away), self.world.dice.choice(self.world.people)
            bare = f"{viewer.localpart}@{self.world.server.domain}"
            account = owner.account
            if owner is viewer or self.world.allows(Action.PRESENCE, owner, viewer):
                return
            self.world.traces.add((owner, viewer))
            self.world.met.add(frozenset((owner, viewer)))  # as they must have, for it to be there
            item = RosterItem(contact=bare, subscription=Subscription.FROM)
            await self.world.at(owner).store.rosters.apply(
                account.company.id, account.id, bare, lambda _: item
            )


def ghost(actor: Human, target: Human) -> str:
    """The localpart of nobody, whom one person takes for another: every stanza is sent to both."""
    return f"ghost{actor.tag}{target.tag}x"
