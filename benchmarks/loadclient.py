"""Drives the load client: one command at a time, one result for each."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from benchmarks.errors import BenchError
from benchmarks.plan import CLIENT_CORE, DOMAIN, WEBSOCKET_PATH

Result = dict[str, Any]


class LoadClient:
    """A running client; it lives through restarts of its server, and so keeps what PBKDF2 gave it."""

    def __init__(self, program: Path, accounts: Path, seed: int, progress: Callable[[str], None]) -> None:
        command = [str(program), "127.0.0.1", DOMAIN, WEBSOCKET_PATH, str(accounts), str(seed)]
        self._progress = progress
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C is the runner's to answer
        )
        if os.cpu_count() and CLIENT_CORE in os.sched_getaffinity(0):
            os.sched_setaffinity(self._process.pid, {CLIENT_CORE})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def run(self, command: str, *arguments: object) -> Result:
        """Runs one command to its end. Raises BenchError when the client is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = " ".join(map(str, (command, *arguments)))
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(f"the load client ended before {line!r}") from None
        for answer in self._process.stdout:
            result: Result = json.loads(answer)
            if "progress" not in result:
                return result
            self._progress(f"{command} {result['progress']:,} of {result['of']:,}")
        raise BenchError(f"the load client ended during {line!r}")

    def must(self, command: str, *arguments: object) -> Result:
        """Like `run`, for the steps that have to succeed before anything can be measured."""
        result = self.run(command, *arguments)
        if result["done"] < result["target"] or result["failed"]:
            why = result["why"] or "no reason given"
            raise BenchError(f"{command}: {result['done']} of {result['target']} ({why})")
        return result
