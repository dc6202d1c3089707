"""Which lists a scheduled run reads again: those whose interval is over.

Most of the cost of an idle sync comes from lists that hardly change: those that define the account,
and the archived ones. A schedule of every half hour (setting ``scheduled``) reads them at their own
intervals. Any other run reads everything, and so does a sweep.

The state says when a list was last read: ``read_at`` of its entry, in the source's time. Without
it, as in a state of an earlier version, the list is due. A record that uses a name which the list
lacked makes it due at once, see :mod:`tap_pipedrive.state.references`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from tap_pipedrive.settings import ARCHIVED_INTERVAL, DEFINITIONS_INTERVAL
from tap_pipedrive.times import to_time

#: A list is due this much earlier: two runs of a schedule are not exactly an interval apart.
EARLY = timedelta(minutes=5)


class Cadence:
    """Decides which lists are due in one run."""

    def __init__(
        self, config: Mapping[str, object], now: Callable[[], datetime | None], *, reads_all: bool
    ) -> None:
        """Decide by settings and by the source's clock.

        Args:
            config: settings of the tap, with both intervals.
            now: the source's time, None before its first response.
            reads_all: whether everything is due in this run.

        """
        self._intervals = {
            name: timedelta(seconds=float(str(config[name])))
            for name in (DEFINITIONS_INTERVAL, ARCHIVED_INTERVAL)
        }
        self._now = now
        self.reads_all = reads_all

    def interval(self, setting: str) -> timedelta:
        """Return the interval that a setting holds."""
        return self._intervals[setting]

    def age(self, read_at: str) -> timedelta | None:
        """Return how long ago a list was read; None before the source's first response."""
        now = self._now()
        return None if now is None else now - to_time(read_at)

    def is_due(self, setting: str, read_at: str | None) -> bool:
        """Whether this run reads a list.

        Args:
            setting: the name of its interval.
            read_at: source time when it was last read, None if that is not known.

        """
        if self.reads_all or read_at is None or (age := self.age(read_at)) is None:
            return True
        # A time in the future means that a clock was set back.
        return not timedelta() <= age < self._intervals[setting] - EARLY

    def note(self, setting: str, read_at: str) -> str:
        """Describe a list that is not due: when it was read, and how often it is."""
        return f"read at {read_at}, and again after {duration_text(self._intervals[setting])}"


def duration_text(span: timedelta) -> str:
    """Write a span of time in its two largest units.

    >>> duration_text(timedelta(hours=3)), duration_text(timedelta(minutes=90)),
    duration_text(timedelta(days=2)) ('3 h', '1 h 30 min', '2 d')
    """
    minutes = max(0, int(span.total_seconds() // 60))
    units = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    found = [f"{number} {unit}" for number, unit in units if number]
    return " ".join(found[:2]) or "less than a minute"
