"""From a letter to a message: the template in the reader's language, as text and as HTML.

A template is a text with two blocks, `subject` and `text`. The HTML part is made of the same paragraphs: one that is
only a code or a link is set apart, so that there is one place to write, translate and override.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import lru_cache

import jinja2

from rainbow_xmpp.config.mail import MailConfig
from rainbow_xmpp.mail.letter import Letter, NotALetter, on_the_wire
from rainbow_xmpp.words import environment

_CODE = re.compile(r"[0-9]{6,12}|[0-9A-Z]{4,6}(-[0-9A-Z]{4,6})+")
_LINK = re.compile(r"https://[^\s]+")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of a letter; `kind` is "text", "code" or "link"."""

    kind: str
    text: str

    @classmethod
    def of(cls, text: str) -> Paragraph:
        if _CODE.fullmatch(text):
            return cls("code", text)
        return cls("link" if _LINK.fullmatch(text) else "text", text)


class Composer:
    """Writes letters in the name of one server."""

    def __init__(self, config: MailConfig, domain: str, public_url: str) -> None:
        self._config = config
        self._domain = domain
        self._public_url = public_url
        self._templates = lru_cache(maxsize=8)(self._templates_in)

    @property
    def sender(self) -> str:
        """The address that letters come from."""
        return self._config.sender or f"no-reply@{self._domain}"

    def message(self, letter: Letter, letter_id: str, now: float) -> EmailMessage:
        """The letter as it is sent. Raises NotALetter for a template that is not there or lacks a fact."""
        names = {"site": self._domain, "public_url": self._public_url}
        try:
            templates = self._templates(letter.language)
            template = templates.get_template(f"{letter.template}.txt")
            context = template.new_context({**letter.facts, **names})
            subject = " ".join("".join(template.blocks["subject"](context)).split())
            text = "".join(template.blocks["text"](context)).strip()
            paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
            page = templates.get_template("letter.html").render(
                **names,
                language=letter.language,
                subject=subject,
                paragraphs=[Paragraph.of(part) for part in paragraphs],
            )
        except (jinja2.TemplateError, KeyError) as error:
            raise NotALetter(f"the template {letter.template} does not work: {error}") from error
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(
            self._config.sender_name or self._domain, addr_spec=on_the_wire(self.sender)
        )
        message["To"] = Address(addr_spec=on_the_wire(letter.to))
        message["Subject"] = subject
        message["Date"] = datetime.fromtimestamp(now, UTC)
        message["Message-ID"] = f"<{on_the_wire(f'{letter_id}@{self._domain}')}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no answers from holiday programs
        message.set_content("\n\n".join(paragraphs) + "\n")
        message.add_alternative(page, subtype="html")
        message["Content-Language"] = (
            letter.language
        )  # now: what makes a multipart moves what was said before
        return message

    def _templates_in(self, language: str) -> jinja2.Environment:
        own = (self._config.templates,) if self._config.templates else ()
        return environment(language, *own, package="rainbow_xmpp.mail/letters")
