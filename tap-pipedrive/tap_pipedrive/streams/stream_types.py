"""The types of streams: each reads its records in another way.

===================  =======================================================================
IncrementalStream    reads what was updated since its bookmark, oldest first
NewestFirstStream    has no filter by time: reads newest first, down to its bookmark
FullTableStream      a short list, read whole and sent only when anything in it changed
ChildStream          a call for each record of a parent stream; off by default
BatchedChildStream   a call for each hundred records of a parent stream
===================  =======================================================================

Lists that define the account are in :mod:`tap_pipedrive.streams.definition_streams`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Protocol

import msgspec

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.pagination import anchored_pages
from tap_pipedrive.api.prefetch import ListRequest
from tap_pipedrive.api.records import Record
from tap_pipedrive.api.responses import Page
from tap_pipedrive.state.parents import PARENT_ERRORS, Parents, Refusals
from tap_pipedrive.state.references import Name
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.times import latest_update


class Scan(Protocol):
    """The scan that brings a stream its records, see :mod:`tap_pipedrive.sync.shared_scan`."""

    @property
    def is_due(self) -> bool:
        """Whether any of its lists is read in this run."""

    def run(self, stream: SharedScanStream) -> None:
        """Read the lists, unless another stream started the scan in this run."""

    def note_not_due(self, stream: SharedScanStream) -> None:
        """Note at the stream when its lists were last read."""


class SharedScanStream(PipedriveStream):
    """A stream that receives the pages of a scan in ``update_time`` order.

    ``parent`` names the stream whose lists are scanned; a parent takes part in its own scan.
    """

    parent: ClassVar[str]
    #: The scan of the parent's lists, set at discovery.
    scan: Scan
    #: Whether every record of the parent may cost a call. Such a stream falls behind when its
    #: share of the day's tokens is spent, and catches up in the next runs.
    costs_a_call_per_record: ClassVar[bool] = False
    #: Whether the records that it receives go into the memory of deals seen.
    remembers_deals: ClassVar[bool] = False
    #: The stream whose calls bring the rows of this one, too: without it there are none.
    comes_with: ClassVar[str | None] = None
    replication_key = "update_time"
    is_sorted = True
    check_sorted = False

    def read(self) -> None:
        """Run the parent's scan, once for all its streams."""
        self.scan.run(self)

    @property
    def is_due(self) -> bool:
        """Whether a list of the scan is due."""
        return self.scan.is_due

    def not_due_notes(self) -> list[str]:
        """Say when the lists of the scan were last read."""
        self.scan.note_not_due(self)
        return self._not_due

    def scan_finished(self) -> None:
        """Note that the scan has ended for this stream."""
        self.complete()

    def begin_scan(self, streams: list[SharedScanStream]) -> None:
        """Learn which streams take part in the scan, before its first page."""

    def on_page(self, records: list[Record], since: str | None) -> None:
        """Receive one page of the parent's records as the API sent them.

        Args:
            records: the page, in ``update_time`` order.
            since: this stream's own watermark; None until its first walk came to its end.

        """
        for rows in self.rows_for(records, since):
            self.emit(rows)

    def rows_for(self, records: list[Record], since: str | None) -> Iterator[list[Record]]:
        """Yield the rows to emit for a page, read by calls where needed; runs in any thread."""
        raise NotImplementedError

    def expect(self, records: list[Record], since: str | None) -> None:
        """Learn which records :meth:`on_record` will receive next."""

    def on_record(self, record: Record, since: str | None) -> None:
        """Receive one record of a page; only per-record streams do.

        Raises:
            ShareSpentError: no tokens are left for it today.

        """
        raise NotImplementedError

    def finish_scan(self) -> None:
        """Do what is left when the scan has ended.

        Raises:
            ShareSpentError: no tokens are left for it today.

        """

    @property
    def has_read_nothing(self) -> bool:
        """Whether every call of this run was refused."""
        return False


