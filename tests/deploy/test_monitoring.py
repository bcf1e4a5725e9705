"""Alert rules and dashboard: they ask for metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from service.telemetry.metrics import Metrics
from tests.servers import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/vae.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"][0][
    "rules"
]


def expressions() -> Iterator[str]:
    """All that is asked of Prometheus, by alerts and panels."""
    yield from (rule["expr"] for rule in RULES)
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_every_metric_that_is_asked_for_exists() -> None:
    """By the names that are declared; only those in use show series."""
    declared = set(re.findall(r"^# TYPE (\S+) ", Metrics().render().decode(), re.MULTILINE))
    asked = set(re.findall(r"\bvae_\w+", " ".join(expressions())))
    assert asked
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= declared


def test_every_alert_says_what_and_how_bad() -> None:
    for rule in RULES:
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]


def test_every_alert_is_tested() -> None:
    tested = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tested
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in RULES}


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        box = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(box["x"], box["x"] + box["w"])
            for y in range(box["y"], box["y"] + box["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", PROMETHEUS / "prometheus.yml"),
        ("test", "rules", PROMETHEUS / "rules_test.yml"),
    ],
    ids=lambda command: f"{command[0]}-{command[1]}",
)
def test_promtool_accepts_what_prometheus_reads(command: tuple[Any, ...]) -> None:
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
