"""What plugins offer each other. Who offers something derives from an interface, who needs it asks for the interface.

    class Caps(Plugin, ClientFeatures, name="caps"): ...

    clients = self.services.offered(ClientFeatures)
    if clients is not None and "urn:example:mood+notify" in clients.features_of(session): ...

So neither imports the other, either may be left out, and somebody else may offer the same instead. Interfaces of your
own derive from `Offer` in a module that both of your plugins import.
"""

from __future__ import annotations

from dataclasses import dataclass

from rainbow_xmpp.router.events import Event
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza.disco import DiscoInfo


class Offer:
    """The base of interfaces; at most one running plugin offers each of them."""


class ServerInfo(Offer):
    """What the server says of itself (XEP-0030)."""

    def info_for_all(self) -> DiscoInfo | None:
        """What everybody is answered; None when that depends on who asks."""
        raise NotImplementedError


class ClientFeatures(Offer):
    """What clients can do (XEP-0115)."""

    def features_of(self, session: Session) -> frozenset[str]:
        """What the session's client says that it can do, as far as that is known by now; `FeaturesLearned` tells."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FeaturesLearned(Event):
    """A client's features are known, or they are others than before."""

    session: Session
    features: frozenset[str]
