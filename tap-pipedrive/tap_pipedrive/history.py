"""Read deals' change logs where, and only where, something may have moved.

A log costs 20 tokens per deal, twice the price of a whole page of deals. In mode ``gated`` a
deal of the page is asked for when

* nothing of this list was read before (its first walk has not come to its end);
* its ``add_time``, ``stage_change_time`` or ``close_time`` is at or after the watermark;
* it is deleted (a deletion moves none of those times);
* it is open but was once seen closed, was once seen deleted, or was never seen: reopening and
  restoring a deal move none of them either.

``full`` asks for every updated deal (all field changes, not only moves), ``off`` for none.

With ``history_deals_file`` there is no walk: the logs of the deals listed there are read, in that
order. What is done is what arrived; whoever wrote the list leaves it out of the next one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_pipedrive.bookmarks import to_text
from tap_pipedrive.errors import ConfigurationError, NotFoundError
from tap_pipedrive.known_histories import KnownHistories
from tap_pipedrive.look_ahead import LookAhead
from tap_pipedrive.openapi import operation
from tap_pipedrive.records import Record, utc_time

if TYPE_CHECKING:
    from tap_pipedrive.streams.base import PipedriveStream
    from tap_pipedrive.tap import TapPipedrive

MODES = ("gated", "full", "off")
#: Logs under way at a time by default.
CALLS_AHEAD = 6
_MOVES = ("stage_change_time", "add_time", "close_time")
#: Deals of a list between two looks at the clock for metrics.
_DEALS_A_PUSH = 100
_CHEAPEST = operation("v2 /pipelines")
_CHANGELOG = operation("v1 /deals/{id}/changelog")


_STREAMS = ("deal_changelog", "deal_changelog_sync")


class DealHistory:
    """Feeds ``deal_changelog`` and ``deal_changelog_sync`` from pages of deals."""

    def __init__(self, tap: TapPipedrive) -> None:
        """Nothing is asked before :meth:`take`."""
        self._tap = tap
        self._mode: str = tap.config.get("changelog_mode", "gated")
        self._changelog: PipedriveStream | None = None
        self._sync: PipedriveStream | None = None
        self._listed: str | None = tap.config.get("history_deals_file")
        self._known = KnownHistories(tap.config.get("history_known_file"))
        width = int(tap.config.get("calls_ahead", CALLS_AHEAD))
        self._ahead: LookAhead[int, tuple[list[Record], Record]] = LookAhead(self._read, width)

    def feed(self, streams: Iterable[PipedriveStream]) -> None:
        """Say which streams of this walk want rows."""
        by_name = {stream.name: stream for stream in streams}
        self._changelog = by_name.get("deal_changelog")
        self._sync = by_name.get("deal_changelog_sync")

    @property
    def feeds_changelog(self) -> bool:
        """Whether the log itself is wanted, or only how far it is known."""
        return self._changelog is not None

    def expect(self, deals: Iterable[Record], since: str | None) -> None:
        """Learn which deals come next, so that their logs can be under way already."""
        if self._mode != "off" and self._asking.ABORT_AT_RECORD_COUNT is None:
            self._ahead.expect(d["id"] for d in deals if self._may_have_moved(d, since))

    def read_listed(self, asking: PipedriveStream) -> bool:
        """Read the logs of the listed deals, once for both streams; False if there is no list.

        Raises:
            ConfigurationError: the list cannot be read.
            BudgetSpentError: the share of histories is used up.

        """
        if not self._listed:
            return False
        wanted = [s for s in self._tap.selected_streams if s.name in _STREAMS]
        if asking is not wanted[0]:
            return True
        self.feed(wanted)
        for stream in wanted:
            stream._write_schema_message()
        # Marks are in the source's time, which its first answer tells: the cheapest there is.
        self._tap.client.get(_CHEAPEST, stream=asking.name, query={"limit": 1})
        try:
            # Twice the same file: once to ask ahead, once to take.
            self._ahead.expect(_ids(self._listed))
            for number, deal_id in enumerate(_ids(self._listed), 1):
                self._emit(deal_id)
                if number % _DEALS_A_PUSH == 0:
                    self._tap.write_state()
        except (OSError, ValueError) as error:
            msg = f"history_deals_file cannot be read as one id a line: {error}"
            raise ConfigurationError(msg) from error
        return True

    def close(self, *, wait: bool = True) -> None:
        """Give up what is under way."""
        self._ahead.close(wait=wait)

    def take(self, deal: Record, since: str | None) -> None:
        """Read the log of one deal, if it may have moved; see :meth:`FedStream.take_one`."""
        if self._mode == "off":
            return
        if self._may_have_moved(deal, since):
            self._emit(deal["id"])
        # Last: a deal counts as seen once its log is out.
        self._tap.seen_deals.add(deal)

    def _emit(self, deal_id: int) -> None:
        rows, mark = self._ahead.take(deal_id)
        # The mark after the rows: where it stands, the log before it has been sent.
        if self._changelog:
            self._changelog.emit(rows)
        if self._sync:
            self._sync.emit([mark])

    @property
    def _asking(self) -> PipedriveStream:
        asking = self._changelog or self._sync
        assert asking is not None, "feed() comes before take()"
        return asking

    def _may_have_moved(self, deal: Record, since: str | None) -> bool:
        if since is None:
            return not self._known.covers(deal)
        if self._mode == "full":
            return True
        if any((deal.get(name) or "") >= since for name in _MOVES):
            return True
        return bool(deal.get("is_deleted")) or self._tap.seen_deals.may_have_returned(deal)

    def _read(self, deal_id: int) -> tuple[list[Record], Record]:
        """Read one log, in whatever thread."""
        self._tap.spare_share(_CHANGELOG.cost)
        client = self._tap.client
        mark: Record = {
            "deal_id": deal_id,
            "synced_through": to_text(client.source_now),
            "pages": 0,
            "events": 0,
            "complete": True,
        }
        newest_first: list[Record] = []
        walk = self._asking.pages(_CHANGELOG, path={"id": deal_id})
        try:
            for page in walk:
                mark["pages"] += 1
                newest_first += page.records
        except NotFoundError as error:
            # Purged or merged away meanwhile; what the warehouse has of its log stays.
            self._tap.logger.warning(
                "deal %s: its log cannot be read any more (%s)", deal_id, error
            )
            mark["complete"] = False
        rows = number_changes("deal_id", deal_id, newest_first)
        mark["events"] = len(rows)
        return rows, mark


def _ids(path: str) -> Iterator[int]:
    with Path(path).open(encoding="ascii") as lines:
        for line in lines:
            yield int(line)


def number_changes(
    parent_key: str, parent_id: int, newest_first: list[dict[str, Any]]
) -> list[Record]:
    """Give the changes of one deal (person, organization) their order and a lasting id.

    Args:
        parent_key: the property to put its id in, ``deal_id``.
        parent_id: whose log this is.
        newest_first: the log as the API gives it, whole.

    Returns:
        Oldest first, with ``parent_key``, ``second_seq`` (0, 1, .. within one second) and ``id``:
        a hash of what happened and, where the very same change happened twice within a
        second, which of the two it was. Later changes never renumber earlier ones.

    """
    in_second: Counter[Any] = Counter()
    twins: Counter[Any] = Counter()
    rows = []
    for change in reversed(newest_first):
        time = utc_time(change.get("time") or "")
        what = (time, change.get("field_key"), change.get("old_value"), change.get("new_value"))
        identity = repr((parent_id, *what, twins[what]))
        rows.append(
            {
                **change,
                "id": hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
                parent_key: parent_id,
                "time": time,
                "second_seq": in_second[time],
            }
        )
        in_second[time] += 1
        twins[what] += 1
    return rows
