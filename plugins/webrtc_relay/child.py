"""Where the relay's process begins: `python child.py LINE DOOR UDP,… TCP,…`, file descriptors all of them.

The package itself would bring the whole server: database, HTTP and plugins, 60 MiB and most of a second. So it is
entered by its folder; what is imported from here on are the relay's own modules, which need nothing else of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import resource
import signal
import socket
import sys
import types
from pathlib import Path

_NAME = b"rainbow-relay"
_PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 15, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def enter_package() -> None:
    """Make `rainbow_xmpp.plugins.webrtc_relay` a package of this folder, without running what is in the others."""
    folders = {"rainbow_xmpp": [], "rainbow_xmpp.plugins": [], "rainbow_xmpp.plugins.webrtc_relay": [here()]}
    for name, folder in folders.items():
        module = types.ModuleType(name)
        module.__path__ = folder
        sys.modules[name] = module
    sys.path[:] = [path for path in sys.path if path != here()]


def here() -> str:
    """This folder."""
    return str(Path(__file__).resolve().parent)


def give_up_rights() -> None:
    """What it has and does not need; the server's own may be more (a privileged port). No core files: secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(OSError, AttributeError):
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_NAME, _NAME, 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def sockets(numbers: str) -> list[socket.socket]:
    """From descriptors, with commas between."""
    return [socket.socket(fileno=int(number)) for number in numbers.split(",") if number]


def main(argv: list[str]) -> int:
    """Serve until told to end, or the server is gone."""
    for number in (signal.SIGINT, signal.SIGHUP):  # these are for the server
        signal.signal(number, signal.SIG_IGN)
    give_up_rights()
    enter_package()
    from rainbow_xmpp.plugins.webrtc_relay.relayd import LineHandler, Relayd

    (line,), (door,), udp, tcp = map(sockets, argv)
    try:
        relay = Relayd(line, door, udp, tcp)
    except EOFError:
        return 0
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(LineHandler(relay.line))
    relay.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
