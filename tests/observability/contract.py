"""The metric contract: declared metrics, and their use in dashboards and rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pipeboard_target_postgres import metrics as loader_metrics

import pipeboard.run.metrics
from tap_pipedrive.reporting import metrics as tap_metrics

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ROOT / "k8s" / "components"
RULES = COMPONENTS / "prometheus" / "pipeboard-rules.yml"
RULE_TESTS = sorted((COMPONENTS / "prometheus").glob("*_test.yml"))
DASHBOARDS = sorted((COMPONENTS / "grafana" / "dashboards").glob("*.json"))
QUERIES = COMPONENTS / "metrics-server" / "queries.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
GUIDE = ROOT / "docs" / "observability.md"

#: A metric of this project; one that a rule records has a colon before the prefix.
METRIC = re.compile(r"(?<![:\w])pipedrive_etl_\w+")
RECORDED = re.compile(r"\b[a-z]+:pipedrive_etl_\w+")
SELECTED = re.compile(r"(?<![:\w])(pipedrive_etl_\w+)\{([^}]*)\}")
MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
#: Labels that every series of its kind has, by the group it was pushed to or its scrape.
GIVEN = {"job", "instance", "pipeline"}


def declared() -> dict[str, dict[str, set[str]]]:
    """Return what each part declares: {part: {metric: its labels}}."""
    exporter = yaml.load(QUERIES.read_text(), _Lenient)
    return {
        "tap": {name: set(labels) for name, (_, labels) in tap_metrics.DECLARED.items()},
        "loader": {name: set(labels) for name, (_, labels) in loader_metrics.DECLARED.items()},
        "supervisor": {
            pipeboard.run.metrics.PREFIX + name: set(labels)
            for name, (_, labels) in pipeboard.run.metrics.DECLARED.items()
        },
        "metrics server": {
            name: {*metric.get("labels", ()), "database"}
            for name, metric in exporter["metrics"].items()
        },
    }


class _Lenient(yaml.SafeLoader):
    """Reads query-exporter's file without its `!env`."""


_Lenient.add_constructor("!env", lambda _loader, node: node.value)


@dataclass(frozen=True)
class Query:
    """One query of a panel or a rule."""

    where: str
    text: str
    is_sql: bool = False
    panel: dict[str, Any] | None = None


def panel_queries() -> list[Query]:
    """Return every query of every panel."""
    found = []
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                where = f"{path.stem}: {panel['title']}"
                text = target.get("expr") or target["rawSql"]
                found.append(Query(where, text, "rawSql" in target, panel))
    return found


def rules() -> list[dict[str, Any]]:
    """Return every rule."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Return every alert rule by its name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def queries() -> list[Query]:
    """Return every PromQL query of dashboards and rules."""
    found = [query for query in panel_queries() if not query.is_sql]
    return found + [Query(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


def unused_on_purpose() -> set[str]:
    """Return the metrics that the guide lists as not shown."""
    section = GUIDE.read_text().partition("## Declared and not shown")[2].partition("\n## ")[0]
    return set(METRIC.findall(section))
