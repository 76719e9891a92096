"""Pages for people that the landing page leads to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rainbow_xmpp.plugin.offers import Offer


class PageLink(NamedTuple):
    """What a page is for, in a few words, and its path on this server."""

    words: str
    path: str


class PageLinks(Offer):
    """The most important page first."""

    def page_links(self) -> Sequence[PageLink]:
        """As it is now; the landing page asks each time."""
        raise NotImplementedError
