"""The way out for letters in tests: they stay here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

from rainbow_xmpp.mail.transports import HandOver, NotSent

PATIENCE_S = 60.0


class Mailbox:
    """Takes every letter."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self._came = asyncio.Event()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[HandOver]:
        async def keep(message: EmailMessage) -> NotSent | None:
            self.letters.append(message)
            self._came.set()
            return None

        yield keep

    async def next_to(self, address: str) -> str:
        """The subject and text of the next letter to an address, which is taken out; waits for it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for letter in self.letters:
                    if letter["To"] == address:
                        self.letters.remove(letter)
                        return f"{letter['Subject']}\n\n{_text(letter)}"
                self._came.clear()
                await self._came.wait()


def _text(letter: EmailMessage) -> str:
    part = letter.get_body(("plain",))
    return "" if part is None else str(part.get_content())
