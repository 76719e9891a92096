"""The finder is proven before it is believed: copies are put where nobody else looks, and must be found."""

from __future__ import annotations

import base64
import gzip
import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.residency.canaries import Canaries
from rainbow_xmpp.residency.places import Search


class Blind(RainbowError):
    """The finder did not find what was put in front of it: nothing it says can be believed."""


def prove() -> int:
    """Put a wrong copy into files and a database of its own, and find all of them; how many. Raises Blind."""
    canaries = Canaries("proof")
    with tempfile.TemporaryDirectory(prefix="rainbow-proof-") as name:
        folder = Path(name)
        expected = _misplace(folder, canaries)
        search = Search([canaries])
        search.path(folder)
        found = {finding.planted_as for finding in search.unexcused}
    missing = sorted(expected - found)
    if missing or search.unsearched:
        raise Blind(f"the finder missed its own proof: {', '.join([*missing, *search.unsearched])}")
    return len(expected)


def _misplace(folder: Path, canaries: Canaries) -> set[str]:
    """Wrong copies, each written in another way; what they are called."""
    written: dict[str, Callable[[str], bytes]] = {
        "plain": lambda text: text.encode(),
        "utf-16": lambda text: text.encode("utf-16-le"),
        "hex": lambda text: text.encode().hex().encode(),
        "base64": lambda text: base64.b64encode(b"x" + text.encode() + b"behind it"),
        "gzip": lambda text: gzip.compress(b"a log line " + text.encode()),
        "zlib": lambda text: zlib.compress(b"a value " + text.encode()),
    }
    for how, write in written.items():
        (folder / f"{how}.bin").write_bytes(b"\0" * 5000 + write(canaries.new(how)) + b"\0" * 5000)
    connection = sqlite3.connect(folder / "copy.db")
    with connection:
        connection.execute("CREATE TABLE roster_items (owner_id TEXT, name TEXT)")
        connection.execute("INSERT INTO roster_items VALUES ('nobody', ?)", (canaries.new("a row"),))
    connection.close()
    return {*written, "a row"}
