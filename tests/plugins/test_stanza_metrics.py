from rainbow_xmpp.observe.metrics import OUTCOMES, Exposition
from rainbow_xmpp.plugins.stanza_metrics import StanzaMetrics
from rainbow_xmpp.router.passage import Outcome
from rainbow_xmpp.testing import TestServer


async def test_every_end_of_the_way_is_counted():
    async with TestServer([StanzaMetrics]) as server:
        counters = server.node.counters
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<message to='{bob.bare}' type='chat'><body>hello</body></message>")
        ann.send(f"<message to='nobody@{server.domain}' type='chat'><body>hello?</body></message>")
        ann.send(f"<message to='{bob.bare}/gone' type='headline'><body>news</body></message>")
        ann.send(f"<presence to='{bob.jid}'/>")
        await server.settle()
        assert (counters.messages_delivered, counters.stanzas_delivered) == (1, 2)
        assert (counters.stanzas_refused, counters.stanzas_ignored) == (1, 1)
        assert (counters.stanzas_stored, counters.stanzas_answered, counters.stanzas_failed) == (0, 0, 0)


async def test_the_figures_are_shown():
    async with TestServer([StanzaMetrics]) as server:
        ann = await server.login("ann@acme")
        ann.send(f"<message to='{ann.bare}'><body>note</body></message>")
        shown = Exposition(server.node.counters).render().decode()
        assert 'rainbow_stanzas_routed_total{outcome="delivered"} 1.0' in shown
        assert "rainbow_messages_delivered_total 1.0" in shown


def test_every_outcome_of_the_router_has_a_counter():
    """Observers are told outcomes by name: one without a counter would be a fault in the log of a sound server."""
    assert sorted(OUTCOMES) == sorted(outcome.value for outcome in Outcome)
