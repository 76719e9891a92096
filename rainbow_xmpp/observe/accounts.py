"""What `user invite`, `user reset-password` and `user second-factor --off` ask for: the running server does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin.offers_accounts import PinDesk
from rainbow_xmpp.plugin.offers_second_factor import SecondFactor

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.services import Services


class NoLetter(RainbowError):
    """Nothing was done; says why to the administrator."""


class AccountLetters:
    """Answers requests on the control socket. Whoever asks sees no PIN, no link and no secret."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services

    async def invite(self, request: Mapping[str, object]) -> dict[str, object]:
        """`address` into the company with the id `company`; the same whether somebody has the address."""
        services, desk = self._services(), self._desk()
        company = await services.store.companies.by_id(_text(request, "company"))
        if company is None:
            raise NoLetter("there is no such company")
        try:
            id = await desk.invite(
                company,
                _text(request, "address"),
                actor=_text(request, "actor"),
                language=_text(request, "language"),
                reason=_text(request, "reason"),
            )
        except ValueError:
            raise NoLetter("this is no e-mail address") from None
        return {"id": id}

    async def reset(self, request: Mapping[str, object]) -> dict[str, object]:
        """A PIN for the account with the id `account`, to its own address."""
        account = await self._services().store.accounts.by_id(_text(request, "account"))
        if account is None:
            raise NoLetter("there is no such account")
        await self._desk().start_reset(
            account, actor=_text(request, "actor"), reason=_text(request, "reason")
        )
        return {"id": account.id}

    async def factor_off(self, request: Mapping[str, object]) -> dict[str, object]:
        """The second factor of the account with the id `account` is turned off; whether there was one."""
        account = await self._services().store.accounts.by_id(_text(request, "account"))
        if account is None:
            raise NoLetter("there is no such account")
        factor = self._services().offered(SecondFactor)
        if factor is None:
            raise NoLetter("the plugin second_factor does not run: nobody turns a factor off")
        was_on = await factor.turn_off_for(
            account, actor=_text(request, "actor"), reason=_text(request, "reason")
        )
        return {"id": account.id, "was_on": was_on}

    def _desk(self) -> PinDesk:
        desk = self._services().offered(PinDesk)
        if desk is None:
            raise NoLetter("the plugin mfa_pin does not run: nobody writes such letters")
        return desk


def _text(request: Mapping[str, object], name: str) -> str:
    return str(request.get(name, ""))
