"""Addresses: `local@domain/resource` (RFC 7622).

Two JIDs are the same when they are equal here: each part is prepared when a JID is made, the localpart by
PRECIS' UsernameCaseMapped (RFC 8265 §3.3), the resource by its OpaqueString (RFC 8265 §4.2), the domain by
IDNA2008.
"""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import Final, NoReturn, Self

import idna
from precis_i18n import get_profile

_MAX_PART_BYTES: Final = 1023
_MOST_MARKS: Final = 30
# Longer texts are parsed anew each time, so that the cache stays below some 20 MiB whatever peers send.
_MAX_CACHED: Final = 256

_LOCAL: Final = get_profile("UsernameCaseMapped")
_RESOURCE: Final = get_profile("OpaqueString")

_FORBIDDEN_IN_LOCAL = frozenset("\"&'/:<>@")  # RFC 7622 §3.3.1
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%()*+,\-.;=?\[\\\]^_`{|}~]+").fullmatch
_PLAIN_LABELS = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"
).fullmatch
_PLAIN_RESOURCE = re.compile(r"[ -~]+").fullmatch


class InvalidJID(ValueError):
    """Not an address; the message says which part is wrong and never repeats it."""


class JID:
    """An address, prepared: immutable, hashable, ordered by its text.

    `local` and `resource` are "" when absent. `str()` gives the text, which `parse` reads back as an equal
    JID.
    """

    __slots__ = ("_bare", "_text", "domain", "local", "resource")

    local: str
    domain: str
    resource: str
    _bare: "JID | None"
    _text: str

    def __init__(self, local: str, domain: str, resource: str = "") -> None:
        """The address of these parts, each of which is prepared first; raises InvalidJID."""
        self._fill(_prepare_local(local), _prepare_domain(domain), _prepare_resource(resource), None)

    @classmethod
    def parse(cls, text: str) -> "JID":
        """The address that `text` spells; raises InvalidJID. Nothing is unescaped or stripped."""
        if len(text) <= _MAX_CACHED:
            return _parse_cached(text)
        return _parse(text)

    def with_resource(self, resource: str) -> "JID":
        """The full JID of this bare JID's account at `resource`; "" gives the bare JID. Raises InvalidJID."""
        bare = self.bare
        if not resource:
            return bare
        return _make(bare.local, bare.domain, _prepare_resource(resource), bare)

    @property
    def bare(self) -> "JID":
        """The same without resource; the same object when there is none."""
        return self._bare or self

    @property
    def is_bare(self) -> bool:
        """Whether there is no resource; a mere domain is bare too."""
        return not self.resource

    @property
    def is_full(self) -> bool:
        """Whether there is a resource."""
        return bool(self.resource)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JID({self._text!r})"

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, JID) else NotImplemented

    def __lt__(self, other: Self) -> bool:
        return self._text < other._text if isinstance(other, JID) else NotImplemented

    def __le__(self, other: Self) -> bool:
        return self._text <= other._text if isinstance(other, JID) else NotImplemented

    def __gt__(self, other: Self) -> bool:
        return self._text > other._text if isinstance(other, JID) else NotImplemented

    def __ge__(self, other: Self) -> bool:
        return self._text >= other._text if isinstance(other, JID) else NotImplemented

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a JID does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a JID does not change")

    def __reduce__(self) -> tuple[object, tuple[str, str, str]]:
        return JID, (self.local, self.domain, self.resource)

    def _fill(self, local: str, domain: str, resource: str, bare: "JID | None") -> None:
        text = f"{local}@{domain}" if local else domain
        if resource and bare is None:
            bare = _make(local, domain, "", None)
        put = object.__setattr__
        put(self, "local", local)
        put(self, "domain", domain)
        put(self, "resource", resource)
        put(self, "_text", f"{text}/{resource}" if resource else text)
        put(self, "_bare", bare)


def _make(local: str, domain: str, resource: str, bare: JID | None) -> JID:
    """A JID of parts that are prepared already."""
    jid = JID.__new__(JID)
    jid._fill(local, domain, resource, bare)
    return jid


def _parse(text: str) -> JID:
    # The resource begins at the first slash, the domain after the first at-sign before it (RFC 7622 §3.1).
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@")
    if not at:
        local, domain = "", rest
    if (slash and not resource) or (at and not local):
        raise InvalidJID("an empty part")
    return _make(
        _prepare_local(local), _prepare_domain(domain), _prepare_resource(resource) if resource else "", None
    )


_parse_cached = lru_cache(maxsize=8192)(_parse)


def _prepare_local(local: str) -> str:
    if not local:
        return ""
    if local.isascii():
        local = local.lower()
    if not _PLAIN_LOCAL(local):
        _refuse_hopeless(local)
        try:
            local = _LOCAL.enforce(local)
        except UnicodeError:
            raise InvalidJID("a localpart that PRECIS does not allow") from None
        # After preparation, because full-width characters become these (RFC 7622 §3.3.1).
        if not _FORBIDDEN_IN_LOCAL.isdisjoint(local):
            raise InvalidJID("a character that no localpart may have")
    return _sized(local, "localpart")


def _prepare_resource(resource: str) -> str:
    if resource and not _PLAIN_RESOURCE(resource):
        _refuse_hopeless(resource)
        try:
            resource = _RESOURCE.enforce(resource)
        except UnicodeError:
            raise InvalidJID("a resource that PRECIS does not allow") from None
    return _sized(resource, "resource")


def _prepare_domain(domain: str) -> str:
    domain = domain.removesuffix(".")  # RFC 7622 §3.2
    if _PLAIN_LABELS(domain) and "--" not in domain:
        return _sized(domain, "domain")
    if domain.startswith("["):
        return _ip_literal(domain)
    _refuse_hopeless(domain)
    mapped = unicodedata.normalize("NFC", "".join(map(_narrow, domain)).lower())
    labels = [_prepare_label(label) for label in mapped.split(".")]
    prepared = ".".join(labels)
    if not prepared.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in prepared):
        _check_bidi(labels)
    return _sized(prepared, "domain")


def _narrow(character: str) -> str:
    """Full-width and half-width characters as the usual ones (RFC 7622 §3.2.2)."""
    decomposed = unicodedata.decomposition(character)
    if decomposed.startswith(("<wide>", "<narrow>")):
        return chr(int(decomposed.split()[1], 16))
    return character


def _prepare_label(label: str) -> str:
    """One label as U-label, checked by IDNA2008 (RFC 5891 §5)."""
    if (
        _PLAIN_LABELS(label) and "." not in label and label[2:4] != "--"
    ):  # "--" there is reserved (RFC 5890 §2.3.1)
        return label
    try:
        u_label = idna.ulabel(label)
        idna.alabel(u_label)  # its length as A-label counts too
    except UnicodeError:
        raise InvalidJID("a domain that IDNA does not allow") from None
    return u_label


def _check_bidi(labels: list[str]) -> None:
    """In a domain with a right-to-left label, the rule holds for every label (RFC 5893 §2)."""
    try:
        for label in labels:
            idna.check_bidi(label, check_ltr=True)
    except UnicodeError:
        raise InvalidJID("a domain that IDNA does not allow") from None


def _ip_literal(domain: str) -> str:
    try:
        address = ipaddress.IPv6Address(domain[1:-1])
        if domain.endswith("]") and address.scope_id is None:  # RFC 3986 §3.2.2 has no zones
            return f"[{address.compressed}]"
    except ValueError:
        pass
    raise InvalidJID("a domain that is no IPv6 address")


def _refuse_hopeless(part: str) -> None:
    """Refuse what would take long to prepare, before spending time on it.

    Composing characters makes a part shorter, but nobody's address needs so many of them; and putting a long run
    of marks in order takes quadratic time, so text is to be stream-safe (UAX #15 §13).
    """
    if len(part) > _MAX_PART_BYTES:
        raise InvalidJID(f"a part of more than {_MAX_PART_BYTES} characters")
    marks = 0
    for character in part:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MOST_MARKS:
            raise InvalidJID(f"more than {_MOST_MARKS} marks on one character")


def _sized(part: str, what: str) -> str:
    if len(part) > _MAX_PART_BYTES or len(part.encode()) > _MAX_PART_BYTES:
        raise InvalidJID(f"a {what} of more than {_MAX_PART_BYTES} bytes")
    return part
