"""What all ways of registering have in common: the desk behind them, and its two steps."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    Account,
    Asker,
    Condition,
    PageLinks,
    PinDesk,
    Purpose,
    RegistrationMode,
    Services,
    StanzaError,
    Stranger,
)
from rainbow_xmpp.plugins.inband_registration.refusals import NoAddress

PAGE = "/register"
TIME_FOR_A_LETTER_S = 600
"""How long somebody may take to read a letter on a connection that has not logged in: as long as its code is good."""


class Front:
    """The desk is asked for each time: plugins come and go, and a reload may change who may register."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @property
    def mode(self) -> RegistrationMode:
        """Who may register; nobody where there is no desk."""
        desk = self.services.offered(PinDesk)
        return RegistrationMode.CLOSED if desk is None else desk.registration

    @property
    def has_desk(self) -> bool:
        return self.services.offered(PinDesk) is not None

    @property
    def desk(self) -> PinDesk:
        """Raises StanzaError where there is none."""
        desk = self.services.offered(PinDesk)
        if desk is None:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        return desk

    @property
    def page_url(self) -> str:
        """Where people without a client that shows forms register; "" where there are no pages."""
        return self.services.public_url + PAGE if self.services.offered(PageLinks) is not None else ""

    async def ask(self, purpose: Purpose, address: str, stranger: Stranger) -> str:
        """Have a code sent; the request's id. Raises NoAddress, TooMany and RegistrationClosed."""
        try:
            asked = await self.desk.ask(purpose, address, asker(stranger))
        except ValueError:
            raise NoAddress from None
        stranger.allow_time(TIME_FOR_A_LETTER_S)
        return asked.request_id

    async def latest(self, purpose: Purpose, address: str, stranger: Stranger) -> str:
        """The request of somebody who comes back on another connection. Raises NoAddress."""
        try:
            return await self.desk.latest(purpose, address, asker(stranger))
        except ValueError:
            raise NoAddress from None

    async def finish(
        self, purpose: Purpose, request_id: str, code: str, password: str, name: str, stranger: Stranger
    ) -> Account:
        """Make the account, or set the password. Raises as `PinDesk.register` does."""
        if purpose is Purpose.RESET:
            return await self.desk.reset(request_id, code, password, asker=asker(stranger))
        return await self.desk.register(request_id, code, password, name=name, asker=asker(stranger))


def asker(stranger: Stranger) -> Asker:
    return Asker(stranger.source, stranger.language)
