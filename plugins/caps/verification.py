"""The string that stands for what an entity says of itself, and whether it does (XEP-0115 §5)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from rainbow_xmpp.plugin import DiscoInfo, Element
from rainbow_xmpp.xml import names

SUPPORTED = {name: name.replace("-", "") for name in ("sha-1", "sha-224", "sha-256", "sha-384", "sha-512")}
"""Hash functions by their names in IANA's registry, as Python calls them."""

FORM = f"{{{names.DATA_FORM}}}x"
FIELD = f"{{{names.DATA_FORM}}}field"
VALUE = f"{{{names.DATA_FORM}}}value"


class IllFormed(ValueError):
    """A description that stands for nothing (§5.4)."""


class _Form(NamedTuple):
    """One form of XEP-0128: what it is about, and the values of each other field."""

    type: str
    fields: list[tuple[str, list[str]]]

    def strings(self) -> Iterator[str]:
        yield self.type
        for var, values in self.fields:
            yield var
            yield from values


def ver_of(info: DiscoInfo, hash_name: str = "sha-1") -> str:
    """The verification string of a description (§5.1). Raises IllFormed."""
    digest = hashlib.new(SUPPORTED[hash_name], _text(info), usedforsecurity=False).digest()
    return b64encode(digest).decode()


def stands_for(ver: str, info: DiscoInfo, hash_name: str) -> bool:
    """A client that announces `ver` and describes itself so tells the truth. Raises IllFormed (§5.4).

    A text that has a "<" of its own could be read in several ways, so it proves nothing.
    """
    is_clear = not any("<" in text for text in _strings(info))
    return is_clear and ver_of(info, hash_name) == ver


def _text(info: DiscoInfo) -> bytes:
    """S of §5.1, every part sorted by its bytes."""
    parts = sorted(tuple(part.encode() for part in identity) for identity in _identities(info))
    listed = [b"/".join(part) for part in parts]
    listed += sorted(feature.encode() for feature in _features(info))
    for form in sorted(_forms(info), key=lambda form: form.type.encode()):
        listed.append(form.type.encode())
        for var, values in sorted(form.fields, key=lambda field: field[0].encode()):
            listed += [var.encode(), *sorted(value.encode() for value in values)]
    return b"".join(part + b"<" for part in listed)


def _strings(info: DiscoInfo) -> Iterator[str]:
    for identity in _identities(info):
        yield from identity
    yield from _features(info)
    for form in _forms(info):
        yield from form.strings()


def _identities(info: DiscoInfo) -> list[tuple[str, str, str, str]]:
    found = [(each.category, each.type, each.lang, each.name) for each in info.identities]
    if not found:
        raise IllFormed("no identity")  # XEP-0030 §3.1
    _refuse_repetition("an identity", found)
    return found


def _features(info: DiscoInfo) -> list[str]:
    found = [feature.var for feature in info.features]
    _refuse_repetition("a feature", found)
    return found


def _forms(info: DiscoInfo) -> list[_Form]:
    forms = [form for el in info.extra if el.tag == FORM and (form := _form(el)) is not None]
    _refuse_repetition("a form", [form.type for form in forms])
    return forms


def _form(el: Element) -> _Form | None:
    """None for a form that does not say what it is about, which is passed over. Raises IllFormed."""
    fields = [
        (f.get("var", ""), f.get("type"), [v.text or "" for v in f.findall(VALUE)]) for f in el.findall(FIELD)
    ]
    types = [(kind, values) for var, kind, values in fields if var == "FORM_TYPE"]
    if len({value for _, values in types for value in values}) > 1:
        raise IllFormed("a form that is about several things")
    if not types or types[0][0] != "hidden" or not types[0][1]:
        return None
    return _Form(types[0][1][0], [(var, values) for var, _, values in fields if var != "FORM_TYPE"])


def _refuse_repetition(what: str, found: Iterable[Hashable]) -> None:
    if any(times > 1 for times in Counter(found).values()):
        raise IllFormed(f"{what} stands there twice")
