"""Whoever sends much waits for the others, and whoever reads nothing is not waited for."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.transport import port
from rainbow_xmpp.transport.link import Link
from rainbow_xmpp.transport.port import Mux
from rainbow_xmpp.transport.proxy_header import Arrival
from rainbow_xmpp.transport.reading import READ_BYTES


class Socket:
    """A transport that only knows whether it is read from, and whether it is there."""

    def __init__(self) -> None:
        self.is_read = True
        self.is_there = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def abort(self) -> None:
        self.is_there = False


class Sink(Link):
    """A link that takes whatever comes; it may be told to pause while it does."""

    __slots__ = ("pauses", "taken")

    def __init__(self, *, pauses: bool = False) -> None:
        self._transport = Socket()
        self._is_paused = self.is_closing = False
        self.taken = 0
        self.pauses = pauses

    def data_received(self, data: bytes) -> None:
        self.taken += len(data)
        if self.pauses:
            self.pause()

    @property
    def is_read(self) -> bool:
        return bool(self._transport.is_read)


async def test_after_a_full_read_others_have_their_turn() -> None:
    link = Sink()
    link.buffer_updated(READ_BYTES)
    assert not link.is_read
    await asyncio.sleep(0)
    assert link.is_read
    assert link.taken == READ_BYTES


async def test_after_a_small_read_it_goes_on_at_once() -> None:
    link = Sink()
    link.buffer_updated(READ_BYTES - 1)
    assert link.is_read


async def test_a_turn_does_not_end_the_pause_of_a_session_that_was_too_fast() -> None:
    link = Sink(pauses=True)
    link.buffer_updated(READ_BYTES)
    await asyncio.sleep(0)
    assert not link.is_read
    link.resume()
    assert link.is_read


async def test_a_pause_that_comes_during_the_turn_of_the_others_stays() -> None:
    link = Sink()
    link.buffer_updated(READ_BYTES)
    link.pause()
    await asyncio.sleep(0)
    assert not link.is_read


class Web:
    """An HTTP connection that is told to stop writing, and to go on."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


def web_connection() -> tuple[Any, Socket, Web]:
    shared: Any = SimpleNamespace(links=SimpleNamespace(counters=Counters()))
    mux, socket, web = Mux(shared, Arrival("127.0.0.1", 1)), Socket(), Web()
    mux._transport, mux._http = socket, web
    return mux, socket, web


async def test_answers_that_are_not_read_in_time_end_an_http_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port, "UNREAD_S", 0.01)
    mux, socket, web = web_connection()
    mux.pause_writing()
    async with asyncio.timeout(5):
        while socket.is_there:
            await asyncio.sleep(0.01)
    assert web.told == ["pause"]


async def test_who_reads_on_in_time_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "UNREAD_S", 0.01)
    mux, socket, web = web_connection()
    mux.pause_writing()
    mux.resume_writing()
    await asyncio.sleep(0.05)
    assert socket.is_there
    assert web.told == ["pause", "resume"]
