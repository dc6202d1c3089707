"""The sink of one stream: collects records and returns them as batches."""

from __future__ import annotations

import datetime as dt
import functools
import time
import typing as t
from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from target_postgres.sinks import PostgresSink as StockSink

from pipeboard_target_postgres import quarantine
from pipeboard_target_postgres.columns import identifier
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.encoder import RecordEncoder, RecordRefusedError, dump
from pipeboard_target_postgres.errors import DataRefusedError, NotPermittedError, one_line
from pipeboard_target_postgres.evolve import Table
from pipeboard_target_postgres.ops import Entry
from pipeboard_target_postgres.sql import quote
from pipeboard_target_postgres.stream import Batch, Stream

if t.TYPE_CHECKING:
    from singer_sdk import Target

    from pipeboard_target_postgres.dispatcher import BatchDispatcher
    from pipeboard_target_postgres.loader import Loader
    from pipeboard_target_postgres.merge import Counts


class LoadRun(t.Protocol):
    """The part of the target that a sink uses."""

    dispatcher: BatchDispatcher
    loader: Loader

    def own_table(self, stream: str, schema: str, table: str) -> None:
        """Record which stream owns a table; refuse a second stream."""

    def prepare_schema(self, name: str) -> None:
        """Create the schema if it does not exist."""

    def prepare_table(
        self, schema: str, table: str, wanted: Mapping[str, str], keys: Sequence[str]
    ) -> Table:
        """Create the table, or adapt it to these columns and keys."""

    def counts_of(self, stream: str) -> Counts:
        """Return the counts of a stream, the same ones for the whole run."""

    def note_passed_maps(self) -> None:
        """Record that the stream maps have passed the current record."""


