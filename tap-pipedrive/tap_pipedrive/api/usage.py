"""The cost and the outcome of a run's calls: by stream, and by endpoint."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass

#: Latest latencies per endpoint, from which the quantiles of a run are computed.
MOST_LATENCIES = 2000


@dataclass
class Usage:
    """The cost of one stream so far: calls, API tokens, failed attempts among the calls."""

    calls: int = 0
    tokens: int = 0
    retries: int = 0


class ApiCalls:
    """Counts of a run's calls, by endpoint (an operation's key)."""

    def __init__(self) -> None:
        """Start at zero."""
        self.requests: Counter[tuple[str, str]] = Counter()
        self.rate_limited: Counter[str] = Counter()
        self.retries: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self._latencies: defaultdict[str, deque[float]]
        self._latencies = defaultdict(lambda: deque(maxlen=MOST_LATENCIES))

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a response."""
        self.requests[endpoint, f"{status // 100}xx"] += 1
        if status == 429:
            self.rate_limited[endpoint] += 1
        self._latencies[endpoint].append(seconds)

    def snapshot(self) -> ApiCalls:
        """Copy the counts of this moment; threads go on counting.

        A loop over the counts themselves fails as soon as a thread counts a new endpoint.
        """
        found = ApiCalls()
        for name in ("requests", "rate_limited", "retries", "errors"):
            getattr(found, name).update(dict(getattr(self, name)))
        # A thread may have made the entry of an endpoint, and not its first value yet.
        known = dict(self._latencies).items()
        found._latencies.update({key: value.copy() for key, value in known if value})
        return found

    def quantiles(self) -> dict[tuple[str, str], float]:
        """Latency by endpoint and quantile (0.5, 0.95, 1.0), in seconds."""
        found = {}
        for endpoint, latencies in self._latencies.items():
            ordered = sorted(latencies)
            for q in (0.5, 0.95, 1.0):
                at = min(len(ordered) - 1, int(q * len(ordered)))
                found[endpoint, str(q)] = ordered[at]
        return found
