"""One walk over a stream's lists feeds the stream and everything that hangs on its records.

Asking each deal's log and products needs the ids of the deals that changed. Reading the lists
once, and handing each page to all streams before the next is read, costs one set of list
calls and keeps memory at a page. A stream's bookmark moves when it is done with the page; the
walk starts at the oldest bookmark among them.

Per-record streams (a call for each record) move their bookmark record by record. When their share of
the day's tokens is spent they drop out, the others go on, and the next run walks for those
streams alone from where they stopped.

Lists whose first walk proves long go on in several windows of time at once, all of them together
(:mod:`tap_pipedrive.sync.windows`), and end as the plain walks they were, behind those. Per-record
streams need their records in order, and a list costs a thousandth of what they ask: they leave such
a walk, and have the list read once more for them when it is over.
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
from tap_pipedrive.streams.stream_types import FedStream, IncrementalStream
from tap_pipedrive.sync.windows import (
    PLAIN_PAGES,
    Listing,
    Windows,
    gaps_between,
    seconds_between,
)
from tap_pipedrive.times import LOOKBACK, latest_update, to_text

Bookmarks = dict[FedStream, Bookmark]
#: What each stream is to emit for a page, or why it cannot.
Rows = dict[FedStream, list[list[Record]] | TapError]


@dataclass
class LongList:
    """A list that goes on in windows: who is fed at once, and who when it is read again."""

    key: str
    page_streams: Bookmarks
    per_record_streams: Bookmarks
    #: The source's time at its first page.
    signpost: datetime
    #: Seconds of update time that its latest page covered.
    pace: float | None
    #: Streams that were behind already, in the groups in which they walk.
    late: list[Bookmarks] = field(default_factory=list)

    @property
    def horizon(self) -> str:
        """Update time up to which the windows are to read."""
        return to_text(self.signpost - LOOKBACK)


class Walk:
    """The walk over one stream's lists, at most once a run."""

    def __init__(
        self, run: RunContext, parent: IncrementalStream, members: list[FedStream]
    ) -> None:
        """Nothing is read before :meth:`run`.

        Args:
            run: the context of the run.
            parent: the stream whose lists are walked.
            members: the streams to feed, in the order in which they receive a page.

        """
        self._run = run
        self._parent = parent
        self._members = members
        self._done = False
        self._fed: list[FedStream] = []
        #: Lists that were walked to their end, by stream.
        self._lists_finished: Counter[FedStream] = Counter()

    def run(self, asking: FedStream) -> None:
        """Walk the lists, unless that was done in this run already.

        Args:
            asking: the stream whose turn it is. The first one to ask starts the walk for all;
                a test run (the SDK limits its records) walks for this stream alone.

        Raises:
            BudgetSpentError: no tokens are left for anything that was asked for.

        """
        if asking.ABORT_AT_RECORD_COUNT is not None:
            self._walk([asking])
        elif not self._done:
            self._done = True
            self._walk([s for s in self._members if s.selected])

    def list_requests(self) -> Iterator[ListRequest]:
        """Name the lists that :meth:`run` will walk, and where in them it begins."""
        for key, bookmarks in self._known_bookmarks():
            if self._is_list_due(key, bookmarks):
                yield self._parent.list_request(key, start_of(in_step(bookmarks)[0]))

    @property
    def is_due(self) -> bool:
        """Whether any of the lists is to be read in this run."""
        return any(self._is_list_due(key, bookmarks) for key, bookmarks in self._known_bookmarks())

    def note_not_due(self, stream: FedStream) -> None:
        """Tell a stream when its lists were last read."""
        for key, bookmarks in self._known_bookmarks():
            stream.note_not_due(key, self._parent.intervals[key], bookmarks[stream].read_at)

    def _known_bookmarks(self) -> Iterator[tuple[str, Bookmarks]]:
        fed = [stream for stream in self._members if stream.selected]
        for where, key in self._lists():
            yield key, {stream: stream.known_bookmark(where) for stream in fed}

    def _is_list_due(self, key: str, bookmarks: Bookmarks) -> bool:
        """Whether a list is due for any of some streams."""
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

    def _walk(self, fed: list[FedStream]) -> None:
        """Walk all lists; an error of a list ends all streams that are still fed by it.

        Raises:
            TapError: it concerns more than these streams.

        """
        self._fed = fed
        for stream in fed:
            stream.begin_walk(fed)
            stream._write_schema_message()
        try:
            self._walk_lists(fed)
        except TapError as error:
            if not error.concerns_stream:
                raise
            for stream in fed:
                if stream.result.is_open:
                    stream.end(error)

    def _walk_lists(self, fed: list[FedStream]) -> None:
        long: list[LongList] = []
        for where, key in self._lists():
            bookmarks = {stream: stream.bookmark(where) for stream in fed if stream.result.is_open}
            if not self._is_list_due(key, bookmarks):
                for stream, bookmark in bookmarks.items():
                    stream.note_not_due(key, self._parent.intervals[key], bookmark.read_at)
                    self._finish_list(stream)
                continue
            together, *late = in_step(bookmarks)
            # A second page is enough when windows are to come for another list anyway.
            proved_long = self._walk_list(key, together, cut_after=1 if long else PLAIN_PAGES)
            if proved_long:
                proved_long.late = late
                long.append(proved_long)
            else:
                for others in late:
                    self._walk_list(key, others)
        if long:
            self._parent.restarting(partial(self._walk_windows, long))
        for list_ in long:
            for together in (list_.page_streams, list_.per_record_streams, *list_.late):
                self._walk_list(list_.key, together)
        self._finish_dear(fed)

    def _finish_dear(self, fed: list[FedStream]) -> None:
        """Let the streams that cost a call per record ask again for what they could not read."""
        for stream in fed:
            if stream.costs_a_call_per_record and stream.result.outcome is Outcome.COMPLETE:
                with self._leaving_out(stream), suppress(ShareSpentError):
                    stream.finish_walk()
        self._run.checkpoint()

    def _walk_list(
        self, key: str, bookmarks: Bookmarks, *, cut_after: int | None = None
    ) -> LongList | None:
        """Walk one list for streams that start from about the same time.

        One that is not over after ``cut_after`` pages is left for windows, and returned.
        """
        return self._parent.restarting(partial(self._walk_once, key, bookmarks, cut_after))

    def _walk_once(self, key: str, bookmarks: Bookmarks, cut_after: int | None) -> LongList | None:
        bookmarks = {s: b for s, b in bookmarks.items() if s.result.is_open}
        if not bookmarks:
            return None
        signpost: datetime | None = None
        reached: str | None = None
        request = self._parent.list_request(key, start_of(bookmarks))
        for number, page in enumerate(self._run.prefetch.pages(request), 1):
            bind_contextvars(page=number)
            signpost = signpost or page.answered_at or self._run.client.source_now
            self._feed(page.records, bookmarks, signpost, page.answered_at)
            if not bookmarks:
                return None
            more = bool(page.additional.get("next_cursor"))
            if more and cut_after and self._may_be_cut(key, bookmarks, number >= cut_after):
                page_streams = {s: b for s, b in bookmarks.items() if not s.costs_a_call_per_record}
                per_record = {s: b for s, b in bookmarks.items() if s.costs_a_call_per_record}
                start = value_of(page_streams)
                pace = seconds_between(reached, start) if reached else None
                long = LongList(key, page_streams, per_record, signpost, pace)
                if start < long.horizon:
                    return long
            reached = value_of(bookmarks) or None
        read_at = signpost if key in self._parent.intervals else None
        for stream, bookmark in bookmarks.items():
            bookmark.finish(read_at)
            self._finish_list(stream)
        self._run.checkpoint()
        return None

    def _finish_list(self, stream: FedStream) -> None:
        """Note that a stream is done with one more list, which may have been its last."""
        self._lists_finished[stream] += 1
        if self._lists_finished[stream] == len(self._parent.contexts()):
            stream.walked()

    def _feed(
        self,
        records: list[Record],
        bookmarks: Bookmarks,
        signpost: datetime,
        answered_at: datetime | None = None,
    ) -> None:
        """Hand a page to all streams; those that can go no further leave ``bookmarks``."""
        latest = latest_update(records, answered_at)
        for stream, bookmark in list(bookmarks.items()):
            if stream.costs_a_call_per_record:
                continue
            with self._leaving_out(stream, bookmarks):
                asked_at = self._run.client.source_now
                news = self._news(stream, records, bookmark)
                stream.restarting(partial(stream.take, news, watermark(bookmark)))
                bookmark.advance([latest], signpost)
                if stream is not self._parent:
                    bookmark.settle(news, asked_at)
        try:
            self._feed_dear(records, bookmarks, signpost, answered_at)
        except ShareSpentError as spent:
            late = [stream for stream in bookmarks if stream.costs_a_call_per_record]
            names = [stream.name for stream in late]
            self._run.logger.warning("%s stay behind until the next run: %s", names, spent)
            for stream in late:
                stream.fall_behind(str(spent))
                del bookmarks[stream]
        finally:
            if any(stream.remembers_deals for stream in bookmarks):
                self._run.seen_deals.save()
            self._run.checkpoint()

    # -- in windows --------------------------------------------------------------------------

    def _may_be_cut(self, key: str, bookmarks: Bookmarks, is_long: bool) -> bool:
        """Whether a first walk can go on in windows, and is worth it or did so before."""
        page_streams = [
            bookmark for stream, bookmark in bookmarks.items() if not stream.costs_a_call_per_record
        ]
        begun = any(bookmark.windows is not None for bookmark in page_streams)
        return (
            bool(page_streams)
            and (begun or is_long)
            and self._run.windows > 1
            and self._parent.ABORT_AT_RECORD_COUNT is None
            and "updated_until" in operation(key).parameters
            and all(bookmark.value and not bookmark.finished for bookmark in page_streams)
        )

    def _walk_windows(self, long: list[LongList]) -> None:
        """Read some lists up to their horizons for the page streams.

        The bookmarks then stand at the last record before the horizon: no further, or the per-record
        streams would seem to be late.
        """
        listings = {self._listing(list_): list_ for list_ in long}
        with Windows(listings, width=self._run.windows, logger=self._run.logger) as windows:
            for list_ in long:
                if None in spans_read(list_.page_streams) and not self._run.config.get(
                    "start_date"
                ):
                    self._feed_untimed(list_)
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
        kept = spans_read(list_.page_streams)
        # A stream that joined later knows none of what the others have read.
        ahead = kept[0] if kept[0] and all(spans == kept[0] for spans in kept) else []
        read = [["", start], *ahead]
        return Listing(
            gaps_between(read, start, list_.horizon),
            lambda since, until: self._parent.walk_pages(list_.key, since, until),
            lambda records: self._rows(records, list_.page_streams),
            read=read,
            pace=list_.pace,
        )

    def _feed_untimed(self, list_: LongList) -> None:
        """Read what has no update time, before anything of the windows is noted.

        It stands at one end of the order: the walk so far has passed the one, this is the other
        (one call).
        """
        for records in filter(None, self._parent.untimed_records(list_.key)):
            self._feed(records, list_.page_streams, list_.signpost)
            self._feed(records, list_.per_record_streams, list_.signpost)

    @staticmethod
    def _rows(records: list[Record], bookmarks: Bookmarks) -> Rows:
        """Ask for all that the streams emit for a page, in the thread that fetched it."""
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

    # -- what costs a call per record --------------------------------------------------------

    def _feed_dear(
        self,
        records: list[Record],
        bookmarks: Bookmarks,
        signpost: datetime,
        answered_at: datetime | None,
    ) -> None:
        per_record = {s: b for s, b in bookmarks.items() if s.costs_a_call_per_record}
        watermarks = {s: watermark(b) for s, b in per_record.items()}
        # Before any question about this page: a later answer may be older than it seems.
        asked_at = self._run.client.source_now
        for stream, bookmark in per_record.items():
            stream.expect(
                [r for r in records if not self._is_known(bookmark, r)], watermarks[stream]
            )
        for record in records if per_record else ():
            updated, record_id = record.get("update_time"), record["id"]
            for stream, bookmark in list(per_record.items()):
                if stream not in per_record:  # it went together with another one
                    continue
                with self._leaving_out(stream, per_record, bookmarks):
                    if not self._is_known(bookmark, record):
                        take = partial(stream.take_one, record, watermarks[stream])
                        stream.restarting(take)
                        bookmark.settle([record], asked_at)
            for bookmark in per_record.values():
                bookmark.reach(updated, record_id, signpost, answered_at)

    @staticmethod
    def _is_known(bookmark: Bookmark, record: Record) -> bool:
        """Whether a per-record stream asked about this version of the record before."""
        updated, record_id = record.get("update_time"), record["id"]
        return bookmark.covers(updated, record_id) or bookmark.is_settled(record)

    def _news(self, stream: FedStream, records: list[Record], bookmark: Bookmark) -> list[Record]:
        """Leave out what was asked about before; the parent itself sends what it meets."""
        if stream is self._parent:
            return records
        return [record for record in records if not bookmark.is_settled(record)]

    @contextmanager
    def _leaving_out(self, stream: FedStream, *fed: Bookmarks) -> Iterator[None]:
        """Go on without a stream that ends with an error of its own.

        The parent's own error ends the walk, as does that of one of its lists.
        """
        try:
            yield
        except TapError as error:
            of_the_walk = stream is self._parent or error.operation in self._parent.operations
            if of_the_walk or not error.concerns_stream:
                raise
            for other in self._fed:
                if other is stream or other.comes_with == stream.name:
                    for bookmarks in fed:
                        bookmark = bookmarks.pop(other, None)
                        if bookmark is not None and other.has_read_nothing:
                            bookmark.rewind()
                    other.end(error)


