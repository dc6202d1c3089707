"""Which lists a scheduled run reads again: those last read longer ago than their interval.

Most of what an idle sync costs goes into lists that hardly ever change: those that define the
account, and the archived ones. A schedule that comes every half hour (setting ``scheduled``) reads
them at intervals of their own. Any other run reads everything, and so does a sweep.

When a list was last read stands in the Singer state, as ``read_at`` of its entry and in the
source's time. Without it, as in a state of an earlier version, a list is due. A record that names
something the list did not hold makes it due at once, see :mod:`tap_pipedrive.state.references`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from tap_pipedrive.settings import ARCHIVED_INTERVAL, DEFINITIONS_INTERVAL
from tap_pipedrive.times import to_time

#: A list is due this much early: two runs of a schedule are not exactly an interval apart.
EARLY = timedelta(minutes=5)


class Cadence:
    """Decides what is due in one run."""

    def __init__(
        self, config: Mapping[str, object], now: Callable[[], datetime | None], *, reads_all: bool
    ) -> None:
        """Decide by settings and by the source's clock.

        Args:
            config: settings of the tap, with both intervals.
            now: the source's time, None before its first answer.
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
        """Return how long ago a list was read; None before the source's first answer."""
        now = self._now()
        return None if now is None else now - to_time(read_at)

    def is_due(self, setting: str, read_at: str | None) -> bool:
        """Whether a list is to be read in this run.

        Args:
            setting: the name of its interval.
            read_at: source time when it was last read, None if that is not known.

        """
        if self.reads_all or read_at is None or (age := self.age(read_at)) is None:
            return True
        # A list read in the future says that a clock was set back.
        return not timedelta() <= age < self._intervals[setting] - EARLY

    def note(self, setting: str, read_at: str) -> str:
        """Say of a list that is not due when it was read, and how often it is."""
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
