"""Calls: a relay for media (STUN and TURN), and credentials for it that last for hours."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

from rainbow_xmpp.config import Config
from rainbow_xmpp.plugin import (
    Account,
    Changed,
    ChangeKind,
    Condition,
    Context,
    DiscoInfo,
    DiscoMark,
    Element,
    Mark,
    Plugin,
    PluginOptions,
    Services,
    Session,
    SessionEnded,
    SessionKept,
    SessionRestored,
    StanzaError,
    disco_info,
    every,
    marks_of,
    on,
    on_iq,
)
from rainbow_xmpp.plugin.offers_relay import Look, RelayDoor
from rainbow_xmpp.plugin.pace import Pace
from rainbow_xmpp.plugins.webrtc_relay.accounting import month_of, months_before
from rainbow_xmpp.plugins.webrtc_relay.api import RelayEndpoints
from rainbow_xmpp.plugins.webrtc_relay.desk import CredentialDesk, Grant, MinutesUsedUp
from rainbow_xmpp.plugins.webrtc_relay.embedded import EmbeddedRelay
from rainbow_xmpp.plugins.webrtc_relay.options import RelayOptions
from rainbow_xmpp.plugins.webrtc_relay.services import (
    NS,
    AskedCredentials,
    AskedServices,
    changed,
    listed,
    with_credentials,
)

log = logging.getLogger(__name__)

_NOTE = "webrtc_relay"
_ENDS_CALLS = frozenset(
    (
        ChangeKind.ACCOUNT_DISABLED,
        ChangeKind.ACCOUNT_REMOVED,
        ChangeKind.SESSIONS_ENDED,
        ChangeKind.CREDENTIALS_CHANGED,
        ChangeKind.FACTOR_CHANGED,
    )
)
"""What ends an account's sessions ends its calls."""


