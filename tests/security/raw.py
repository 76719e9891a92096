"""Connections on which a test says what it likes."""

import asyncio
import ssl
from typing import TypeAlias

AT_ONCE_S = 3.0
"""Within a second, that is; machines that run tests are busy."""

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def rest_of(reader: asyncio.StreamReader, timeout: float = AT_ONCE_S) -> bytes:
    """Everything until the server ends the connection."""
    async with asyncio.timeout(timeout):
        try:
            return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""
