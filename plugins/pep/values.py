"""Nodes and items as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from rainbow_xmpp.plugins.pep.node_config import NodeConfig


class Affiliation(StrEnum):
    """What somebody is to a node (XEP-0060 §4.1), as far as personal nodes have it; "none" is not kept."""

    OWNER = "owner"
    MEMBER = "member"
    OUTCAST = "outcast"
    NONE = "none"


class Item(NamedTuple):
    """Something that was published. `published_us` is Unix time in microseconds, rising within a node."""

    id: str
    published_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Node:
    """One node of an account."""

    name: str
    config: NodeConfig
    affiliations: Mapping[str, Affiliation]
    """By bare JID; only members and outcasts."""
    created_at: int
    subscribers: frozenset[str] = frozenset()
    """Bare and full JIDs that subscribed by asking for it; whoever sees the owner's presence need not."""
    last: Item | None = field(default=None, repr=False)
    """What was published last, when it is kept; its payload is empty when it is too large for memory."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """All nodes of an account, in memory."""

    owner_id: str
    nodes: Mapping[str, Node]


EMPTY = Shelf("", {})
