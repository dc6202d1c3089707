"""Metrics of a run for a Prometheus Pushgateway; every metric of the tap is declared here.

All are gauges about the last run, in one group (``job``, ``pipeline``) without a run id. They are
pushed with POST, so that other metrics in the group stay. A push that fails is logged, and the run
goes on.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections.abc import Mapping
from http.client import HTTPException
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

from tap_pipedrive.context import RunContext
from tap_pipedrive.streams.base import Streams
from tap_pipedrive.times import to_time

JOB = "pipedrive_etl"
PUSH_SECONDS = 15.0
PUSH_TIMEOUT_SECONDS = 5.0

#: ``{name: (help text, labels)}``
DECLARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "pipedrive_etl_last_run_records": ("Records extracted", ("stream",)),
    "pipedrive_etl_stream_bookmark_timestamp_seconds": (
        "Source time up to which a stream is read",
        ("stream",),
    ),
    "pipedrive_etl_api_requests": ("API requests", ("endpoint", "code_class")),
    "pipedrive_etl_api_rate_limited_requests": ("Requests answered 429", ("endpoint",)),
    "pipedrive_etl_api_retries": ("Requests tried again", ("endpoint", "reason")),
    "pipedrive_etl_api_errors": ("Requests given up on", ("endpoint", "reason")),
    "pipedrive_etl_api_latency_seconds": ("Time to an answer", ("endpoint", "quantile")),
    "pipedrive_etl_api_tokens_used": ("API tokens spent by the run", ()),
    "pipedrive_etl_api_tokens_budget": ("API tokens a day", ()),
    "pipedrive_etl_api_tokens_remaining": ("API tokens left today, as the server reports", ()),
    "pipedrive_etl_circuit_breaker_state": ("0 closed, 2 open", ("name",)),
    "pipedrive_etl_circuit_breaker_trips": ("Times the circuit opened", ("name",)),
    "pipedrive_etl_cache_hits": ("Values found in a cache", ("cache",)),
    "pipedrive_etl_cache_misses": ("Values not found in a cache", ("cache",)),
    "pipedrive_etl_schema_changes": ("Changes of the source's shape met", ("kind",)),
    "pipedrive_etl_tap_peak_memory_bytes": ("Largest resident set of the tap", ()),
    "pipedrive_etl_tap_build_info": ("Version of the tap", ("tap_version",)),
}


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Pusher:
    """Pushes the metrics of a run at intervals and at its end."""

    def __init__(self, run: RunContext, streams: Streams) -> None:
        """Push to the gateway of the settings (``http://host:9091``), if there is one."""
        self._run = run
        self._streams = streams
        self._gateway: str | None = run.config.get("pushgateway_url")
        self._logger = logging.getLogger("tap-pipedrive")
        self._last = time.monotonic()

    def push_at_intervals(self) -> None:
        """Push if the last push is long enough ago."""
        if self._gateway and time.monotonic() - self._last >= PUSH_SECONDS:
            self.push()

    def push(self) -> None:
        """Push the current values."""
        if not self._gateway:
            return
        self._last = time.monotonic()
        pipeline = os.environ.get("PIPEBOARD_PIPELINE", "main")
        try:
            pushadd_to_gateway(
                self._gateway,
                job=JOB,
                registry=collect(self._run, self._streams),
                grouping_key={"pipeline": pipeline},
                timeout=PUSH_TIMEOUT_SECONDS,
            )
        # OSError: no response. The others: an invalid address, or an invalid response.
        except (OSError, ValueError, HTTPException) as error:
            self._logger.warning("Metrics could not be pushed: %s", type(error).__name__)


def collect(run: RunContext, streams: Streams) -> CollectorRegistry:
    """Fill a new registry with the current values of the run."""
    registry = CollectorRegistry()
    gauge = {
        name: Gauge(name, help_text, labels, registry=registry)
        for name, (help_text, labels) in DECLARED.items()
    }
    client, governor, api = run.client, run.governor, run.client.api.snapshot()
    for stream in streams.selected:
        gauge["pipedrive_etl_last_run_records"].labels(stream.name).set(stream.emitted)
        if latest := stream.latest_bookmark:
            gauge["pipedrive_etl_stream_bookmark_timestamp_seconds"].labels(stream.name).set(
                to_time(latest).timestamp()
            )
        for kind, count in stream.drift.items():
            gauge["pipedrive_etl_schema_changes"].labels(kind).inc(count)
    for kind, count in dict(run.definitions.changes).items():
        gauge["pipedrive_etl_schema_changes"].labels(kind).inc(count)
    gauge["pipedrive_etl_cache_hits"].labels("definitions").set(run.definitions.hits)
    gauge["pipedrive_etl_cache_misses"].labels("definitions").set(run.definitions.misses)
    counted: tuple[tuple[str, Mapping[tuple[str, str], float]], ...] = (
        ("pipedrive_etl_api_requests", api.requests),
        ("pipedrive_etl_api_retries", api.retries),
        ("pipedrive_etl_api_errors", api.errors),
        ("pipedrive_etl_api_latency_seconds", api.quantiles()),
    )
    for name, values in counted:
        for labels, value in values.items():
            gauge[name].labels(*labels).set(value)
    for endpoint, _ in api.requests:
        gauge["pipedrive_etl_api_rate_limited_requests"].labels(endpoint).set(
            api.rate_limited[endpoint]
        )
    usage = dict(client.usage)
    gauge["pipedrive_etl_api_tokens_used"].set(sum(u.tokens for u in usage.values()))
    if governor.budget is not None:
        gauge["pipedrive_etl_api_tokens_budget"].set(governor.budget)
    if governor.plan_remaining is not None:
        gauge["pipedrive_etl_api_tokens_remaining"].set(governor.plan_remaining)
    gauge["pipedrive_etl_circuit_breaker_state"].labels("pipedrive").set(2 * governor.is_open)
    gauge["pipedrive_etl_circuit_breaker_trips"].labels("pipedrive").set(governor.trips)
    gauge["pipedrive_etl_tap_peak_memory_bytes"].set(peak_memory_bytes())
    gauge["pipedrive_etl_tap_build_info"].labels(version("pipeboard-tap-pipedrive")).set(1)
    return registry
