"""The account's clock, and the text forms of instants in the API.

Inside the account an instant is always the text `YYYY-MM-DDTHH:MM:SSZ` (UTC, whole seconds).
This text sorts in time order, so it is sort key, JSON value and cursor value at once.
"""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

SECONDS_PER_DAY = 86_400
_EPOCH_DAY = date(1970, 1, 1)
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})\Z")


@lru_cache(maxsize=20_000)
def day_text(day: int) -> str:
    """Write a day counted from 1970-01-01 as `YYYY-MM-DD`."""
    return (_EPOCH_DAY + timedelta(days=day)).isoformat()


def to_text(seconds: int) -> str:
    """Write seconds since 1970 as `YYYY-MM-DDTHH:MM:SSZ`."""
    day, rest = divmod(int(seconds), SECONDS_PER_DAY)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{day_text(day)}T{hour:02d}:{minute:02d}:{second:02d}Z"


def to_seconds(text: str) -> int:
    """Read an RFC 3339 instant (optionally with fractions) as seconds since 1970.

    Without a zone it is UTC.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())


def plus_days(text: str, days: float) -> str:
    """Move an instant by a number of days."""
    return to_text(to_seconds(text) + int(days * SECONDS_PER_DAY))


def naive(text: str) -> str:
    """Write an instant as v1 does: `YYYY-MM-DD HH:MM:SS`, in UTC without a zone."""
    return f"{text[:10]} {text[11:19]}"


def millis(text: str) -> str:
    """Write an instant with milliseconds, as in leads."""
    return f"{text[:19]}.000Z"


def http_date(seconds: int) -> str:
    """Write an instant for the HTTP `Date` header."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def parse_query_instant(text: str) -> str | None:
    """Normalise an `updated_since` value; None if the API would refuse it as no valid datetime.

    The real API refuses fractional seconds, so this is stricter than `to_seconds`.
    """
    if not _RFC3339.match(text):
        return None
    try:
        return to_text(to_seconds(text))
    except ValueError:
        return None


class Clock:
    """The account's clock: the machine's clock plus an offset, or frozen.

    Seconds since 1970. A frozen clock moves only by `advance`. A running clock keeps its offset, so
    it also moves forward while the account is not served, as in a real CRM.
    """

    def __init__(self, now: int, *, frozen: bool = False, started: float | None = None) -> None:
        """Start at `now`; `started` is the machine time at which the account was at `now`."""
        self.frozen = frozen
        self._frozen_at = now
        self._offset = now - (time.time() if started is None else started)

    def seconds(self) -> int:
        """Return the account's current time, in whole seconds."""
        return self._frozen_at if self.frozen else int(time.time() + self._offset)

    def text(self) -> str:
        """Return the account's current time as `YYYY-MM-DDTHH:MM:SSZ`."""
        return to_text(self.seconds())

    def advance(self, seconds: float) -> None:
        """Move forward (or back, if negative)."""
        self._frozen_at += int(seconds)
        self._offset += int(seconds)
