"""The control socket: who may ask the running server, and what a bad request does to it."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.observe import control
from rainbow_xmpp.observe.control import ControlSocket, NotDone, NotRunning, ask


async def echo(request: Mapping[str, object]) -> object:
    return {"said": request.get("word")}


async def refuse(request: Mapping[str, object]) -> object:
    raise RainbowError("not today")


async def stumble(request: Mapping[str, object]) -> object:
    raise ZeroDivisionError


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    made = ControlSocket(tmp_path)
    for name, action in (("echo", echo), ("refuse", refuse), ("stumble", stumble)):
        made.on(name, action)
    await made.open()
    yield tmp_path
    await made.close()


async def asked(folder: Path, do: str, **details: object) -> object:
    return await asyncio.to_thread(ask, folder, do, **details)  # type: ignore[arg-type]


async def test_a_request_is_answered(folder: Path) -> None:
    assert await asked(folder, "echo", word="hello") == {"said": "hello"}


async def test_a_refusal_is_told_in_the_servers_words(folder: Path) -> None:
    with pytest.raises(NotDone, match="not today"):
        await asked(folder, "refuse")
    with pytest.raises(NotDone, match="echo, refuse, stumble"):
        await asked(folder, "dance")


async def test_a_fault_is_logged_and_the_socket_goes_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotDone, match="traceback"):
        await asked(folder, "stumble")
    assert "ZeroDivisionError" in caplog.text
    assert await asked(folder, "echo") == {"said": None}


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b"{}\n", b'{"do": ["echo"]}\n', b"null\n", b"\xff\n"], ids=repr
)
async def test_what_is_no_request_is_refused(folder: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(folder / control.SOCKET)
    writer.write(line)
    assert json.loads(await reader.readline())["ok"] is False
    writer.close()


async def test_a_line_without_end_is_cut_off(folder: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(folder / control.SOCKET)
    writer.write(b"x" * (2 * control.MAX_LINE))
    assert await reader.read() == b""
    writer.close()
    assert await asked(folder, "echo", word="still here") == {"said": "still here"}


async def test_so_many_peers_and_no_more(folder: Path) -> None:
    path = folder / control.SOCKET
    peers = [await asyncio.open_unix_connection(path) for _ in range(control.MAX_PEERS)]
    for reader, writer in peers:
        writer.write(b'{"do": "echo"}\n')
        assert await reader.readline()
    reader, writer = await asyncio.open_unix_connection(path)
    assert await reader.read() == b""
    for _, each in [*peers, (reader, writer)]:
        each.close()


async def test_only_the_servers_own_user_may_open_the_file(folder: Path) -> None:
    assert stat.S_IMODE((folder / control.SOCKET).stat().st_mode) == 0o600


async def test_another_user_is_not_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_is_allowed", lambda sock: False)
    with pytest.raises(NotRunning, match="its own user and root"):
        await asked(folder, "echo")


async def test_without_a_server_it_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no server is running here"):
        await asked(tmp_path, "status")


async def test_what_a_killed_server_left_behind_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / control.SOCKET))
    left.close()
    made = ControlSocket(tmp_path)
    made.on("echo", echo)
    await made.open()
    assert await asked(tmp_path, "echo", word=1) == {"said": 1}
    await made.close()
    assert not (tmp_path / control.SOCKET).exists()


async def test_a_second_server_leaves_the_first_one_its_socket(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    second = ControlSocket(folder)
    await second.open()
    assert "another server answers there" in caplog.text
    await second.close()
    assert await asked(folder, "echo", word=2) == {"said": 2}


async def test_a_folder_that_is_not_there_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = ControlSocket(tmp_path / "no" / "where")
    await made.open()
    assert "no control socket" in caplog.text
    await made.close()
