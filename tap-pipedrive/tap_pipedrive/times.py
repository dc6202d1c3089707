"""Times as the API writes them, and what they say about the order of records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

#: Bookmarks look back this far: a change may become visible this long after its time.
LOOKBACK = timedelta(seconds=120)
#: No record of Pipedrive is older; an earlier time says nothing about the order.
_FIRST_YEAR = "1970"


def to_text(moment: datetime) -> str:
    """Write a time the way ``updated_since`` wants it: whole seconds, UTC, ``Z``.

    Fractions are cut off: the API answers 400 to them, and rounding up could skip a record.
    """
    plain = moment.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None)
    return f"{plain.isoformat()}Z"  # strftime would write the year 1 as 1


def to_time(text: str) -> datetime:
    """Read an ISO 8601 time; one without a zone is UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def latest_update(records: Sequence[Any], now: datetime | None) -> str | None:
    """Return the time up to which a page in ``update_time`` order leads, of its last record.

    A record may have a time that is not its place in this order. A time in the future is ignored,
    and of the others only the last one counts.

    Args:
        records: the page, oldest first, as ``PipedriveStream.pages`` yields them.
        now: the source's time of the response, if it is known.

    """
    for record in reversed(records):
        if (updated := record.get("update_time")) and tells_order(updated, now):
            return to_text(to_time(updated))
    return None


def tells_order(update_time: str, now: datetime | None) -> bool:
    """Whether a time can be a place in ``update_time`` order: it is not in the future.

    Args:
        update_time: the time of the record.
        now: the source's time of the response, if it is known.

    """
    end = to_text(now + LOOKBACK) if now else "9999"
    return _FIRST_YEAR <= to_text(to_time(update_time)) <= end
