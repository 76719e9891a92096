"""Facts for gates: at hand, fetched once, never older than what was written."""

import asyncio
from dataclasses import dataclass

from rainbow_xmpp.plugin import Facts


@dataclass(frozen=True)
class Someone:
    id: str


ANN, BOB = Someone("ann"), Someone("bob")


class Shelf:
    """Where facts are kept; a read can be made to wait."""

    def __init__(self, **kept: str) -> None:
        self.kept = kept
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read(self, subjects):
        self.asked.append([subject.id for subject in subjects])
        found = {subject.id: self.kept[subject.id] for subject in subjects if subject.id in self.kept}
        await self.may_answer.wait()
        return found


async def test_a_fact_is_read_once_and_at_hand_from_then_on():
    shelf = Shelf(ann="one")
    facts = Facts(shelf.read, otherwise="none")
    assert not facts.at_hand
    assert [await facts.fetch(ANN), await facts.fetch(ANN), await facts.fetch(BOB)] == ["one", "one", "none"]
    assert facts.at_hand == {"ann": "one", "bob": "none"}
    assert shelf.asked == [["ann"], ["bob"]]


async def test_who_asks_at_the_same_time_asks_together():
    shelf = Shelf()
    facts = Facts(shelf.read, otherwise="none")
    await asyncio.gather(*(facts.fetch(Someone(str(number))) for number in range(600)))
    assert sum(map(len, shelf.asked)) == 600
    assert len(shelf.asked) == 3


async def test_what_is_written_while_it_is_read_wins():
    shelf = Shelf(ann="old")
    shelf.may_answer.clear()
    facts = Facts(shelf.read, otherwise="none")
    fetching = asyncio.create_task(facts.fetch(ANN))
    while not shelf.asked:
        await asyncio.sleep(0)
    facts.learn(ANN, "new")
    shelf.may_answer.set()
    assert await fetching == "new"
    assert facts.at_hand == {"ann": "new"}


async def test_what_is_forgotten_while_it_is_read_is_read_again():
    shelf = Shelf(ann="old")
    shelf.may_answer.clear()
    facts = Facts(shelf.read, otherwise="none")
    fetching = asyncio.create_task(facts.fetch(ANN))
    while not shelf.asked:
        await asyncio.sleep(0)
    shelf.kept["ann"] = "new"
    facts.forget("ann")
    shelf.may_answer.set()
    assert await fetching == "new"


async def test_renewing_reads_what_is_in_use_and_forgets_the_rest():
    shelf = Shelf(ann="one", bob="two")
    facts = Facts(shelf.read, otherwise="none")
    await facts.fetch(ANN)
    await facts.fetch(BOB)
    shelf.kept["ann"] = "changed elsewhere"
    await facts.renew([ANN, Someone("carol")])
    assert facts.at_hand == {"ann": "changed elsewhere"}


async def test_what_is_written_while_it_is_renewed_stays():
    shelf = Shelf(ann="one")
    facts = Facts(shelf.read, otherwise="none")
    await facts.fetch(ANN)
    shelf.may_answer.clear()
    renewing = asyncio.create_task(facts.renew([ANN]))
    while len(shelf.asked) < 2:
        await asyncio.sleep(0)
    facts.learn(ANN, "written")
    shelf.may_answer.set()
    await renewing
    assert facts.at_hand == {"ann": "written"}


async def test_memory_is_bounded_and_the_oldest_goes_first():
    shelf = Shelf()
    facts = Facts(shelf.read, otherwise="none", most=20)
    for number in range(100):
        await facts.fetch(Someone(str(number)))
    assert len(facts.at_hand) <= 20
    assert "99" in facts.at_hand
