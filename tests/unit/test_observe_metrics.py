"""Counters and their form for Prometheus."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.observe.metrics import FAMILIES, OUTCOMES, Counters, Exposition, FaultCounter
from rainbow_xmpp.observe.timings import PluginFigures
from rainbow_xmpp.plugin import Context, Plugin, on_presence
from rainbow_xmpp.testing import TestServer


def samples(exposition: Exposition) -> dict[tuple[str, str], float]:
    """Value by name and label value."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(exposition.render().decode())
        for sample in family.samples
    }


def test_every_counter_is_shown_once_and_every_shown_one_exists() -> None:
    shown = Counter(field for family in FAMILIES for field in family.fields.values())
    assert shown == Counter(field.name for field in fields(Counters) if field.name != "stream_errors")


def test_each_counter_reaches_its_own_sample() -> None:
    counters = Counters()
    for number, field in enumerate(fields(Counters), 1):
        if field.name != "stream_errors":
            setattr(counters, field.name, number)
    shown = samples(Exposition(counters))
    for family in FAMILIES:
        suffix = "" if family.gauge else "_total"
        for value, field_name in family.fields.items():
            assert shown[family.name + suffix, value] == getattr(counters, field_name)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_end_of_a_stanza_is_counted_by_what_became_of_it(outcome: str) -> None:
    counters = Counters()
    counters.ended(outcome)
    counters.ended(outcome)
    shown = samples(Exposition(counters))
    assert {one: shown["rainbow_stanzas_routed_total", one] for one in OUTCOMES} == {
        one: 2.0 * (one == outcome) for one in OUTCOMES
    }


def test_an_unknown_outcome_makes_no_new_label() -> None:
    with pytest.raises(KeyError):
        Counters().ended("elsewhere")


def test_a_misspelt_counter_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Counters().mesages_in = 1  # type: ignore[attr-defined]


class _Figures:
    def metrics(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("rainbow_nudges_waiting", "Nudges that wait.", value=3)


def test_a_plugins_figures_come_and_go() -> None:
    exposition, figures = Exposition(Counters()), _Figures()
    exposition.add(figures)
    assert samples(exposition)["rainbow_nudges_waiting", ""] == 3
    exposition.remove(figures)
    assert ("rainbow_nudges_waiting", "") not in samples(exposition)


def test_two_nodes_in_one_process_do_not_mix() -> None:
    first, second = Counters(), Counters()
    expositions = Exposition(first), Exposition(second)
    first.faults = 1
    assert [samples(one)["rainbow_faults_total", ""] for one in expositions] == [1, 0]


def test_what_is_logged_with_a_traceback_is_a_fault() -> None:
    counters = Counters()
    log = logging.Logger("rainbow_xmpp.somewhere")
    log.addHandler(FaultCounter(counters))
    log.error("the database does not answer")
    assert counters.faults == 0
    try:
        raise LookupError
    except LookupError:
        log.exception("a stanza could not be handled")
    assert counters.faults == 1


def test_memory_and_cpu_are_shown_but_no_version() -> None:
    text = Exposition(Counters()).render().decode()
    assert "process_resident_memory_bytes" in text
    assert "process_cpu_seconds_total" in text
    assert "python_info" not in text


def test_stream_errors_are_shown_by_every_condition_there_is() -> None:
    counters = Counters()
    counters.stream_errors[StreamCondition.NOT_WELL_FORMED] += 2
    shown = samples(Exposition(counters))
    found = {label: value for (name, label), value in shown.items() if name == "rainbow_stream_errors_total"}
    assert found == {condition: 2.0 * (condition == "not-well-formed") for condition in StreamCondition}


def test_a_fault_of_a_plugin_is_the_plugins_too() -> None:
    counters, plugins = Counters(), PluginFigures()
    plugins.add("nudge")
    logger = logging.getLogger("rainbow_xmpp.test_plugin_faults")
    handler = FaultCounter(counters, plugins)
    logger.addHandler(handler)
    try:
        for extra in ({"plugin": "nudge"}, {"plugin": "nobody"}, {}):
            try:
                raise ZeroDivisionError
            except ZeroDivisionError:
                logger.exception("it failed", extra=extra)
    finally:
        logger.removeHandler(handler)
    shown = samples(Exposition(counters, [plugins]))
    assert counters.faults == 3
    assert {key for key in shown if key[0] == "rainbow_plugin_failures_total"} == {
        ("rainbow_plugin_failures_total", "nudge")
    }
    assert shown["rainbow_plugin_failures_total", "nudge"] == 1


def test_what_plugins_wait_for_is_measured_for_those_that_run() -> None:
    plugins = PluginFigures()
    plugins.add("nudge")
    plugins.waited("nudge", 0.003)
    plugins.late("nudge")
    for told in (plugins.failed, plugins.late):
        told("stranger")
    plugins.waited("stranger", 1.0)
    text = Exposition(Counters(), [plugins]).render().decode()
    assert 'rainbow_plugin_wait_seconds_count{plugin="nudge"} 1.0' in text
    assert 'rainbow_plugin_deadlines_total{plugin="nudge"} 1.0' in text
    assert 'plugin="stranger"' not in text


class Clumsy(Plugin, name="clumsy"):
    """Fails on presence, before anything takes it."""

    @on_presence()
    def stumble(self, ctx: Context) -> None:
        raise ZeroDivisionError


async def test_a_stanza_that_cannot_be_handled_is_one_fault() -> None:
    async with TestServer([Clumsy]) as server:
        ann = await server.login("ann@acme")
        counter = FaultCounter(server.node.counters)
        logging.getLogger("rainbow_xmpp").addHandler(counter)
        try:
            ann.send("<presence/>")
            await server.settle()
        finally:
            logging.getLogger("rainbow_xmpp").removeHandler(counter)
        assert server.node.counters.faults == 1
