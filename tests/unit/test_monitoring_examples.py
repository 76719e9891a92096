"""The dashboard, the alerts and the page about them speak of figures that exist, and the page of all of them."""

import json
import re
from pathlib import Path

import pytest

from rainbow_xmpp.border.figures import BorderFigures
from rainbow_xmpp.observe.figures import Health, NodeFigures
from rainbow_xmpp.observe.metrics import Exposition
from rainbow_xmpp.plugins.stanza_metrics import StanzaMetrics
from rainbow_xmpp.testing import TestServer

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "conf" / "examples" / "monitoring"
PAGE = (ROOT / "docs" / "admin" / "monitoring.md").read_text()
_NAME = re.compile(r"\b(?:rainbow|process)_[a-z_]+")
_PROMETHEUS_ADDS = re.compile(r"_(?:bucket|count|sum|created)$")


async def exposed() -> str:
    async with TestServer([StanzaMetrics]) as server:
        figures = NodeFigures(server.node, Health(lambda: True))
        border = BorderFigures("emea", ["na"])
        return Exposition(server.node.counters, [figures, border]).render().decode()


def names(text: str) -> set[str]:
    """Figures that a text speaks of, each without what a histogram adds."""
    return {_PROMETHEUS_ADDS.sub("", name) for name in _NAME.findall(text)}


def expressions() -> list[str]:
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


async def test_dashboard_and_alerts_ask_for_figures_that_exist() -> None:
    there = names(await exposed())
    assert names("\n".join(expressions())) <= there
    assert names((EXAMPLES / "prometheus-alerts.yml").read_text()) <= there


async def test_labels_that_are_asked_for_exist() -> None:
    text = await exposed()
    asked = set(re.findall(r'(\w+)="(?!\$)[^"]*"', "\n".join(expressions())))
    asked |= set(re.findall(r'(\w+)="[a-z]+"', (EXAMPLES / "prometheus-alerts.yml").read_text())) - {"job"}
    assert asked
    for label in asked:
        assert re.search(rf'{label}="', text), label


async def test_the_page_explains_every_figure() -> None:
    there = {name for name in names(await exposed()) if name.startswith("rainbow_")}
    assert there <= names(PAGE)
    assert {name for name in names(PAGE) - {"rainbow_xmpp"} if name.startswith("rainbow_")} <= there


@pytest.mark.parametrize("file", sorted(EXAMPLES.iterdir()), ids=lambda file: file.name)
def test_the_page_names_each_example(file: Path) -> None:
    assert file.name in PAGE


def test_panels_lie_beside_each_other() -> None:
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert taken.isdisjoint(cells), panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
