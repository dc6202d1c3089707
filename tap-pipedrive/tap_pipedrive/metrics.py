"""What a run measured, for a Prometheus Pushgateway: every metric of the tap is declared here.

All are gauges about the last run, in one group (``job``, ``pipeline``) without a run id, pushed
with POST so that the metrics of others in the group stay. A push that fails is logged and
forgotten: watching must never break what is watched.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from http.client import HTTPException
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

from tap_pipedrive.bookmarks import to_time

if TYPE_CHECKING:
    from tap_pipedrive.tap import TapPipedrive

JOB = "pipedrive_etl"
PUSH_SECONDS = 15.0
PUSH_TIMEOUT_SECONDS = 5.0
#: Latencies kept per endpoint for the quantiles of a run.
LATENCIES_KEPT = 2000

#: name: (what it says, labels)
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
    "pipedrive_etl_api_tokens_remaining": ("API tokens left today, by the server's word", ()),
    "pipedrive_etl_circuit_breaker_state": ("0 closed, 2 open", ("name",)),
    "pipedrive_etl_circuit_breaker_trips": ("Times the circuit opened", ("name",)),
    "pipedrive_etl_cache_hits": ("Values found in a cache", ("cache",)),
    "pipedrive_etl_cache_misses": ("Values not found in a cache", ("cache",)),
    "pipedrive_etl_schema_changes": ("Changes of the source's shape met", ("kind",)),
    "pipedrive_etl_tap_peak_memory_bytes": ("Largest resident set of the tap", ()),
    "pipedrive_etl_tap_build_info": ("Version of the tap", ("tap_version",)),
}


class ApiCalls:
    """Counts of a run's calls, by endpoint (an operation's key)."""

    def __init__(self) -> None:
        """Start from nothing."""
        self.requests: Counter[tuple[str, str]] = Counter()
        self.rate_limited: Counter[str] = Counter()
        self.retries: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self._latencies: defaultdict[str, list[float]] = defaultdict(list)

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests[endpoint, f"{status // 100}xx"] += 1
        if status == 429:
            self.rate_limited[endpoint] += 1
        latencies = self._latencies[endpoint]
        if len(latencies) < LATENCIES_KEPT:
            latencies.append(seconds)
        else:  # overwrite the oldest: quantiles of the recent calls
            latencies[self.requests[endpoint, "2xx"] % LATENCIES_KEPT] = seconds

    def quantiles(self) -> dict[tuple[str, str], float]:
        """Latency by endpoint and quantile (0.5, 0.95, 1.0), in seconds."""
        found = {}
        for endpoint, latencies in self._latencies.items():
            ordered = sorted(latencies)
            for q in (0.5, 0.95, 1.0):
                at = min(len(ordered) - 1, int(q * len(ordered)))
                found[endpoint, str(q)] = ordered[at]
        return found


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Pusher:
    """Pushes the metrics of a run at intervals and at its end."""

    def __init__(self, tap: TapPipedrive, gateway: str | None) -> None:
        """Push to ``gateway`` (``http://host:9091``); None keeps quiet."""
        self._tap = tap
        self._gateway = gateway
        self._logger = logging.getLogger("tap-pipedrive")
        self._last = time.monotonic()

    def now_and_then(self) -> None:
        """Push if the last time is long enough ago."""
        if self._gateway and time.monotonic() - self._last >= PUSH_SECONDS:
            self.push()

    def push(self) -> None:
        """Push what is known now."""
        if not self._gateway:
            return
        self._last = time.monotonic()
        pipeline = os.environ.get("PIPEBOARD_PIPELINE", "main")
        try:
            pushadd_to_gateway(
                self._gateway,
                job=JOB,
                registry=collect(self._tap),
                grouping_key={"pipeline": pipeline},
                timeout=PUSH_TIMEOUT_SECONDS,
            )
        # OSError: nobody answers. The others: an address, or an answer, that makes no sense.
        except (OSError, ValueError, HTTPException) as error:
            self._logger.warning("Metrics could not be pushed: %s", type(error).__name__)


def collect(tap: TapPipedrive) -> CollectorRegistry:
    """Fill a fresh registry with what the run measured so far."""
    registry = CollectorRegistry()
    gauge = {
        name: Gauge(name, help_text, labels, registry=registry)
        for name, (help_text, labels) in DECLARED.items()
    }
    client, governor = tap.client, tap.governor
    for stream in tap.selected_streams:
        gauge["pipedrive_etl_last_run_records"].labels(stream.name).set(stream.emitted)
        if latest := stream.latest_bookmark:
            gauge["pipedrive_etl_stream_bookmark_timestamp_seconds"].labels(stream.name).set(
                to_time(latest).timestamp()
            )
        for kind, count in stream.drift.items():
            gauge["pipedrive_etl_schema_changes"].labels(kind).inc(count)
    for kind, count in tap.definitions.changes.items():
        gauge["pipedrive_etl_schema_changes"].labels(kind).inc(count)
    gauge["pipedrive_etl_cache_hits"].labels("definitions").set(tap.definitions.hits)
    gauge["pipedrive_etl_cache_misses"].labels("definitions").set(tap.definitions.misses)
    counted: tuple[tuple[str, Mapping[tuple[str, str], float]], ...] = (
        ("pipedrive_etl_api_requests", client.api.requests),
        ("pipedrive_etl_api_retries", client.api.retries),
        ("pipedrive_etl_api_errors", client.api.errors),
        ("pipedrive_etl_api_latency_seconds", client.api.quantiles()),
    )
    for name, values in counted:
        for labels, value in values.items():
            gauge[name].labels(*labels).set(value)
    for (endpoint, _), _count in client.api.requests.items():
        gauge["pipedrive_etl_api_rate_limited_requests"].labels(endpoint).set(
            client.api.rate_limited[endpoint]
        )
    gauge["pipedrive_etl_api_tokens_used"].set(sum(u.tokens for u in client.usage.values()))
    if governor.budget is not None:
        gauge["pipedrive_etl_api_tokens_budget"].set(governor.budget)
    if governor.plan_remaining is not None:
        gauge["pipedrive_etl_api_tokens_remaining"].set(governor.plan_remaining)
    gauge["pipedrive_etl_circuit_breaker_state"].labels("pipedrive").set(2 * governor.is_open)
    gauge["pipedrive_etl_circuit_breaker_trips"].labels("pipedrive").set(governor.trips)
    gauge["pipedrive_etl_tap_peak_memory_bytes"].set(peak_memory_bytes())
    gauge["pipedrive_etl_tap_build_info"].labels(version("tap-pipedrive")).set(1)
    return registry
