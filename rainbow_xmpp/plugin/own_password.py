"""Somebody who is logged in sets another password: one way for the API, forms and pages."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin.offers_accounts import Asker, PinDesk, TooMany
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.joined import joining
from rainbow_xmpp.store.values import Account

_LATER_S = 60
"""When the old password may be tried again after too many wrong ones."""


class WrongPassword(RainbowError):
    """The old password is wrong."""


async def change_own_password(
    services: Services, account: Account, old: str, new: str, *, asker: Asker, keeping: Session | None = None
) -> None:
    """Every login of the account ends, but for the session `keeping`; letters and a message tell of it.

    The old password proves that it is not somebody who found an open device; it is slowed and counted as at a login.
    Raises WrongPassword, TooMany, WeakPassword and NotFound.
    """
    found = await services.confirm_password(account, old, asker.source)
    if isinstance(found, Refused):
        if found.condition is FailureCondition.NOT_AUTHORIZED:
            raise WrongPassword("the old password is wrong")
        raise TooMany(_LATER_S)
    await _set_password(services, account, new, keeping)
    desk = services.offered(PinDesk)
    if desk is not None:
        await desk.tell_of_new_password(account, asker.language)


async def _set_password(services: Services, account: Account, new: str, keeping: Session | None) -> None:
    undo: list[Callable[[], None]] = []

    async def keep(_: AsyncConnection) -> None:
        if keeping is not None:
            undo.append(keeping.outlive_password())

    try:
        with joining(keep):
            await services.people.set_password(account, new, actor=account.id)
    except BaseException:
        for each in undo:
            each()
        raise
