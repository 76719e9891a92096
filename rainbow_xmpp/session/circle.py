"""People who see each other without asking, as one object: the colleagues of a company."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rainbow_xmpp.session.table import Home


class Circle:
    """Everybody in it is in everybody's roster, subscribed both ways, without a row of anybody's.

    Shared by all who belong to it: 5,000 people are 5,000 entries here, and none elsewhere.
    """

    __slots__ = ("group", "homes", "members", "version")

    def __init__(self, group: str) -> None:
        self.group = group
        """The roster group that its people stand in."""
        self.members: Mapping[str, str] = {}
        """Names by bare JID; connected or not."""
        self.version = ""
        """Changes with the members, their names and the group; part of everybody's roster version."""
        self.homes: dict[str, Home] = {}
        """Who of them is connected to this node, by bare JID."""

    def set(self, group: str, members: Mapping[str, str]) -> None:
        """Who belongs to it from now on. Homes come and go by `Home.join`."""
        self.group, self.members = group, members
        text = "\n".join([group, *(f"{bare} {name}" for bare, name in sorted(members.items()))])
        self.version = hashlib.sha256(text.encode()).hexdigest()[:12]
