"""Differential fuzzing of the XML layer: both engines and the judge against each other and against lxml.

`python -m tests.security.fuzz_xml --minutes 10` runs on until a fault is found or the time is over; the test
beside this runs a short, seeded piece of it.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from rainbow_xmpp.xml.model import DEFAULT_LIMITS, XmlLimits
from tests.security.fuzz_checks import ENGINES, Fault, check, check_header
from tests.security.fuzz_corpus import CLIENT, CORPUS, OPEN, PREFIXES, Generator, mutate, transcoded
from tests.security.fuzz_streams import check_broken_stream, check_stream

REPORT_S = 10.0


def _mutated(rng: random.Random) -> bool:
    ns, prefixes = (CLIENT, PREFIXES) if rng.randrange(2) else ("", {})
    return check(mutate(rng, rng.choice(CORPUS)), ns, prefixes)


def _generated(rng: random.Random) -> bool:
    """Made to be sound, so it must be accepted; then broken a little."""
    inherited = rng.randrange(2)
    ns, prefixes = (CLIENT, PREFIXES) if inherited else ("", {})
    data = Generator(rng).element(frozenset(("x",)) if inherited else frozenset())
    if not check(data, ns, prefixes):
        raise Fault(f"{data!r} in {ns!r}: refused though it is sound")
    return check(mutate(rng, data), ns, prefixes)


def _limited(rng: random.Random) -> bool:
    """Limits so low that most inputs are near one of them."""
    data = rng.choice(CORPUS) if rng.randrange(2) else Generator(rng).element(frozenset())
    low = {
        "max_bytes": len(data) + rng.randint(-2, 2),
        "depth": rng.randint(1, 5),
        "elements": rng.randint(1, 12),
        "attributes": rng.randint(1, 6),
        "declarations": rng.randint(1, 4),
        "name_length": rng.randint(1, 12),
        "namespace_length": rng.randint(1, 45),
    }
    chosen = {name: value for name, value in low.items() if not rng.randrange(3)}
    limits: XmlLimits = replace(DEFAULT_LIMITS, **chosen)
    return check(data if rng.randrange(3) else mutate(rng, data), CLIENT, PREFIXES, limits)


def _transcoded(rng: random.Random) -> bool:
    return check(transcoded(rng, rng.choice(CORPUS)), CLIENT, PREFIXES)


def _header(rng: random.Random) -> bool:
    return check_header(mutate(rng, OPEN))


def _stream(rng: random.Random) -> bool:
    check_stream(rng)
    return True


def _broken_stream(rng: random.Random) -> bool:
    check_broken_stream(rng)
    return False


KINDS: tuple[tuple[int, Callable[[random.Random], bool]], ...] = (
    (40, _mutated),
    (20, _generated),
    (20, _limited),
    (2, _transcoded),
    (8, _header),
    (3, _stream),
    (7, _broken_stream),
)
"""What is tried, and how often in a hundred."""


class Progress:
    """How many inputs of each kind were tried, and how many of them accepted."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()

    def add(self, kind: str, accepted: bool) -> None:
        self.tried[kind] += 1
        self.accepted[kind] += accepted

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(self.tried.items()))
        return f"{self.tried.total():,} inputs ({kinds}), {self.accepted.total():,} accepted"


def rounds(seed: int, progress: Progress) -> Iterator[None]:
    """One input after the other, for ever; raises Fault with what must be tried again to see it."""
    rng = random.Random(seed)
    weights = [weight for weight, _ in KINDS]
    kinds = [kind for _, kind in KINDS]
    while True:
        kind = rng.choices(kinds, weights)[0]
        progress.add(kind.__name__.strip("_").replace("_", " "), kind(rng))
        yield


def run(seed: int, count: int) -> Progress:
    """Try so many inputs."""
    progress = Progress()
    for _, _ in zip(range(count), rounds(seed, progress), strict=False):
        pass
    return progress


def main(seconds: float, seed: int) -> int:
    """Fuzz for so long, saying now and then how far it is; 0 when no fault was found."""
    print(f"XML: seed {seed}, engines {', '.join(engine.SCANNER for engine in ENGINES)}", flush=True)
    progress = Progress()
    began = time.monotonic()
    report_at = began + REPORT_S
    try:
        for _ in rounds(seed, progress):
            now = time.monotonic()
            if now >= report_at:
                print(f"[{now - began:6.0f} s] {progress}", flush=True)
                report_at = now + REPORT_S
            if now - began >= seconds:
                break
    except Fault as fault:
        print(f"XML: FAULT with seed {seed} after {progress}: {fault}")
        return 1
    print(f"XML: {progress}, 0 faults in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    sys.exit(main(options.minutes * 60, options.seed))
