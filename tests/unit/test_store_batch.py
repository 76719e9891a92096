"""Natural batching."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from rainbow_xmpp.store.batch import Batcher


class Loads:
    """Remembers what was loaded together; each load waits until it is let go."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Semaphore(0)

    async def load(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.seen.append(list(keys))
        await self.gate.acquire()
        if self.error is not None:
            raise self.error
        return {key: key.upper() for key in keys if key != "missing"}

    async def begun(self, loads: int) -> None:
        while len(self.seen) < loads:
            await asyncio.sleep(0)


async def test_a_caller_who_comes_alone_is_served_at_once() -> None:
    loads = Loads()
    loads.gate.release()
    assert await Batcher(loads.load).get("a") == "A"
    assert loads.seen == [["a"]]


async def test_what_is_asked_for_during_a_load_goes_into_the_next_one_together() -> None:
    loads = Loads()
    batcher = Batcher(loads.load)
    first = asyncio.create_task(batcher.get("a"))
    await loads.begun(1)
    later = [asyncio.create_task(batcher.get(key)) for key in ("b", "c", "b", "missing")]
    await asyncio.sleep(0)
    loads.gate.release()
    loads.gate.release()
    assert await first == "A"
    assert await asyncio.gather(*later) == ["B", "C", "B", None]
    assert loads.seen == [["a"], ["b", "c", "missing"]]


async def test_a_key_asked_for_again_during_its_load_is_loaded_again() -> None:
    loads = Loads()
    batcher = Batcher(loads.load)
    first = asyncio.create_task(batcher.get("a"))
    await loads.begun(1)
    again = asyncio.create_task(batcher.get("a"))
    await asyncio.sleep(0)
    loads.gate.release()
    loads.gate.release()
    await asyncio.gather(first, again)
    assert loads.seen == [["a"], ["a"]]


async def test_a_load_has_no_more_than_so_many_keys() -> None:
    loads = Loads()
    for _ in range(3):
        loads.gate.release()
    batcher = Batcher(loads.load, most=2)
    found = await asyncio.gather(*(batcher.get(key) for key in "abcde"))
    assert found == list("ABCDE")
    assert [len(keys) for keys in loads.seen] == [2, 2, 1]


async def test_an_error_reaches_everyone_of_its_load_and_nobody_else() -> None:
    loads = Loads()
    loads.error = OSError("disk")
    batcher = Batcher(loads.load)
    failing = [asyncio.create_task(batcher.get(key)) for key in "ab"]
    loads.gate.release()
    assert [type(e) for e in await asyncio.gather(*failing, return_exceptions=True)] == [OSError, OSError]
    loads.error = None
    loads.gate.release()
    assert await batcher.get("a") == "A"


async def test_who_stops_waiting_takes_nothing_from_the_others() -> None:
    loads = Loads()
    batcher = Batcher(loads.load)
    gone = asyncio.create_task(batcher.get("a"))
    stays = asyncio.create_task(batcher.get("a"))
    await loads.begun(1)
    gone.cancel()
    loads.gate.release()
    assert await stays == "A"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_closing_waits_for_the_answers() -> None:
    loads = Loads()
    batcher = Batcher(loads.load)
    asked = asyncio.create_task(batcher.get("a"))
    await loads.begun(1)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    assert not closing.done()
    loads.gate.release()
    await closing
    assert await asked == "A"
