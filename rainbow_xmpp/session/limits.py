"""`[limits]` in the shapes that sessions and the XML layer use."""

from __future__ import annotations

import math
from typing import NamedTuple

from rainbow_xmpp.config import Limits, Xml
from rainbow_xmpp.xml import DEFAULT_LIMITS, XmlLimits


class Pace(NamedTuple):
    """How much one session may send: a burst at once, and so much a second for long. 0 a second = no limit."""

    stanzas_per_second: float
    stanza_burst: float
    bytes_per_second: float
    byte_burst: float

    @classmethod
    def of(cls, limits: Limits) -> Pace:
        return cls(limits.stanzas_per_second, limits.stanza_burst, limits.bytes_per_second, limits.byte_burst)

    @property
    def stanzas_at_once(self) -> float:
        """What a session begins with."""
        return self.stanza_burst if self.stanzas_per_second else math.inf

    @property
    def bytes_at_once(self) -> float:
        """What a session begins with."""
        return self.byte_burst if self.bytes_per_second else math.inf


UNHURRIED = Pace(0, 0, 0, 0)


def xml_limits(bounds: Xml, max_bytes: int) -> XmlLimits:
    """The XML layer's form; the usual limits are that one object which the scanner knows by heart."""
    made = XmlLimits(
        max_bytes=max_bytes,
        depth=bounds.depth,
        elements=bounds.elements,
        attributes=bounds.attributes,
        declarations=bounds.declarations,
        name_length=bounds.name_length,
        namespace_length=bounds.namespace_length,
    )
    return DEFAULT_LIMITS if made == DEFAULT_LIMITS else made
