"""`[log]`, `[observe]`, `[tracing]`, `[audit]`: what the server tells about itself."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from urllib.parse import urlsplit

from rainbow_xmpp.config.declare import Complaints, key


class LogLevel(StrEnum):
    """From which level on the log shows an event."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    HUMAN = "human"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """[log]: what the server writes to standard error. Never bodies, passwords or tokens."""

    level: LogLevel = key(LogLevel.INFO, "debug, info, warning or error.", reload="live")  # noqa: RUF009
    format: LogFormat = key(  # noqa: RUF009
        LogFormat.HUMAN, "human for reading, json for machines (one object a line).", reload="live"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """[observe]: how closely the server looks at itself."""

    stall_ms: int = key(
        500,
        "When the event loop stands still for so many milliseconds, the log says where. 0 = off.",
        ge=0,
        le=60_000,
        reload="live",
    )

    def problems(self) -> Complaints:
        if 0 < self.stall_ms < 50:
            yield "stall_ms", f"is {self.stall_ms}; 50 or more are allowed, or 0 = off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """[tracing]: the way of some stanzas, for OpenTelemetry. Identifiers and times, no content."""

    enabled: bool = key(False, "Send traces. It needs more packages: pip install 'rainbow-xmpp[tracing]'.")
    endpoint: str = key(
        "http://127.0.0.1:4318/v1/traces", "Where the collector takes OTLP over HTTP, with its path."
    )
    sample: float = key(
        0.01, "Which share of the stanzas is traced; 1.0 is all of them.", ge=0.000_01, le=1.0
    )
    service_name: str = key("rainbow-xmpp", "What this server is called in the traces.")

    def problems(self) -> Complaints:
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            yield "endpoint", f'is "{self.endpoint}"; give a URL such as http://127.0.0.1:4318/v1/traces'
        if self.enabled and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            yield "enabled", "needs more packages: pip install 'rainbow-xmpp[tracing]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """[audit]: the record of who changed what (rainbow-xmpp audit show)."""

    logins: bool = key(False, "Record every login that succeeds, too.", reload="live")
    keep_days: int = key(
        0,
        "Days after which records are dropped; the rest stays verifiable. 0 = never.",
        ge=0,
        le=36_500,
        reload="live",
    )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent
        return False