class PostgresSink(StockSink):
    """A sink whose records arrive as messages (fast path) or as the SDK's dicts (fallback).

    Both end in the same batches: a record that the SDK has processed becomes a message again and
    is encoded like the others, so both have the same guarantees.
    """

    connector_class = PostgresConnector
    connector: PostgresConnector
    stream: Stream

    def __init__(self, target: Target, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(target, *args, **kwargs)
        self._run = t.cast("LoadRun", target)
        self._rows: list[bytes] = []
        self._lines: list[bytes] = []
        self._refused: list[Entry] = []
        self._fast = 0
        self._version: bytes | None = None
        self._version_number: int | None = None
        self._received_at: dt.datetime | None = None
        self._sequence = 0
        self._warned: set[str] = set()

    # The table

    @property
    def table_name(self) -> str:
        """The stock name, shortened to PostgreSQL's limit."""
        return identifier(super().table_name)

    @property
    def schema_name(self) -> str | None:
        """The stock name, shortened to PostgreSQL's limit."""
        name = super().schema_name
        return identifier(name) if name else None

    @functools.cached_property
    def max_size(self) -> int:
        """The most records of a batch, which is asked for at each record."""
        return super().max_size

    @property
    def key_properties(self) -> Sequence[str]:
        """The properties that identify a record; empty means append."""
        return list(super().key_properties)

    def setup(self) -> None:
        """Create the table, or adapt it to the stream's schema.

        Raises:
            LoaderError: a right is missing, or the schema does not have a key property.
        """
        self.append_only = not self.key_properties
        properties: Mapping[str, dict[str, t.Any]] = self.schema["properties"]
        absent = [key for key in self.key_properties if key not in properties]
        if absent:
            raise DataRefusedError(
                f"Stream {self.stream_name}: key property {', '.join(absent)} is not in its "
                "schema. Correct the tap's SCHEMA message or the selected properties."
            )
        if not properties:
            raise DataRefusedError(
                f"Stream {self.stream_name}: its schema has no properties. Select at least one."
            )
        by_column: dict[str, list[str]] = {}
        for prop in properties:
            by_column.setdefault(identifier(prop), []).append(prop)
        for column, props in by_column.items():
            if len(props) > 1:
                raise DataRefusedError(
                    f"Stream {self.stream_name}: properties {props} would all be column {column}. "
                    "Rename or deselect all but one, for example by the setting stream_maps."
                )
        schema = self.schema_name or "public"
        self._run.own_table(self.stream_name, schema, self.table_name)
        self._run.prepare_schema(schema)
        wanted = {
            prop: self.connector.column_type(definition) for prop, definition in properties.items()
        }
        table = self._evolve(schema, wanted)
        metadata = self.include_sdc_metadata_properties
        constants = (
            ("_sdc_received_at", "_sdc_batched_at", "_sdc_sequence", "_sdc_sync_started_at")
            if metadata
            else ()
        )
        encoder = RecordEncoder(
            self.stream_name,
            [c for c in table.columns if c.prop not in constants],
            self.key_properties,
            metadata,
            bool(self.config["sanitize_null_text_characters"]),
        )
        self.stream = Stream(
            self.stream_name,
            table,
            encoder,
            self.key_properties,
            self._run.counts_of(self.stream_name),
        )

    def _evolve(self, schema: str, wanted: Mapping[str, str]) -> Table:
        try:
            return self._run.prepare_table(schema, self.table_name, wanted, self.key_properties)
        except psycopg.errors.InsufficientPrivilege as exc:
            role = quote(self.connector.role)
            table = quote(schema, self.table_name)
            raise NotPermittedError(
                f"{one_line(exc)}: role {role} cannot adapt table {table} to the stream's schema. "
                f"As the owner run: GRANT USAGE, CREATE ON SCHEMA {quote(schema)} TO {role}; and, "
                f"if the table exists: ALTER TABLE {table} OWNER TO {role};"
            ) from exc

    # Records

    def add(self, line: bytes) -> bool:
        """Add a RECORD message to the batch; return False if it is of another stream."""
        try:
            encoded = self.stream.encoder.encode(line)
        except RecordRefusedError as exc:
            self.refuse(line, str(exc))
            return True
        if encoded is None:
            return False
        row, version = encoded
        if version is not None and bytes(version) != self._version:
            self._new_version(version)
        if not self._rows:
            self._begin_batch(line)
        self._rows.append(row)
        self._lines.append(line)
        self._fast += 1
        self._run.dispatcher.add(len(line))
        if len(self._rows) >= self.max_size:
            self._run.dispatcher.flush()
        return True

    def refuse(self, line: bytes, reason: str) -> None:
        """Add a record that cannot become a row, for the quarantine."""
        record, key = quarantine.record_of(line, self.stream.keys)
        self._refused.append(Entry(self.stream_name, key, reason, record))
        self._fast += 1
        self._run.dispatcher.add(len(line))
        if len(self._refused) >= self.max_size:
            self._run.dispatcher.flush()

    def _new_version(self, version: msgspec.Raw) -> None:
        """Begin another batch for another version: a batch has only one."""
        if self._rows:
            self._run.dispatcher.flush()
        self._version = bytes(version)
        number = msgspec.json.decode(version)
        self._version_number = number if isinstance(number, int) else None

    def _begin_batch(self, line: bytes) -> None:
        """Begin a batch."""
        self._received_at = dt.datetime.now(tz=dt.timezone.utc)
        # Always increasing: rows without keys continue from the batch's number, so it may be ahead
        # of the clock.
        self._sequence = max(time.time_ns() // 1_000_000, self._sequence)
        for name in sorted(self.stream.encoder.unknown(line) - self._warned):
            if not name.startswith("_sdc_"):
                self._warned.add(name)
                self.logger.warning("No schema for record field '%s': it is not loaded.", name)

    def take(self) -> Batch | None:
        """Return the collected records as a batch, and forget them; None if there are none."""
        if not self._rows and not self._refused:
            return None
        batch = Batch(
            self.stream,
            self._rows,
            self._lines,
            self._version_number,
            {
                "received_at": self._received_at,
                "batched_at": dt.datetime.now(tz=dt.timezone.utc),
                "sequence": self._sequence,
                "sync_started_at": self.sync_started_at,
            },
            self._refused,
            has_unusual_dates=self.stream.encoder.has_unusual_dates,
        )
        self.stream.encoder.has_unusual_dates = False
        self._sequence += len(self._rows)
        self.record_counter_metric.increment(self._fast)
        self._rows, self._lines, self._refused, self._fast = [], [], [], 0
        return batch

    # The fallback: records that the SDK has processed

    @property
    def is_full(self) -> bool:
        """Always False for the SDK: the dispatcher decides when a batch is loaded."""
        return False

    def _add_sdc_metadata_to_record(
        self, record: dict[str, t.Any], message: dict[str, t.Any], context: dict[str, t.Any]
    ) -> None:
        record["_sdc_extracted_at"] = message.get("time_extracted")
        record["_sdc_table_version"] = message.get("version")

    def _singer_validate_message(self, record: dict[str, t.Any]) -> None:
        """Do nothing: `add` quarantines a record without its key, on both paths."""

    def _parse_timestamps_in_record(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Do nothing: PostgreSQL parses times, and wrong ones are quarantined."""

    def process_record(self, record: dict[str, t.Any], context: dict[str, t.Any]) -> None:
        """Add a record that the SDK has processed."""
        self._run.note_passed_maps()
        message = {
            "type": "RECORD",
            "stream": self.stream_name,
            "record": record,
            "time_extracted": record.pop("_sdc_extracted_at", None),
        }
        version = record.pop("_sdc_table_version", None)
        if version is not None:
            message["version"] = version
        self.add(dump(message))
        self._fast -= 1  # the SDK counts these

    def process_batch(self, context: dict[str, t.Any]) -> None:
        """Do nothing: the dispatcher loads batches, and the target reads BATCH files."""

    def activate_version(self, new_version: int) -> None:
        """Load all records before it, then mark the rows that this version did not contain."""
        if not self.config["activate_version"]:
            self.logger.warning("ACTIVATE_VERSION ignored: the setting activate_version is off.")
            return
        self._run.dispatcher.flush(wait=True)
        self._run.dispatcher.call(lambda: self._run.loader.activate(self.stream, new_version))
