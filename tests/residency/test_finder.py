"""The finder finds a text however it is written, wherever it stands, and nothing else."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pytest

from rainbow_xmpp.residency import finder as finders
from rainbow_xmpp.residency.finder import Finder

TEXT = "zqcanaryÄ7"
PLAIN = TEXT.encode()
WRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda b: b,
    "utf-16 little": lambda b: b.decode().encode("utf-16-le"),
    "utf-16 big": lambda b: b.decode().encode("utf-16-be"),
    "utf-32": lambda b: b.decode().encode("utf-32-le"),
    "url": lambda b: quote(b.decode(), safe="").encode(),
    "url, every byte": lambda b: "".join(f"%{x:02x}" for x in b).encode(),
    "json, every letter": lambda b: "".join(f"\\u{ord(c):04x}" for c in b.decode()).encode(),
    "hex": lambda b: b.hex().encode(),
    "hex, capital": lambda b: b.hex().upper().encode(),
    "base64, first": lambda b: base64.b64encode(b + b"behind"),
    "base64, second": lambda b: base64.b64encode(b"x" + b + b"behind"),
    "base64, third": lambda b: base64.b64encode(b"xy" + b + b"behind"),
    "base64 for urls": lambda b: base64.urlsafe_b64encode(b"x" + b + b"\xff\xfe"),
    "base64 of utf-16": lambda b: base64.b64encode(b"x" + b.decode().encode("utf-16-le") + b"y"),
    "base32": lambda b: base64.b32encode(b"xyz" + b + b"behind"),
    "gzip": lambda b: gzip.compress(b"before " + b + b" behind"),
    "zlib, quick": lambda b: zlib.compress(b"before " + b + b" behind", 1),
    "zlib": lambda b: zlib.compress(b"before " + b + b" behind"),
    "zlib, best": lambda b: zlib.compress(b"before " + b + b" behind", 9),
    "gzip of base64": lambda b: gzip.compress(b"before " + base64.b64encode(b"x" + b)),
    "gzip in gzip": lambda b: gzip.compress(b"before " + gzip.compress(b"inside " + b)),
    "zip": lambda b: _zipped(b),
}


def _zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a name.txt", b"before " + data + b" behind")
    return file.getvalue()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # no secret


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("place", ["begin", "middle", "end"])
def test_a_text_is_found_however_it_is_written(how: str, place: str) -> None:
    written = WRITTEN[how](PLAIN)
    data = {
        "begin": written + noise(500),
        "middle": noise(700) + written + noise(300),
        "end": noise(900) + written,
    }
    looking = Finder.of([TEXT])
    assert list(looking.in_bytes(data[place])), how
    assert list(Finder.of([TEXT]).in_file(io.BytesIO(data[place]))), how


def test_nothing_is_found_where_nothing_is() -> None:
    looking = Finder.of([TEXT])
    assert list(looking.in_file(io.BytesIO(noise(3_000_000, seed=2)))) == []
    assert looking.looked_through >= 3_000_000


@pytest.mark.parametrize("around", range(-40, 60, 7))
def test_a_text_over_the_border_of_two_pieces_is_found_once(
    monkeypatch: pytest.MonkeyPatch, around: int
) -> None:
    monkeypatch.setattr(finders, "PIECE_BYTES", 4096)
    data = bytearray(noise(20_000, seed=3))
    at = 8192 + around
    data[at : at + len(PLAIN)] = PLAIN
    hits = [hit for hit in Finder.of([TEXT]).in_file(io.BytesIO(bytes(data))) if hit.needle.what == "plain"]
    assert [hit.offset for hit in hits] == [at]


def test_a_stream_that_is_longer_than_a_piece_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "PIECE_BYTES", 4096)
    stream = gzip.compress(noise(50_000, seed=4) + PLAIN + noise(50_000, seed=5))
    data = noise(5000, seed=6) + stream + noise(5000, seed=7) + PLAIN
    hits = list(Finder.of([TEXT]).in_file(io.BytesIO(data)))
    assert {bool(hit.inside) for hit in hits} == {True, False}


def test_a_keyed_hash_is_found_as_bytes_and_as_text() -> None:
    digest = noise(16, seed=8)
    for written in (
        digest,
        digest.hex().encode(),
        base64.b64encode(digest),
        json.dumps(digest.hex()).encode(),
    ):
        (hit, *_) = Finder.of([], {"a name": digest}).in_bytes(b"..." + written + b"...")
        assert hit.needle.of == "a name"


def test_a_hit_says_what_follows_it() -> None:
    (hit,) = Finder.of(["zqtag"]).in_bytes(b"<body>zqtag0042</body>")
    assert hit.behind.startswith(b"0042")
