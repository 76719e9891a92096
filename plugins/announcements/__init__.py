"""Announcements to everybody, the message of the day, the welcome message (XEP-0133 §4.23 to §4.28)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rainbow_xmpp.plugin import (
    JID,
    Account,
    BecameAvailable,
    Condition,
    Context,
    Dialog,
    Plugin,
    PluginOptions,
    Role,
    Services,
    StanzaError,
    command,
    every,
    on,
    on_message,
    option,
)
from rainbow_xmpp.plugins.announcements import forms
from rainbow_xmpp.plugins.announcements.board import Board
from rainbow_xmpp.plugins.announcements.crowd import Crowd, Slices
from rainbow_xmpp.plugins.announcements.notices import EVERYBODY, Kind, Words
from rainbow_xmpp.plugins.announcements.store import Notices
from rainbow_xmpp.xml import names

Act = Callable[[Account, Words], Awaitable[None]]
ADMINS = (Role.COMPANY_ADMIN, Role.OPERATOR)


class Announcements(
    Plugin,
    name="announcements",
    implements={"XEP-0133": "1.3.1, announcements, message of the day, welcome message"},
    audit={
        "announcements.sent": "a message was sent to everybody online, or to everybody",
        "announcements.put": "a message of the day or a welcome message was set or changed",
        "announcements.taken_down": "a message of the day or a welcome message was deleted",
    },
):
    """An operator speaks to everybody, a company's administrator to the company; by command or by message.

    Messages go to resources of the server, as other servers' administrators know it: `announce/online`,
    `announce/all`, `announce/motd`, `announce/motd/update`, `announce/motd/delete`.
    """

    class Options(PluginOptions):
        at_once: int = option(
            5, "So many announcements may be under way; another one is refused.", ge=1, le=100, reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._notices = Notices(services.store)
        self._board = Board(self._notices, services.now)
        self._crowd = Crowd(services, lambda account: self.options.serves(account))
        self._under_way = 0
        self._being_shown: set[str] = set()
        self._by_path: dict[str, Act] = {
            "announce/online": self.announce_online,
            "announce/all": self.announce_all,
            "announce/motd": self.set_motd,
            "announce/motd/update": partial(self.put, Kind.MOTD),
            "announce/motd/delete": self._delete_motd,
        }

    async def start(self) -> None:
        await self._board.renew()

    async def stop(self) -> None:
        await self._notices.close()

    @every(minutes=1)
    async def renew(self) -> None:
        """What was hung up on other nodes."""
        await self._board.renew()

    # -- by message ------------------------------------------------------------------------------------

    @on_message(type=("normal", "chat", "headline"), to="server")
    def take(self, ctx: Context) -> Awaitable[None] | bool:
        """Of who may not announce anything, such a message is like one to any other address without an owner."""
        act = self._by_path.get(JID.parse(ctx.to).resource)
        if act is None or ctx.sender.role not in ADMINS:
            return False
        words = Words(ctx.stanza.text_of("body") or "", ctx.stanza.text_of("subject") or "")
        if not words.body and act != self._delete_motd:
            raise StanzaError(Condition.BAD_REQUEST, "an announcement has a body")
        return act(ctx.sender_now, words)

    async def _delete_motd(self, sender: Account, words: Words) -> None:
        await self.take_down(Kind.MOTD, sender)

    # -- by command ------------------------------------------------------------------------------------

    @command(f"{names.ADMIN}#announce", "Announcement to everybody online", roles=ADMINS)
    async def ask_announce(self, ctx: Context, dialog: Dialog) -> str:
        asked = await dialog.ask(forms.Announce)
        await self.announce_online(ctx.sender_now, Words(asked.announcement), asked.reason)
        return "It is being sent."

    @command(f"{names.ADMIN}#announce-all", "Announcement to everybody", roles=ADMINS)
    async def ask_announce_all(self, ctx: Context, dialog: Dialog) -> str:
        asked = await dialog.ask(forms.Announce, note="It waits for those who are not online.")
        await self.announce_all(ctx.sender_now, Words(asked.announcement), asked.reason)
        return "It is being sent."

    @command(f"{names.ADMIN}#set-motd", "Set the message of the day", roles=ADMINS)
    async def ask_motd(self, ctx: Context, dialog: Dialog) -> str:
        asked = await dialog.ask(forms.MessageOfTheDay.blank(motd=self._text(Kind.MOTD, ctx.sender_now)))
        await self.set_motd(ctx.sender_now, Words(asked.motd), asked.reason)
        return "It is shown to everybody once, to those online now."

    @command(f"{names.ADMIN}#edit-motd", "Edit the message of the day", roles=ADMINS)
    async def ask_edited_motd(self, ctx: Context, dialog: Dialog) -> str:
        asked = await dialog.ask(forms.MessageOfTheDay.blank(motd=self._text(Kind.MOTD, ctx.sender_now)))
        await self.put(Kind.MOTD, ctx.sender_now, Words(asked.motd), asked.reason)
        return "It is shown to those who have not seen the one before."

    @command(f"{names.ADMIN}#delete-motd", "Delete the message of the day", roles=ADMINS)
    async def ask_no_motd(self, ctx: Context, dialog: Dialog) -> str:
        return await self.take_down(Kind.MOTD, ctx.sender_now)

    @command(f"{names.ADMIN}#set-welcome", "Set the welcome message", roles=ADMINS)
    async def ask_welcome(self, ctx: Context, dialog: Dialog) -> str:
        asked = await dialog.ask(forms.WelcomeMessage.blank(welcome=self._text(Kind.WELCOME, ctx.sender_now)))
        await self.put(Kind.WELCOME, ctx.sender_now, Words(asked.welcome), asked.reason)
        return "New people see it at their first login."

    @command(f"{names.ADMIN}#delete-welcome", "Delete the welcome message", roles=ADMINS)
    async def ask_no_welcome(self, ctx: Context, dialog: Dialog) -> str:
        return await self.take_down(Kind.WELCOME, ctx.sender_now)

    def _text(self, kind: Kind, sender: Account) -> str:
        notice = self._board.at(kind, _scope(sender))
        return "" if notice is None else notice.words.body

    # -- announcing ------------------------------------------------------------------------------------

    async def announce_online(self, sender: Account, words: Words, reason: str = "") -> None:
        """To everybody with a session (§4.23); it is on its way when this returns."""
        self._refuse_many()
        await self._record("announcements.sent", sender, reason, to="online")
        self.services.spawn(self._tell(self._crowd.online(_scope(sender)), words, "headline"))

    async def announce_all(self, sender: Account, words: Words, reason: str = "") -> None:
        """To everybody; it is kept for those who are not online."""
        self._refuse_many()
        await self._record("announcements.sent", sender, reason, to="all")
        self.services.spawn(self._tell(self._crowd.everybody(_scope(sender)), words, "normal"))

    async def set_motd(self, sender: Account, words: Words, reason: str = "") -> None:
        """A message of the day: now to those online, to the others when they come (§4.24)."""
        self._refuse_many()
        await self.put(Kind.MOTD, sender, words, reason, as_new=True)
        self.services.spawn(self._show_online(_scope(sender)))

    async def put(
        self, kind: Kind, sender: Account, words: Words, reason: str = "", *, as_new: bool = False
    ) -> None:
        """Hang a text up, or another in its place for those who have not seen it yet (§4.25, §4.27)."""
        await self._board.put(kind, _scope(sender), words, as_new=as_new)
        await self._record("announcements.put", sender, reason, what=str(kind))

    async def take_down(self, kind: Kind, sender: Account) -> str:
        """Whoever has not seen it will not (§4.26, §4.28)."""
        if not await self._board.take_down(kind, _scope(sender)):
            return "There was none."
        await self._record("announcements.taken_down", sender, "", what=str(kind))
        return "It is deleted."

    async def _record(self, kind: str, sender: Account, reason: str, **facts: str) -> None:
        scope = _scope(sender)
        await self.services.audit(kind, company_id=scope, actor=sender.id, reason=reason.strip(), **facts)

    def _refuse_many(self) -> None:
        if self._under_way >= self.options.at_once:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, "other announcements are being sent")

    @contextmanager
    def _one_more_under_way(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    # -- telling people --------------------------------------------------------------------------------

    async def _tell(self, slices: Slices, words: Words, type: str) -> None:
        with self._one_more_under_way():
            async for accounts in slices:
                await self._crowd.tell(accounts, words, type=type)

    async def _show_online(self, scope: str) -> None:
        with self._one_more_under_way():
            async for accounts in self._crowd.online(scope):
                await asyncio.gather(*map(self._show_news, accounts))

    @on(BecameAvailable)
    def show(self, event: BecameAvailable) -> Awaitable[None] | None:
        """Somebody comes online, and has perhaps not seen everything."""
        account = event.session.account
        return self._show_news(account) if event.is_initial and self._board.has_any_for(account) else None

    async def _show_news(self, account: Account) -> None:
        """Each notice once, to all devices that are online then."""
        if account.id in self._being_shown:
            return
        self._being_shown.add(account.id)
        try:
            for notice in await self._board.new_to(account):
                await self._crowd.tell([account], notice.words, type="normal")
                await self._notices.was_shown(notice, account.company.id, account.id)
        finally:
            self._being_shown.discard(account.id)


def _scope(sender: Account) -> str:
    return EVERYBODY if sender.role is Role.OPERATOR else sender.company.id
