"""One scan of a stream's lists serves the stream itself and its child streams.

A deal's log and its products are read by the ids of the deals that changed. The scan reads each
list once and gives every page to all streams before it requests the next one: that costs one set of
list calls, and one page of memory. A stream's bookmark moves when the stream has handled the page.
A scan starts at the oldest bookmark of its streams.

Per-record streams cost a call for each record, and their bookmarks move record by record. When
their share of the day's tokens is spent they leave the scan, and the other streams continue. The
next run scans for them alone, from where they stopped.

A long list is first read page by page, then in several windows of time at the same time, all such
lists together (:mod:`tap_pipedrive.sync.windows`), and page by page again behind the windows.
Windows do not keep the order that per-record streams need. These streams leave the scan before the
windows, and the list is read once more for them at the end: it costs a thousandth of their calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from structlog.contextvars import bind_contextvars

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.prefetch import ListRequest
from tap_pipedrive.api.records import Record
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import ShareSpentError, TapError
from tap_pipedrive.state.bookmarks import Bookmark
from tap_pipedrive.streams.outcomes import Outcome
from tap_pipedrive.streams.stream_types import IncrementalStream, SharedScanStream
from tap_pipedrive.sync.windows import (
    PLAIN_PAGES,
    Listing,
    Windows,
    gaps_between,
    seconds_between,
)
from tap_pipedrive.times import LOOKBACK, latest_update, to_text

Bookmarks = dict[SharedScanStream, Bookmark]
#: The rows that each stream emits for a page, or the error that prevents it.
Rows = dict[SharedScanStream, list[list[Record]] | TapError]


@dataclass
class LongList:
    """A list that is read in windows for its page streams, and once more for the others."""

    key: str
    page_streams: Bookmarks
    per_record_streams: Bookmarks
    #: The source's time at its first page.
    signpost: datetime
    #: Seconds of update time that its latest page covered.
    pace: float | None
    #: Streams that were behind already, in groups that are scanned together.
    late: list[Bookmarks] = field(default_factory=list)

    @property
    def horizon(self) -> str:
        """The update time at which the windows end."""
        return to_text(self.signpost - LOOKBACK)


class SharedScan:
    """The scan of one stream's lists, at most once a run."""

    def __init__(
        self, run: RunContext, parent: IncrementalStream, members: list[SharedScanStream]
    ) -> None:
        """Read nothing before :meth:`run`.

        Args:
            run: the context of the run.
            parent: the stream whose lists are read.
            members: the parent and its child streams, in the order in which they receive a page.

        """
        self._run = run
        self._parent = parent
        self._members = members
        self._done = False
        self._scanned: list[SharedScanStream] = []
        #: Lists that were read to their end, by stream.
        self._lists_finished: Counter[SharedScanStream] = Counter()

    def run(self, stream: SharedScanStream) -> None:
        """Read the lists for all members, unless this run has done so already.

        Args:
            stream: the stream that the SDK syncs now. In a test run (the SDK limits its records)
                the lists are read for this stream alone.

        Raises:
            BudgetSpentError: no tokens are left for the calls of this scan.

        """
        if stream.ABORT_AT_RECORD_COUNT is not None:
            self._scan([stream])
        elif not self._done:
            self._done = True
            self._scan([s for s in self._members if s.selected])

    def list_requests(self) -> Iterator[ListRequest]:
        """Yield the lists that :meth:`run` will read, each with the time from which it is read."""
        for key, bookmarks in self._known_bookmarks():
            if self._is_list_due(key, bookmarks):
                yield self._parent.list_request(key, start_of(group_by_position(bookmarks)[0]))

    @property
    def is_due(self) -> bool:
        """Whether this run reads any of the lists."""
        return any(self._is_list_due(key, bookmarks) for key, bookmarks in self._known_bookmarks())

    def note_not_due(self, stream: SharedScanStream) -> None:
        """Note at a stream when its lists were last read."""
        for key, bookmarks in self._known_bookmarks():
            stream.note_not_due(key, self._parent.intervals[key], bookmarks[stream].read_at)

    def _known_bookmarks(self) -> Iterator[tuple[str, Bookmarks]]:
        streams = [stream for stream in self._members if stream.selected]
        for where, key in self._lists():
            yield key, {stream: stream.known_bookmark(where) for stream in streams}

    def _is_list_due(self, key: str, bookmarks: Bookmarks) -> bool:
        """Whether a list is due for any of these streams."""
        interval = self._parent.intervals.get(key)
        return (
            interval is None
            or self._parent.ABORT_AT_RECORD_COUNT is not None
            or any(self._run.cadence.is_due(interval, b.read_at) for b in bookmarks.values())
        )

    def _lists(self) -> Iterator[tuple[dict[str, str] | None, str]]:
        """Yield the context and the operation of each list."""
        for context, key in self._parent.contexts().items():
            yield {"list": context} if context else None, key

    def _scan(self, streams: list[SharedScanStream]) -> None:
        """Read all lists; the error of a list ends every stream that still needs it.

        Raises:
            TapError: an error that concerns more than these streams.

        """
        self._scanned = streams
        for stream in streams:
            stream.begin_scan(streams)
            stream._write_schema_message()
        try:
            self._scan_lists(streams)
        except TapError as error:
            if not error.concerns_stream:
                raise
            for stream in streams:
                if stream.result.is_open:
                    stream.end(error)

    def _scan_lists(self, streams: list[SharedScanStream]) -> None:
        long: list[LongList] = []
        for where, key in self._lists():
            bookmarks = {
                stream: stream.bookmark(where) for stream in streams if stream.result.is_open
            }
            if not self._is_list_due(key, bookmarks):
                for stream, bookmark in bookmarks.items():
                    stream.note_not_due(key, self._parent.intervals[key], bookmark.read_at)
                    self._finish_one(stream)
                continue
            together, *late = group_by_position(bookmarks)
            # Another list needs windows anyway: then a second page is reason enough.
            proved_long = self._scan_list(key, together, cut_after=1 if long else PLAIN_PAGES)
            if proved_long:
                proved_long.late = late
                long.append(proved_long)
            else:
                for others in late:
                    self._scan_list(key, others)
        if long:
            self._parent.restarting(partial(self._scan_windows, long))
        for list_ in long:
            for together in (list_.page_streams, list_.per_record_streams, *list_.late):
                self._scan_list(list_.key, together)
        self._finish_per_record(streams)

    def _finish_per_record(self, streams: list[SharedScanStream]) -> None:
        """Let the per-record streams read again what they could not read in earlier runs."""
        for stream in streams:
            if stream.costs_a_call_per_record and stream.result.outcome is Outcome.COMPLETE:
                with self._leaving_out(stream), suppress(ShareSpentError):
                    stream.finish_scan()
        self._run.checkpoint()

    def _scan_list(
        self, key: str, bookmarks: Bookmarks, *, cut_after: int | None = None
    ) -> LongList | None:
        """Read one list for streams that start from about the same time.

        Returns:
            The list, if it goes on after ``cut_after`` pages and windows can read the rest.

        """
        return self._parent.restarting(partial(self._scan_once, key, bookmarks, cut_after))

    def _scan_once(self, key: str, bookmarks: Bookmarks, cut_after: int | None) -> LongList | None:
        bookmarks = {s: b for s, b in bookmarks.items() if s.result.is_open}
        if not bookmarks:
            return None
        signpost: datetime | None = None
        reached: str | None = None
        request = self._parent.list_request(key, start_of(bookmarks))
        for bookmark in bookmarks.values():
            bookmark.begin()
        for number, page in enumerate(self._run.prefetch.pages(request), 1):
            bind_contextvars(page=number)
            signpost = signpost or page.answered_at or self._run.client.source_now
            if page.unreadable and any(stream.remembers_deals for stream in bookmarks):
                self._run.seen_deals.forget()
            self._deliver(page.records, bookmarks, signpost, page.answered_at)
            if not bookmarks:
                return None
            more = bool(page.additional.get("next_cursor"))
            if more and cut_after and self._may_be_cut(key, bookmarks, number >= cut_after):
                page_streams, per_record = page_streams_of(bookmarks), per_record_of(bookmarks)
                start = value_of(page_streams)
                pace = seconds_between(reached, start) if reached else None
                long = LongList(key, page_streams, per_record, signpost, pace)
                if start < long.horizon:
                    return long
            reached = value_of(bookmarks) or None
        read_at = signpost if key in self._parent.intervals else None
        for stream, bookmark in bookmarks.items():
            bookmark.finish(read_at)
            self._finish_one(stream)
        self._run.checkpoint()
        return None

    def _finish_one(self, stream: SharedScanStream) -> None:
        """Note that a stream has read one more list to its end; its last one ends its scan."""
        self._lists_finished[stream] += 1
        if self._lists_finished[stream] == len(self._parent.contexts()):
            stream.scan_finished()

    def _deliver(
        self,
        records: list[Record],
        bookmarks: Bookmarks,
        signpost: datetime,
        answered_at: datetime | None = None,
    ) -> None:
        """Give a page to all streams; a stream that cannot go on is removed from ``bookmarks``."""
        latest = latest_update(records, answered_at)
        for stream, bookmark in page_streams_of(bookmarks).items():
            with self._leaving_out(stream, bookmarks):
                requested_at = self._run.client.source_now
                news = self._news(stream, records, bookmark)
                stream.restarting(partial(stream.on_page, news, bookmark.complete_through))
                bookmark.advance([latest], signpost)
                if stream is not self._parent:
                    bookmark.settle(news, requested_at)
        try:
            self._deliver_records(records, bookmarks, signpost, answered_at)
        except ShareSpentError as spent:
            late = per_record_of(bookmarks)
            names = [stream.name for stream in late]
            self._run.logger.warning("%s are behind until the next run: %s", names, spent)
            for stream in late:
                stream.fall_behind(str(spent))
                del bookmarks[stream]
        finally:
            if any(stream.remembers_deals for stream in bookmarks):
                self._run.seen_deals.save()
            self._run.checkpoint()

    # -- in windows --------------------------------------------------------------------------

    def _may_be_cut(self, key: str, bookmarks: Bookmarks, is_long: bool) -> bool:
        """Whether windows may read the rest of a first scan: it is long, or they began before."""
        page_streams = page_streams_of(bookmarks).values()
        begun = any(bookmark.windows is not None for bookmark in page_streams)
        return (
            bool(page_streams)
            and (begun or is_long)
            and self._run.windows > 1
            and self._parent.ABORT_AT_RECORD_COUNT is None
            and "updated_until" in operation(key).parameters
            and all(bookmark.value and not bookmark.finished for bookmark in page_streams)
        )

    def _scan_windows(self, long: list[LongList]) -> None:
        """Read the lists up to their horizons for the page streams.

        Their bookmarks then stand at the last record before the horizon. Further on, the per-record
        streams would seem to be late.
        """
        listings = {self._listing(list_): list_ for list_ in long}
        with Windows(listings, width=self._run.windows, logger=self._run.logger) as windows:
            for list_ in long:
                is_first_time = None in spans_read(list_.page_streams)
                if is_first_time and not self._run.config.get("start_date"):
                    self._deliver_untimed(list_)
            try:
                for listing, rows in windows:
                    self._write_rows(rows, listings[listing].page_streams)
                    self._note(listing, listings[listing].page_streams)
            finally:
                for listing, list_ in listings.items():
                    self._note(listing, list_.page_streams)
        for listing, list_ in listings.items():
            for stream, bookmark in list_.page_streams.items():
                if stream.result.is_open:
                    bookmark.cover(listing.latest, None)

    def _listing(self, list_: LongList) -> Listing[Rows]:
        start = value_of(list_.page_streams)
        known = spans_read(list_.page_streams)
        # A stream that was selected later has read none of these spans.
        ahead = known[0] if known[0] and all(spans == known[0] for spans in known) else []
        read = [["", start], *ahead]
        return Listing(
            gaps_between(read, start, list_.horizon),
            lambda since, until: self._parent.walk_pages(list_.key, since, until),
            lambda records: self._rows(records, list_.page_streams),
            read=read,
            pace=list_.pace,
        )

    def _deliver_untimed(self, list_: LongList) -> None:
        """Read the records without an update time, before a bookmark moves over a window.

        They stand at one end of the order. The pages so far were at the start of it; this reads the
        other end, which costs one call.
        """
        for records in filter(None, self._parent.untimed_records(list_.key)):
            self._deliver(records, list_.page_streams, list_.signpost)
            self._deliver(records, list_.per_record_streams, list_.signpost)

    @staticmethod
    def _rows(records: list[Record], bookmarks: Bookmarks) -> Rows:
        """Collect the rows that the streams emit for a page, in the thread that fetched it."""
        rows: Rows = {}
        for stream in list(bookmarks):
            if not stream.result.is_open:
                continue
            try:
                rows[stream] = stream.restarting(partial(_all_rows, stream, records))
            except TapError as error:
                if not error.concerns_stream:
                    raise
                rows[stream] = error
        return rows

    def _write_rows(self, rows: Rows, bookmarks: Bookmarks) -> None:
        for stream, found in rows.items():
            if not stream.result.is_open:
                continue
            with self._leaving_out(stream, bookmarks):
                if isinstance(found, Exception):
                    raise found
                for page in found:
                    stream.emit(page)

    def _note(self, listing: Listing[Rows], bookmarks: Bookmarks) -> None:
        (_, reached), *beyond = listing.written
        for stream, bookmark in bookmarks.items():
            if stream.result.is_open:
                bookmark.cover(min(reached, listing.latest), beyond)
        self._run.checkpoint()

    # -- per-record streams ------------------------------------------------------------------

    def _deliver_records(
        self,
        records: list[Record],
        bookmarks: Bookmarks,
        signpost: datetime,
        answered_at: datetime | None,
    ) -> None:
        per_record = per_record_of(bookmarks)
        watermarks = {s: b.complete_through for s, b in per_record.items()}
        # Taken before the first call about this page: a later response may be older than it seems.
        requested_at = self._run.client.source_now
        for stream, bookmark in per_record.items():
            stream.expect(
                [r for r in records if not self._is_known(bookmark, r)], watermarks[stream]
            )
        for record in records if per_record else ():
            updated, record_id = record.get("update_time"), record["id"]
            for stream, bookmark in list(per_record.items()):
                if stream not in per_record:  # it ended together with another stream
                    continue
                with self._leaving_out(stream, per_record, bookmarks):
                    if not self._is_known(bookmark, record):
                        on_record = partial(stream.on_record, record, watermarks[stream])
                        stream.restarting(on_record)
                        bookmark.settle([record], requested_at)
            for bookmark in per_record.values():
                bookmark.reach(updated, record_id, signpost, answered_at)

    @staticmethod
    def _is_known(bookmark: Bookmark, record: Record) -> bool:
        """Whether a per-record stream has handled this version of the record before."""
        updated, record_id = record.get("update_time"), record["id"]
        return bookmark.covers(updated, record_id) or bookmark.is_settled(record)

    def _news(
        self, stream: SharedScanStream, records: list[Record], bookmark: Bookmark
    ) -> list[Record]:
        """Leave out the records that a child stream has handled before."""
        if stream is self._parent:
            return records
        return [record for record in records if not bookmark.is_settled(record)]

    @contextmanager
    def _leaving_out(self, stream: SharedScanStream, *groups: Bookmarks) -> Iterator[None]:
        """Catch an error that concerns one stream; the scan goes on without that stream.

        An error of the parent, or of one of its lists, ends the scan.
        """
        try:
            yield
        except TapError as error:
            ends_scan = stream is self._parent or error.operation in self._parent.operations
            if ends_scan or not error.concerns_stream:
                raise
            for other in self._scanned:
                if other is stream or other.comes_with == stream.name:
                    for bookmarks in groups:
                        bookmark = bookmarks.pop(other, None)
                        if bookmark is not None and other.has_read_nothing:
                            bookmark.rewind()
                    other.end(error)


