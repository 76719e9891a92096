"""The bytes of notifications (XEP-0060 §7, XEP-0163 §4.3), without a receiver."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from rainbow_xmpp.plugin import Element
from rainbow_xmpp.plugins.pep.values import Item
from rainbow_xmpp.xml import escape_attr, names, serialise

_dice = random.Random()  # ids differ, and tell nothing; nobody has to be kept from guessing them


def item_bytes(item: Item, *, with_payload: bool = True) -> bytes:
    """One item, as it stands in events and answers."""
    head = f"<item id='{escape_attr(item.id)}'"
    if not with_payload or not item.payload:
        return f"{head}/>".encode()
    return f"{head}>".encode() + item.payload + b"</item>"


def published(node: str, item: Item, *, with_payload: bool) -> bytes:
    """Something was published (§7.1.2)."""
    return _items(node, item_bytes(item, with_payload=with_payload))


def retracted(node: str, item_ids: Iterable[str]) -> bytes:
    """Items were taken back (§7.2.2.1)."""
    return _items(node, "".join(f"<retract id='{escape_attr(each)}'/>" for each in item_ids).encode())


def purged(node: str) -> bytes:
    """All items were taken back (§8.5.2)."""
    return f"<purge node='{escape_attr(node)}'/>".encode()


def deleted(node: str) -> bytes:
    """The node is gone (§8.4.2)."""
    return f"<delete node='{escape_attr(node)}'/>".encode()


def configured(node: str, form: Element | None) -> bytes:
    """The node is configured otherwise (§8.2.5.3)."""
    inside = b"" if form is None else serialise(form)
    return f"<configuration node='{escape_attr(node)}'>".encode() + inside + b"</configuration>"


def message(from_: str, event: bytes, *, at_us: int = 0) -> bytes:
    """The headline that carries an event; `at_us` says when it was, for one that is told late (Unix time in µs)."""
    addressed = f"from='{escape_attr(from_)}' id='{_dice.getrandbits(72):x}'"
    head = f"<message xmlns='{names.CLIENT}' type='headline' {addressed}>"
    delay = ""
    if at_us:
        delay = f"<delay xmlns='{names.DELAY}' stamp='{_stamp(at_us // 1_000_000)}'/>"
    return (
        f"{head}<event xmlns='{names.PUBSUB_EVENT}'>".encode() + event + f"</event>{delay}</message>".encode()
    )


@lru_cache(maxsize=4096)
def _stamp(at: int) -> str:
    """XEP-0082. The same again and again: whoever comes online gets the last items of many."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _items(node: str, inside: bytes) -> bytes:
    return f"<items node='{escape_attr(node)}'>".encode() + inside + b"</items>"
