"""The supervisor's metrics, all declared here, and their push to a Prometheus Pushgateway.

Gauges describe the last run; `_total` metrics are sums over the history of runs. The metrics of a
pipeline are one group (`job`, `pipeline`), never with a run id, pushed with POST, so that the tap's
metrics in the same group stay. A push that fails is reported and has no other effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException

from prometheus_client import CollectorRegistry, pushadd_to_gateway
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

JOB = "pipedrive_etl"
PREFIX = "pipedrive_etl_"
PUSH_TIMEOUT_SECONDS = 5.0

#: name: (description, labels)
DECLARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "last_run_timestamp_seconds": ("Start of the last run", ()),
    "last_run_status": ("1 the last run succeeded or is behind, 0 anything else", ()),
    "last_run_outcome": ("1 for how the last run ended, 0 for every other way", ("outcome",)),
    "last_run_exit_code": ("Exit code of the last run", ()),
    "last_run_duration_seconds": ("Time the last run took, by phase", ("phase",)),
    "last_run_rows_loaded": ("Rows the last run loaded", ("stream",)),
    "last_run_rows_rejected": ("Rows the database refused in the last run", ("stream",)),
    "last_completion_timestamp_seconds": ("Last end of a run, by how it ended", ("result",)),
    "last_success_timestamp_seconds": ("Last end of a run that succeeded or is behind", ()),
    "runs_total": ("Runs so far, by how they ended", ("result",)),
    "run_rows_total": ("Rows that all runs so far extracted", ()),
    "run_api_tokens_total": ("API tokens that all runs so far spent", ()),
    "stream_loaded_timestamp_seconds": (
        "Last time a stream was read and loaded to its end",
        ("stream",),
    ),
    "stream_outcome": (
        "1 for how a stream ended in the last run, 0 for every other way",
        ("stream", "outcome"),
    ),
    "stream_quarantined_records": ("Records of a stream set aside in the last run", ("stream",)),
    "stream_nulled_values": ("Values of a stream set to null in the last run", ("stream",)),
    "stream_incomplete_parents": (
        "Records whose dependent records could not be read to the end in the last run",
        ("stream",),
    ),
    "stage_history_remaining_deals": ("Deals whose change log was never read", ()),
    "stage_history_quality_deals": ("Deals by how well their history is known", ("quality",)),
    "dbt_models": ("Models, seeds and snapshots by what the last build did with them", ("state",)),
    "dbt_tests": ("Data tests by what each found when it last ran", ("severity", "status")),
    "dq_failures": ("Rows a data test found wrong when it last ran", ("check",)),
    "peak_memory_bytes": ("Most memory the last run needed", ()),
    "memory_limit_bytes": ("Memory that the container may use; 0 is no limit", ()),
    "build_info": ("Version of the supervisor and the tap", ("version", "git_sha", "tap_version")),
}
COUNTERS = frozenset(name for name in DECLARED if name.endswith("_total"))


@dataclass(eq=False)
class MetricSet(Collector):
    """Values of declared metrics: `{name: {label values: value}}`. Others raise a KeyError."""

    values: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set one value."""
        _, names = DECLARED[name]
        if len(labels) != len(names):
            message = f"{name} takes the labels {names}, not {labels}"
            raise ValueError(message)
        self.values.setdefault(name, {})[labels] = value

    def fill(self, name: str, values: Mapping[str, float]) -> None:
        """Set a metric with one label."""
        for label, value in values.items():
            self.set(name, value, label)

    def collect(self) -> Iterator[Metric]:
        """Answer prometheus_client."""
        for name, values in self.values.items():
            help_text, labels = DECLARED[name]
            kind = CounterMetricFamily if name in COUNTERS else GaugeMetricFamily
            family = kind(PREFIX + name, help_text, labels=labels)
            for label_values, value in values.items():
                family.add_metric(label_values, value)
            yield family


def push(gateway: str, pipeline: str, metrics: MetricSet) -> str | None:
    """Push; return the error message if that fails."""
    registry = CollectorRegistry()
    registry.register(metrics)
    try:
        pushadd_to_gateway(
            gateway,
            job=JOB,
            registry=registry,
            grouping_key={"pipeline": pipeline},
            timeout=PUSH_TIMEOUT_SECONDS,
        )
    # OSError: no answer. The others: an address, or an answer, that is none.
    except (OSError, ValueError, HTTPException) as error:
        return f"metrics could not be pushed ({type(error).__name__}: {error})"
    return None
