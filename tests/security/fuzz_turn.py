"""Fuzzing of the relay's control plane: messages right and wrong, signed and not, against all that must hold.

`python -m tests.security.fuzz_turn --minutes 10` runs on until a fault is found or the time is over;
`tests/plugins/webrtc_relay/test_fuzz.py` runs a short, seeded piece of it.
"""

import argparse
import sys
import time

from tests.plugins.webrtc_relay.fuzzing import TurnFuzzer

REPORT_S = 10.0
STEPS_OF_ONE_WORLD = 20_000


def main(minutes: float, seed: int) -> int:
    """Fuzz for so long; the exit code."""
    began = reported = time.monotonic()
    done = 0
    print(f"TURN: seed {seed}", flush=True)
    while time.monotonic() - began < minutes * 60:
        fuzzer = TurnFuzzer(seed)
        for _ in range(STEPS_OF_ONE_WORLD):
            try:
                fuzzer.step()
            except AssertionError as fault:
                print(f"TURN: seed {seed}, step {fuzzer.steps}: {fault}", flush=True)
                return 1
            done += 1
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                print(f"TURN: {done} messages, {reported - began:.0f} s", flush=True)
            if time.monotonic() - began > minutes * 60:
                break
        seed += 1
    print(f"TURN: {done} messages, no fault", flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.seed))
