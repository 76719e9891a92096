"""The chain of the audit log: what is hashed, what is signed, and what a broken chain looks like.

Each record's hash covers the record and the hash before it; the signature (an HMAC under a key that is not in
the database) covers the hash. Hashes alone show a careless change, and anybody can check them in an export.
Signatures stop whoever can write to the database from hashing a changed chain anew. A record signed under a
key that is gone is still held by every later record whose key is here (docs/decisions/0013-audit-chain.md).
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

GENESIS = "0" * 64
"""What stands as the hash before the first record."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """What somebody did, before it has its place in the chain. `at` is Unix time in milliseconds.

    `company_id`, `target` and `reason` may be empty. `facts` is canonical JSON (`canonical`).
    """

    at: int
    kind: str
    company_id: str
    actor: str
    target: str
    reason: str
    facts: str
    node: str


@dataclass(frozen=True, slots=True)
class Record:
    """An entry in its place: ids count up by one, `previous` is the hash of the record before."""

    id: int
    entry: Entry
    previous: str
    hash: str
    key_id: str
    signature: str

    @property
    def facts(self) -> Mapping[str, str | int | bool]:
        """What else is known about it; empty when the text is none of ours."""
        try:
            found = json.loads(self.entry.facts)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class MarkName(StrEnum):
    """Places of the chain that are remembered, signed, beside it."""

    HEAD = "head"
    """The newest record: shows that the end was cut off."""
    PRUNED = "pruned"
    """The newest record that was dropped for its age: where the chain now begins."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One such place: a record's id and hash."""

    name: MarkName
    id: int
    hash: str
    key_id: str
    signature: str


class ChainKeys:
    """Signs with the current key; checks what any known key signed."""

    def __init__(self, current: str, secrets: Mapping[str, bytes]) -> None:
        """`secrets` holds the key called `current` and every earlier one, by key id."""
        self.current = current
        self._secrets = dict(secrets)

    def sign(self, text: str) -> str:
        """The signature under the current key."""
        return _signature(self._secrets[self.current], text)

    def knows(self, key_id: str) -> bool:
        """Whether signatures under this key can be judged."""
        return key_id in self._secrets

    def is_ours(self, key_id: str, text: str, signature: str) -> bool:
        """Whether this known key made the signature."""
        return hmac.compare_digest(_signature(self._secrets[key_id], text), signature)


def canonical(facts: Mapping[str, str | int | bool]) -> str:
    """The one way to write these facts."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def chained(entry: Entry, id: int, previous: str, keys: ChainKeys) -> Record:
    """The entry as the record after the one with the hash `previous`."""
    hash = hash_of(entry, id, previous)
    return Record(id, entry, previous, hash, keys.current, keys.sign(hash))


def marked(name: MarkName, id: int, hash: str, keys: ChainKeys) -> Mark:
    """A signed mark at this record."""
    return Mark(name, id, hash, keys.current, keys.sign(_mark_text(name, id, hash)))


def is_signed(mark: Mark, keys: ChainKeys) -> bool:
    """Whether the mark was made with its key, which must be known."""
    return keys.is_ours(mark.key_id, _mark_text(mark.name, mark.id, mark.hash), mark.signature)


def hash_of(entry: Entry, id: int, previous: str) -> str:
    """SHA-256 over a record's fields, its place and the hash before it, as hex digits."""
    fields = [
        previous,
        id,
        entry.at,
        entry.kind,
        entry.company_id,
        entry.actor,
        entry.target,
        entry.reason,
        entry.facts,
        entry.node,
    ]
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _mark_text(name: MarkName, id: int, hash: str) -> str:
    return f"{name} {id} {hash}"


def _signature(secret: bytes, text: str) -> str:
    return hmac.digest(secret, text.encode(), "sha256").hex()
