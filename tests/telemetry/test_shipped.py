"""
What is shipped for those who watch the daemon: alerts, a dashboard, and the document about metrics and spans.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.telemetry.catalogue import ALL
from itsjustintv.telemetry.instruments import Kind
from tests.documents import ROOT, Document
from tests.functional.stage import tool

ALERTS = ROOT / "etc" / "prometheus-alerts.yml"
DASHBOARD = ROOT / "etc" / "grafana-dashboard.json"
RULE_TESTS = ROOT / "tests" / "data" / "prometheus" / "alerts-test.yml"

_METRIC = re.compile(r"\bitsjustintv_\w+")
_SELECTOR = re.compile(r"\b(itsjustintv_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+) *(?:=~|!~|!=|=) *"([^"]*)"')


def exposed() -> Mapping[str, tuple[str, ...]]:
    """
    Every series that ``/metrics`` has, with the names of its labels.
    """
    found: dict[str, tuple[str, ...]] = {}
    for family in ALL.values():
        if family.kind is Kind.HISTOGRAM:
            found |= {f"{family.prometheus}_{part}": family.labels for part in ("sum", "count")}
            found[f"{family.prometheus}_bucket"] = (*family.labels, "le")
        else:
            found[family.prometheus] = family.labels
    return found


def faults(expression: str) -> Iterator[str]:
    """
    What an expression asks for that is not there: a metric, one of its labels, or a value that such a label has.
    """
    values = {
        (family.prometheus, label): {labels[place] for labels in family.expected}
        for family in ALL.values()
        for place, label in enumerate(family.labels)
    }
    series = exposed()
    for name, selector in _SELECTOR.findall(expression):
        if name not in series:
            yield f"{name} in {expression}"
            continue
        for label, value in _MATCHER.findall(selector):
            if label in ("instance", "job"):
                continue
            known = values.get((name, label), set())
            if label not in series[name] or (known and not set(value.split("|")) <= known):
                yield f"{name}, {label}={value} in {expression}"


class AlertTests(SynchronousTestCase):
    """
    ``etc/prometheus-alerts.yml``.
    """

    def setUp(self) -> None:
        self.text = ALERTS.read_text(encoding="utf-8")
        self.names = re.findall(r"^ +- alert: (\w+)$", self.text, re.MULTILINE)

    def test_prometheus_takes_them(self) -> None:
        """
        Prometheus' own tool finds no fault, and each fires when it should and not when it should not.
        """
        promtool = tool("promtool")
        folder = Path(self.mktemp())
        folder.mkdir()
        shutil.copy(ALERTS, folder / "alerts.yml")
        shutil.copy(RULE_TESTS, folder / "alerts-test.yml")
        for command in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts-test.yml")):
            done = subprocess.run([promtool, *command], cwd=folder, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_is_tested(self) -> None:
        """
        There is no alert that was never seen to fire.
        """
        fired = set(re.findall(r'alertname="(\w+)", severity', RULE_TESTS.read_text(encoding="utf-8")))
        self.assertEqual(fired, set(self.names))

    def test_what_they_ask_for_is_there(self) -> None:
        """
        Every metric, label and value in an expression exists.
        """
        expressions = re.findall(r"^ +expr: (.+)$", self.text, re.MULTILINE)
        self.assertEqual(len(expressions), len(self.names))
        self.assertEqual([fault for each in expressions for fault in faults(each)], [])

    def test_somebody_knows_what_to_do(self) -> None:
        """
        Each has a row in docs/operations.md, in the same order.
        """
        rows = Document(ROOT / "docs" / "operations.md").tables("alert", "what it means", "what to do")
        self.assertEqual([row["alert"].strip("`") for row in rows], self.names)


class DashboardTests(SynchronousTestCase):
    """
    ``etc/grafana-dashboard.json``.
    """

    def setUp(self) -> None:
        self.board: Any = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        self.expressions = [target["expr"] for panel in self.board["panels"] for target in panel.get("targets", ())]

    def test_what_it_asks_for_is_there(self) -> None:
        """
        Every metric, label and value in a query exists.
        """
        self.assertEqual([fault for each in self.expressions for fault in faults(each)], [])

    def test_everything_is_shown(self) -> None:
        """
        There is no metric that nobody would ever look at.
        """
        asked = {name for each in self.expressions for name in _METRIC.findall(each)}
        histograms = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
        self.assertEqual(
            [family.prometheus for family in ALL.values() if family.prometheus not in asked | histograms], []
        )

    def test_panels_are_told_apart(self) -> None:
        """
        Each panel has an id, a title and a place of its own, and uses the data source that was chosen.
        """
        panels = self.board["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
        self.assertEqual(len(set(places)), len(places))
        for panel in panels:
            self.assertTrue(panel["title"])
            for target in panel.get("targets", ()):
                self.assertEqual(target["datasource"]["uid"], "${datasource}")


class DocumentTests(SynchronousTestCase):
    """
    ``docs/telemetry.md``.
    """

    def setUp(self) -> None:
        self.document = Document(ROOT / "docs" / "telemetry.md")

    def test_metrics(self) -> None:
        """
        The table has every metric, as it is exposed and explained.
        """
        rows = [
            (row["name"], row["kind"], row["labels"], row["meaning"])
            for row in self.document.tables("name", "kind", "labels", "meaning")
        ]
        wanted = [
            (
                f"`{family.prometheus}`",
                family.kind.value,
                ", ".join(f"`{label}`" for label in family.labels),
                family.help,
            )
            for family in ALL.values()
        ]
        self.assertEqual(rows, wanted)
