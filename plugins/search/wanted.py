"""What somebody looks for: bounded, without wildcards, and as names are compared."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.store.errors import InvalidAddress
from rainbow_xmpp.store.names import company_key, normalise_email, search_key

MAX_TEXT = 200
MAX_WORDS = 8


class NotSearchable(RainbowError):
    """This is no question that is answered; the text is for whoever asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the order of people a page ends: after this name and id, both of somebody who was shown."""

    name_key: str
    id: str

    def to_text(self) -> str:
        text = json.dumps([self.name_key, self.id], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Place:
        """Raises NotSearchable."""
        try:
            read = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            read = None
        match read:
            case [str(name_key), str(id)] if _is_text(name_key) and _is_text(id):
                return cls(name_key, id)
        raise NotSearchable("`after` is not what a page before gave")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Words that words of the name begin with, an e-mail address as a whole, words of the company's name."""

    words: tuple[str, ...] = ()
    email: str = ""
    company: tuple[str, ...] = ()

    @classmethod
    def of(cls, *, name: str = "", email: str = "", company: str = "", shortest: int) -> Wanted:
        """Raises NotSearchable; of a name's words one must have `shortest` characters, and of a company's."""
        words = _words(search_key(_bounded(name)), shortest)
        companies = _words(company_key(_bounded(company)), shortest)
        address = _address(email) if email.strip() else ""
        if not (words or companies or address):
            raise NotSearchable("say whom you look for: a name, an e-mail address or a company")
        return cls(words, address, companies)


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT or not _is_text(text):
        raise NotSearchable(f"a name has at most {MAX_TEXT} printable characters")
    return text


def _words(text: str, shortest: int) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.replace("-", " ").split()))
    if words and max(map(len, words)) < shortest:
        raise NotSearchable(f"at least {shortest} characters of a name are needed")
    if len(words) > MAX_WORDS:
        raise NotSearchable(f"at most {MAX_WORDS} words of a name are looked for")
    return words


def _address(text: str) -> str:
    try:
        return normalise_email(_bounded_address(text))
    except InvalidAddress:
        raise NotSearchable("this is no e-mail address; it is looked for as a whole") from None


def _bounded_address(text: str) -> str:
    if len(text) > 2 * MAX_TEXT or not _is_text(text):
        raise InvalidAddress(text[:MAX_TEXT])
    return text


def _is_text(text: str) -> bool:
    """What a database takes as text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
