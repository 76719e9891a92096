"""`make fuzz`: the XML layer, the configuration loader and the relay, each in a process of its own.

All say now and then how far they are, and in the end what they came to. The exit code is 1 when one of them found a
fault; what it printed is enough to see it again.
"""

import argparse
import subprocess
import sys
import time

PARTS = ("fuzz_xml", "fuzz_config", "fuzz_turn")


def main(minutes: float, seed: int) -> int:
    """Fuzz for so long; the exit code."""
    options = ("--minutes", str(minutes), "--seed", str(seed))
    running = [subprocess.Popen([sys.executable, "-m", f"tests.security.{part}", *options]) for part in PARTS]
    try:
        return max(process.wait() for process in running)
    finally:
        for process in running:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.seed))
