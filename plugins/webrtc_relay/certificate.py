"""The server's certificate, as the relay's process reads it: again when its files have changed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from rainbow_xmpp.plugins.webrtc_relay.streams import tls_context

log = logging.getLogger(__name__)


class CertificateFiles:
    """A certificate and its key. What cannot be read leaves what was read before."""

    def __init__(self, certificate: str, key: str) -> None:
        self.context: ssl.SSLContext | None = None
        """None: there is no certificate, so no TLS."""
        self._paths = (certificate, key)
        self._stamp: object = None
        self.look()

    def use(self, certificate: str, key: str) -> None:
        """Read these from now on."""
        self._paths = (certificate, key)
        self.look()

    def look(self) -> bool:
        """Read them if they are others than before; says whether there is another context."""
        if not all(self._paths):
            self.context = None
            return True
        try:
            stamp = (self._paths, *(_stamp(path) for path in self._paths))
            if stamp == self._stamp:
                return False
            self.context = tls_context(*self._paths)
        except OSError as error:
            log.warning("the relay cannot read the certificate: %s", error.strerror or error)
            return False
        self._stamp = stamp
        return True


def _stamp(path: str) -> tuple[int, int, int]:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
