"""Walking the audit chain from its beginning to its end, to the first place where it is not what was written."""

from dataclasses import dataclass
from enum import StrEnum

from rainbow_xmpp.store.audit_chain import GENESIS, ChainKeys, Mark, MarkName, Record, hash_of, is_signed


class Damage(StrEnum):
    """What happened to a chain."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    REPLACED = "replaced"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Break:
    """The first broken place: the id of the record there and a sentence for the administrator."""

    id: int
    damage: Damage
    text: str


class ChainCheck:
    """Sees the records in the order of their ids. Each method returns the break it found, or None.

    `pruned` is the mark at which the chain begins, None when nothing was ever dropped. `unjudged` counts
    records whose key is not known; each is still held by the hashes of the records after it.
    """

    def __init__(self, keys: ChainKeys, pruned: Mark | None) -> None:
        self._keys = keys
        self._pruned = pruned
        self.id = pruned.id if pruned else 0
        self.hash = pruned.hash if pruned else GENESIS
        self.records = 0
        self.unjudged = 0

    def begin(self) -> Break | None:
        """Judge the mark at the beginning."""
        return self._judge_mark(self._pruned) if self._pruned else None

    def see(self, record: Record) -> Break | None:
        """Judge the next record."""
        broken = self._judge(record)
        self.id, self.hash = record.id, record.hash
        self.records += 1
        return broken

    def end(self, head: Mark | None) -> Break | None:
        """Judge the end, after the last record."""
        if head is None:
            return self._headless() if self.id else None
        if broken := self._judge_mark(head):
            return broken
        if head.id > self.id:
            missing = head.id - self.id
            text = f"the log ends with record {self.id}, but {missing} more were written after it"
            return Break(self.id, Damage.TRUNCATED, text)
        if head.id < self.id:
            text = f"the last record that the server wrote is {head.id}; what follows was put there"
            return Break(head.id + 1, Damage.INSERTED, text)
        if head.hash != self.hash:
            return Break(self.id, Damage.REPLACED, f"record {self.id} is not the one that was written last")
        return None

    def _judge(self, record: Record) -> Break | None:
        if record.id > self.id + 1:
            first, last = self.id + 1, record.id - 1
            which = f"record {first} is" if first == last else f"records {first} to {last} are"
            return Break(first, Damage.MISSING, f"{which} missing")
        if hash_of(record.entry, record.id, record.previous) != record.hash:
            return Break(record.id, Damage.CHANGED, f"record {record.id} was changed after it was written")
        if record.previous == GENESIS != self.hash:
            text = f"when record {record.id} was written, the end of the log before it could not be trusted"
            return Break(record.id, Damage.REPLACED, text)
        if record.previous != self.hash:
            text = f"record {record.id} does not follow what stands before it: record {self.id} was replaced"
            return Break(record.id, Damage.REPLACED, text)
        if not self._keys.knows(record.key_id):
            self.unjudged += 1
        elif not self._keys.is_ours(record.key_id, record.hash, record.signature):
            text = f"record {record.id} was not signed by a server: it was inserted or written anew"
            return Break(record.id, Damage.INSERTED, text)
        return None

    def _judge_mark(self, mark: Mark) -> Break | None:
        """Both ends need a key that is known, or else somebody could write a whole log under one of their own."""
        place = "head" if mark.name is MarkName.HEAD else "beginning"
        if not self._keys.knows(mark.key_id):
            text = f"the mark of the log's {place} is signed under the key {mark.key_id}, which is not configured"
            return Break(mark.id, Damage.UNSIGNED, text)
        if is_signed(mark, self._keys):
            return None
        return Break(mark.id, Damage.CHANGED, f"the mark of the log's {place} was not written by a server")

    def _headless(self) -> Break:
        text = "the mark of the log's head is gone, so the end may have been cut off"
        return Break(self.id, Damage.TRUNCATED, text)
