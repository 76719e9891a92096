"""What administrators do from their XMPP client: people added, shut out, logged out, removed, listed (XEP-0133)."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from rainbow_xmpp.plugin import (
    JID,
    Account,
    ClientLoggedOut,
    CommandAnswer,
    Context,
    Dialog,
    Form,
    Note,
    Plugin,
    PluginOptions,
    Role,
    Services,
    SessionStarted,
    Severity,
    command,
    every,
    on,
    option,
)
from rainbow_xmpp.plugins.service_admin import forms
from rainbow_xmpp.plugins.service_admin.adding import add_person
from rainbow_xmpp.plugins.service_admin.listing import Wanted, WantedSomewhere, people_table
from rainbow_xmpp.plugins.service_admin.scope import Scope
from rainbow_xmpp.plugins.service_admin.store import LastLogins
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.xml import names


class Act(Protocol):
    """What is done to one account (`People`)."""

    def __call__(self, account: Account, /, *, actor: str, reason: str) -> Awaitable[None]: ...


ADMINS = (Role.COMPANY_ADMIN, Role.OPERATOR)
SHORT = 200
"""A list that is no longer than this is shown without asking how much of it is wanted."""


class ServiceAdmin(
    Plugin,
    name="service_admin",
    implements={"XEP-0133": "1.3.1, people, their sessions, numbers and lists of them"},
    audit={"service_admin.session_ended": "one session of somebody was ended, the others go on"},
):
    """Operators act on everybody, a company's administrators on their company; `adhoc` shows the commands.

    No command shows, sets or changes a password that somebody uses, and none shows contacts or network addresses.
    """

    class Options(PluginOptions):
        keep_last_login: bool = option(
            True, "Whether it is kept when each person logged in the last time.", reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._logins = LastLogins(services.store)
        self._seen: dict[tuple[str, str], int] = {}

    def _scope(self, ctx: Context) -> Scope:
        return Scope(self.services, ctx.sender_now)

    # -- changing people (§4.1 to §4.5) ----------------------------------------------------------------

    @command(f"{names.ADMIN}#add-user", "Add a user", roles=ADMINS)
    async def add(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        scope = self._scope(ctx)
        asked = await dialog.ask(forms.AddUserSomewhere if scope.is_everything else forms.AddUser)
        return await add_person(self.services, self._scope(ctx), asked)

    @command(f"{names.ADMIN}#delete-user", "Delete users", roles=ADMINS)
    async def delete(self, ctx: Context, dialog: Dialog) -> str:
        chosen, reason = await self._ask_whom_to_change(ctx, dialog, forms.DeleteUsers)
        return f"{await self._each(ctx, chosen, self.services.people.remove, reason)} removed"

    @command(f"{names.ADMIN}#disable-user", "Disable users", roles=ADMINS)
    async def disable(self, ctx: Context, dialog: Dialog) -> str:
        chosen, reason = await self._ask_whom_to_change(ctx, dialog, forms.DisableUsers)
        return f"{await self._each(ctx, chosen, self.services.people.disable, reason)} shut out"

    @command(f"{names.ADMIN}#reenable-user", "Re-enable users", roles=ADMINS)
    async def reenable(self, ctx: Context, dialog: Dialog) -> str:
        chosen, reason = await self._ask_whom_to_change(ctx, dialog, forms.ReenableUsers)
        return f"{await self._each(ctx, chosen, self.services.people.enable, reason)} let in again"

    @command(f"{names.ADMIN}#end-user-session", "End sessions", roles=ADMINS)
    async def end_sessions(self, ctx: Context, dialog: Dialog) -> str:
        asked = await dialog.ask(forms.EndSessions)
        reason = self._scope(ctx).judge_reason(asked.reason)
        everywhere: list[Account] = []
        for jid, account in await self._scope(ctx).find(asked.accountjids, field="accountjids"):
            if jid.resource:
                await self._end_one(ctx, str(jid), account, reason)
            else:
                everywhere.append(account)
        await self._each(ctx, everywhere, self.services.people.end_sessions, reason)
        return f"{len(asked.accountjids)} logged out"

    async def _end_one(self, ctx: Context, full: str, account: Account, reason: str) -> None:
        """§4.5: with a resource, only that session."""
        session = self.services.sessions.by_full.get(full)
        if session is None:
            return
        await self.services.audit(
            "service_admin.session_ended",
            company_id=account.company.id,
            actor=ctx.sender.id,
            target=account.id,
            reason=reason,
        )
        session.end_by_administrator()
        pending = self.services.tell(ClientLoggedOut(account, session.agent.id))
        if pending is not None:
            await pending

    async def _each(self, ctx: Context, accounts: list[Account], act: Act, reason: str) -> int:
        """Do this to all of them; returns to how many. Who was removed by somebody else meanwhile is passed over."""
        done = 0
        for account in accounts:
            with suppress(NotFound):
                await act(account, actor=ctx.sender.id, reason=reason)
                done += 1
        return done

    async def _ask_whom_to_change(
        self, ctx: Context, dialog: Dialog, form: type[forms.Change]
    ) -> tuple[list[Account], str]:
        """Who, and why."""
        asked = await dialog.ask(form)
        scope = self._scope(ctx)
        found = await scope.find_to_change(asked.accountjids, field="accountjids")
        return [account for _, account in found], scope.judge_reason(asked.reason)

    # -- one person (§4.9, §4.10) ----------------------------------------------------------------------

    @command(f"{names.ADMIN}#get-user-lastlogin", "Last logins", roles=ADMINS)
    async def last_login(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        asked = await dialog.ask(forms.WhoseLastLogin)
        found = await self._scope(ctx).find(asked.accountjids, field="accountjids")
        rows = [
            forms.LastLogin(accountjid=self._jid(account), lastlogin=await self._last_login_of(account))
            for _, account in found
        ]
        return rows[0] if len(rows) == 1 else forms.LastLogin.table(rows)

    @command(f"{names.ADMIN}#user-stats", "About a user", roles=ADMINS)
    async def statistics(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        asked = await dialog.ask(forms.WhoseStatistics)
        ((_, account),) = await self._scope(ctx).find([asked.accountjid], field="accountjid")
        store, company_id = self.services.store, account.company.id
        member = await store.accounts.member(company_id, account.id)
        return forms.Statistics(
            accountjid=self._jid(account),
            email=member.emails if member is not None else (),
            rostersize=await store.rosters.count(company_id, account.id),
            onlineresources=tuple(session.resource for session in self.services.sessions_of(account)),
            lastlogin=await self._last_login_of(account),
        )

    @command("people", "Find people", roles=ADMINS)
    async def find(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        """What XEP-0133 has no command for: names and e-mail addresses beside the JIDs."""
        asked = await dialog.ask(WantedSomewhere if self._scope(ctx).is_everything else Wanted)
        wanted = asked.company if isinstance(asked, WantedSomewhere) else ""
        company = await self._scope(ctx).company_called(wanted)
        return await people_table(self.services, company.id, asked.search)

    # -- how many (§4.13 to §4.15) ---------------------------------------------------------------------

    @command(f"{names.ADMIN}#get-registered-users-num", "Number of registered users", roles=ADMINS)
    async def count_registered(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        registered, _ = await self._scope(ctx).headcount()
        return forms.RegisteredNumber(registeredusersnum=registered)

    @command(f"{names.ADMIN}#get-disabled-users-num", "Number of disabled users", roles=ADMINS)
    async def count_disabled(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        _, disabled = await self._scope(ctx).headcount()
        return forms.DisabledNumber(disabledusersnum=disabled)

    @command(f"{names.ADMIN}#get-online-users-num", "Number of online users", roles=ADMINS)
    async def count_online(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        return forms.OnlineNumber(onlineusersnum=sum(1 for _ in self._scope(ctx).online()))

    # -- who (§4.18 to §4.20) --------------------------------------------------------------------------

    @command(f"{names.ADMIN}#get-registered-users-list", "List of registered users", roles=ADMINS)
    async def list_registered(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        scope = self._scope(ctx)
        total, _ = await scope.headcount()
        most = await _ask_how_many(dialog, total)
        jids = await self._first(scope, most)
        return _shown(forms.RegisteredList(registereduserjids=jids), len(jids), total)

    @command(f"{names.ADMIN}#get-disabled-users-list", "List of disabled users", roles=ADMINS)
    async def list_disabled(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        scope = self._scope(ctx)
        _, total = await scope.headcount()
        most = await _ask_how_many(dialog, total)
        jids = await self._first(scope, most, disabled=True)
        return _shown(forms.DisabledList(disableduserjids=jids), len(jids), total)

    @command(f"{names.ADMIN}#get-online-users-list", "List of online users", roles=ADMINS)
    async def list_online(self, ctx: Context, dialog: Dialog) -> CommandAnswer:
        most = await _ask_how_many(dialog, sum(1 for _ in self._scope(ctx).online()))
        homes = list(self._scope(ctx).online())
        jids = tuple(JID.parse(home.bare) for home in homes[:most])
        return _shown(forms.OnlineList(onlineuserjids=jids), len(jids), len(homes))

    async def _first(
        self, scope: Scope, most: int | None, *, disabled: bool | None = None
    ) -> tuple[JID, ...]:
        found: list[JID] = []
        async for account in scope.people(disabled=disabled):
            if most is not None and len(found) >= most:
                break
            found.append(self._jid(account))
        return tuple(found)

    # -- when they logged in ---------------------------------------------------------------------------

    @on(SessionStarted)
    def note_login(self, event: SessionStarted) -> None:
        """Written later, with those of others."""
        if self.options.keep_last_login:
            account = event.session.account
            self._seen[account.company.id, account.id] = int(self.services.now())

    @every(minutes=1)
    async def write_logins(self) -> None:
        """A server that is killed loses those of the last minute."""
        seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            await self._logins.put(seen)
        except Exception:
            self._seen = seen | self._seen
            raise

    async def stop(self) -> None:
        await self.write_logins()

    async def _last_login_of(self, account: Account) -> datetime | None:
        at = self._seen.get((account.company.id, account.id))
        if at is None:
            at = await self._logins.get(account.company.id, account.id)
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def _jid(self, account: Account) -> JID:
        return JID(account.localpart, self.services.domain)


async def _ask_how_many(dialog: Dialog, total: int) -> int | None:
    if total <= SHORT:
        return None
    return (await dialog.ask(forms.HowMany, note=f"There are {total}.")).most


def _shown(listed: Form, shown: int, total: int) -> CommandAnswer:
    return listed if shown >= total else (listed, Note(f"{shown} of {total} are shown", Severity.WARN))
