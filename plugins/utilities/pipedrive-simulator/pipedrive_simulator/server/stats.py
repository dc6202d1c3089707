"""Statistics of calls: counts and tokens per operation, refusals, peaks, and recent calls."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import NamedTuple

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.server.limits import WINDOW_SECONDS

_MAX_RECENT_CALLS = 50_000


class Call(NamedTuple):
    """One call to the API. `operation` is None where no operation has that path."""

    operation: str | None
    path: str
    query: str
    status: int
    tokens: int
    fault: str | None


class Stats:
    """Counts since the start or the last reset. Control routes are never counted."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset all counts and the recent calls."""
        self.calls: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.recent: deque[Call] = deque(maxlen=_MAX_RECENT_CALLS)
        self.peak = 0
        self._arrivals: deque[float] = deque()

    def arrived(self) -> None:
        """Count a call at its arrival, for the peak in any two seconds."""
        now = time.monotonic()
        arrivals = self._arrivals
        arrivals.append(now)
        while arrivals[0] <= now - WINDOW_SECONDS:
            arrivals.popleft()
        self.peak = max(self.peak, len(arrivals))

    def answered(self, call: Call) -> None:
        """Count a call with its outcome."""
        name = call.operation or "unknown"
        self.calls[name] += 1
        self.tokens[name] += call.tokens
        self.statuses[call.status] += 1
        if call.fault:
            self.faults[call.fault] += 1
        self.recent.append(call)

    def summary(self) -> Json:
        """Return all statistics as JSON; `max_in_2s` includes refused calls."""
        return {
            "calls": sum(self.calls.values()),
            "tokens": sum(self.tokens.values()),
            "operations": {
                name: {"calls": count, "tokens": self.tokens[name]}
                for name, count in sorted(self.calls.items())
            },
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "served_429": self.statuses[429],
            "served_403": self.statuses[403],
            "faults": dict(self.faults),
            "max_in_2s": self.peak,
        }
