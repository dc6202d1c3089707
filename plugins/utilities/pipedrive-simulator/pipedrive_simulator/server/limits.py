"""The two limits of the API: calls per rolling two seconds, and tokens per day.

Both count real calls. The burst window uses the machine's clock, because it limits the client's
real speed. The day is the account's, so that moving the account's clock starts a new budget.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipedrive_simulator.server.reply import Reply, cloudflare_block, failure

WINDOW_SECONDS = 2.0
#: "No limit" in the headers: high enough that no client slows down.
UNLIMITED_BURST = 1_000_000
UNLIMITED_TOKENS = 1_000_000_000
#: Calls per window for an API token, and the multiplier of the daily budget, by plan.
PLANS = {"lite": (20, 1), "growth": (40, 2), "premium": (100, 5), "ultimate": (120, 7)}
TOKENS_PER_SEAT = 30_000
OAUTH_FACTOR = 4


@dataclass
class Limits:
    """The limits. After `cloudflare_after` refusals in a row, the block page is sent for a time."""

    burst: int = UNLIMITED_BURST
    daily_tokens: int = UNLIMITED_TOKENS
    cloudflare_after: int = 25
    cloudflare_seconds: float = 10.0
    daily_headers: bool = True


def plan_limits(plan: str, seats: int) -> Limits:
    """Return the limits of a plan for a number of paid users."""
    burst, multiplier = PLANS[plan]
    return Limits(burst=burst, daily_tokens=TOKENS_PER_SEAT * multiplier * seats)


class _Caller:
    """The recent calls of one token."""

    def __init__(self) -> None:
        self.accepted: deque[float] = deque()
        self.refused_in_a_row = 0
        self.blocked_until = 0.0


class Gate:
    """Admits or refuses calls by the limits."""

    def __init__(
        self, limits: Limits, today: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`today` is the account's day as a number."""
        self.limits = limits
        self._today, self._clock = today, clock
        self._callers: dict[str, _Caller] = {}
        self._day = today()
        self.tokens_used = 0

    def admit(self, token: str, cost: int, *, oauth: bool = False) -> Reply | None:
        """Count a call; return None, or the refusal."""
        caller = self._callers.setdefault(token, _Caller())
        now = self._clock()
        if now < caller.blocked_until:
            return cloudflare_block()
        burst = self._burst(oauth)
        window = caller.accepted
        while window and window[0] <= now - WINDOW_SECONDS:
            window.popleft()
        self._new_day()
        refusal = None
        if len(window) >= burst:
            refusal = failure(429, "Too Many Requests", "Request over limit")
            refusal.headers["retry-after"] = str(self._reset(caller, now))
        elif self.tokens_used + cost > self.limits.daily_tokens:
            self.tokens_used = self.limits.daily_tokens
            refusal = failure(429, "Too Many Requests", "Daily API token budget exceeded")
            refusal.headers["retry-after"] = "3"
        if refusal is not None:
            caller.refused_in_a_row += 1
            if caller.refused_in_a_row > self.limits.cloudflare_after:
                caller.blocked_until = now + self.limits.cloudflare_seconds
                caller.refused_in_a_row = 0
                return cloudflare_block()
            return refusal
        caller.refused_in_a_row = 0
        window.append(now)
        self.tokens_used += cost
        return None

    def headers(self, token: str, *, oauth: bool = False) -> dict[str, str]:
        """Return the rate-limit headers of an answer."""
        caller = self._callers.get(token) or _Caller()
        burst = self._burst(oauth)
        headers = {
            "x-ratelimit-limit": str(burst),
            "x-ratelimit-remaining": str(max(burst - len(caller.accepted), 0)),
            "x-ratelimit-reset": str(self._reset(caller, self._clock())),
        }
        if self.limits.daily_headers:
            left = max(self.limits.daily_tokens - self.tokens_used, 0)
            headers["x-daily-ratelimit-token-limit"] = str(self.limits.daily_tokens)
            headers["x-daily-ratelimit-token-remaining"] = str(left)
        return headers

    def _burst(self, oauth: bool) -> int:
        return self.limits.burst * (OAUTH_FACTOR if oauth else 1)

    def _reset(self, caller: _Caller, now: float) -> int:
        """Whole seconds until the oldest call leaves the window."""
        if not caller.accepted:
            return int(WINDOW_SECONDS)
        return max(math.ceil(caller.accepted[0] + WINDOW_SECONDS - now), 1)

    def _new_day(self) -> None:
        today = self._today()
        if today != self._day:
            self._day, self.tokens_used = today, 0
