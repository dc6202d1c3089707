"""What streams have in common: a schema from the facts, pages in, messages out.

A stream is data: ``name``, ``operations``, ``primary_keys``, ``replication_key`` and, where
the API differs from its documents, ``more_properties``. Three kinds read themselves:

* :class:`UpdatedStream` asks for what changed since its bookmark;
* :class:`ListStream` reads a whole (short) list and stays silent when nothing changed;
* what hangs on deals is fed by :mod:`tap_pipedrive.streams.deal_walk`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import Stream
from singer_sdk.helpers._typing import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_pipedrive.bookmarks import Bookmark
from tap_pipedrive.openapi import Operation, operation
from tap_pipedrive.openapi.schema import stream_schema, stream_types
from tap_pipedrive.pagination import pages
from tap_pipedrive.records import Record, RecordShaper

if TYPE_CHECKING:
    from tap_pipedrive.tap import TapPipedrive

class PipedriveStream(Stream):
    """A stream declared by the facts of one or more operations."""

    #: Keys of ``openapi/facts.json`` whose records this stream unites.
    operations: ClassVar[tuple[str, ...]] = ()
    #: Properties the API sends though its documents leave them out of the record's schema.
    more_properties: ClassVar[Mapping[str, str]] = {}
    #: Query parameters every call of this stream carries.
    query: ClassVar[Mapping[str, Any]] = {}

    # Pages already hold JSON types; RecordShaper mends the few values that do not fit.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    _tap: TapPipedrive

    def __init__(self, tap: TapPipedrive) -> None:
        """Build the schema and what shapes its records."""
        types = stream_types((operation(key) for key in self.operations), self.more_properties)
        super().__init__(tap=tap, schema=stream_schema(types, self.primary_keys))
        self._shaper = RecordShaper(types)
        self._schema_written = False
        self.emitted = 0

    @property
    def operation(self) -> Operation:
        """The (first) operation of this stream."""
        return operation(self.operations[0])

    def get_replication_key_signpost(self, context: Any = None) -> None:
        """Leave signposts to the bookmarks: they are in the source's time, not this machine's."""
        del context

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Satisfy the SDK's interface; pages go through :meth:`emit` instead."""
        del context
        msg = f"{self.name} is read page by page"
        raise NotImplementedError(msg)

    # -- writing -----------------------------------------------------------------------------

    @cached_property
    def _writes_pages(self) -> bool:
        """Whether records leave as they are: nothing deselected, mapped or flattened."""
        maps = self.stream_maps
        return (
            len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and maps[0].flattening_options is None
            and all(self.mask.get(("properties", name), True) for name in self.schema["properties"])
        )

    def _write_schema_message(self) -> None:
        """Write the SCHEMA message once, whoever asks first."""
        if not self._schema_written:
            super()._write_schema_message()
            self._schema_written = True

    def emit(self, records: list[Record]) -> None:
        """Shape and write a page of records.

        Raises:
            AbortedSyncPausedException: a test run has seen the records it wanted.
        """
        if not records:
            return
        known_unknowns = len(self._shaper.unknown)
        records = self._shaper.shape(records)
        if len(self._shaper.unknown) > known_unknowns:
            self.logger.warning(
                "%s: properties unknown to the schema, kept in _extra: %s",
                self.name,
                ", ".join(sorted(self._shaper.unknown)),
            )
        if self.ABORT_AT_RECORD_COUNT is None and self._writes_pages:
            self._tap.message_writer.write_page(self.name, records, datetime.now(timezone.utc))
            self.emitted += len(records)
        else:
            for record in records:
                self._check_max_record_limit(self.emitted)
                # A copy: deselecting pops properties that other streams still want to read.
                self._write_record_message(dict(record))
                self.emitted += 1

    # -- reading -----------------------------------------------------------------------------

    def _sync_records(
        self, context: Any = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        """Read and emit everything, with the SDK's counters around it."""
        del context, write_messages
        with self.get_record_counter() as counter, self.get_sync_timer():
            try:
                self.read()
            finally:
                # Counts what another stream's walk emitted for this one, too.
                counter.increment(self.emitted)
        yield from ()

    def read(self) -> None:
        """Read this stream's records and :meth:`emit` them; each kind of stream knows how."""
        raise NotImplementedError

    def bookmark(self, context: Mapping[str, Any] | None = None) -> Bookmark:
        """Return the bookmark of one walk of this stream."""
        return Bookmark(
            self.get_context_state(context),
            self.replication_key or "update_time",
            self.config.get("start_date"),
        )


class UpdatedStream(PipedriveStream):
    """A list that can be asked for what was updated since a time, oldest first."""

    replication_key = "update_time"
    is_sorted = True
    check_sorted = False

    def read(self) -> None:
        """Walk the list from the bookmark on; a state after each page."""
        bookmark = self.bookmark()
        query = {
            **self.query,
            "updated_since": bookmark.since,
            "sort_by": "update_time",
            "sort_direction": "asc",
        }
        signpost: datetime | None = None
        walk = pages(
            self._tap.client, self.operation, stream=self.name, limit=self._tap.page_size, query=query
        )
        for page in walk:
            signpost = signpost or self._tap.client.source_now
            self.emit(page.records)
            bookmark.advance((r.get("update_time") for r in page.records), signpost)
            self._tap.write_state()
        bookmark.finish()
        self._tap.write_state()


class ListStream(PipedriveStream):
    """A short list without a filter by time: read whole, sent only when anything changed.

    The state keeps a fingerprint of the list as it was last sent. Lists too long to hold are
    sent as they come.
    """

    #: Pages held back until the fingerprint is known; beyond that, memory matters more.
    held_pages: ClassVar[int] = 20

    def read(self) -> None:
        """Read the list; emit it unless it is the one already sent."""
        held: list[list[Record]] = []
        digest = hashlib.sha256()
        walk = pages(
            self._tap.client, self.operation, stream=self.name, limit=self._tap.page_size, query=self.query
        )
        for page in walk:
            for record in page.records:
                digest.update(msgspec.json.encode(record, order="sorted"))
            held.append(page.records)
            if len(held) > self.held_pages:
                self._emit_all(held)
        fingerprint = digest.hexdigest()[:16]
        state = self.stream_state
        if state.get("fingerprint") != fingerprint:
            self._emit_all(held)
            state["fingerprint"] = fingerprint
            self._tap.write_state()

    def _emit_all(self, held: list[list[Record]]) -> None:
        for records in held:
            self.emit(records)
        held.clear()
