"""Grafana's dashboard JSON from few words: a panel is a title, a query and a unit.

The classic schema, which Grafana 11 to 13 load from files. Data sources are named by their fixed
uid; an import's `${DS_...}` would not be resolved in a provisioned file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
WAREHOUSE = {"type": "postgres", "uid": "pg-ops"}
SCHEMA_VERSION = 41
COLUMNS = 24

#: A limit and the colour from there on; the first one has no limit.
Steps = Sequence[tuple[float | None, str]]
PLAIN: Steps = ((None, "blue"),)
ZERO_IS_GOOD: Steps = ((None, "green"), (1, "red"))


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows, in words of people.
        queries: PromQL, or one statement of SQL for the warehouse; with the legend of its series.
        kind: of Grafana's panels.
        unit: by Grafana's name.
        steps: thresholds.
        mappings: words for values.
        runbook: the alert that watches the same, if one does.
        note: what the number means, where the title does not say it.
        quiet: nothing to show is what a good run shows.
        stacked: one series upon the other.
        width: of 24 columns.
        height: in rows of about 30 pixels.

    """

    title: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    steps: Steps = PLAIN
    mappings: tuple[tuple[int, str, str], ...] = ()
    runbook: str = ""
    note: str = ""
    quiet: bool = False
    stacked: bool = False
    width: int = 8
    height: int = 7

    @property
    def is_sql(self) -> bool:
        """Whether the panel reads the warehouse, not Prometheus."""
        return self.queries[0][0].lstrip().startswith("select")

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel as Grafana reads it."""
        source = WAREHOUSE if self.is_sql else PROMETHEUS
        watched = f"Runbook: docs/runbooks/{self.runbook}.md" if self.runbook else ""
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.steps is PLAIN else "thresholds"},
            "thresholds": {
                "mode": "absolute",
                "steps": [{"value": value, "color": color} for value, color in self.steps],
            },
            "mappings": [
                {
                    "type": "value",
                    "options": {
                        str(value): {"text": text, "color": color, "index": index}
                        for index, (value, text, color) in enumerate(self.mappings)
                    },
                }
            ]
            if self.mappings
            else [],
        }
        if self.kind == "timeseries":
            # What a run pushed holds until the next one pushes: steps, not slopes.
            defaults["min"] = 0
            defaults["custom"] = {
                "lineInterpolation": "stepAfter",
                "fillOpacity": 30 if self.stacked else 5,
                "stacking": {"mode": "normal" if self.stacked else "none"},
                "showPoints": "never",
                "spanNulls": True,
            }
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": "\n\n".join(part for part in (self.note, watched) if part),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "datasource": source,
            "targets": [self._target(i, query, source) for i, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": _OPTIONS.get(self.kind, {}),
        }

    def _target(self, index: int, query: tuple[str, str], source: dict[str, str]) -> dict[str, Any]:
        text, legend = query
        target: dict[str, Any] = {"refId": chr(ord("A") + index), "datasource": source}
        if self.is_sql:
            return {**target, "rawSql": text, "format": "table", "editorMode": "code"}
        target.update(expr=text, legendFormat=legend or "__auto")
        if self.kind in ("stat", "bargauge", "gauge", "piechart"):
            target.update(instant=True, range=False)
        return target


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {"reduceOptions": _LAST, "colorMode": "background", "graphMode": "none"},
    "bargauge": {"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "gradient"},
    "piechart": {"reduceOptions": _LAST, "legend": {"displayMode": "table", "values": ["value"]}},
    "state-timeline": {"mergeValues": True, "showValue": "never"},
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}


@dataclass(frozen=True)
class Dashboard:
    """One dashboard: its name in addresses, its title, and panels that flow from left to right."""

    name: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    hours: int = 24

    @property
    def uid(self) -> str:
        """The id of the dashboard in its URL."""
        return f"pipeboard-{self.name}"

    def json(self) -> dict[str, Any]:
        """Return the dashboard as Grafana reads it."""
        panels, x, y, row = [], 0, 0, 0
        for number, panel in enumerate(self.panels, start=1):
            if x + panel.width > COLUMNS:
                x, y, row = 0, y + row, 0
            panels.append(panel.json(number, x, y))
            x, row = x + panel.width, max(row, panel.height)
        return {
            "id": None,
            "uid": self.uid,
            "title": f"Pipeboard: {self.title}",
            "description": self.description,
            "tags": ["pipeboard"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": f"now-{self.hours}h", "to": "now"},
            "timezone": "browser",
            "links": [
                {
                    "type": "dashboards",
                    "title": "Pipeboard",
                    "tags": ["pipeboard"],
                    "asDropdown": True,
                    "includeVars": True,
                    "keepTime": True,
                }
            ],
            "templating": {"list": [_PIPELINE]},
            "annotations": {"list": []},
            "panels": panels,
        }


_PIPELINE = {
    "name": "pipeline",
    "label": "Pipeline",
    "type": "query",
    "datasource": PROMETHEUS,
    "query": {"query": "label_values(push_time_seconds, pipeline)", "refId": "pipeline"},
    "refresh": 2,
    "sort": 1,
    "includeAll": True,
    "allValue": ".*",
    "multi": True,
    "current": {"text": ["All"], "value": ["$__all"]},
}
