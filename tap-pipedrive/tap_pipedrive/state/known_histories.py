"""Which deals' logs somebody else has read already, and through when.

A backfill reads logs in an order of its own, beside the walk in ``update_time`` order. So that
nothing is paid for twice, whoever starts the tap may hand it a file of what is known: a deal's id
and the second through which its log was read (since 1970), one a line.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.times import LOOKBACK, to_time


class KnownHistories:
    """What the file says; 16 bytes a deal."""

    def __init__(self, path: str | None) -> None:
        """Read the file, if there is one.

        Raises:
            ConfigurationError: it cannot be read, or is no such file.

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
        # Commits that become visible late are looked back for here, too.
        return (to_time(deal["update_time"]) + LOOKBACK).timestamp() <= self._through[at]