class IncrementalStream(SharedScanStream):
    """One or a few lists that can be read from an update time on, oldest first.

    Child streams receive the same pages.
    """

    is_swept = True
    #: Lists of this stream, each with its own bookmark: ``{context value: operation}``.
    #: The default is one list without a context.
    lists: ClassVar[Mapping[str, str]] = {}

    @property
    def parent(self) -> str:  # type: ignore[override]
        """A parent is its own parent."""
        return self.name

    def rows_for(self, records: list[Record], since: str | None) -> Iterator[list[Record]]:
        """Yield the page without the records that only an older watermark of a child requested."""
        yield records if since is None else [r for r in records if is_since(r, since)]

    def contexts(self) -> dict[str, str]:
        """Return the lists: ``{context value or "": operation key}``."""
        return dict(self.lists) or {"": self.operations[0]}

    def all_pages(self) -> Iterator[list[Record]]:
        """Read every list of the stream by id."""
        for key in self.operations:
            of = operation(key)
            order = {"sort_by": "id", "sort_direction": "asc"}
            query = order if of.pages_by_cursor else {"sort": "id ASC"}
            for page in self.pages(of, query=query, raw_rows=of.pages_by_cursor):
                yield page.records

    def walk_pages(self, key: str, since: str | None, until: str | None = None) -> Iterable[Page]:
        """Read one list from ``since`` on (and before ``until``), in ``update_time`` order."""
        of = operation(key)
        if of.pages_by_cursor:
            order = {"sort_by": "update_time", "sort_direction": "asc"}
            span = {"updated_since": since, "updated_until": until}
            return self.pages(of, query={**order, **span}, raw_rows=True)
        return anchored_pages(
            self._run.client,
            of,
            stream=self.name,
            limit=min(self._run.page_size, self.page_limit),
            query={**self.query, "sort": "update_time ASC"},
            since=since,
            screen=self.screen(of),
        )

    def list_request(self, key: str, since: str | None) -> ListRequest:
        """Describe the read of one list, so that its first page can be prefetched."""
        return ListRequest(self.name, key, since, pages=lambda: self.walk_pages(key, since))

    def untimed_records(self, key: str) -> Iterator[list[Record]]:
        """Read the records without ``update_time`` at the far end of that order."""
        order = {"sort_by": "update_time", "sort_direction": "desc"}
        for page in self.pages(operation(key), query=order, raw_rows=True):
            yield [record for record in page.records if not record.get("update_time")]
            if page.records and page.records[-1].get("update_time"):
                return


class NewestFirstStream(PipedriveStream):
    """A list that can be sorted by ``update_time`` but not filtered: read newest first.

    Its bookmark moves once, at the end: a read that was interrupted starts over.
    """

    replication_key = "update_time"
    is_swept = True

    def all_pages(self) -> Iterator[list[Record]]:
        """Read the list by id."""
        for page in self.pages(query={"sort": "id ASC"}):
            yield page.records

    def read(self) -> None:
        """Read until all records are older than the bookmark."""
        read_newest_first(self, self.operations[0], None)

    def list_requests(self) -> Iterator[ListRequest]:
        """Yield the list that :meth:`read` reads."""
        yield newest_first_request(self, self.operations[0])


def newest_first_request(stream: PipedriveStream, key: str) -> ListRequest:
    """Describe the read of a v1 list from its newest record on."""
    query = {"sort": "update_time DESC"}
    return ListRequest(stream.name, key, pages=lambda: stream.pages(operation(key), query=query))


def read_newest_first(stream: PipedriveStream, key: str, context: Mapping[str, Any] | None) -> None:
    """Read one v1 list, if it is due, newest first down to its bookmark; emit the new records."""
    bookmark = stream.bookmark(context)
    interval = stream.intervals.get(key)
    if interval and not stream._run.cadence.is_due(interval, bookmark.read_at):
        stream.note_not_due(key, interval, bookmark.read_at)
        return
    since = bookmark.since
    newest: list[str | None] = []
    signpost: datetime | None = None
    for page in stream._run.prefetch.pages(newest_first_request(stream, key)):
        signpost = signpost or page.answered_at or stream._run.client.source_now
        stream.emit([r for r in page.records if is_since(r, since)])
        newest.append(latest_update(page.records[::-1], page.answered_at))
        if since is not None and page.records and not is_since(page.records[-1], since):
            break
    assert signpost is not None, "a list has a page, even if that is empty"
    bookmark.advance(newest, signpost)
    bookmark.finish(signpost if interval else None)
    stream._run.checkpoint()


