"""Counts what became of stanzas, for the metrics listener."""

from __future__ import annotations

from rainbow_xmpp.plugin import Outcome, Passage, Plugin, Stage, hook

_DELIVERED = Outcome.DELIVERED  # looking up a member of an enumeration costs more than the counting


class StanzaMetrics(Plugin, name="stanza_metrics", for_all=True):
    """Adds to `services.counters` at the end of every stanza's way."""

    @hook(Stage.OBSERVE)
    def count(self, p: Passage, outcome: Outcome) -> None:
        counters = self.services.counters
        if outcome is _DELIVERED:
            counters.stanzas_delivered += 1
            if p.kind == "message":
                counters.messages_delivered += 1
        else:
            counters.ended(outcome.value)
