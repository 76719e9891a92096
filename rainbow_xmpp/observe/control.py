"""The control socket: how commands on the same machine ask the running server, and tell it things.

A UNIX socket beside `run.pid`, for the server's own user and root only: the file's mode says so, and each peer is
asked who it is (SO_PEERCRED). One JSON object a line in each direction:

    {"do": "status"}    →    {"ok": true, "result": {…}}
    {"do": "dance"}     →    {"ok": false, "error": "…"}
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from rainbow_xmpp.errors import RainbowError

log = logging.getLogger(__name__)

SOCKET = "run.sock"
MAX_LINE = 65_536
MAX_PEERS = 16
PATIENCE_S = 60.0
"""A peer that says nothing for so long is let go; an answer may take as long."""
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

Request = Mapping[str, object]
Action = Callable[[Request], Awaitable[object]]
"""Does what a request asks for; what it returns is shown as JSON, a RainbowError is told to the peer."""


class NotRunning(RainbowError):
    """Nobody answers on the control socket."""


class NotDone(RainbowError):
    """The running server refused a request; the message is its own."""


def ask(folder: Path, do: str, *, timeout_s: float = 5.0, **details: object) -> object:
    """What the server of this folder answers. Raises NotRunning and NotDone. Blocks: for commands."""
    path = folder / SOCKET
    request = json.dumps({"do": do, **details}) + "\n"
    try:
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as reader:
            sock.settimeout(timeout_s)
            sock.connect(str(path))
            sock.sendall(request.encode())
            line = reader.readline()
    except TimeoutError:
        raise NotRunning(f"the server at {path} does not answer; is it stuck? its log may tell") from None
    except PermissionError:
        raise NotRunning(f"{path} is for the server's own user and root") from None
    except (BrokenPipeError, ConnectionResetError):
        line = b""
    except OSError:
        raise NotRunning(f"no server is running here: nobody answers at {path}") from None
    if not line:
        raise NotRunning(f"the server at {path} hung up: it answers its own user and root only")
    answer = json.loads(line)
    if not answer["ok"]:
        raise NotDone(answer["error"])
    result: object = answer["result"]
    return result


class ControlSocket:
    """The server's end. `on` says what it can do; `open` and `close` it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SOCKET
        self._actions: dict[str, Action] = {}
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()

    def on(self, do: str, action: Action) -> None:
        """Answer these requests by this action."""
        self._actions[do] = action

    async def open(self) -> None:
        """Listen. That it cannot be done is logged: the server runs without it."""
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            sock = _listening(self._path)
        except OSError as error:
            log.warning("no control socket at %s, so status and reload cannot ask: %s", self._path, error)
            return
        self._server = await asyncio.start_unix_server(self._met, sock=sock, limit=MAX_LINE)

    async def close(self) -> None:
        """Let go of every peer and of the file."""
        if self._server is None:
            return
        self._path.unlink(missing_ok=True)
        self._server.close()
        self._server = None
        for peer in self._peers:
            peer.cancel()
        if self._peers:
            await asyncio.wait(self._peers)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._peers) >= MAX_PEERS or not _is_allowed(writer.get_extra_info("socket")):
            writer.close()
            return
        self._peers.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, TimeoutError, ValueError):  # gone, silent, or a line that does not end
            pass
        except asyncio.CancelledError:
            pass  # the server closes, and nobody awaits this task but `close`
        finally:
            self._peers.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await asyncio.wait_for(reader.readline(), PATIENCE_S):
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._answer(line)
            writer.write(json.dumps(answer, default=str).encode() + b"\n")
            await asyncio.wait_for(writer.drain(), PATIENCE_S)

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except ValueError:
            return _refusal("not JSON")
        action = self._actions.get(str(request.get("do"))) if isinstance(request, dict) else None
        if action is None:
            return _refusal(f"not one of: {', '.join(sorted(self._actions))}")
        try:
            return {"ok": True, "result": await action(request)}
        except RainbowError as error:
            return _refusal(str(error))
        except TimeoutError:
            return _refusal("it took too long")
        except Exception:
            log.exception("a request on the control socket failed")
            return _refusal("the server failed at it; its log has the traceback")


def _refusal(why: str) -> dict[str, object]:
    return {"ok": False, "error": why}


def _listening(path: Path) -> socket.socket:
    """A socket with a file that only our user may open. OSError when another server has it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(str(path)) == 0:
                raise OSError("another server answers there")
        path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
        sock.listen(MAX_PEERS)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _is_allowed(sock: socket.socket) -> bool:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return uid in (0, os.getuid())
