"""The one form in which names that people type are kept and looked up."""

import unicodedata

from rainbow_xmpp.jid import JID, InvalidJID
from rainbow_xmpp.store.errors import InvalidAddress, InvalidLocalpart, InvalidName

MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1.3, erratum 1690
MAX_NAME = 200
_ANY_DOMAIN = "localhost"


def normalise_email(text: str) -> str:
    """An e-mail address in lower case and Unicode form C, so that one mailbox is one account.

    Raises InvalidAddress. This asks whether somebody can log in with it, not whether mail would arrive.
    """
    address = unicodedata.normalize("NFC", text.strip()).lower()
    local, at, domain = address.rpartition("@")
    unprintable = any(char.isspace() or not char.isprintable() for char in address)
    if not (local and at and domain) or "@" in local or unprintable or len(address) > MAX_ADDRESS:
        raise InvalidAddress(text)
    return address


def normalise_localpart(text: str) -> str:
    """A localpart as JIDs carry it (RFC 7622 §3.3). Raises InvalidLocalpart."""
    try:
        localpart = JID(text, _ANY_DOMAIN).local
    except InvalidJID:
        raise InvalidLocalpart(text) from None
    if not localpart:
        raise InvalidLocalpart(text)
    return localpart


def tidy_name(name: str) -> str:
    """A person's or company's name without superfluous spaces; raises InvalidName when it does not fit."""
    tidy = " ".join(unicodedata.normalize("NFC", name).split())
    if len(tidy) > MAX_NAME or not tidy.isprintable():
        raise InvalidName(name, MAX_NAME)
    return tidy


def search_key(name: str) -> str:
    """A name as it is searched for: neither case, width nor accents count ("Zoë" is found by "zoe")."""
    spread = unicodedata.normalize("NFKD", name.casefold())
    return unicodedata.normalize("NFC", "".join(c for c in spread if not unicodedata.combining(c)))[:MAX_NAME]


def company_key(name: str) -> str:
    """What makes two company names the same: case and the width of characters do not count."""
    return unicodedata.normalize("NFKC", " ".join(name.split())).casefold()