def _all_rows(stream: FedStream, records: list[Record]) -> list[list[Record]]:
    return list(stream.rows_for(records, None))


def watermark(bookmark: Bookmark) -> str | None:
    """Tell what a stream knows: None while its first walk has not come to its end."""
    return bookmark.since if bookmark.finished else None


def start_of(bookmarks: Bookmarks) -> str | None:
    """Find the oldest start among the streams; None is the beginning of time."""
    starts = [bookmark.since for bookmark in bookmarks.values()]
    return min((s or "" for s in starts), default="") or None


def value_of(bookmarks: Bookmarks) -> str:
    """Find the oldest update time that streams stand at; empty before the first page."""
    return min((bookmark.value or "" for bookmark in bookmarks.values()), default="")


def spans_read(bookmarks: Bookmarks) -> list[list[list[str]] | None]:
    """Say for each stream what windows have read beyond its bookmark."""
    return [bookmark.windows for bookmark in bookmarks.values()]


def in_step(bookmarks: Bookmarks) -> list[Bookmarks]:
    """Group streams that can share a walk: per-record streams that fell behind walk by themselves.

    The page streams come first: what is new matters more than what is old.
    """
    page_streams = {s: b for s, b in bookmarks.items() if not s.costs_a_call_per_record}
    if not page_streams:
        return [bookmarks]
    start = start_of(page_streams) or ""
    late = {
        s: b for s, b in bookmarks.items() if s.costs_a_call_per_record and (b.since or "") < start
    }
    in_time = {s: b for s, b in bookmarks.items() if s not in late}
    return [in_time, late] if late else [in_time]
