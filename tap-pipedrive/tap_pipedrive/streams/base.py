"""The base of all streams: a schema from the facts, pages in, messages out.

A stream is data: ``name``, ``operations``, ``primary_keys``, ``replication_key`` and, where the API
differs from its documents, ``more_properties``. Its type decides how it is read, see
:mod:`tap_pipedrive.streams.stream_types`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import msgspec
from singer_sdk import Tap

from tap_pipedrive.api.lenient_json import LenientRecord
from tap_pipedrive.api.openapi import Operation, operation
from tap_pipedrive.api.openapi.schema import stream_types
from tap_pipedrive.api.pagination import pages, restarting
from tap_pipedrive.api.prefetch import ListRequest
from tap_pipedrive.api.records import Record, RecordScreen, Row
from tap_pipedrive.api.responses import Page
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import REFUSALS, EssentialRefusedError, TapError
from tap_pipedrive.state.bookmarks import Bookmark
from tap_pipedrive.state.references import Name, values_of
from tap_pipedrive.streams.emitting import EmittingStream
from tap_pipedrive.streams.outcomes import Outcome, StreamResult
from tap_pipedrive.streams.stream_set import StreamSet

T = TypeVar("T")


class PipedriveStream(EmittingStream):
    """A stream declared by the facts of one or more operations."""

    #: The class of each stream, in the order of declaration.
    declared: ClassVar[list[type[PipedriveStream]]] = []
    #: Query parameters of every call of this stream.
    query: ClassVar[Mapping[str, Any]] = {}
    #: Whether every report depends on this stream: the run fails if it is refused. Any other
    #: stream that is refused is left out, see :meth:`end`.
    essential: ClassVar[bool] = False
    #: Whether a sweep can find out which of its records were deleted.
    is_swept: ClassVar[bool] = False
    #: Records per call, where the operation allows fewer than the rest of the API.
    page_limit: ClassVar[int] = 500
    #: Lists that a scheduled run reads at an interval: ``{operation: setting of the interval}``,
    #: see :mod:`tap_pipedrive.state.cadence`.
    intervals: ClassVar[Mapping[str, str]] = {}
    #: The stream to which a property refers: ``{property: stream}``.
    references: ClassVar[Mapping[str, str]] = {}
    #: The stream that defines the fields of its records.
    fields_stream: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register a class that declares a stream: it has a name, a type of streams has none."""
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            PipedriveStream.declared.append(cls)

    def __init__(self, tap: Tap, run: RunContext, streams: StreamSet[PipedriveStream]) -> None:
        """Take a place among the streams of the run.

        Args:
            tap: the plugin that the SDK wants; this package uses the two others instead.
            run: the context of the run.
            streams: all streams of the run. The stream adds itself.

        """
        super().__init__(tap, run)
        self._streams = streams
        streams.add(self)
        self._screens: dict[str, RecordScreen] = {}
        #: Parent records whose rows could not be read completely in this run.
        self.incomplete_parents = 0
        self.result = StreamResult()
        #: Names that records of this run use, and that the list lacked when it was last read.
        self.wanted: set[Name] = set()
        self._not_due: list[str] = []

    @property
    def operations_called(self) -> tuple[str, ...]:
        """Keys of the operations whose responses bring this stream's records."""
        return self.operations

    @classmethod
    def list_operation(cls) -> Operation:
        """Return the first operation; other streams that need this list call it, too."""
        return operation(cls.operations[0])

    def get_replication_key_signpost(self, context: Any = None) -> None:
        """Set none: bookmarks keep signposts in the source's time, not in this machine's."""
        del context

    @property
    def latest_bookmark(self) -> str | None:
        """Source time up to which this stream is read, None without a bookmark."""
        partitions = self.stream_state.get("partitions") or [self.stream_state]
        values = [p.get("replication_key_value") for p in partitions]
        return max((v for v in values if v), default=None)

    @property
    def read_at(self) -> str | None:
        """Source time when its list with an interval was last read, None if unknown."""
        parts = [self.stream_state, *self.stream_state.get("partitions", [])]
        return next((part["read_at"] for part in parts if part.get("read_at")), None)

    # -- whether it is due -------------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether this run has to read anything of this stream."""
        return True

    def seconds_between_reads(self, key: str) -> float:
        """Return the seconds between two reads of a list (an operation); 0: every run reads it."""
        interval = self.intervals.get(key)
        return self._run.cadence.interval(interval).total_seconds() if interval else 0.0

    def is_passed_over(self) -> bool:
        """Decide whether the stream is left out because it is not due."""
        is_test = self.ABORT_AT_RECORD_COUNT is not None
        if self.result.is_open and not is_test and not self.is_due:
            self.result = StreamResult(Outcome.NOT_DUE, "; ".join(self.not_due_notes()))
            self.logger.info("%s is not due: %s", self.name, self.result.reason)
        return self.result.outcome is Outcome.NOT_DUE

    def not_due_notes(self) -> list[str]:
        """Return for each list that is not due when it was last read."""
        raise NotImplementedError

    def note_not_due(self, key: str, interval: str, read_at: str | None) -> None:
        """Note that this run does not read a list of this stream or of its parent."""
        assert read_at is not None, "a list that was never read is due"
        self._not_due.append(f"{key} was {self._run.cadence.note(interval, read_at)}")

    def want(self, names: set[Name]) -> None:
        """Make this list due: records use names that it lacked when it was last read."""
        some = ", ".join(sorted(map(str, names))[:5])
        self.logger.info(
            "%s is read now: a record refers to %s, which it does not have yet", self.name, some
        )
        self.wanted |= names
        self.stream_state.pop("read_at", None)
        if self.result.outcome is Outcome.NOT_DUE:
            self.result = StreamResult()

    @property
    def can_look_up(self) -> bool:
        """Whether the names in this list are known since it was last read."""
        return False

    def look_up(self, names: set[Name]) -> None:
        """Become due if records use names that this list lacks."""

    def look_up_fields(self, records: list[Any]) -> None:
        """Become due if records have custom fields or options that this list lacks."""

    def names_used(self, records: list[Any]) -> Iterator[tuple[str, set[Name]]]:
        """Yield the names that records use: a stream, and names in it."""
        for name, stream in self.references.items():
            if stream in self._streams.lookup_lists:
                yield stream, values_of(records, name)

    def look_up_names(self, records: list[Any]) -> None:
        """Make the lists due that lack a name, a field or an option which records use."""
        lists = self._streams.lookup_lists
        for stream, names in self.names_used(records):
            if stream in lists:
                lists[stream].look_up(names)
        if self.fields_stream is not None and self.fields_stream in lists:
            lists[self.fields_stream].look_up_fields(records)

    # -- reading -----------------------------------------------------------------------------

    def _sync_records(
        self, context: Any = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        """Read and emit the stream inside the SDK's counters."""
        del context, write_messages
        with self.get_record_counter() as counter, self.get_sync_timer():
            try:
                if self.result.is_open:  # a shared scan may have decided already
                    self.restarting(self.sweep if self._run.is_sweep else self.read)
                    self.complete()
            except TapError as error:
                if not error.concerns_stream:
                    raise
                self.end(error)
            finally:
                self._run.quarantine.write(self._run.writer)
                # Includes the records that a shared scan emitted for this stream before.
                counter.increment(self.emitted)
                self._show_progress(done=True)
        yield from ()

    # -- how it ended ------------------------------------------------------------------------

    def complete(self) -> None:
        """Note that the stream was read to its end, unless it has another outcome already."""
        if self.result.is_open:
            self.result = StreamResult(Outcome.COMPLETE, "; ".join(self._not_due) or None)
            self._note_whether_readable()

    def fall_behind(self, reason: str) -> None:
        """Note that the next run has to continue."""
        if self.result.is_open:
            self.result = StreamResult(Outcome.BEHIND, reason)

    def end(self, error: TapError, context: Mapping[str, Any] | None = None) -> None:
        """End this stream with an error that concerns no other stream.

        Args:
            error: the error. Its owner is the stream whose operation failed, even if another
                stream called the operation.
            context: the list that was read, for a stream that has several.

        Raises:
            EssentialRefusedError: the owner is essential, and refused.

        """
        owner = self._streams.owner_of(error) or self
        refused = isinstance(error, REFUSALS)
        reason = str(error) if owner is self else f"it needs {owner.name}: {error}"
        if refused and owner.essential:
            owner.result = StreamResult(Outcome.REFUSED, str(error), error)
            msg = f"{owner.name} is refused, and every report depends on it: {error}"
            raise EssentialRefusedError(msg) from error
        if not refused:
            self.result = StreamResult(Outcome.INCOMPLETE, reason, error)
            self.logger.error("%s is incomplete, the other streams continue: %s", self.name, reason)
            return
        if self.was_read(context):
            self.result = StreamResult(Outcome.REFUSED, reason, error)
            self.logger.error(
                "%s is refused although it could be read before; the other streams continue: %s",
                self.name,
                reason,
            )
        else:
            self.result = StreamResult(Outcome.NOT_PERMITTED, reason, error)
            self.logger.warning(
                "%s is not permitted and left out: %s. If it is not needed, deselect it: take it "
                "out of `select` in meltano.yml",
                self.name,
                reason,
            )
        self._note_whether_readable()

    @property
    def _is_answered(self) -> bool:
        answered = self._run.client.api.requests
        return any(answered[key, "2xx"] for key in self.operations_called)

    def was_read(self, context: Mapping[str, Any] | None = None) -> bool:
        """Whether an earlier run has read the stream, or one list of it."""
        known = self._run.state_at_start.get("bookmarks", {}).get(self.name, {})
        lists = known.get("partitions", [])
        if context:
            return any(_was_read(part) for part in lists if part.get("context") == context)
        if "readable" in known:
            return bool(known["readable"])
        return any(map(_was_read, [known, *lists]))

    def _note_whether_readable(self) -> None:
        """Note in the state whether the stream could be read, where its bookmarks do not say so.

        A sweep leaves no bookmark. A child stream may have a bookmark although its parent had no
        record, so that the child was never called.
        """
        is_answered, state = self._is_answered, self.stream_state
        has_bookmark = any(map(_was_read, [state, *state.get("partitions", [])]))
        if is_answered and has_bookmark:
            state.pop("readable", None)
        elif is_answered:
            state["readable"] = True
        elif has_bookmark and not self.was_read():
            state["readable"] = False
        self._run.checkpoint()

    def restarting(self, read: Callable[[], T]) -> T:
        """Run a walk; start it again, and log that, when a cursor expires."""
        return restarting(
            read,
            lambda error: self.logger.warning(
                "%s: reading it again from the start (%s)", self.name, error
            ),
        )

    def sweep(self) -> None:
        """Emit all records, then ACTIVATE_VERSION: a loader marks the records that did not come.

        The message comes after the last record, and only if everything could be read.
        """
        if not self.is_swept:
            self.logger.info("%s is not swept", self.name)
            return
        self._stream_version = int(time.time() * 1000)
        for records in self.all_pages():
            self.emit(records)
        if self.quarantined or self.incomplete_parents:
            self.logger.warning(
                "%s: it was read in part, so no record is marked as deleted", self.name
            )
            return
        self._write_activate_version_message(self._stream_version)

    def list_requests(self) -> Iterator[ListRequest]:
        """Yield the lists that :meth:`read` will read, as far as they are known beforehand."""
        yield from ()

    def all_pages(self) -> Iterator[list[Record]]:
        """Yield all records of this stream, for a sweep."""
        raise NotImplementedError

    def read(self) -> None:
        """Read this stream's records and :meth:`emit` them."""
        raise NotImplementedError

    def pages(
        self,
        of: Operation | None = None,
        *,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        raw_rows: bool = False,
    ) -> Iterable[Page]:
        """Yield the pages of an operation (by default this stream's own), booked on this stream.

        Args:
            of: the operation.
            path: values for the placeholders of its path.
            query: query parameters beside the stream's own.
            raw_rows: whether records may be rows instead of dictionaries. The caller may then
                read and emit them, but not change them.

        """
        of = of or self.list_operation()
        return pages(
            self._run.client,
            of,
            stream=self.name,
            limit=min(self._run.page_size, self.page_limit),
            path=path,
            query={**self.query, **(query or {})},
            reader=self._reader if raw_rows and self._writes_pages else None,
            screen=self.screen(of),
        )

    def screen(self, of: Operation) -> Callable[[Page], Page]:
        """Return a function that checks each page of an operation before anything else uses it.

        Records without an id are quarantined: walks, bookmarks and child streams need the id.
        """
        has_id = "id" in of.record and (of.key not in self.operations or "id" in self.primary_keys)
        screen = self._screens.setdefault(
            of.key, RecordScreen(stream_types([of]), "id" if has_id else None)
        )

        def screened(page: Page) -> Page:
            for element in page.unreadable:
                self.quarantine(element.reason, element.text)
            if not page.records or isinstance(page.records[0], Row):
                return page
            screen.remove_impossible_times(page.records)
            without_id = [record for record in page.records if screen.lacks_its_key(record)]
            for record in without_id:
                self.quarantine("has no usable id", msgspec.json.encode(record))
            if not without_id:
                return page
            usable = [r for r in page.records if not any(r is other for other in without_id)]
            places = [LenientRecord(b"", reason="has no usable id") for _ in without_id]
            return replace(page, records=usable, unreadable=[*page.unreadable, *places])

        return screened

    def bookmark(self, context: Mapping[str, Any] | None = None) -> Bookmark:
        """Return the bookmark of one list of this stream."""
        return self._bookmark(self.get_context_state(context or None))

    def known_bookmark(self, context: Mapping[str, Any] | None = None) -> Bookmark:
        """Return a copy of a bookmark to look at; the state does not change."""
        known = self.tap_state.get("bookmarks", {}).get(self.name, {})
        if context:
            partitions = known.get("partitions", [])
            known = next((p for p in partitions if p["context"] == context), {})
        return self._bookmark(dict(known))

    def _bookmark(self, state: dict[str, Any]) -> Bookmark:
        key = self.replication_key or "update_time"
        return Bookmark(state, key, self.config.get("start_date"))


def _was_read(state: Mapping[str, Any]) -> bool:
    """Whether a state entry shows that a run has read something."""
    return any(
        state.get(name) for name in ("replication_key_value", "first_walk_done", "fingerprint")
    )


#: All streams of a run.
Streams = StreamSet[PipedriveStream]
