"""Whoever is blocked hears and sees nothing any more, and is told what absence would tell (XEP-0191)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from weakref import WeakValueDictionary

from rainbow_xmpp import ids
from rainbow_xmpp.plugin import (
    JID,
    Account,
    AccountRemoved,
    Action,
    Answered,
    Condition,
    Context,
    ErrorType,
    Facts,
    Passage,
    Payload,
    Plugin,
    PluginOptions,
    Services,
    Session,
    SessionElsewhere,
    SessionEnded,
    SessionKept,
    SessionRestored,
    SessionStarted,
    Stage,
    StanzaError,
    ToldByNode,
    Unheard,
    access,
    every,
    hook,
    on,
    on_iq,
    on_presence,
    option,
)
from rainbow_xmpp.plugins.blocking.matching import covers, met_by
from rainbow_xmpp.plugins.blocking.stanzas import ERRORS, REPORTING, Block, BlockList, Item, Unblock
from rainbow_xmpp.plugins.blocking.store import BlockedJids
from rainbow_xmpp.stanza import iq_request
from rainbow_xmpp.xml import names, serialise

NOBODY: frozenset[str] = frozenset()


_NOTE = "blocking"
"""Of a session that is told of changes."""


class IsBlocked(StanzaError):
    """The answer to whoever writes to somebody whom they have blocked themselves (§3.3)."""

    def __init__(self) -> None:
        super().__init__(Condition.NOT_ACCEPTABLE, type=ErrorType.CANCEL, specific=f"{{{ERRORS}}}blocked")


class Blocking(
    Plugin,
    name="blocking",
    implements={"XEP-0191": "1.3", "XEP-0377": "0.4.1"},
    features=(names.BLOCKING, REPORTING),
    audit={"blocking.reported": "somebody reported the account that they blocked; `reason` says for what"},
):
    """Block lists, and the gate that asks them."""

    class Options(PluginOptions):
        max_items: int = option(1000, "Addresses that one person may block.", ge=1, le=100_000, reload="live")

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._kept = BlockedJids(services.store)
        self._lists: Facts[Account, frozenset[str]] = Facts(self._read, otherwise=NOBODY)
        self._told: set[Session] = set()
        """Who asked for the list, and gets every change of it."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def stop(self) -> None:
        await self._lists.close()

    # -- the gate --------------------------------------------------------------------------------------

    @hook(Stage.GATE, after="company_isolation")
    def inbound(self, p: Passage) -> Awaitable[object] | None:
        """Nothing comes through from whom the recipient has blocked. Strangers' lists are not even looked for."""
        recipient = p.recipient
        assert recipient is not None, "the gate is asked about people only"
        blocked = self._lists.at_hand.get(recipient.id)
        if blocked is None:
            return self._lists.fetch(recipient)
        if blocked and covers(blocked, p.sender_jid) and p.sender.id != recipient.id:  # §4: never oneself
            raise Unheard
        return None

    @hook(Stage.ADMIT)
    def outbound(self, p: Passage) -> Awaitable[object] | None:
        """Nothing goes out to whom the sender has blocked, whether there is such a person or not."""
        blocked = self._lists.at_hand.get(p.sender.id)
        if blocked is None:
            return self._lists.fetch(p.sender)
        if blocked and covers(blocked, p.to) and p.to.partition("/")[0] != self.services.bare_jid(p.sender):
            raise IsBlocked
        return None

    @on_presence(type=("subscribe", "subscribed", "unsubscribe", "unsubscribed"))
    def subscription(self, ctx: Context) -> None:
        """As `outbound`, but before the sender's roster is changed."""
        blocked = self._lists.at_hand.get(ctx.sender.id)
        if blocked and ctx.to and covers(blocked, _normal(ctx.to)):
            raise IsBlocked

    @access(late=True)
    async def permits(self, action: Action, actor: Account, target: Account) -> bool:
        """The same for what is no stanza, such as calls. Who blocked somebody can still look up who that is."""
        if covers(await self._lists.fetch(target), self.services.bare_jid(actor)):
            return False
        is_looking = action in (Action.SEARCH, Action.PROFILE)
        return is_looking or not covers(await self._lists.fetch(actor), self.services.bare_jid(target))

    # -- the list --------------------------------------------------------------------------------------

    @on_iq("get", BlockList, to="self")
    async def read(self, ctx: Context, asked: BlockList) -> BlockList:
        """§3.2. Who has asked is told of every change from then on."""
        assert ctx.session is not None, "requests come from sessions"
        self._told.add(ctx.session)
        return BlockList.of(sorted(await self._lists.fetch(ctx.sender)))

    @on_iq("set", Block, to="self")
    async def block(self, ctx: Context, wish: Block) -> Answered:
        """§3.3. Those who saw the account see it leave; then nothing passes any more."""
        if not wish.items:
            raise StanzaError(Condition.BAD_REQUEST, "nobody is named")
        assert ctx.session is not None, "requests come from sessions"
        owner, home, jids, most = ctx.sender, ctx.session.home, wish.jids, self.options.max_items
        async with self._turn(owner):
            before = await self._lists.fetch(owner)
            after = await self._kept.add(owner.company.id, owner.id, jids, most=most)
            if after is None:
                raise StanzaError(Condition.RESOURCE_CONSTRAINT, f"at most {most} addresses can be blocked")
            new = after - before
            self.services.presence.hide_directed(home, lambda jid: covers(new, jid))
            for jid in met_by(new, home.audience() - {home.bare}):
                self.services.presence.hide_from(home, jid)
            self._learn(owner, after)
        for item in wish.items:
            if item.report:
                self.services.spawn(self._report(owner, item))
        return Answered(None, self._push(ctx.session, Block.of(jids)))

    @on_iq("set", Unblock, to="self")
    async def unblock(self, ctx: Context, wish: Unblock) -> Answered:
        """§3.4, §3.5. Those who may see the account see it come, and it sees them."""
        assert ctx.session is not None, "requests come from sessions"
        owner, home, jids = ctx.sender, ctx.session.home, wish.jids
        async with self._turn(owner):
            before = await self._lists.fetch(owner)
            after = await self._kept.remove(owner.company.id, owner.id, jids)
            self._learn(owner, after)
        for jid in met_by(before - after, home.audience() - {home.bare}):
            self.services.presence.show_to(home, jid)
        for jid in met_by(before - after, home.watched() - {home.bare}):
            self.services.presence.show_contact(home, jid.partition("/")[0])
        return Answered(None, self._push(ctx.session, Unblock.of(jids)))

    def _learn(self, owner: Account, blocked: frozenset[str]) -> None:
        """What counts from now on; on other nodes before anything that is said behind it."""
        self._lists.learn(owner, blocked)
        self.services.tell_nodes(_NOTE, owner.id)

    @on(ToldByNode)
    def changed_elsewhere(self, event: ToldByNode) -> None:
        """It is read again when somebody is to be judged by it."""
        if event.topic == _NOTE:
            self._lists.forget(event.data)

    def _push(self, asking: Session, change: Payload) -> tuple[bytes, ...]:
        """Tell the account's other sessions of a change; what the asking one is to be told after its answer."""
        payload = serialise(change.to_xml())
        after: tuple[bytes, ...] = ()
        for session in asking.home.sessions:
            if session in self._told:
                push = iq_request("set", f"push-{ids.new_stream_id()}", to=session.full, payload=payload)
                if session is asking:
                    after = (push,)
                else:
                    session.wire.send(push)
        return after

    async def _report(self, owner: Account, item: Item) -> None:
        """XEP-0377: for administrators to look at. Only who is reported and what for; never what was written."""
        reported = await self.services.account_of(item.jid)
        await self.services.audit(
            "blocking.reported",
            company_id=owner.company.id,
            actor=owner.id,
            target=reported.id if reported is not None else "",
            reason=item.report,
        )

    # -- what is in memory -----------------------------------------------------------------------------

    @on(SessionStarted)
    async def look_up(self, event: SessionStarted) -> None:
        """What a session's stanzas are judged by is at hand before they come."""
        await self._lists.fetch(event.session.account)

    @on(SessionElsewhere)
    async def look_up_from_afar(self, event: SessionElsewhere) -> None:
        """What others of this node say to it is judged by its list too."""
        if _NOTE in event.notes:
            self._told.add(event.session)
        await self._lists.fetch(event.session.account)

    @on(SessionEnded)
    def forget_session(self, event: SessionEnded) -> None:
        self._told.discard(event.session)

    @on(SessionKept)
    def note(self, event: SessionKept) -> None:
        """A session that is resumed after a restart is still told of changes."""
        if event.session in self._told:
            event.notes[_NOTE] = b""

    @on(SessionRestored)
    def remember(self, event: SessionRestored) -> None:
        if _NOTE in event.notes:
            self._told.add(event.session)

    @on(AccountRemoved)
    def forget_account(self, event: AccountRemoved) -> None:
        self._lists.forget(event.account_id)

    @every(minutes=10)
    async def renew(self) -> None:
        """What other servers wrote is known within this time; lists of people who are not here are dropped."""
        await self._lists.renew([home.account for home in self.services.sessions.homes.values()])

    async def _read(self, accounts: Sequence[Account]) -> Mapping[str, frozenset[str]]:
        return await self._kept.load([(account.company.id, account.id) for account in accounts])

    def _turn(self, owner: Account) -> asyncio.Lock:
        """Changes of one list come one after the other, in the database and in memory."""
        return self._turns.setdefault(owner.id, asyncio.Lock())


def _normal(address: str) -> str:
    """In normal form; "" when it is no address, which is refused elsewhere."""
    try:
        return str(JID.parse(address))
    except ValueError:
        return ""
