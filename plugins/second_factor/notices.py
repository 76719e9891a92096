"""Letters and messages to the owner of an account when its second factor changed. No secret stands in them."""

from __future__ import annotations

import logging
from enum import Enum

from rainbow_xmpp.languages import N_
from rainbow_xmpp.mail import Letter
from rainbow_xmpp.plugin import Account, Services
from rainbow_xmpp.words import translation

log = logging.getLogger(__name__)
DAY_S = 86_400


class What(Enum):
    """What happened, as the audit log names it."""

    TURNED_ON = "second_factor.turned_on"
    REPLACED = "second_factor.replaced"
    TURNED_OFF = "second_factor.turned_off"
    TURNED_OFF_BY_ADMINISTRATOR = "second_factor.turned_off_by_administrator"
    NEW_RECOVERY_CODES = "second_factor.new_recovery_codes"
    RECOVERY_CODE_USED = "second_factor.recovery_code_used"
    APP_MADE = "second_factor.app_made"
    APP_DROPPED = "second_factor.app_dropped"


AUDIT = {
    What.TURNED_ON: "somebody turned their second factor on",
    What.REPLACED: "somebody put another second factor in the place of theirs",
    What.TURNED_OFF: "somebody turned their second factor off",
    What.TURNED_OFF_BY_ADMINISTRATOR: "an administrator turned somebody's second factor off",
    What.NEW_RECOVERY_CODES: "somebody made new recovery codes",
    What.RECOVERY_CODE_USED: "a recovery code was used",
    What.APP_MADE: "somebody made an app password",
    What.APP_DROPPED: "somebody ended an app password",
}

_IF_NOT_YOU = N_("If that was not you, tell your administrator at once.")
_TOLD = {
    What.TURNED_ON: N_("The second step of your login was switched on."),
    What.REPLACED: N_("The second step of your login was moved to another device."),
    What.TURNED_OFF: N_("The second step of your login was switched off."),
    What.TURNED_OFF_BY_ADMINISTRATOR: N_("An administrator switched the second step of your login off."),
    What.NEW_RECOVERY_CODES: N_("You have new recovery codes; the earlier ones are worth nothing any more."),
    What.RECOVERY_CODE_USED: N_("One of your recovery codes was used to log in or to change something."),
    What.APP_MADE: N_("An app password was made for your account."),
}
_LETTERS = {
    What.TURNED_ON: "second-factor-changed",
    What.REPLACED: "second-factor-changed",
    What.TURNED_OFF: "second-factor-changed",
    What.TURNED_OFF_BY_ADMINISTRATOR: "second-factor-changed",
    What.NEW_RECOVERY_CODES: "second-factor-changed",
    What.APP_MADE: "app-password-made",
}


class Notices:
    """What is told undoes nothing when it fails."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def tell(self, account: Account, what: What, language: str) -> None:
        """To all addresses of the account, and to its devices."""
        try:
            if template := _LETTERS.get(what):
                await self._write(account, template, language)
            if text := _TOLD.get(what):
                told = translation(language).gettext
                await self._services.notify(account, body=f"{told(text)} {told(_IF_NOT_YOU)}")
        except Exception:
            log.exception("nobody was told of a change of the second factor", extra={"account": account.id})

    async def _write(self, account: Account, template: str, language: str) -> None:
        member = await self._services.store.accounts.member(account.company.id, account.id)
        for address in () if member is None else member.emails:
            await self._services.mail.post(
                Letter(
                    template=template,
                    to=address,
                    language=language,
                    expires_at=int(self._services.now()) + DAY_S,
                    company_id=account.company.id,
                    region=account.region,
                )
            )
        self._services.mail.hurry()
