"""What nodes tell each other, as it goes over the bus (msgpack).

Fields are only ever added at the end, with defaults, and a frame says its version: nodes of this version and of the
next run side by side while a region is updated one node after the other.
"""

from __future__ import annotations

import msgspec

from rainbow_xmpp.store.values import Account

VERSION = 1


class Facts(msgspec.Struct, array_like=True, frozen=True):
    """What another node must know of a session to serve those who write to it."""

    presence: bytes | None
    priority: int
    is_interested: bool
    notes: dict[str, bytes]
    """What plugins know of it (`SessionKept`)."""


class Up(msgspec.Struct, array_like=True, frozen=True, tag="u"):
    """A resource was bound."""

    full: str
    account: Account
    agent: tuple[str, str, str]
    facts: Facts


class Changed(msgspec.Struct, array_like=True, frozen=True, tag="c"):
    """Something of a session is different now."""

    full: str
    facts: Facts


class Down(msgspec.Struct, array_like=True, frozen=True, tag="d"):
    """A session ended; its contacts have been told."""

    full: str


class Stanza(msgspec.Struct, array_like=True, frozen=True, tag="s"):
    """For a session of the node that gets this."""

    full: str
    data: bytes


class Fail(msgspec.Struct, array_like=True, frozen=True, tag="f"):
    """End this session with a stream error."""

    full: str
    condition: str
    text: str


class RosterChanged(msgspec.Struct, array_like=True, frozen=True, tag="r"):
    """An account's roster is another one now; its devices have been told."""

    bare: str


class Written(msgspec.Struct, array_like=True, frozen=True, tag="w"):
    """Something was written that the log of changes tells of; read it."""


class Told(msgspec.Struct, array_like=True, frozen=True, tag="t"):
    """What a plugin tells itself on the other nodes, such as that something in the database is new."""

    topic: str
    data: str


class Sought(msgspec.Struct, array_like=True, frozen=True, tag="q"):
    """A client wants to resume a session of this account; does the receiver have it? `id` is the asking node's."""

    id: int
    account_id: str
    resume_id: str


class Given(msgspec.Struct, array_like=True, frozen=True, tag="g"):
    """The answer: all of the session, sealed, which is the asking node's now; None for none."""

    id: int
    sealed: bytes | None


class Snapshot(msgspec.Struct, array_like=True, frozen=True, tag="n"):
    """The first item of a lane: what was known of the sender's sessions before is void, and all of them follow."""


Item = Up | Changed | Down | Stanza | Fail | RosterChanged | Written | Told | Sought | Given | Snapshot


class Hello(msgspec.Struct, array_like=True, frozen=True, tag="h"):
    """A node is there; said twice a second, to all."""

    version: int
    number: int
    incarnation: str
    """Drawn at each start: the same node started again is another one."""


class Bye(msgspec.Struct, array_like=True, frozen=True, tag="b"):
    """A node stops. Those of its sessions that have not ended wait there to be resumed after a restart."""

    number: int
    incarnation: str


class Frame(msgspec.Struct, array_like=True, frozen=True, tag="m"):
    """Items of a lane from one node to another, and what the sender has got of the lane in the other direction."""

    version: int
    number: int
    incarnation: str
    lane: str
    """Drawn whenever the sender begins anew."""
    first: int
    """The number of the first item; items count from 1."""
    items: list[Item]
    got_lane: str
    """The receiver's lane that this is about; "" for none yet."""
    got: int
    """All items up to this one have arrived."""
    ear: str
    """Drawn by the sender when it met the receiver; another one: it has forgotten whatever it had received."""
    is_missing_some: bool = False
    """Later ones have arrived too, or none of this lane's beginning: send again what comes after `got`."""


Packet = Hello | Bye | Frame

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Packet)


def decode(data: bytes) -> Packet | None:
    """What a node said; None for what is none of these, or only a newer version understands."""
    try:
        packet: Packet = _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
    return packet
