"""Where plays are performed: a server, however it is reached."""

from typing import Protocol

from rainbow_xmpp.testing.play.script import Device, Member
from rainbow_xmpp.xml import Element


class Seat(Protocol):
    """One bound resource, from its client's side."""

    @property
    def jid(self) -> str:
        """The full JID."""

    async def send(self, stanza: str) -> None:
        """Send a stanza; its default namespace need not be declared."""

    async def settle(self) -> None:
        """Wait until the server has handled all that was sent from here."""

    async def next(self) -> Element | None:
        """The next stanza; None when nothing comes."""

    async def rest(self) -> list[Element]:
        """Every stanza that came and was not taken yet, once the server has handled all that was sent from here."""

    async def close(self) -> None:
        """End the stream in due form."""

    async def cut(self) -> None:
        """Lose the connection without a word."""


class Venue(Protocol):
    """A server, and a way into it."""

    @property
    def domain(self) -> str:
        """What stands behind the @ of every address."""

    async def admit(self, member: Member) -> str:
        """Make an account for somebody in this scene alone; returns its bare JID."""

    async def log_in(self, device: Device) -> Seat:
        """A bound resource of somebody who was admitted; it has sent no presence."""
