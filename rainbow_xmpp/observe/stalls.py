"""Notices when the event loop stands still, says where, and measures how late it usually is.

A handler that does not wait has no deadline that could end it: whoever computes for a second in the loop keeps
everybody waiting. A thread beside the loop sees that the loop's beat is missing and looks at what the loop's thread
is doing. It costs ten wake-ups a second, and nothing for each stanza.
"""

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from rainbow_xmpp.observe.histogram import Histogram
from rainbow_xmpp.observe.metrics import Counters

log = logging.getLogger(__name__)

BEAT_S = 0.1
FRAMES = 12
_ROOT = Path(__file__).parents[2]


class StallWatch:
    """Watches the loop it is started in. Everything shown of the stack is file, line and function."""

    def __init__(self, threshold_s: float, counters: Counters, lag: Histogram) -> None:
        """`threshold_s`: from when on the log is told; 0 measures the lag only."""
        self.threshold_s = threshold_s
        self._counters = counters
        self._lag = lag
        self._due = 0.0
        self._reported = 0.0
        """The beat that was missing when the stall was told; each is told once."""
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)
        self._watched = 0
        self.last: dict[str, object] | None = None
        """The newest stall: when (Unix time), and where."""

    def start(self) -> None:
        """Begin, in the loop's thread."""
        self._watched = threading.get_ident()
        self._expect_beat()
        self._thread.start()

    def stop(self) -> None:
        """End; call it in the loop's thread."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
            self._thread.join()

    # -- in the loop -----------------------------------------------------------------------------------

    def _expect_beat(self) -> None:
        self._due = time.monotonic() + BEAT_S
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        late_s = max(0.0, time.monotonic() - self._due)
        self._lag.observe(late_s)
        if 0 < self.threshold_s <= late_s:
            self._counters.loop_stalls += 1
            log.warning("the event loop stood still for %d ms", late_s * 1000)
        self._expect_beat()

    # -- in the thread beside it -----------------------------------------------------------------------

    def _watch(self) -> None:
        last_look = time.monotonic()
        while not self._ended.wait(self._pause_s()):
            now, before, last_look = time.monotonic(), last_look, time.monotonic()
            was_asleep = now - before > self._pause_s() + max(
                self.threshold_s, 1.0
            )  # the machine, or a signal
            if self.threshold_s and not was_asleep and now - self._due >= self.threshold_s:
                self._tell()

    def _pause_s(self) -> float:
        return min(max(self.threshold_s / 4, 0.02), 1.0) if self.threshold_s else 1.0

    def _tell(self) -> None:
        due = self._due
        if due == self._reported:
            return
        self._reported = due
        frame = sys._current_frames().get(self._watched)
        where = stack_of(frame) if frame is not None else "nowhere"
        self.last = {"at": time.time(), "where": where.partition(" < ")[0]}
        log.warning(
            "the event loop stands still in %s", where, extra={"for_ms": int(self.threshold_s * 1000)}
        )


def stack_of(frame: FrameType) -> str:
    """The innermost frames, innermost first, without a word of what they work on."""
    found: list[str] = []
    walk: FrameType | None = frame
    while walk is not None and len(found) < FRAMES:
        code = walk.f_code
        found.append(f"{_short(code.co_filename)}:{walk.f_lineno} {code.co_name}")
        walk = walk.f_back
    return " < ".join(found)


def _short(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(_ROOT):
        return str(path.relative_to(_ROOT)).partition("site-packages/")[2] or str(path.relative_to(_ROOT))
    return "/".join(path.parts[-2:])
