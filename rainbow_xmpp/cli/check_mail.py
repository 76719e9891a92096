"""`check mail`: is there a way out for letters, and what stands in it?"""

import asyncio
import time
from collections.abc import Iterator
from email.message import EmailMessage

from rainbow_xmpp.cli.checks import Finding, Mark
from rainbow_xmpp.config import Config
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.mail.composer import Composer
from rainbow_xmpp.mail.letter import Letter, NotALetter
from rainbow_xmpp.mail.transports import NotSent, Smtp, goodbye, transport_of

PART = "mail"


def check_mail(config: Config, to: str = "") -> Iterator[Finding]:
    """Log in to the mail server; with an address, send a test letter to it."""
    where = (
        config.mail.folder if config.mail.transport == "maildir" else f"{config.mail.host}:{config.mail.port}"
    )
    if config.mail.transport == "maildir":
        text = f'letters stay on this machine, in {where}; to send them: mail.transport = "smtp"'
        yield Finding(Mark.WARNING, PART, text)
    elif refusal := asyncio.run(_reach(Smtp(config.mail))):
        yield Finding(Mark.BAD, PART, str(refusal))
        return
    else:
        login = f", and takes the login of {config.mail.username}" if config.mail.username else ""
        yield Finding(Mark.GOOD, PART, f"{where} speaks TLS with a certificate that is believed{login}")
    if not to:
        if config.mail.transport == "smtp":
            yield Finding(Mark.WARNING, PART, "whether it takes letters shows one: --to ADDRESS")
        return
    yield _send(config, to, where)


async def _reach(smtp: Smtp) -> NotSent | None:
    try:
        client = await smtp.connect()
    except NotSent as refusal:
        return refusal
    await goodbye(client)
    return None


def _send(config: Config, to: str, where: str) -> Finding:
    composer = Composer(config.mail, config.domain, config.public_url)
    try:
        letter = Letter(template="test", to=to, expires_at=time.time() + 60)
        message = composer.message(letter, new_id(), time.time())
    except NotALetter as error:
        return Finding(Mark.BAD, PART, f"{to}: {error}")
    refusal = asyncio.run(_deliver(config, message))
    if refusal is None:
        return Finding(Mark.GOOD, PART, f"{where} took a test letter from {composer.sender}")
    return Finding(Mark.BAD, PART, f"{where} refuses a letter from {composer.sender}: {refusal}")


async def _deliver(config: Config, message: EmailMessage) -> NotSent | None:
    async with transport_of(config.mail).opened() as hand_over:
        return await hand_over(message)
