"""The life of one request for a PIN, as values: time and what was typed come in, nothing is looked up.

    requested → sent → failed×n → used | void | expired

`requested` is also where a request stays whose address belongs to nobody who may have a PIN: it behaves as all others
do, and no PIN is ever right. The store does the same in SQL; the tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Where a request is."""

    REQUESTED = "requested"
    SENT = "sent"
    USED = "used"
    VOID = "void"
    EXPIRED = "expired"


class Seen(StrEnum):
    """What happens to it."""

    SENT = "sent"
    ASKED_AGAIN = "asked again"
    SENT_AGAIN = "sent again"
    WRONG = "wrong"
    LAST_WRONG = "last wrong"
    RIGHT = "right"
    OUT_OF_TIME = "out of time"


_AGAIN = {Seen.ASKED_AGAIN: State.REQUESTED, Seen.SENT_AGAIN: State.SENT}

TRANSITIONS: Mapping[State, Mapping[Seen, State]] = {
    State.REQUESTED: {
        Seen.SENT: State.SENT,
        Seen.WRONG: State.REQUESTED,
        Seen.LAST_WRONG: State.VOID,
        Seen.OUT_OF_TIME: State.EXPIRED,
    }
    | _AGAIN,
    State.SENT: {
        Seen.WRONG: State.SENT,
        Seen.LAST_WRONG: State.VOID,
        Seen.RIGHT: State.USED,
        Seen.OUT_OF_TIME: State.EXPIRED,
    }
    | _AGAIN,
    State.VOID: _AGAIN,
    State.EXPIRED: _AGAIN,
    State.USED: {},
}
"""Whatever is over but for its use may be given another PIN, as long as sending again is allowed."""

MOST_BACKWARDS_S = 60
"""A clock that stands further before a request's beginning, or its PIN's, is not believed."""
MOST_LIFETIME_S = 600
"""No PIN is good for longer, so one that would be is of a time that has not come."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator decides. Times in seconds."""

    lifetime_s: int = 600
    tries: int = 5
    first_wait_s: int = 60
    sends: int = 5

    def wait_s(self, sends: int) -> int:
        """How long after so many PINs of a request the next may be asked for: doubling."""
        return self.first_wait_s << min(sends - 1, 20)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Times are Unix seconds."""

    state: State
    is_real: bool
    """There is somebody to whom the PIN was sent."""
    created_at: int
    expires_at: int
    tries_left: int
    sends: int
    next_send_at: int

    @classmethod
    def begun(cls, now: int, rules: Rules, *, is_real: bool) -> Request:
        """A request whose first PIN was just made."""
        state = TRANSITIONS[State.REQUESTED][Seen.SENT] if is_real else State.REQUESTED
        return cls(state, is_real, now, now + rules.lifetime_s, rules.tries, 1, now + rules.wait_s(1))

    def at(self, now: int) -> Request:
        """The same by this time."""
        in_time = (
            self.created_at - MOST_BACKWARDS_S <= now < self.expires_at
            and self.expires_at <= now + MOST_LIFETIME_S + MOST_BACKWARDS_S
        )
        following = TRANSITIONS[self.state]
        if in_time or Seen.OUT_OF_TIME not in following:
            return self
        return replace(self, state=following[Seen.OUT_OF_TIME])

    def is_open(self, now: int) -> bool:
        """A PIN may be tried."""
        return Seen.WRONG in TRANSITIONS[self.at(now).state]

    def tried(self, now: int, *, is_right: bool) -> tuple[Request, bool]:
        """After somebody typed a PIN; and whether it lets them through. What is not open is not judged."""
        if not self.is_open(now):
            return self, False
        spent = replace(self, tries_left=self.tries_left - 1)
        if is_right and self.is_real:
            return replace(spent, state=TRANSITIONS[self.state][Seen.RIGHT]), True
        seen = Seen.WRONG if spent.tries_left else Seen.LAST_WRONG
        return replace(spent, state=TRANSITIONS[self.state][seen]), False

    def may_send(self, now: int, rules: Rules) -> bool:
        """Another PIN may be made."""
        return (
            self.state is not State.USED
            and self.sends < rules.sends
            and self.created_at - MOST_BACKWARDS_S <= now
            and now >= self.next_send_at
        )

    def sent_again(self, now: int, rules: Rules) -> Request:
        """Another PIN in the place of the one before, which is worth nothing from now on."""
        if not self.may_send(now, rules):
            return self
        sends = self.sends + 1
        seen = Seen.SENT_AGAIN if self.is_real else Seen.ASKED_AGAIN
        return Request(
            TRANSITIONS[self.state][seen],
            self.is_real,
            self.created_at,
            now + rules.lifetime_s,
            rules.tries,
            sends,
            now + rules.wait_s(sends),
        )

    def held_back(self, now: int, rules: Rules) -> Request:
        """It looks as if another PIN had been sent, and none was: nothing to guess, no try given back."""
        if not self.may_send(now, rules):
            return self
        sends = self.sends + 1
        return replace(self, sends=sends, next_send_at=now + rules.wait_s(sends))
