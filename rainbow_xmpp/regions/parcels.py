"""What regions tell each other about people, as it crosses the border (msgpack, sealed by the border).

Fields are only ever added at the end, with defaults: regions are not updated at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from rainbow_xmpp.border import Refused
from rainbow_xmpp.company.record import pack_company
from rainbow_xmpp.store.values import Account, Company, Role, Visibility

HOME = "home"
"""The service that is asked who is at home; see `Question`."""
STANZAS = "stanzas"
"""The service that takes stanzas; see `Batch`."""

MOST_NAMES = 500
"""In one question."""
MOST_PARCELS = 500
"""In one batch."""
MOST_BATCH_BYTES = 256 * 1024
"""Of stanzas in one batch, unless one alone is larger."""
MOST_PARCEL_BYTES = 900_000
"""Of one stanza: what is larger does not fit through the border (`rainbow_xmpp.border.MOST_BYTES`)."""
_GREATEST = 2**63 - 1
"""What a database has as a number."""

T = TypeVar("T")


class Malformed(Refused):
    """What another region said is not what this version understands."""


class Who(msgspec.Struct, array_like=True, frozen=True):
    """A person, as far as another region must know them to apply its rules. No name, no address but the JID."""

    id: str
    localpart: str
    company: bytes
    """As `rainbow_xmpp.company.record` has it."""
    visibility: Visibility
    service_level: str

    @classmethod
    def of(cls, account: Account) -> Who:
        return cls(
            account.id,
            account.localpart,
            _packed(account.company),
            account.visibility,
            account.service_level,
        )

    def account(self, region: str, company: Company) -> Account:
        """The same as somebody of that region; `company` is theirs as it is known here."""
        return Account(
            self.id,
            self.localpart,
            company,
            Role.USER,
            self.visibility,
            region,
            self.service_level,
            disabled=False,
            epoch=0,
            abroad=True,
        )


class Question(msgspec.Struct, array_like=True, frozen=True):
    """Whose home is with you? Names by their keyed hashes (`names`)."""

    hashes: list[bytes]
    key: str = ""
    """What the key of the hashes is called."""


class AtHome(msgspec.Struct, array_like=True, frozen=True):
    """The answer, in the order of the question: who it is, or None; and where somebody went who used to be here."""

    people: list[Who | None]
    moved: list[str]
    """The region each one moved to; "" for everybody else."""
    taken: list[bool] = []  # msgspec copies it
    """Whether somebody has that name who is disabled."""


class Parcel(msgspec.Struct, array_like=True, frozen=True):
    """A stanza for somebody of the receiving region, who was let through by the sender's."""

    id: Annotated[int, Meta(ge=0, le=_GREATEST)]
    """Its number in the sender's outbox, by which it is known when it comes again; 0 for what is not kept."""
    sender_jid: str
    """The full JID that sent it, which stands in it as `from`."""
    sender: Who
    to: str
    stanza: bytes
    created_ms: int
    """Unix time in milliseconds."""


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """What is for exactly one session of the receiving region, since it asked: an answer, an error, presence."""

    to: str
    stanza: bytes


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """In the order in which they were sent."""

    parcels: list[Parcel]
    replies: list[Reply]


class Fate(IntEnum):
    """What became of a parcel."""

    TAKEN = 1
    """It is on the disk where it belongs, or was refused, which the replies tell."""
    LATER = 2
    """Not now: send it again."""
    MOVED = 3
    """Its recipient lives in another region by now."""


class Receipt(msgspec.Struct, array_like=True, frozen=True):
    """The answer for one parcel of a batch."""

    fate: int
    region: str = ""
    """Where the recipient went."""


class Receipts(msgspec.Struct, array_like=True, frozen=True):
    """One for each parcel, and what its senders are to be told at once."""

    receipts: list[Receipt]
    replies: list[Reply]


@lru_cache(maxsize=1024)
def _packed(company: Company) -> bytes:
    return pack_company(company)


encode = msgspec.msgpack.Encoder().encode


def decode(data: bytes, kind: type[T]) -> T:
    """What another region sent. Raises Malformed."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(f"{kind.__name__}: {error}") from None


def as_many_as_fit(sizes: Iterable[int]) -> int:
    """So many of what has these sizes (in bytes) go into one batch; one in any case."""
    total = count = 0
    for size in sizes:
        total += size
        if count == MOST_PARCELS or (count and total > MOST_BATCH_BYTES):
            return count
        count += 1
    return count
