"""Looking for a text in bytes, however it is written there.

A text is found as it is, in UTF-16, with its letters escaped as URLs and JSON do, as hex digits, in base64 (wherever
in what was encoded it stood), and in streams of gzip and zlib that begin anywhere. Anything of any size is looked
through in pieces, at a bounded memory.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import quote

PIECE_BYTES = 1 << 20
MOST_INFLATED = 64 << 20
"""Of one compressed stream; what stands behind is not looked at, and the report says so."""
MOST_NESTED = 2
"""Streams in streams in so many levels (a gzip file in a tar.gz)."""
_LEAST_INFLATED = 12
"""What inflates to less is no stream, but bytes that look like the beginning of one."""
_AROUND = 24
"""Bytes behind a hit, for telling which text it was."""


@dataclass(frozen=True, slots=True)
class Needle:
    """Bytes to look for."""

    data: bytes
    what: str
    """What they are: "plain", "base64", …."""
    of: str
    """The text they are of."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Found."""

    offset: int
    needle: Needle
    inside: str = ""
    """The compressed stream that it stands in, by where that begins."""
    behind: bytes = b""
    """What follows, which tells texts apart that begin alike."""


def needles(text: str) -> list[Needle]:
    """Everything that this text looks like."""
    plain = text.encode()
    forms: dict[str, Iterable[bytes]] = {
        "plain": (plain,),
        "utf-16": (text.encode("utf-16-le"), text.encode("utf-16-be")),
        "utf-32": (text.encode("utf-32-le"), text.encode("utf-32-be")),
        "url": (quote(text, safe="").encode(), _every_byte(plain, "%{:02X}"), _every_byte(plain, "%{:02x}")),
        "json": (_every_letter(text),),
        "hex": (plain.hex().encode(), plain.hex().upper().encode()),
        "base64": _base64_forms(plain),
        "base64 of utf-16": _base64_forms(text.encode("utf-16-le")),
        "base32": _base32_forms(plain),
    }
    seen: set[bytes] = set()
    found = []
    for what, each in forms.items():
        for data in each:
            if data not in seen:
                seen.add(data)
                found.append(Needle(data, what, text))
    return found


def needles_of_hash(digest: bytes, of: str) -> list[Needle]:
    """A keyed hash, as bytes, hex digits and base64."""
    whole = base64.b64encode(digest).rstrip(b"=")
    forms = {
        "hash": (digest,),
        "hash in hex": (digest.hex().encode(), digest.hex().upper().encode()),
        "hash in base64": (whole, whole.translate(bytes.maketrans(b"+/", b"-_"))),
    }
    return [Needle(data, what, of) for what, each in forms.items() for data in dict.fromkeys(each)]


