"""One walk over the deal lists feeds every stream that hangs on deals.

Asking each deal's log and products needs the ids of the deals that changed. Reading the lists
once, and handing each page to all streams before the next is read, costs one set of list
calls and keeps memory at a page. A stream's bookmark moves when it is done with the page; the
walk starts at the oldest bookmark among them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tap_pipedrive.pagination import pages
from tap_pipedrive.streams.deals import DEAL_LISTS, INCLUDE_FIELDS, FedByDeals

if TYPE_CHECKING:
    from tap_pipedrive.tap import TapPipedrive


class DealWalk:
    """The walk of one run."""

    def __init__(self, tap: TapPipedrive) -> None:
        """Nothing is read before :meth:`run`."""
        self._tap = tap
        self._done = False

    def run(self, asking: FedByDeals) -> None:
        """Walk both lists, unless that was done in this run already.

        Args:
            asking: the stream whose turn it is. The first one to ask starts the walk for all;
                a test run (the SDK limits its records) walks for this stream alone.
        """
        if asking.ABORT_AT_RECORD_COUNT is not None:
            self._walk([asking])
        elif not self._done:
            self._done = True
            self._walk([s for s in self._tap.deal_streams if s.selected])

    def _walk(self, fed: list[FedByDeals]) -> None:
        self._tap.deal_history.feed(fed)
        for stream in fed:
            stream._write_schema_message()  # noqa: SLF001 - ours; written once per run
        for which in DEAL_LISTS:
            self._walk_list(which, fed)

    def _walk_list(self, which: str, fed: list[FedByDeals]) -> None:
        client = self._tap.client
        bookmarks = {stream: stream.bookmark({"list": which}) for stream in fed}
        starts = [bookmark.since for bookmark in bookmarks.values()]
        signpost: datetime | None = None
        walk = pages(
            client,
            DEAL_LISTS[which],
            stream="deals",
            limit=self._tap.page_size,
            query={
                "status": "open,won,lost,deleted",
                "updated_since": None if None in starts else min(starts),
                "sort_by": "update_time",
                "sort_direction": "asc",
                "include_fields": ",".join(INCLUDE_FIELDS),
            },
        )
        for page in walk:
            signpost = signpost or client.source_now
            times = [record.get("update_time") for record in page.records]
            for stream, bookmark in bookmarks.items():
                stream.take(page.records, bookmark.since if bookmark.finished else None)
            for bookmark in bookmarks.values():
                bookmark.advance(times, signpost)
            self._tap.deal_history.remember(page.records)
            self._tap.write_state()
        for bookmark in bookmarks.values():
            bookmark.finish()
        self._tap.write_state()
