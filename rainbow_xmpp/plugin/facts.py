"""What a gate must know at once: facts about accounts or companies, kept in memory and read when they are asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from rainbow_xmpp.store.batch import Batcher

MOST_AT_HAND = 50_000
BATCH = 256
"""So many subjects are read with one question."""


class Subject(Hashable, Protocol):
    """Whom facts are about, such as an account or a company."""

    @property
    def id(self) -> str: ...


S = TypeVar("S", bound=Subject)
V = TypeVar("V")


class Facts(Generic[S, V]):
    """One fact for each subject. A handler of `admit` or `gate` looks into `at_hand`, and fetches what is not there:

        @hook(Stage.GATE)
        def only_friends(self, p: Passage) -> Awaitable[object] | None:
            friends = self._friends.at_hand.get(p.recipient.id)
            if friends is None:
                return self._friends.fetch(p.recipient)
            if p.sender.id not in friends:
                raise StanzaError(Condition.SERVICE_UNAVAILABLE)
            return None

    Whoever writes tells it by `learn`. What was written elsewhere is known after the next `renew`, which a job of the
    plugin calls. While the database is away, what is at hand goes on to count.
    """

    def __init__(
        self,
        read: Callable[[Sequence[S]], Awaitable[Mapping[str, V]]],
        *,
        otherwise: V,
        most: int = MOST_AT_HAND,
    ) -> None:
        """`read` finds the facts of several subjects, by their ids; for who is missing there it is `otherwise`."""
        self.at_hand: dict[str, V] = {}
        """By the subject's id; to be read."""
        self._read = read
        self._otherwise = otherwise
        self._most = most
        self._reading: Batcher[S, V] = Batcher(self._read_batch, most=BATCH)
        self._forgotten = 0

    async def fetch(self, subject: S) -> V:
        """The fact, from memory or from where it is kept; from then on it is at hand."""
        while True:
            known = self.at_hand.get(subject.id)
            if known is not None:
                return known
            forgotten = self._forgotten
            found = await self._reading.get(subject)
            assert found is not None, "everybody has a fact"
            if forgotten == self._forgotten:  # or else what was read may be out of date already
                return self._keep(subject.id, found)

    async def fetch_many(self, subjects: Iterable[S]) -> None:
        """Have the facts of all these at hand, by one question for those that are not; a few may be forgotten anew."""
        forgotten = self._forgotten
        found = await self._reading.get_many(each for each in subjects if each.id not in self.at_hand)
        if forgotten == self._forgotten:
            for subject, fact in found.items():
                self._keep(subject.id, fact)

    def learn(self, subject: S, fact: V) -> None:
        """It was written, and is so from now on."""
        self.at_hand[subject.id] = fact

    def forget(self, subject_id: str) -> None:
        """It may have changed, or nobody will ask again."""
        self._forgotten += 1
        self.at_hand.pop(subject_id, None)

    async def renew(self, in_use: Iterable[S]) -> None:
        """Read anew what is at hand about these, and forget the rest."""
        subjects = [subject for subject in in_use if subject.id in self.at_hand]
        for start in range(0, len(subjects), BATCH):
            batch = subjects[start : start + BATCH]
            before = {subject.id: self.at_hand.get(subject.id) for subject in batch}
            found = await self._read_batch(batch)
            for subject in batch:
                if self.at_hand.get(subject.id) is before[subject.id]:  # nobody has written it meanwhile
                    self.at_hand[subject.id] = found[subject]
        self._forgotten += 1
        for unused in self.at_hand.keys() - {subject.id for subject in subjects}:
            del self.at_hand[unused]

    async def close(self) -> None:
        """Wait for what is being read."""
        await self._reading.close()

    def _keep(self, subject_id: str, found: V) -> V:
        if len(self.at_hand) >= self._most:
            for oldest in list(islice(self.at_hand, max(1, self._most // 10))):
                del self.at_hand[oldest]
        return self.at_hand.setdefault(subject_id, found)

    async def _read_batch(self, subjects: Sequence[S]) -> dict[S, V]:
        found = await self._read(subjects)
        return {subject: found.get(subject.id, self._otherwise) for subject in subjects}
