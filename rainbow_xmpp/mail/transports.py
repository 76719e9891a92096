"""The ways out: into a maildir of this machine, or to an SMTP server."""

from __future__ import annotations

import asyncio
import mailbox
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib

from rainbow_xmpp.config.mail import MailConfig
from rainbow_xmpp.errors import RainbowError


class NotSent(RainbowError):
    """A letter was not taken. `is_final`: it never will be. `outcome` is a word or two for the log, without names."""

    def __init__(self, outcome: str, *, is_final: bool = False, detail: str = "") -> None:
        super().__init__(detail or outcome)
        self.outcome = outcome
        self.is_final = is_final


HandOver = Callable[[EmailMessage], Awaitable[NotSent | None]]
"""What became of a letter: None when it was taken."""


class Transport(Protocol):
    """Takes letters away."""

    def opened(self) -> AbstractAsyncContextManager[HandOver]:
        """A way that several letters go, one after the other. That there is none is told for each of them."""


class Maildir:
    """Into a folder, as `mailbox.Maildir` keeps them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[HandOver]:
        async def keep(message: EmailMessage) -> NotSent | None:
            return await asyncio.to_thread(self._keep, message)

        yield keep

    def _keep(self, message: EmailMessage) -> NotSent | None:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            box = mailbox.Maildir(self._folder, create=True)
            self._folder.chmod(0o700)
            box.add(message)
        except OSError as error:
            return NotSent("folder-refused", detail=f"{self._folder}: {error.strerror}")
        return None


class Smtp:
    """To one SMTP server, over TLS and over nothing else (RFC 3207, RFC 8314)."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[HandOver]:
        refusal, client = None, None
        try:
            client = await self.connect()
        except NotSent as error:
            refusal = error

        async def hand_over(message: EmailMessage) -> NotSent | None:
            return refusal if client is None else await _hand_over(client, message)

        try:
            yield hand_over
        finally:
            if client is not None:
                await goodbye(client)

    async def connect(self) -> aiosmtplib.SMTP:
        """A connection that is secured and logged in. Raises NotSent."""
        config = self._config
        is_tls = config.security == "tls"
        client = aiosmtplib.SMTP(
            hostname=config.host,
            port=config.port,
            use_tls=is_tls,
            start_tls=not is_tls,
            tls_context=_tls_context(config.authority),
            timeout=config.timeout_s,
        )
        try:
            await client.connect()
            if config.username:
                await client.login(config.username, config.password.reveal())
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            client.close()
            raise _why_not(error, f"{config.host}:{config.port}") from error
        return client


def _tls_context(authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _hand_over(client: aiosmtplib.SMTP, message: EmailMessage) -> NotSent | None:
    try:
        await client.send_message(message)
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [refused.code for refused in error.recipients]
        return NotSent("recipient-refused", is_final=bool(codes) and all(code >= 500 for code in codes))
    except aiosmtplib.SMTPResponseException as error:
        return NotSent(f"refused-{error.code}", is_final=error.code >= 500, detail=_first_line(error.message))
    except aiosmtplib.SMTPNotSupported:  # a name before the @ that is not ASCII (RFC 6531)
        return NotSent("no-smtputf8", is_final=True)
    except (aiosmtplib.SMTPException, OSError) as error:
        return NotSent("connection-lost", detail=str(error))
    return None


async def goodbye(client: aiosmtplib.SMTP) -> None:
    """End the connection; whatever the server makes of that is nobody's business any more."""
    try:
        await client.quit()
    except (aiosmtplib.SMTPException, OSError):
        client.close()


def _why_not(error: Exception, server: str) -> NotSent:
    """Why there is no connection, in an administrator's words."""
    said = _first_line(str(error))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NotSent(
                "bad-certificate",
                detail=f"the certificate of {server} is not believed: {cause.verify_message}. "
                "If its authority is one of your own, name it: mail.authority",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return NotSent("login-refused", detail=f"{server} refuses the login (mail.username): {said}")
    if isinstance(error, aiosmtplib.SMTPNotSupported | aiosmtplib.SMTPException) and "STARTTLS" in said:
        return NotSent(
            "no-starttls",
            detail=f"{server} offers no STARTTLS, and letters leave only by TLS. "
            'If it speaks TLS from the first byte (port 465), set mail.security = "tls"',
        )
    if isinstance(error, ssl.SSLError):
        return NotSent("tls-failed", detail=f"TLS with {server} fails: {said}")
    return NotSent("not-reached", detail=f"{server} is not reached: {said}")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]


def transport_of(config: MailConfig) -> Transport:
    """The configured one."""
    return Smtp(config) if config.transport == "smtp" else Maildir(Path(config.folder))