class WebrtcRelay(
    Plugin,
    RelayDoor,
    name="webrtc_relay",
    implements={"XEP-0215": "1.0.0"},
):
    """Relays calls whose two ends cannot reach each other, for people whose service level has minutes for it."""

    Options = RelayOptions
    options: RelayOptions

    def __init__(self, services: Services, options: RelayOptions) -> None:
        super().__init__(services, options)
        self.desk = CredentialDesk(services, lambda: self.options)
        self._pace = Pace(lambda: self.options.credentials_per_minute)
        self._endpoints = RelayEndpoints(services, self.desk, self._pace)
        self.embedded = (
            EmbeddedRelay(services, lambda: self.options, self.desk.accounting)
            if options.secret and options.is_embedded
            else None
        )
        """None: another server relays, or nobody."""
        self._asked: dict[Session, str] = {}
        """Who asked for services, and of which type ("" = all): told of new credentials."""

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints. Without a secret nothing is said of a relay, to nobody."""
        for mark, method in super().marks():
            if self.options.secret or not isinstance(mark, DiscoMark):
                yield mark, method
        yield from marks_of(self._endpoints)

    async def start(self) -> None:
        if self.options.secret:
            self.desk.relay = self.embedded
            await self.desk.start()
        if self.embedded is not None:
            await self.embedded.start()

    async def stop(self) -> None:
        self._asked.clear()
        if self.embedded is not None:
            await self.embedded.stop()
        await self.desk.accounting.write()

    def reconfigured(self, before: PluginOptions) -> None:
        assert isinstance(before, RelayOptions)
        self.desk.note_lifetime()
        if self.embedded is not None:
            self.embedded.configure()
        now = self.options
        if (before.secrets[:1], before.services) != (now.secrets[:1], now.services):
            for session, type_ in list(self._asked.items()):
                self.services.spawn(self._push(session, type_, before))

    # -- the one port ----------------------------------------------------------------------------------

    @property
    def opens(self) -> bool:
        return self.embedded is not None

    @property
    def is_open(self) -> bool:
        return self.embedded is not None and self.embedded.supervisor.is_ready

    def pass_connection(
        self, sock: socket.socket, client: tuple[str, int], server: tuple[str, int], *, is_clear: bool
    ) -> bool:
        relay = self.embedded
        return relay is not None and relay.pass_connection(sock, client, server, is_clear=is_clear)

    def renew_certificate(self) -> None:
        if self.embedded is not None:
            self.embedded.configure()

    @classmethod
    def look(cls, config: Config, options: RelayOptions) -> Iterator[Look]:
        from rainbow_xmpp.plugins.webrtc_relay.check import look

        return look(config, options)

    # -- XEP-0215 --------------------------------------------------------------------------------------

    @disco_info()
    def announce(self, ctx: Context, node: str) -> DiscoInfo | None:
        """§5: to those who may call; to everybody else there is no such service."""
        return DiscoInfo.of(features=[NS]) if self.desk.may_call(ctx.sender) else None

    @on_iq("get", AskedServices.TAG, to="server")
    async def list_services(self, ctx: Context, request: Element) -> Element:
        """§3.1, §3.2. Credentials come with it, unless the minutes are used up."""
        account = self._admit(ctx)
        asked = AskedServices.from_xml(request)
        grant = await self._grant_if_any(account)
        if ctx.session is not None:
            self._asked[ctx.session] = asked.type
        return listed(self.desk.addresses(account, _through(ctx.session)), asked.type, grant)

    @on_iq("get", AskedCredentials.TAG, to="server")
    async def give_credentials(self, ctx: Context, request: Element) -> Element:
        """§3.3."""
        account = self._admit(ctx)
        named = AskedCredentials.from_xml(request).among(self.desk.addresses(account, _through(ctx.session)))
        try:
            grant = await self.desk.give(account)
        except MinutesUsedUp as error:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, str(error)) from None
        return with_credentials(named, grant)

    def _admit(self, ctx: Context) -> Account:
        """Before anything is read: whoever may not call learns nothing from what is wrong in a request either."""
        if not self.desk.may_call(ctx.sender):
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        wait_s = self._pace.wait_s(ctx.sender.id, self.services.now())
        if wait_s:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, f"ask again in {wait_s} seconds")
        return ctx.sender

    async def _grant_if_any(self, account: Account) -> Grant | None:
        try:
            return await self.desk.give(account)
        except MinutesUsedUp:
            return None

    # -- pushes (§3.2) ---------------------------------------------------------------------------------

    async def _push(self, session: Session, type_: str, before: RelayOptions) -> None:
        """Other credentials, or other services, for a client that asked for them. What it answers is its affair."""
        account = session.account
        if not self.desk.may_call(account):
            return
        through = _through(session)
        earlier, now = self.desk.addresses_by(before, account, through), self.desk.addresses(account, through)
        push = changed(earlier, now, type_, await self._grant_if_any(account))
        try:
            await self.services.ask(session, push, type="set")
        except StanzaError as error:
            log.info("a client took no new credentials: %s", error.condition, extra={"account": account.id})

    @on(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        self._asked.pop(event.session, None)

    @on(SessionKept)
    def note(self, event: SessionKept) -> None:
        """A session that is resumed after a restart is told all the same."""
        if event.session in self._asked:
            event.notes[_NOTE] = self._asked[event.session].encode()

    @on(SessionRestored)
    def remember(self, event: SessionRestored) -> None:
        if _NOTE in event.notes:
            self._asked[event.session] = event.notes[_NOTE].decode()

    # -- the end of a right ----------------------------------------------------------------------------

    @on(Changed)
    async def changed(self, event: Changed) -> None:
        """Calls through the relay end with the account, its logins, and its right to call."""
        change = event.change
        if not self.options.secret:
            return
        if change.account_id is not None and change.kind in _ENDS_CALLS:
            await self.desk.revoke_account(change.company_id, change.account_id)
            self._replace_credentials(change.account_id)
        elif change.kind is ChangeKind.ACCOUNT_CHANGED and change.account_id is not None:
            await self._check_account(change.account_id)
        elif change.kind is ChangeKind.COMPANY_CHANGED:
            await self.desk.check_company(change.company_id, months_before(month_of(self.services.now()), 1))

    def _replace_credentials(self, account_id: str) -> None:
        """A session that outlives the change, such as the one that changed the password, holds void credentials."""
        for session, type_ in list(self._asked.items()):
            if session.account.id == account_id and session in self.services.sessions.of_account(account_id):
                self.services.spawn(self._push(session, type_, self.options))

    async def _check_account(self, account_id: str) -> None:
        account = await self.services.store.accounts.by_id(account_id)
        if account is not None and not self.desk.may_call(account):
            await self.desk.revoke(self.desk.userid(account))

    # -- accounting ------------------------------------------------------------------------------------

    @every(seconds=30)
    async def account(self) -> None:
        """Write what was used, and end the calls of those who may not go on."""
        await self.desk.accounting.write()
        for userid in list(self.desk.accounting.allocations):
            await self.desk.check(userid)

    @every(hours=1)
    async def tidy(self) -> None:
        """Forget what is over."""
        await self.desk.tidy()


def _through(session: Session | None) -> str:
    """The region that a client came in at, when that is not its home."""
    return "" if session is None else session.through
