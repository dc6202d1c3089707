"""The burst window: so many requests in a rolling two seconds.

The server says in ``x-ratelimit-limit``, ``-remaining`` and ``-reset`` (seconds, not an
epoch) how much of the window is left; the tap waits instead of running into a 429, because
clients that keep sending after a 429 are locked out by Cloudflare.
"""

from __future__ import annotations

import time
from collections.abc import Mapping


class BurstWindow:
    """The window of one process, as the server's headers describe it."""

    def __init__(self) -> None:
        """Start without knowledge: the first answer brings it."""
        self._closed_until = 0.0

    def acquire(self) -> None:
        """Wait until the window has room for one more request."""
        wait = self._closed_until - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        try:
            remaining = int(headers["x-ratelimit-remaining"])
            reset = float(headers.get("x-ratelimit-reset", 2))
        except (KeyError, ValueError):
            return
        if remaining < 1:
            # Never longer than the window itself and a margin: a wrong header must not stall us.
            self._closed_until = time.monotonic() + min(max(reset, 0.05), 5.0)