@dataclass(slots=True)
class Finder:
    """Looks for all needles at once."""

    needles: list[Needle]
    looked_through: int = 0
    """Bytes, with those of compressed streams."""
    streams: int = 0
    """Compressed streams that were looked into."""
    cut_short: list[str] = field(default_factory=list)
    """Streams that are longer than is looked at."""

    @classmethod
    def of(cls, texts: Iterable[str], hashes: Mapping[str, bytes] = {}) -> Finder:
        """For texts, and for keyed hashes by what they are of."""
        found = [needle for text in texts for needle in needles(text)]
        for of, digest in hashes.items():
            found += needles_of_hash(digest, of)
        return cls(found)

    def in_bytes(self, data: bytes, *, inside: str = "", depth: int = 0) -> Iterator[Hit]:
        """Every place where one of them stands, those in compressed streams included."""
        yield from self._plain(data, 0, inside, len(data))
        self.looked_through += len(data)
        if depth < MOST_NESTED:
            for offset, plain in self._streams(data, 0, inside):
                name = f"{inside}{offset:x}:"
                yield from self.in_bytes(plain, inside=name, depth=depth + 1)

    def in_file(self, file: BinaryIO) -> Iterator[Hit]:
        """The same for a file of any size, in pieces that overlap."""
        overlap = max(len(needle.data) for needle in self.needles) + _AROUND
        begin, piece = 0, b""
        while True:
            more = file.read(PIECE_BYTES)
            if not more:
                break
            window = piece + more
            new = len(window) - overlap if len(more) == PIECE_BYTES else len(window)
            yield from self._plain(window, begin, "", max(new, 0))
            yield from self._streams_in_file(file, window, begin, max(new, 0))
            self.looked_through += len(more)
            keep = min(overlap, len(window))
            if new < len(window):
                begin, piece = begin + len(window) - keep, window[-keep:]
            else:
                begin, piece = begin + len(window), b""
        if piece:
            yield from self._plain(piece, begin, "", len(piece))

    def _plain(self, data: bytes, begin: int, inside: str, until: int) -> Iterator[Hit]:
        """Hits that begin in front of `until`."""
        for needle in self.needles:
            at = data.find(needle.data)
            while 0 <= at < until:
                end = at + len(needle.data)
                yield Hit(begin + at, needle, inside, data[end : end + _AROUND])
                at = data.find(needle.data, at + 1)

    def _streams(self, data: bytes, begin: int, inside: str) -> Iterator[tuple[int, bytes]]:
        for at, wbits in _beginnings(data, len(data)):
            plain = self._inflated(memoryview(data)[at:], wbits, f"{inside}{begin + at:x}")
            if plain:
                yield begin + at, plain

    def _streams_in_file(self, file: BinaryIO, window: bytes, begin: int, until: int) -> Iterator[Hit]:
        """A stream may reach beyond the piece: more of the file is read for it, and then the file goes on as before."""
        for at, wbits in _beginnings(window, until):
            inflating = zlib.decompressobj(wbits)
            try:
                plain = inflating.decompress(window[at:], MOST_INFLATED)
            except zlib.error:
                continue
            if not inflating.eof and len(plain) >= _LEAST_INFLATED and begin + len(window) > begin + at:
                place = file.tell()
                plain += self._rest(file, inflating, len(plain))
                file.seek(place)
            if len(plain) < _LEAST_INFLATED:
                continue
            self.streams += 1
            if len(plain) >= MOST_INFLATED:
                self.cut_short.append(f"{begin + at:x}")
            yield from self.in_bytes(plain, inside=f"{begin + at:x}:", depth=1)

    def _rest(self, file: BinaryIO, inflating: zlib._Decompress, have: int) -> bytes:
        parts = []
        data = inflating.unconsumed_tail or file.read(PIECE_BYTES)
        try:
            while data and have < MOST_INFLATED and not inflating.eof:
                part = inflating.decompress(data, MOST_INFLATED - have)
                parts.append(part)
                have += len(part)
                data = inflating.unconsumed_tail or file.read(PIECE_BYTES)
        except zlib.error:  # it was damaged, or none: what came out so far is looked at
            pass
        return b"".join(parts)

    def _inflated(self, data: memoryview, wbits: int, where: str) -> bytes:
        inflating = zlib.decompressobj(wbits)
        try:
            plain = inflating.decompress(data, MOST_INFLATED)
        except zlib.error:
            return b""
        if len(plain) < _LEAST_INFLATED:
            return b""
        self.streams += 1
        if len(plain) >= MOST_INFLATED:
            self.cut_short.append(where)
        return plain


_GZIP, _ZLIB, _RAW = 31, 15, -15
_MAGIC = (
    (b"\x1f\x8b\x08", _GZIP),
    (b"\x78\x01", _ZLIB),
    (b"\x78\x5e", _ZLIB),
    (b"\x78\x9c", _ZLIB),
    (b"\x78\xda", _ZLIB),
)
_ZIP = b"PK\x03\x04"
_DEFLATED = 8


def _beginnings(data: bytes, until: int) -> Iterator[tuple[int, int]]:
    """Where compressed streams may begin, and how to read them (`zlib`'s wbits)."""
    for magic, wbits in _MAGIC:
        at = data.find(magic)
        while 0 <= at < until:
            yield at, wbits
            at = data.find(magic, at + 1)
    at = data.find(_ZIP)
    while 0 <= at < until:
        header = data[at : at + 30]
        if len(header) == 30 and int.from_bytes(header[8:10], "little") == _DEFLATED:
            names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            yield at + 30 + names, _RAW
        at = data.find(_ZIP, at + 1)


def _every_byte(plain: bytes, form: str) -> bytes:
    return "".join(form.format(byte) for byte in plain).encode()


def _every_letter(text: str) -> bytes:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H")).encode()


def _base64_forms(plain: bytes) -> list[bytes]:
    """What is the same in base64 whatever stands before and behind: three forms, by the place in its group of three.

    Each also in the alphabet for URLs.
    """
    found = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain)
        first = (before * 8 + 5) // 6  # letters that bits of what stands before are in
        last = (before + len(plain)) * 8 // 6  # whole letters
        part = encoded[first:last]
        found += [part, part.translate(bytes.maketrans(b"+/", b"-_"))]
    return list(dict.fromkeys(found))


def _base32_forms(plain: bytes) -> list[bytes]:
    found = []
    for before in range(5):
        encoded = base64.b32encode(b"\0" * before + plain)
        part = encoded[(before * 8 + 4) // 5 : (before + len(plain)) * 8 // 5]
        found += [part, part.lower()]
    return found
