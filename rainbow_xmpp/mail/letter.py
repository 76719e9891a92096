"""What somebody is written, before it is words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address

import idna

from rainbow_xmpp.errors import RainbowError

Fact = str | int
MOST_ADDRESS = 254
MOST_FACT = 2_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_TEMPLATE = re.compile(r"[a-z][a-z-]{0,62}")


class NotALetter(RainbowError, ValueError):
    """An address or a fact that no letter may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One letter to one mailbox. Raises NotALetter for what could break out of its header or its sentence."""

    template: str
    """The name of the template, such as "register-pin"."""
    to: str = field(repr=False)
    """The e-mail address; never logged."""
    expires_at: float
    """Unix time; not sent afterwards."""
    language: str = "en"
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False)
    """For the template; sealed while they wait, gone when the letter is."""
    company_id: str = ""
    """Whose letter it is; "" for somebody who belongs to no company yet."""
    region: str = ""
    """The region it is kept in."""

    def __post_init__(self) -> None:
        if not _TEMPLATE.fullmatch(self.template):
            raise NotALetter(f"a template is named like register-pin, not {self.template!r}")
        if not is_mail_address(self.to):
            raise NotALetter("this is no e-mail address")
        for name, fact in self.facts.items():
            if isinstance(fact, str) and (len(fact) > MOST_FACT or _CONTROL.search(fact)):
                raise NotALetter(f"{name} has a line break or is too long")


def on_the_wire(address: str) -> str:
    """The address as mail servers know it: its domain in ASCII (RFC 5890 §2.3.2.1). Raises ValueError."""
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{idna.encode(domain, uts46=True).decode()}"


def is_mail_address(text: str) -> bool:
    """One plain address (RFC 5321 §4.1.2) with a domain, and nothing that could be read as two."""
    if not text or len(text) > MOST_ADDRESS or _CONTROL.search(text) or text.count("@") != 1 or " " in text:
        return False
    try:
        address = Address(addr_spec=text)
        on_the_wire(text)
    except (MessageError, ValueError, IndexError):
        return False
    return address.addr_spec == text and "." in address.domain.strip(".") and ".." not in text
