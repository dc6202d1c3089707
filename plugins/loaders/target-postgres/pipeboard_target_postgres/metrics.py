"""Metrics of a load, for a Prometheus Pushgateway; declares all metrics of the loader.

They share one group (``job``, ``pipeline``) with the tap's. The push uses POST, so that metrics of
other programs stay. A failed push is only logged: monitoring must not break a load.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import resource
import sys
import time
import typing as t
from collections.abc import Iterable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

if t.TYPE_CHECKING:
    from pipeboard_target_postgres.stream import Stream

JOB = "pipedrive_etl"
PUSH_SECONDS = 15.0
PUSH_TIMEOUT_SECONDS = 5.0
#: The quantiles are of the latest batches, at most this many.
MAX_BATCHES = 2000
QUANTILES = (0.5, 0.95, 1.0)
OUTCOMES = ("inserted", "updated", "unchanged", "deleted", "quarantined")

#: name: (help text, labels)
DECLARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "pipedrive_etl_loader_rows": ("Rows by outcome", ("stream", "outcome")),
    "pipedrive_etl_loader_batches": ("Batches committed", ()),
    "pipedrive_etl_loader_batch_rows": ("Records of a batch", ("quantile",)),
    "pipedrive_etl_loader_batch_duration_seconds": ("Time to load a batch", ("quantile",)),
    "pipedrive_etl_loader_busy_seconds": ("Time spent loading", ()),
    "pipedrive_etl_loader_reconnects": ("Lost connections that were opened again", ()),
    "pipedrive_etl_loader_peak_memory_bytes": ("Largest resident set of the loader", ()),
    "pipedrive_etl_loader_build_info": ("Version of the loader", ("loader_version",)),
}


class Metrics:
    """Counts a run's batches, and pushes the metrics every `PUSH_SECONDS`.

    Args:
        gateway: ``http://host:9091``; with None nothing is pushed.
        logger: logs a failed push.
    """

    def __init__(self, gateway: str | None, logger: logging.Logger) -> None:
        self._gateway, self._logger = gateway, logger
        self._last = time.monotonic()
        self._streams: dict[str, Stream] = {}
        self._batches: list[tuple[int, float]] = []
        self._count, self._busy, self._sessions = 0, 0.0, 0

    def loaded(self, stream: Stream, rows: int, seconds: float) -> None:
        """Count a committed batch; push if the last push is `PUSH_SECONDS` ago."""
        self._streams[stream.name] = stream
        self._batches.append((rows, seconds))
        del self._batches[:-MAX_BATCHES]
        self._count += 1
        self._busy += seconds
        self._sessions = max(self._sessions, stream.generation)
        if time.monotonic() - self._last >= PUSH_SECONDS:
            self.push()

    def push(self, streams: Iterable[Stream] = ()) -> None:
        """Push the metrics; `streams` are streams without records, which get zeros."""
        if not self._gateway:
            return
        self._streams.update({stream.name: stream for stream in streams})
        try:
            pushadd_to_gateway(
                self._gateway,
                job=JOB,
                registry=self.collect(),
                grouping_key={"pipeline": os.environ.get("PIPEBOARD_PIPELINE", "main")},
                timeout=PUSH_TIMEOUT_SECONDS,
            )
            self._last = time.monotonic()
        except Exception as error:  # loading goes on after any error
            self._logger.warning("Metrics could not be pushed: %s", type(error).__name__)
            # Each push to a hanging gateway costs a timeout: try again only at the end.
            self._last = float("inf")

    def collect(self) -> CollectorRegistry:
        """Return a new registry with the run's measurements so far."""
        registry = CollectorRegistry()
        gauge = {
            name: Gauge(name, help_text, labels, registry=registry)
            for name, (help_text, labels) in DECLARED.items()
        }
        for name, stream in list(self._streams.items()):
            counts = dataclasses.asdict(stream.counts)
            for outcome in OUTCOMES:
                gauge["pipedrive_etl_loader_rows"].labels(name, outcome).set(counts[outcome])
        for name, values in (
            ("pipedrive_etl_loader_batch_rows", sorted(rows for rows, _ in self._batches)),
            ("pipedrive_etl_loader_batch_duration_seconds", sorted(s for _, s in self._batches)),
        ):
            for q in QUANTILES if values else ():
                at = min(len(values) - 1, int(q * len(values)))
                gauge[name].labels(str(q)).set(values[at])
        gauge["pipedrive_etl_loader_batches"].set(self._count)
        gauge["pipedrive_etl_loader_busy_seconds"].set(self._busy)
        gauge["pipedrive_etl_loader_reconnects"].set(max(0, self._sessions - 1))
        gauge["pipedrive_etl_loader_peak_memory_bytes"].set(peak_memory_bytes())
        loader_version = version("pipeboard-target-postgres")
        gauge["pipedrive_etl_loader_build_info"].labels(loader_version).set(1)
        return registry


def peak_memory_bytes() -> int:
    """Return the largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
