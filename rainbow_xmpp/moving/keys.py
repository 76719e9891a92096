"""The keys of this region, under which what arrives is sealed anew."""

from __future__ import annotations

from dataclasses import dataclass

from rainbow_xmpp.auth.box import Box
from rainbow_xmpp.auth.seal import Sealer


@dataclass(frozen=True, slots=True)
class RegionKeys:
    """See `rainbow_xmpp.store.carried.Keys`."""

    sealer: Sealer

    def secret_for(self, purpose: str) -> bytes:
        return self.sealer.secret_for(purpose)

    def box_for(self, purpose: str) -> Box:
        return self.sealer.box_for(purpose)
