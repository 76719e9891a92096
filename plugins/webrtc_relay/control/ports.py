"""Which UDP ports relays get: at random, none that rests, none that the host uses (RFC 8656 §7.2)."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable

_TRIES = 24
_CHANCE_BYTES = 256
_MOST_BINDS = 64
"""So many ports in a row that something else holds, and there is none."""


class Ports:
    """The ports of one address. A port that was given back, or that the host refused, rests for two minutes.

    A peer that still sends to a call that is over must not reach the next one.
    """

    def __init__(self, ip: str, first: int, last: int, rest_s: int) -> None:
        self.ip = ip
        self.first = first
        self.last = last
        self._rest_s = rest_s
        self._busy: dict[int, str] = {}
        self._resting: deque[tuple[float, int]] = deque()
        self._of_user: dict[str, int] = {}
        self._chance = b""

    def held_by(self, userid: str) -> int:
        """How many ports are used up by this person, in use or resting."""
        return self._of_user.get(userid, 0)

    def take(
        self, userid: str, now: float, bind: Callable[[int], bool], *, even: bool = False, pair: bool = False
    ) -> int | None:
        """A port for which `bind` says yes, now busy; None when there is none.

        `even`: an even one; `pair`: the one above becomes busy too, and `bind` must see to both.
        """
        binds = 0
        for port in self._candidates(even or pair):
            if port in self._busy or (pair and (port + 1 > self.last or port + 1 in self._busy)):
                continue
            if binds == _MOST_BINDS:
                break
            binds += 1
            if bind(port):
                self._mark(port, userid)
                if pair:
                    self._mark(port + 1, userid)
                return port
            self._mark(port, "")
            self.give_back(port, now)
        return None

    def give_back(self, port: int, now: float) -> None:
        """It rests, and is free then."""
        if port in self._busy:
            self._resting.append((now + self._rest_s, port))

    def sweep(self, now: float) -> None:
        """Those that have rested are free."""
        resting = self._resting
        while resting and resting[0][0] <= now:
            userid = self._busy.pop(resting.popleft()[1])
            held = self._of_user.pop(userid) - 1
            if held:
                self._of_user[userid] = held

    def _mark(self, port: int, userid: str) -> None:
        self._busy[port] = userid
        self._of_user[userid] = self._of_user.get(userid, 0) + 1

    def _random(self) -> int:
        """32 bits that nobody can guess; the system is asked for many at a time."""
        if not self._chance:
            self._chance = os.urandom(_CHANCE_BYTES)
        taken, self._chance = self._chance[:4], self._chance[4:]
        return int.from_bytes(taken, "big")

    def _candidates(self, even: bool) -> Iterable[int]:
        """Some ports at random; when most are busy, all free ones from a random one on."""
        step = 2 if even else 1
        first = self.first + (self.first & 1 if even else 0)
        count = (self.last - first) // step + 1
        if count <= 0:
            return []
        if len(self._busy) * 4 < self.last - self.first:
            return (first + step * (self._random() % count) for _ in range(_TRIES))
        free = [port for port in range(first, self.last + 1, step) if port not in self._busy]
        turn = self._random() % len(free) if free else 0
        return free[turn:] + free[:turn]
