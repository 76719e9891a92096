"""JSON lines between a test and a client in a process of its own; the client's side, with nothing but Python.

Commands come in on stdin as `{"do": NAME, …}`, events go out on stdout as `{"event": NAME, …}`.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any


def emit(event: str, **fields: Any) -> None:
    """Tells the test that something happened."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


async def serve(commands: Mapping[str, Callable[..., Awaitable[None]]]) -> None:
    """Runs the test's commands one after another; returns when the test closes its end."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    emit("started")
    while line := await reader.readline():
        fields = json.loads(line)
        name = fields.pop("do")
        try:
            await commands[name](**fields)
            emit("done", what=name)
        except Exception as error:
            logging.exception("%s failed", name)
            emit("failed", what=name, reason=str(error))
