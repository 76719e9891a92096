"""What the parts of this plugin hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DAY_S = 86_400
LONGEST_WAIT_S = 60
"""So long the clients of a server that has started again are given to come back."""
CALL_S = 60
"""So long a call is worth waking a device."""


class Shows(StrEnum):
    """What of a message may leave the server, each with what stands before it."""

    COUNT = "count"
    SENDER = "sender"
    BODY = "body"

    def at_most(self, other: Shows) -> Shows:
        """What both allow."""
        order = list(Shows)
        return order[min(order.index(self), order.index(other))]


class Urgency(StrEnum):
    """Why a device is woken."""

    MESSAGE = "message"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Key:
    """Whose subscription, and which."""

    company_id: str
    owner_id: str
    node: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What let in whoever registered a device: it loses its registration with that."""

    epoch: int
    family: str = ""
    app_password: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """A device that is to be told: the XEP calls it enabled."""

    key: Key
    agent: str
    """The client's id (`Session.agent`); "" when it has not said one."""
    origin: Origin
    shows: Shows


@dataclass(frozen=True, slots=True)
class Target:
    """A PushSubscription of the Push API: where the push service is, and the keys of the browser (RFC 8291 §2)."""

    endpoint: str = field(repr=False)
    p256dh: bytes = field(repr=False)
    """The public key, as an uncompressed point."""
    auth: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastMessage:
    """Of whom the last message is, and what it says, as far as that may be told."""

    sender: str = field(repr=False)
    body: str = field(default="", repr=False)

    def without_body(self) -> LastMessage:
        """Only of whom it is."""
        return LastMessage(self.sender)


@dataclass(slots=True)
class News:
    """What one device is to be told beside what it is to be told already."""

    messages: int = 0
    is_call: bool = False
    last: LastMessage | None = None
    wait_s: int = LONGEST_WAIT_S
    """It is to be told after so long, at the latest."""

    def add(self, urgency: Urgency, messages: int, last: LastMessage | None, wait_s: int) -> None:
        """So many messages more, or a call, to be told after so long."""
        self.wait_s = min(self.wait_s, wait_s)
        if urgency is Urgency.CALL:
            self.is_call = True
        else:
            self.messages += messages
        self.last = last or self.last


@dataclass(frozen=True, slots=True)
class Due:
    """A device that is to be told something now."""

    registered: Registered
    localpart: str
    """Of its owner."""
    target: bytes = field(repr=False)
    unseen: int
    news: int
    last_message: bytes | None = field(repr=False)
    call_until: int
    expires_at: int
    attempts: int
