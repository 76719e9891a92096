"""The steps of a probe and the time each one took."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rainbow_xmpp.errors import RainbowError

STEPS = ("connect", "stream", "auth", "bind", "message")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to log in, as whom, and which certificates to trust."""

    scheme: str
    url: str
    host: str
    port: int
    domain: str
    user: str
    password: str = field(repr=False)
    trust: ssl.SSLContext = field(repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A finished step and how long it took, in milliseconds."""

    name: str
    ms: float
    detail: str = ""


class ProbeFailed(RainbowError):
    """A step could not be finished; the text says why, for an administrator."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step


class Course:
    """Notes each step as it is finished; the clock starts at once."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._since = clock()
        self.steps: list[Step] = []
        self.jid = ""

    @property
    def next_step(self) -> str:
        """The step that is under way."""
        return STEPS[min(len(self.steps), len(STEPS) - 1)]

    @property
    def total_ms(self) -> float:
        """The time of all finished steps, in milliseconds."""
        return sum(step.ms for step in self.steps)

    def done(self, detail: str = "") -> None:
        """The step under way is finished."""
        now = self._clock()
        self.steps.append(Step(self.next_step, (now - self._since) * 1000, detail))
        self._since = now

    def failed(self, reason: str) -> ProbeFailed:
        """The step under way cannot be finished: raise what this returns."""
        return ProbeFailed(self.next_step, reason)


def why_unreachable(target: Target, error: BaseException) -> str:
    """What an error while connecting means to an administrator."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}; trust its authority with --ca FILE"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on {target.host} port {target.port}; is the server running?"
    if isinstance(error, OSError) and "Name or service not known" in str(error):
        return f"there is no host called {target.host}"
    return str(error) or type(error).__name__
