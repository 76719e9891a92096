"""`make fuzz`: the XML layer and the configuration loader, each in a process of its own, for minutes or for a night.

Prints how far it has come, and at the end a line for each. Ends with 1 at the first fault; what it prints then is
enough to repeat it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.security import fuzz_config, fuzz_xml

SLICE_S = 15.0
Run = Callable[..., tuple[int, int]]
PARTS: Mapping[str, Run] = {"XML": fuzz_xml.run, "configuration": fuzz_config.run}
WHAT = {
    "XML": "stanzas, judged by both engines, expat and lxml; beside them streams cut into pieces",
    "configuration": "files, drop-ins and environments",
}


class Total:
    """What one part has come to."""

    def __init__(self) -> None:
        self.tried = self.accepted = 0

    def add(self, tried: int, accepted: int) -> None:
        self.tried += tried
        self.accepted += accepted

    def __str__(self) -> str:
        return f"{self.tried:,} tried, {self.accepted:,} accepted"


def fuzz(seconds: float, seed: int) -> int:
    """Slice after slice, each with a seed of its own; the exit code."""
    began = time.monotonic()
    totals = {part: Total() for part in PARTS}
    with ProcessPoolExecutor(len(PARTS)) as pool:

        def begin(part: str, slice_seed: int) -> Future[tuple[int, int]]:
            left_s = max(1.0, began + seconds - time.monotonic())
            return pool.submit(PARTS[part], slice_seed, seconds=min(SLICE_S, left_s))

        running = {begin(part, seed): (part, seed) for part in PARTS}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                part, slice_seed = running.pop(future)
                if (error := future.exception()) is not None:
                    print(f"FAULT in {part}, seed {slice_seed}: {error}", flush=True)
                    pool.shutdown(cancel_futures=True)
                    return 1
                totals[part].add(*future.result())
                elapsed_s = time.monotonic() - began
                print(f"{elapsed_s:6.0f} s  {part:<14}{totals[part]}", flush=True)
                if elapsed_s < seconds:
                    running[begin(part, slice_seed + 1)] = (part, slice_seed + 1)
    print("\nNo fault.")
    for part, total in totals.items():
        print(f"{part:<14}{total} ({WHAT[part]})")
    return 0


def main() -> int:
    """As long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000_000)
    options = parser.parse_args()
    print(f"seed {options.seed}, engines {[engine.SCANNER for engine in fuzz_xml.ENGINES]}", flush=True)
    return fuzz(options.seconds, options.seed)


if __name__ == "__main__":
    sys.exit(main())
