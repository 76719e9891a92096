"""The relay's place on the one port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from rainbow_xmpp.config import Config
from rainbow_xmpp.plugin.offers import Offer


class Look(NamedTuple):
    """One thing that `check turn` looked at."""

    is_good: bool | None
    """None: not known, or nothing to worry about."""
    text: str
    """In an administrator's words."""


class RelayDoor(Offer):
    """Takes connections to the one port whose clients speak STUN: by ALPN `stun.turn` (RFC 7443), or first byte."""

    @property
    def opens(self) -> bool:
        """It is open at times, by the configuration; otherwise nobody looks for such connections."""
        raise NotImplementedError

    @property
    def is_open(self) -> bool:
        """It takes any now. While it does not, there is nothing for them on this port."""
        raise NotImplementedError

    def pass_connection(
        self, sock: socket.socket, client: tuple[str, int], server: tuple[str, int], *, is_clear: bool
    ) -> bool:
        """Take this connection; the caller closes its own descriptor. False: it is not taken.

        `is_clear`: TLS is done by the caller, and what comes through this socket is plain; otherwise the client's
        handshake is the first that comes.
        """
        raise NotImplementedError

    def renew_certificate(self) -> None:
        """The server has another certificate, or other files of it (`Services.tls_files`): for new clients."""
        raise NotImplementedError

    @classmethod
    def look(cls, config: Config, options: Any) -> Iterator[Look]:
        """The relay as clients find it, for `check turn`; nothing of it needs to run in this process."""
        raise NotImplementedError