def page_streams_of(bookmarks: Bookmarks) -> Bookmarks:
    """Return the streams that handle a whole page at a time."""
    return {s: b for s, b in bookmarks.items() if not s.costs_a_call_per_record}


def per_record_of(bookmarks: Bookmarks) -> Bookmarks:
    """Return the per-record streams."""
    return {s: b for s, b in bookmarks.items() if s.costs_a_call_per_record}


def _all_rows(stream: SharedScanStream, records: list[Record]) -> list[list[Record]]:
    return [*stream.rows_for(records, None)]


def start_of(bookmarks: Bookmarks) -> str | None:
    """Return the oldest start among the streams; None is the start of the history."""
    starts = [bookmark.since for bookmark in bookmarks.values()]
    return min((s or "" for s in starts), default="") or None


def value_of(bookmarks: Bookmarks) -> str:
    """Return the oldest update time that a stream has reached; empty before the first page."""
    return min((bookmark.value or "" for bookmark in bookmarks.values()), default="")


def spans_read(bookmarks: Bookmarks) -> list[list[list[str]] | None]:
    """Return for each stream the spans that windows have read beyond its bookmark."""
    return [bookmark.windows for bookmark in bookmarks.values()]


def group_by_position(bookmarks: Bookmarks) -> list[Bookmarks]:
    """Group the streams that can share a scan; per-record streams that are behind have their own.

    Their group comes last, because new records matter more than the rest of the history.
    """
    page_streams = page_streams_of(bookmarks)
    if not page_streams:
        return [bookmarks]
    start = start_of(page_streams) or ""
    late = {s: b for s, b in per_record_of(bookmarks).items() if (b.since or "") < start}
    in_time = {s: b for s, b in bookmarks.items() if s not in late}
    return [in_time, late] if late else [in_time]
