"""Devices that are away are woken when a message comes for their owner (XEP-0357), by Web Push."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rainbow_xmpp.outside import Outside, problem_of_host
from rainbow_xmpp.plugin import (
    AccountRemoved,
    BecameActive,
    BecameAvailable,
    Changed,
    ClientLoggedOut,
    Condition,
    ConnectionLost,
    ConnectionRegained,
    Context,
    DiscoInfo,
    Element,
    Identity,
    Mark,
    Outcome,
    Passage,
    Plugin,
    PluginOptions,
    Services,
    Session,
    SessionEnded,
    SessionKept,
    SessionRestored,
    Stage,
    StanzaError,
    ToldByNode,
    Waker,
    every,
    hook,
    marks_of,
    on,
    on_iq,
    option,
)
from rainbow_xmpp.plugins.push.courier import Courier
from rainbow_xmpp.plugins.push.endpoints import PushEndpoints
from rainbow_xmpp.plugins.push.envelope import Signer
from rainbow_xmpp.plugins.push.news import Desk
from rainbow_xmpp.plugins.push.origins import Origins
from rainbow_xmpp.plugins.push.queue import Queue
from rainbow_xmpp.plugins.push.reach import Reach, receiving
from rainbow_xmpp.plugins.push.sealing import Seals
from rainbow_xmpp.plugins.push.stanzas import DISABLE, ENABLE, Disable, Enable, hash_of
from rainbow_xmpp.plugins.push.store import Subscriptions
from rainbow_xmpp.plugins.push.values import Key, Origin, Registered, Shows
from rainbow_xmpp.xml import names

_TOPIC = "push"
BROWSERS = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "web.push.apple.com",
    "*.notify.windows.com",
)
"""The push services of the browsers."""
_NOTE = "push"
NEVER = float("inf")


class Push(
    Plugin,
    name="push",
    implements={"XEP-0357": "0.4.1, to the push service of this server, which is Web Push"},
    features=(names.PUSH,),
    account_features=(names.PUSH,),
):
    """Tells devices that something came, and as shipped nothing of what, or from whom.

    Registrations lie in memory too: an account that has none costs one look into a dictionary for each message.
    """

    class Options(PluginOptions):
        push_services: tuple[str, ...] = option(
            BROWSERS,
            'Hosts that may be called to wake a browser, such as ["fcm.googleapis.com", "*.notify.windows.com"].',
            reload="live",
        )
        contact: str = option(
            "",
            "Where the operators of push services write when something is wrong, mailto: or https:. "
            "Empty = the server's public URL.",
        )
        may_show: Shows = option(
            Shows.COUNT,
            "The most that a notification tells: how many messages (count), of whom the last one is (sender), or what "
            "it says (body). People choose for each device, and begin with count.",
            reload="live",
        )
        wake_each_device: bool = option(
            False,
            "Whether a device is woken while another one of its owner is there. Needs clients that say who they are.",
            reload="live",
        )
        per_person: int = option(
            10,
            "Devices of one person; of more, those that were not used for longest lose their registration.",
            ge=1,
            le=100,
            reload="live",
        )
        wait_s: int = option(
            3,
            "Seconds in which more messages join the first, and a device may come.",
            ge=0,
            le=60,
            reload="live",
        )
        pause_s: int = option(
            30,
            "Seconds between two notifications to one device; calls do not wait.",
            ge=0,
            le=3600,
            reload="live",
        )
        keep_hours: int = option(
            24, "Hours after which a message is no news any more.", ge=1, le=672, reload="live"
        )
        at_once: int = option(20, "So many devices are told at the same time.", ge=1, le=1000, reload="live")
        timeout_s: int = option(10, "How long one call may take.", ge=1, le=60, reload="live")

        def problems(self) -> Iterator[tuple[str, str]]:
            for host in self.push_services:
                if problem := problem_of_host(host, may_be_wild=True):
                    yield "push_services", problem
            if self.contact and not self.contact.startswith(("mailto:", "https:")):
                yield "contact", "begins with mailto: or https:"

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._seals = Seals(services)
        self._kept = Subscriptions(services.store)
        self._queue = Queue(services.store)
        self._registered: dict[str, tuple[Registered, ...]] = {}
        """By account; nothing for accounts without any."""
        self._signer: Signer | None = None
        self._next_at = 0.0
        self.outside = Outside(agent="Rainbow-Push")
        """How push services are reached; tests put another one here."""
        reach = Reach(services, lambda: self.options.wake_each_device)
        self._desk = Desk(services, self._queue, self._seals, reach, lambda: self.options, self._due)
        self._courier = Courier(
            services,
            self._queue,
            self._seals,
            reach,
            outside=lambda: self.outside,
            settings=lambda: self.options,
            sessions=self._sessions_of,
            gone=self._forget,
            seen=self._seen,
            due=self._due,
        )
        self._origins = Origins(services, self._kept)
        self._deliveries = Waker(self._deliver, services.spawn)
        self._endpoints = PushEndpoints(
            services, self._kept, self._seals, lambda: self.options, self._public_key, self._changed
        )

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints."""
        yield from super().marks()
        yield from marks_of(self._endpoints)

    async def start(self) -> None:
        contact = self.options.contact or self.services.public_url
        self._signer = await self._seals.signer(self._kept, contact)
        await self._seals.use_current_key(self._kept)
        found: dict[str, list[Registered]] = {}
        for each in await self._kept.registered():
            found.setdefault(each.key.owner_id, []).append(each)
        self._registered = {owner_id: tuple(theirs) for owner_id, theirs in found.items()}
        self.services.counters.push_devices = sum(map(len, found.values()))
        await self._desk.start()

    async def stop(self) -> None:
        await self._desk.write()
        await self.outside.close()

    def server_info(self) -> DiscoInfo:
        """§4.2."""
        return DiscoInfo.of([Identity("pubsub", "push", "Web Push")])

    def _public_key(self) -> str:
        assert self._signer is not None, "it has started"
        return self._signer.public_key

    # -- XEP-0357 --------------------------------------------------------------------------------------

    @on_iq("set", ENABLE, to="self")
    async def enable(self, ctx: Context, element: Element) -> None:
        """§5."""
        wanted, session = Enable.from_xml(element), ctx.session
        if str(wanted.service) != self.services.domain:
            text = f"this server tells its own push service only: {self.services.domain}"
            raise StanzaError(Condition.REMOTE_SERVER_NOT_FOUND, text)
        if session is None:
            raise StanzaError(Condition.NOT_ALLOWED)
        account = session.account
        origin = Origin(account.epoch, session.family, session.app_password)
        secret = hash_of(wanted.secret)
        if not await self._kept.enable(account, wanted.node, secret, session.agent.id, origin):
            raise StanzaError(Condition.ITEM_NOT_FOUND, "there is no such node with this secret")
        await self._changed((account.id,))

    @on_iq("set", DISABLE, to="self")
    async def disable(self, ctx: Context, element: Element) -> None:
        """§6; nothing is enabled for any other push service."""
        wanted = Disable.from_xml(element)
        if str(wanted.service) == self.services.domain:
            await self._kept.disable(ctx.sender, wanted.node)
            await self._changed((ctx.sender.id,))

    # -- what comes ------------------------------------------------------------------------------------

    @hook(Stage.DELIVER)
    def notify(self, p: Passage, outcome: Outcome) -> None:
        """§7: on the way of every message that was delivered or is kept, behind the gate."""
        if p.recipient is not None and (theirs := self._registered.get(p.recipient.id)):
            self._desk.message(p, theirs)

    @on(ConnectionLost)
    def lost(self, event: ConnectionLost) -> None:
        if theirs := self._registered.get(event.session.account.id):
            self._desk.lost(event.session, theirs)

    @on(BecameAvailable)
    def available(self, event: BecameAvailable) -> None:
        self._back(event.session)

    @on(ConnectionRegained)
    def regained(self, event: ConnectionRegained) -> None:
        self._back(event.session)

    @on(BecameActive)
    def active(self, event: BecameActive) -> None:
        self._back(event.session)

    def _back(self, session: Session) -> None:
        if theirs := self._registered.get(session.account.id):
            self._desk.back(session, theirs)

    @on(SessionKept)
    def note(self, event: SessionKept) -> None:
        if event.session.account.id in self._registered:
            event.notes[_NOTE] = b"%d" % self._desk.looked_at(event.session)

    @on(SessionRestored)
    def restored(self, event: SessionRestored) -> None:
        """What it had not acknowledged when the server stopped, if it does not come back."""
        if _NOTE in event.notes and (theirs := self._registered.get(event.session.account.id)):
            self._desk.restored(event.session, int(event.notes[_NOTE]), theirs)

    @on(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        self._desk.ended(event.session)

    # -- what is told ----------------------------------------------------------------------------------

    def _due(self, at: float) -> None:
        self._next_at = min(self._next_at, at)
        if at <= self.services.now():
            self._deliveries.wake()

    @every(seconds=1)
    async def look(self) -> None:
        """What is due."""
        if self._next_at <= self.services.now():
            self._deliveries.wake()

    @every(seconds=15)
    async def look_around(self) -> None:
        """What could not be written, and what a server that is no more left behind."""
        self._desk.wake()
        self._due(self.services.now())

    async def _deliver(self) -> None:
        if self._signer is None:
            return  # the plugin is still starting; whoever looks next finds it due again
        self._next_at = NEVER  # what is said from now on counts
        await self._courier.deliver(self._signer)
        at = await self._queue.next_at(after=int(self.services.now()))
        if at is not None:
            self._due(at)

    def _sessions_of(self, localpart: str) -> Sequence[Session]:
        home = self.services.sessions.homes.get(f"{localpart}@{self.services.domain}")
        return () if home is None else receiving(home.sessions)

    async def _seen(self, key: Key) -> None:
        await self._queue.seen((key,))
        self._desk.forget((key,))

    # -- what ends -------------------------------------------------------------------------------------

    @on(Changed)
    async def changed(self, event: Changed) -> None:
        """A registration ends with what let in whoever made it: a password, a login, an app password."""
        owner_id = event.change.account_id
        if owner_id is not None and await self._origins.judge(owner_id):
            await self._refresh((owner_id,))

    @on(ClientLoggedOut)
    async def logged_out(self, event: ClientLoggedOut) -> None:
        """That client is not woken any more; of one that has no name, none of its kind is."""
        await self._kept.drop_of(event.owner.id, event.agent)
        await self._changed((event.owner.id,))

    @on(AccountRemoved)
    async def removed(self, event: AccountRemoved) -> None:
        await self._kept.drop_of(event.account_id)
        await self._refresh((event.account_id,))

    @every(hours=1)
    async def forget_outdated(self) -> None:
        """Drop what another server did not."""
        await self._kept.drop_outdated()

    async def _forget(self, key: Key) -> None:
        """The push service does not know it any more."""
        await self._kept.drop((key,))
        await self._refresh((key.owner_id,))

    async def _changed(self, owner_ids: Iterable[str]) -> None:
        """Their devices are others now, for every node."""
        for owner_id in owner_ids:
            self.services.tell_nodes(_TOPIC, owner_id)
            await self._refresh((owner_id,))

    @on(ToldByNode)
    async def changed_elsewhere(self, event: ToldByNode) -> None:
        if event.topic == _TOPIC:
            await self._refresh((event.data,))

    async def _refresh(self, owner_ids: Iterable[str]) -> None:
        """Their devices are others now."""
        for owner_id in owner_ids:
            theirs = tuple(await self._kept.registered(owner_id))
            before = self._registered.pop(owner_id, ())
            if theirs:
                self._registered[owner_id] = theirs
            left = {each.key for each in theirs}
            self._desk.forget([each.key for each in before if each.key not in left])
            self.services.counters.push_devices += len(theirs) - len(before)
