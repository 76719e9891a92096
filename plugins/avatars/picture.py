"""A picture as it stands in a vCard (XEP-0153) and as it is published (XEP-0084)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Self

from rainbow_xmpp.plugin import Element
from rainbow_xmpp.xml import NO_LIMITS, names, parse

DATA_NODE, METADATA_NODE = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
"""Nodes and namespaces of XEP-0084."""
DATA, METADATA, INFO = f"{{{DATA_NODE}}}data", f"{{{METADATA_NODE}}}metadata", f"{{{METADATA_NODE}}}info"
VCARD, PHOTO = f"{{{names.VCARD}}}vCard", f"{{{names.VCARD}}}PHOTO"
_TYPE, _BINVAL = f"{{{names.VCARD}}}TYPE", f"{{{names.VCARD}}}BINVAL"

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """The image's bytes, and its type as its owner says, or as it looks."""

    data: bytes = field(repr=False)
    type: str

    @property
    def id(self) -> str:
        """The SHA-1 hash of the image, in lower-case hex digits: how both formats call it."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    # -- in a vCard --------------------------------------------------------------------------------------

    @classmethod
    def of_vcard(cls, vcard: Element | None) -> Self | None:
        """The picture in a vCard; None when there is none, or none that can be read."""
        photo = None if vcard is None else vcard.find(PHOTO)
        data = b"" if photo is None else _decoded(photo.findtext(_BINVAL) or "")
        if photo is None or not data:
            return None
        return cls(data, (photo.findtext(_TYPE) or "").strip() or _looks_like(data))

    def photo(self) -> Element:
        """`<PHOTO/>` (XEP-0153 §3.1)."""
        el = Element(PHOTO)
        for tag, text in ((_TYPE, self.type), (_BINVAL, base64.b64encode(self.data).decode())):
            part = Element(tag)
            part.text = text
            el.append(part)
        return el

    # -- published ---------------------------------------------------------------------------------------

    @classmethod
    def of_data(cls, payload: bytes, type_: str) -> Self | None:
        """The picture in what was published to the data node."""
        el = parse(payload, limits=NO_LIMITS)
        data = _decoded("".join(el.itertext())) if el.tag == DATA else b""
        return cls(data, type_ or _looks_like(data)) if data else None

    def to_data(self) -> Element:
        """What is published to the data node (XEP-0084 §4.1)."""
        el = Element(DATA)
        el.text = base64.b64encode(self.data).decode()
        return el

    def to_metadata(self) -> Element:
        """What is published to the metadata node (XEP-0084 §4.2)."""
        el = Element(METADATA)
        el.append(Element(INFO, {"bytes": str(len(self.data)), "id": self.id, "type": self.type}))
        return el


def announced_in(payload: bytes) -> tuple[str, str] | None:
    """Id and type of the picture that metadata announces; None when none is shown.

    Of several, the one that lies at no URL (XEP-0398 §3.1).
    """
    el = parse(payload, limits=NO_LIMITS)
    for info in el.findall(INFO) if el.tag == METADATA else ():
        if info.get("id") and not info.get("url"):
            return info.get("id", "").lower(), info.get("type", "")
    return None


def with_photo(vcard: Element | None, picture: Picture | None) -> Element:
    """The vCard with this picture in place of what was there, or without any."""
    changed = Element(VCARD)
    if vcard is not None:
        changed.extend(part for part in vcard if part.tag != PHOTO)
    if picture is not None:
        changed.append(picture.photo())
    return changed


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _looks_like(data: bytes) -> str:
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "image/png")
