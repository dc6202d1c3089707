"""Which deals' logs were read by another run, and through which time.

A backfill reads logs in its own order, beside the scan in ``update_time`` order. To pay for no log
twice, the tap can be started with a file of known logs: in each line a deal's id and the second
(since 1970) through which its log was read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.times import LOOKBACK, to_time


class KnownHistories:
    """The content of the file; 16 bytes per deal."""

    def __init__(self, path: str | None) -> None:
        """Read the file, if there is one.

        Raises:
            ConfigurationError: the file cannot be read, or has another format.

        """
        self._ids, self._through = array("q"), array("q")
        if not path:
            return
        try:
            with Path(path).open(encoding="ascii") as lines:
                pairs = sorted((int(a), int(b)) for a, b in map(str.split, lines))
        except (OSError, ValueError) as error:
            msg = f"history_known_file cannot be read as lines of id and second: {error}"
            raise ConfigurationError(msg) from error
        for deal_id, through in pairs:
            self._ids.append(deal_id)
            self._through.append(through)

    def covers(self, deal: dict[str, Any]) -> bool:
        """Whether a deal has not been updated since its log was read."""
        at = bisect_left(self._ids, deal["id"])
        if at == len(self._ids) or self._ids[at] != deal["id"] or not deal.get("update_time"):
            return False
        # With a lookback, because a change may become visible late.
        return (to_time(deal["update_time"]) + LOOKBACK).timestamp() <= self._through[at]
