"""A small web server for the page with Converse: another origin than the chat server's."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests import setup_clients


class _Files(SimpleHTTPRequestHandler):
    """Converse's files under /dist/, the page everywhere else."""

    def translate_path(self, path: str) -> str:
        if path.startswith("/dist/"):
            return super().translate_path(path)
        return str(setup_clients.INTEROP / "node/converse.html")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(listener: socket.socket) -> Iterator[None]:
    """Answers requests on this listening socket."""
    root: Path = setup_clients.node_drivers().parent / "node_modules/converse.js"
    server = ThreadingHTTPServer(
        listener.getsockname()[:2], partial(_Files, directory=str(root)), bind_and_activate=False
    )
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
