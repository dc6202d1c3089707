"""What a stream sends: records in their shape, schemas, quarantined records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, ClassVar

import msgspec
from singer_sdk import Stream, Tap
from singer_sdk.batch import Batcher
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers._batch import BatchConfig
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.openapi.schema import stream_schema, stream_types
from tap_pipedrive.api.records import PageReader, Record, RecordShaper, Row
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import ConfigurationError

#: Quarantined records of a stream that are logged one by one; all of them are counted.
MOST_WARNINGS = 10


class EmittingStream(Stream):
    """A stream with the schema of its operations, which writes pages of records."""

    #: Keys of ``openapi/facts.json`` whose records this stream unites.
    operations: ClassVar[tuple[str, ...]] = ()
    #: Properties that the API sends and its documents lack, and properties that this tap adds.
    more_properties: ClassVar[Mapping[str, str]] = {}
    #: Properties that are never sent, because they hold secrets.
    withheld: ClassVar[frozenset[str]] = frozenset()

    # Pages hold JSON types already; RecordShaper converts the few values that do not fit.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, run: RunContext) -> None:
        """Build the schema and the shaper of the records.

        Args:
            tap: the plugin that the SDK wants; this package uses the context instead.
            run: the context of the run.

        """
        types = stream_types((operation(key) for key in self.operations), self.more_properties)
        types = {name: kind for name, kind in types.items() if name not in self.withheld}
        if unknown := [key for key in self.primary_keys if key not in types]:
            msg = (
                f"{type(self).__name__}: no operation of the stream has its key {unknown[0]!r}. "
                "Add the key and its type to more_properties"
            )
            raise TypeError(msg)
        super().__init__(tap=tap, schema=stream_schema(types, self.primary_keys))
        self._run = run
        self._shaper = RecordShaper(types, self.withheld)
        self._types = types
        self._schema_written = False
        self._drift_reported: set[str] = set()
        self.emitted = 0

    @cached_property
    def _reader(self) -> PageReader | None:
        """Reads whole pages; made for the streams that a run reads, as it takes a while."""
        return PageReader.of(self._types, self.primary_keys)

    @property
    def quarantined(self) -> int:
        """Records of this stream that this run has quarantined."""
        return self._run.quarantine.by_stream[self.name]

    @property
    def nulled_values(self) -> int:
        """Values that are null because their column cannot hold them."""
        return self._shaper.nulled

    @property
    def drift(self) -> dict[str, int]:
        """Count the properties of this run that do not fit the schema, by kind."""
        return {
            "unknown_property": len(self._shaper.unknown),
            "changed_type": len(self._shaper.retyped),
        }

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Exist for the SDK's interface only; pages go through :meth:`emit`."""
        del context
        msg = f"{self.name} is read page by page"
        raise NotImplementedError(msg)

    def is_passed_over(self) -> bool:
        """Whether the stream is left out of this run, because it is not due."""
        raise NotImplementedError

    def look_up_names(self, records: list[Any]) -> None:
        """Compare the names that records use with the lists that this run does not read."""
        raise NotImplementedError

    @cached_property
    def _writes_pages(self) -> bool:
        """Whether records are sent unchanged: none is deselected, mapped, flattened or counted."""
        if self.ABORT_AT_RECORD_COUNT is not None or self._batcher is not None:
            return False
        maps = self.stream_maps
        if len(maps) != 1 or type(maps[0]) is not SameRecordTransform:
            return False
        flattening = maps[0].flattening_options
        return not (flattening and flattening.enabled) and all(
            self.mask["properties", name] for name in self.schema["properties"]
        )

    @cached_property
    def _batcher(self) -> Batcher | None:
        """Writes records to files, if ``batch_config`` is set."""
        config = self.get_batch_config(self.config)
        # A sweep needs the version of each record; a file has none.
        if config is None or self._run.is_sweep or self.ABORT_AT_RECORD_COUNT is not None:
            return None
        return Batcher(tap_name=self.tap_name, stream_name=self.name, batch_config=config)

    def _sync_batches(self, batch_config: BatchConfig, context: Any = None) -> None:
        """Read as without files; :meth:`emit` makes a file of each page."""
        del batch_config
        list(self._sync_records(context))

    def _show_progress(self, *, done: bool = False) -> None:
        """Update the progress line of a terminal."""
        calls = self._run.client.usage[self.name].calls
        self._run.progress.update(self.name, self.emitted, calls, done=done)

    def _emit_files(self, batcher: Batcher, records: list[Record]) -> None:
        selected = {name for name in self.schema["properties"] if self.mask["properties", name]}
        rows = ({k: v for k, v in record.items() if k in selected} for record in records)
        for manifest in batcher.get_batches(rows):
            self._write_batch_message(batcher.batch_config.encoding, manifest)
        self._run.writer.sent[self.name] += len(records)
        self.emitted += len(records)

    def _write_schema_message(self) -> None:
        """Write the SCHEMA message once; none for a stream that is not due.

        Without the message the loader does not count the stream as loaded, and its age is kept.
        """
        if not self._schema_written and not self.is_passed_over():
            super()._write_schema_message()
            self._schema_written = True

    def emit(self, records: list[Record]) -> None:
        """Shape and write a page of records; rows have their shape already.

        Raises:
            AbortedSyncPausedException: a test run has read as many records as it needs.

        """
        if not records:
            return
        if not self._run.cadence.reads_all:
            self.look_up_names(records)
        if not isinstance(records[0], Row):
            records = self._shaper.shape(records)
            self._report_drift()
            records = self._with_keys(records)
        self._run.quarantine.write(self._run.writer)
        if not records:
            return
        if self._writes_pages:
            now = datetime.now(timezone.utc)
            try:
                self._run.writer.write_page(self.name, records, now, self._stream_version)
            except RecursionError:
                self._shaper.set_deep_values_aside(records)
                self._run.writer.write_page(self.name, records, now, self._stream_version)
            self.emitted += len(records)
            self._show_progress()
            return
        if self._batcher is not None:
            try:
                self._emit_files(self._batcher, records)
            except ImportError as error:
                msg = f"batch_config has a storage that cannot be written: {error}"
                raise ConfigurationError(msg) from error
            return
        self._shaper.set_deep_values_aside(records)
        for record in records:
            self._check_max_record_limit(self.emitted)
            # A copy: deselecting removes properties that other streams still read.
            self._write_mapped(dict(record))
            self.emitted += 1

    def _write_mapped(self, record: Record) -> None:
        """Write a record after its stream maps.

        Raises:
            ConfigurationError: a map cannot be applied to it. The message holds no value of it.

        """
        try:
            self._write_record_message(record)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            if all(type(used) is SameRecordTransform for used in self.stream_maps):
                raise
            kind = str(error) if isinstance(error, MappingError) else type(error).__name__
            msg = (
                f"stream_maps cannot be applied to a record of {self.name}: {kind}. An expression "
                "must work for all values, including null"
            )
            raise ConfigurationError(msg) from error

    def _with_keys(self, records: list[Record]) -> list[Record]:
        """Quarantine the records that lack a key."""
        keys = self.primary_keys
        if all(record.get(key) is not None for record in records for key in keys):
            return records
        complete = []
        for record in records:
            if missing := [key for key in keys if record.get(key) is None]:
                known = {key: record[key] for key in keys if key not in missing}
                reason = f"lacks its key {', '.join(missing)}"
                self.quarantine(reason, msgspec.json.encode(record), known)
            else:
                complete.append(record)
        return complete

    def quarantine(self, reason: str, text: bytes, key: dict[str, Any] | None = None) -> None:
        """Quarantine a record, without the properties that are withheld."""
        is_new = self._run.quarantine.add(
            self.name, reason, self._shaper.without_secrets(text), key
        )
        if is_new and self.quarantined <= MOST_WARNINGS:
            self.logger.warning("%s: a record is quarantined: it %s", self.name, reason)

    def _report_drift(self) -> None:
        """Log once which properties the schema lacks, and which have values that do not fit."""
        for kind, names in (
            ("unknown to the schema", self._shaper.unknown),
            ("with values that do not fit", self._shaper.retyped),
        ):
            if new := names - self._drift_reported:
                self._drift_reported |= new
                self.logger.warning(
                    "%s: %s, stored in _extra: %s", self.name, kind, ", ".join(sorted(new))
                )