def is_since(record: Record, since: str | None) -> bool:
    """Whether a record was updated at or after ``since``; unknown counts as yes.

    Compares the first 19 characters, so that ``2026-01-31 10:00:00`` and ``…T10:00:00.000Z``
    (both occur in v1) compare as the same time.
    """
    updated = record.get("update_time")
    return since is None or not updated or str(updated)[:19].replace(" ", "T") >= since[:19]


class FullTableStream(PipedriveStream):
    """A short list without a filter by time: read whole, sent only when anything changed.

    The state keeps a fingerprint of the list as it was last sent. A list that exceeds the buffer is
    sent while it is read.
    """

    is_swept = True
    #: Records that are buffered until the fingerprint of the whole list is known.
    buffer_size: ClassVar[int] = 10_000
    #: The source's time at the first response of a read.
    _first_response_at: datetime | None = None
    #: The names that were wanted when the list was requested, which may be long before it is read.
    _requested_names: frozenset[Name] = frozenset()

    def definitions(self, of: type[FullTableStream]) -> list[Record]:
        """Return another short list that this stream needs: the cached one, or a new read."""
        stream = next(s for s in self._streams if isinstance(s, of))
        return self._run.definitions.of(
            stream.name, lambda: [record for page in stream.record_pages() for record in page]
        )

    @cached_property
    def _refusals(self) -> Refusals:
        return Refusals()

    def parent_pages(
        self, parent_id: Any, *, path: bool = True, query: Mapping[str, Any] | None = None
    ) -> Iterator[Page]:
        """Yield the pages of one of several parents; a refused parent is counted and left out.

        Raises:
            TapError: so many are refused that the stream is.

        """
        try:
            yield from self.pages(path={"id": parent_id} if path else None, query=query)
        except PARENT_ERRORS as error:
            self.logger.warning("%s of %s is incomplete: %s", self.name, parent_id, error)
            self.incomplete_parents += 1
            self._refusals.refused(error)
        else:
            self._refusals.succeeded()

    def record_pages(self) -> Iterator[list[Record]]:
        """Yield the list page by page; a stream made of several lists overrides this."""
        for page in self._run.prefetch.pages(self._list_request):
            self._first_response_at = self._first_response_at or page.answered_at
            yield page.records

    @property
    def is_one_list(self) -> bool:
        """Whether the stream is read from one list, and not made of several."""
        return type(self).record_pages is FullTableStream.record_pages

    @property
    def _list_request(self) -> ListRequest:
        return ListRequest(self.name, self.operations[0], pages=self._request)

    def _request(self) -> Iterable[Page]:
        self._requested_names = frozenset(self.wanted)
        return self.pages()

    def list_requests(self) -> Iterator[ListRequest]:
        """Yield the list that :meth:`read` reads, unless the stream is made of several."""
        if self.is_one_list:
            yield self._list_request

    def all_pages(self) -> Iterator[list[Record]]:
        """Read the whole list, as in any other run."""
        return self.record_pages()

    def read(self) -> None:
        """Read the list; emit it unless it equals the list that was sent last."""
        buffered: list[list[Record]] = []
        fingerprint = Fingerprint()
        exceeds_buffer, count = False, 0
        self._first_response_at, begun = None, self._run.client.source_now
        for records in self.record_pages():
            fingerprint.add(records)
            buffered.append(records)
            count += len(records)
            if count > self.buffer_size:
                exceeds_buffer, count = True, 0
                self._emit_all(buffered)
        self._refusals.finish()
        if not exceeds_buffer and not self.incomplete_parents:
            self.note_read(
                [r for records in buffered for r in records], self._first_response_at or begun
            )
        state = self.stream_state
        if state.get("fingerprint") != fingerprint.text:
            self._emit_all(buffered)
            state["fingerprint"] = None if self.incomplete_parents else fingerprint.text
            self._run.checkpoint()

    def note_read(self, records: list[Record], read_at: datetime) -> None:
        """Learn the content of the list, before its records are shaped.

        Args:
            records: all of them.
            read_at: the source's time at the first response.

        """

    def _emit_all(self, buffered: list[list[Record]]) -> None:
        for records in buffered:
            self.emit(records)
        buffered.clear()


