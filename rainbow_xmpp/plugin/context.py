"""What a handler is given with a stanza: who speaks, to whom, and what it may do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rainbow_xmpp.jid import JID
from rainbow_xmpp.router.iq import IqRequest, Target
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.xml import Element, View

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.services import Services
    from rainbow_xmpp.store.values import Account


class Context:
    """One stanza, as its handler sees it."""

    __slots__ = ("is_to_server", "sender", "services", "session", "stanza", "target", "to")

    def __init__(
        self,
        services: Services,
        session: Session | None,
        stanza: View,
        sender: Account,
        target: Account,
        to: str,
        *,
        is_to_server: bool = False,
    ) -> None:
        self.services = services
        self.session = session
        """The sender's session on this node; None when the server speaks for the account."""
        self.stanza = stanza
        """The stanza as it was received, without a tree."""
        self.sender = sender
        """The account that speaks, with its company."""
        self.target = target
        """The account that is spoken to; the sender's own for a stanza to the server."""
        self.to = to
        """The address that was written; "" for a stanza without one."""
        self.is_to_server = is_to_server

    @classmethod
    def of_request(cls, services: Services, request: IqRequest) -> Context:
        session, to = request.session, request.view.attrs.get("to", "")
        is_to_server = request.target is Target.SERVER
        return cls(
            services, session, request.view, session.account, request.owner, to, is_to_server=is_to_server
        )

    @classmethod
    def of_passage(cls, services: Services, p: Passage) -> Context:
        return cls(services, p.session, p.view, p.sender, p.recipient or p.sender, p.to)

    @classmethod
    def of_session(cls, services: Services, session: Session, view: View, *, to_server: bool) -> Context:
        account, to = session.account, view.attrs.get("to", "")
        return cls(services, session, view, account, account, to, is_to_server=to_server)

    @property
    def jid(self) -> str:
        """The sender's full JID; the bare one when the server speaks for the account."""
        return self.session.full if self.session is not None else self.services.bare_jid(self.sender)

    @property
    def sender_now(self) -> Account:
        """The account that speaks, as it is by now: a command may have waited long for an answer."""
        return self.session.account if self.session is not None else self.sender

    @property
    def type(self) -> str:
        """The stanza's `type`; "" when it has none."""
        return self.stanza.attrs.get("type", "")

    @property
    def lang(self) -> str:
        """The language the stanza says it is in (RFC 6120 §8.1.5); "" when it says none."""
        return self.stanza.attrs.get("xml:lang", "")

    @property
    def is_own(self) -> bool:
        """The sender speaks to their own account."""
        return self.sender.id == self.target.id and not self.is_to_server

    async def send_message(
        self, *content: Payload | Element, to: str | JID = "", type: str = "normal", body: str = ""
    ) -> None:
        """Send a message as the sender, to the target unless `to` says otherwise.

        It takes every stage, the gate first, like a message of the sender's client; nobody is told of a refusal.
        """
        addressee = str(to) or self.services.bare_jid(self.target)
        await self.services.send_message(
            *content, sender=self.sender, from_=self.jid, to=addressee, type=type, body=body
        )

    async def sees_presence_of_target(self) -> bool:
        """The sender is a subscriber of the target's presence, or is the target."""
        return self.is_own or await self.services.sees_presence(self.sender, self.target)
