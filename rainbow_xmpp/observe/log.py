"""The log: one line for each event, on standard error, for people or for machines.

What may stand in it: identifiers of accounts, companies, sessions and streams, conditions, counts, times.
What may not: message bodies, passwords, PINs, tokens, e-mail and network addresses. So libraries, which know
no such rule (one logs each peer's address, another each byte it reads), are heard from warnings on only.

Give details as `extra`, not in the text: `log.info("bound", extra={"stream": number, "account": id})`. Values are
shown by `str` for plain kinds and by `repr` for all others, so that a secret's type can hide it. These names
mean the same everywhere, so that what belongs together can be found:

    stream   the number of a client's connection, from 1 on since the server's start
    account  an account's id; company likewise
    plugin   whose handler it was
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from rainbow_xmpp.observe.tracebacks import traceback_lines

OURS = "rainbow_xmpp"

# What every record has; all else came from `extra`.
_USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}

# They write a line for whatever a peer does wrong: a stranger could fill the disk. With a traceback it is a
# fault of ours and is kept.
_TALK_OF_PEERS = ("aiofastnet",)


def set_up_log(level: str = "info", format: str = "human", stream: TextIO | None = None) -> None:
    """Send everything to `stream` (standard error) as `human` or `json` lines, ours from `level` on.

    Replaces what was set up before, so it may be called again after a reload. ValueError for other words.
    """
    formatters: dict[str, type[logging.Formatter]] = {"human": HumanFormatter, "json": JsonFormatter}
    if format not in formatters:
        raise ValueError(f'"{format}" is no format of the log; use human or json')
    # Nobody reads these; asking for them is half of what a record costs.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatters[format]())
    handler.addFilter(_worth_a_line)
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, logging.StreamHandler):  # what only counts stays
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    logging.captureWarnings(True)


class HumanFormatter(logging.Formatter):
    """`2026-11-23T16:14:00.123Z INFO    session bound session=5f3a (rainbow_xmpp.session)`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; the lines of a traceback follow it, indented."""
        parts = [_time_of(record), f"{record.levelname:<7}", _one_line(record.getMessage())]
        parts += [f"{name}={_one_line(str(value))}" for name, value in _details(record).items()]
        text = " ".join([*parts, f"({record.name})"])
        if error := _error_of(record):
            text += "".join(f"\n    {_one_line(line)}" for line in traceback_lines(error))
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the details, then `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event: dict[str, object] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event.update((name, value) for name, value in _details(record).items() if name not in event)
        if error := _error_of(record):
            event["exception"] = "\n".join(traceback_lines(error))
        return json.dumps(event, ensure_ascii=False)


def _worth_a_line(record: logging.LogRecord) -> bool:
    return bool(record.exc_info) or not record.name.startswith(_TALK_OF_PEERS)


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _details(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: value if isinstance(value, str | int | float | bool | None) else repr(value)
        for name, value in vars(record).items()
        if name not in _USUAL
    }


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    """The text with everything escaped that could begin a line or steer a terminal: no forged entries."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