class Fingerprint:
    """The fingerprint of a list, made page by page; the state keeps that of the list last sent."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, records: list[Record]) -> None:
        """Add the next records of the list."""
        for record in records:
            self._digest.update(_fingerprint(record))

    @property
    def text(self) -> str:
        """The fingerprint as the state holds it."""
        return self._digest.hexdigest()[:16]


def _fingerprint(record: Record) -> bytes:
    try:
        return msgspec.json.encode(record, order="sorted")
    except RecursionError:
        return f"{record.get('id')} is nested too deep".encode()


class ChildStream(SharedScanStream):
    """One call for each record of the parent's pages; therefore off by default."""

    costs_a_call_per_record = True
    selected_by_default = False
    #: Property of a row that holds the parent's id.
    parent_key: ClassVar[str]
    #: Property of the parent that counts its rows, where there is one.
    parent_count: ClassVar[str | None] = None

    @cached_property
    def parents(self) -> Parents:
        """The parents that were refused, and those that will be read again."""
        client = self._run.client
        return Parents(self.stream_state, self._can_read, lambda: client.source_now, self.logger)

    @property
    def has_read_nothing(self) -> bool:
        """Whether every call of this run was refused."""
        return not self.parents.refusals.successes

    def on_record(self, record: Record, since: str | None) -> None:
        """Read the rows of one record."""
        if self.may_have_rows(record, since):
            self._read_parent(record["id"], is_deleted=bool(record.get("is_deleted")))

    def finish_scan(self) -> None:
        """Read the parents again that could not be read in earlier runs."""
        for parent_id, _ in self.parents.due():
            self._read_parent(parent_id)
        self.parents.refusals.finish()

    def _read_parent(self, parent_id: Any, *, is_deleted: bool = False) -> None:
        """Emit the rows of one parent; a later run reads it again if it is incomplete."""
        self._run.require_history_budget(self.list_operation().cost)
        pages = 0
        try:
            for rows in self.rows_of(parent_id):
                pages += 1
                self.emit(rows)
        except PARENT_ERRORS as error:
            self.logger.warning("%s of %s is incomplete: %s", self.name, parent_id, error)
            self.incomplete_parents += 1
            self.parents.incomplete(parent_id)
            if not pages:
                self.parents.refusals.refused(error, is_deleted=is_deleted)
                return
        else:
            self.parents.complete(parent_id)
        self.parents.succeeded(parent_id)

    def _can_read(self, parent_id: Any) -> bool:
        self._run.require_history_budget(self.list_operation().cost)
        try:
            next(iter(self.rows_of(parent_id)), None)
        except PARENT_ERRORS:
            return False
        return True

    def may_have_rows(self, record: Record, since: str | None) -> bool:
        """Whether a parent may have rows that are not known yet.

        In a first scan a count of 0 means that there are none. Later it may mean that the last row
        was removed, so every updated parent is read again.
        """
        return since is not None or self.parent_count is None or record.get(self.parent_count) != 0

    def rows_of(self, parent_id: Any) -> Iterator[list[Record]]:
        """Read the rows of one parent, page by page."""
        for page in self.pages(path={"id": parent_id}):
            yield [{**row, self.parent_key: parent_id} for row in page.records]


class BatchedChildStream(ChildStream):
    """One call for each hundred records of the parent's pages, with a list of ids."""

    costs_a_call_per_record = False

    #: Query parameter that takes the ids, and how many the operation allows.
    ids_parameter: ClassVar[str] = "deal_ids"
    parents_per_call: ClassVar[int] = 100

    def rows_for(self, records: list[Record], since: str | None) -> Iterator[list[Record]]:
        """Read the rows of the page's records, for a hundred records at a time."""
        return self.rows_of_many([r for r in records if "id" in r and self.may_have_rows(r, since)])

    def rows_of_many(self, parents: list[Record]) -> Iterator[list[Record]]:
        """Read the rows of several parents, page by page."""
        for at in range(0, len(parents), self.parents_per_call):
            ids = ",".join(str(p["id"]) for p in parents[at : at + self.parents_per_call])
            for page in self.pages(query={self.ids_parameter: ids}):
                yield page.records
