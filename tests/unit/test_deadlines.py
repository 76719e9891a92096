"""How long a connection may take to log in."""

from typing import Any, cast

from rainbow_xmpp.transport.deadlines import Deadlines


class Link:
    is_out = False

    def timed_out(self) -> None:
        self.is_out = True


def sweep(deadlines: Deadlines, times: int) -> None:
    for _ in range(times):
        deadlines.sweep()


def test_who_was_given_time_has_it_once() -> None:
    deadlines, links = Deadlines(30), [cast(Any, Link()) for _ in range(3)]
    for link in links:
        deadlines.add(link)
    plain, patient, gone = links
    sweep(deadlines, 10)
    deadlines.extend(patient, 600)
    deadlines.extend(gone, 600)
    sweep(deadlines, 21)
    assert [link.is_out for link in links] == [True, False, False]
    assert (len(deadlines), deadlines.waiting) == (2, [patient, gone])
    deadlines.discard(gone)
    sweep(deadlines, 500)
    deadlines.extend(patient, 600)
    deadlines.extend(plain, 600)
    sweep(deadlines, 79)
    assert not patient.is_out
    sweep(deadlines, 1)
    assert (patient.is_out, gone.is_out, len(deadlines)) == (True, False, 0)
