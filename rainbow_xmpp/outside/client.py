"""The HTTP client for them: only to public addresses, and to the very address that was judged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.outside.addresses import is_public

MOST_READ = 1024
"""Bytes of an answer's body that are taken in; nobody looks at them."""

MOST_DIGITS = 9
"""Of a time to wait."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
Permits = Callable[[str], bool]


class NotReached(RainbowError):
    """No answer came; says why in a word, with nothing in it that the other side wrote."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer."""

    status: int
    retry_after_s: int | None = None
    """What it asks for (RFC 9110 §10.2.3), where it gives seconds; None for a date, or for nothing."""


async def resolve(host: str) -> Sequence[str]:
    """The addresses of a name, as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Outside:
    """One HTTP client without cookies, proxies, redirects and reused connections.

    A name's addresses are all judged when it is resolved; one that is not permitted refuses them all. What is
    connected to is judged once more where the socket is made, so that no second question to the DNS, and no
    address that stands in a URL, gets past. Tests give other functions.
    """

    def __init__(
        self,
        *,
        resolve: Resolve = resolve,
        permits: Permits = is_public,
        tls: ssl.SSLContext | None = None,
        agent: str = "Rainbow",
    ) -> None:
        """`agent` is what they call themselves to whom they call."""
        self._resolver = _Resolver(resolve, permits)
        self._permits = permits
        self._tls = tls
        self._agent = agent
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Reached:
        """The answer. Raises NotReached."""
        try:
            async with self._client().post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                await answer.content.read(MOST_READ)
                return Reached(answer.status, _seconds(answer.headers.get("Retry-After", "")))
        except _Forbidden:
            raise NotReached("address-not-allowed") from None
        except TimeoutError:
            raise NotReached("timeout") from None
        except aiohttp.ClientConnectorCertificateError:
            raise NotReached("certificate") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotReached("no-connection") from None

    async def close(self) -> None:
        """Let go of every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                ssl=self._tls or ssl.create_default_context(),
                use_dns_cache=False,
                force_close=True,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=MOST_READ,
                headers={"User-Agent": self._agent, "Accept": "*/*"},
            )
        return self._session

    def _socket(self, found: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """A socket for an address that is about to be connected to."""
        family, kind, protocol, _, address = found
        if not self._permits(str(address[0])):
            raise _Forbidden
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setblocking(False)
        return made


def _seconds(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


class _Forbidden(Exception):
    """An address that is never connected to."""


class _Resolver(AbstractResolver):
    """Names to addresses, all of them permitted."""

    def __init__(self, resolve: Resolve, permits: Permits) -> None:
        self._resolve = resolve
        self._permits = permits

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = list(dict.fromkeys(await self._resolve(host)))
        if not addresses:
            raise OSError("no address")
        if not all(map(self._permits, addresses)):
            raise _Forbidden
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""
