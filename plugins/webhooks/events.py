"""What hooks are told of, and in which words: ids, kinds and times, nothing else about anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from rainbow_xmpp.plugin import ChangeKind


class Kind(StrEnum):
    """What happened."""

    USER_JOINED = "user.joined"
    USER_LEFT = "user.left"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    LINK_MADE = "link.made"
    LINK_REVOKED = "link.revoked"
    TEST = "test"


BY_CHANGE: Mapping[ChangeKind, Kind] = {
    ChangeKind.ACCOUNT_ADDED: Kind.USER_JOINED,
    ChangeKind.ACCOUNT_REMOVED: Kind.USER_LEFT,
    ChangeKind.ACCOUNT_DISABLED: Kind.USER_DISABLED,
    ChangeKind.ACCOUNT_ENABLED: Kind.USER_ENABLED,
}


def body_of(kind: Kind, at: int, **data: str) -> str:
    """The body of a call. `at` is when it happened, Unix time in seconds."""
    timestamp = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, separators=(",", ":"))
