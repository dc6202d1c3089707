"""Loads batches: one session, one transaction per batch, state only after the commit."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import psycopg

from pipeboard_target_postgres import errors, evolve, quarantine, repair, sweep
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.encoder import KEY_MISSING
from pipeboard_target_postgres.locks import DDL_LOCK_TIMEOUT, LockWait
from pipeboard_target_postgres.merge import Counts
from pipeboard_target_postgres.metrics import Metrics
from pipeboard_target_postgres.ops import Entry, Ops
from pipeboard_target_postgres.session import Session
from pipeboard_target_postgres.sql import quote, run
from pipeboard_target_postgres.stream import Batch, Stream, UnsentRecords


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings that the loader needs; see `settings.py`."""

    use_copy: bool
    bookkeeping: bool
    max_refused_share: float
    max_vanished_share: float
    hard_delete: bool
    reconnect_seconds: float


class Loader:
    """Loads batches; used by one thread at a time."""

    #: Before the end of the input, the share of refused records is checked from this number on.
    MIN_RECORDS_FOR_SHARE = 1000

    def __init__(
        self,
        connector: PostgresConnector,
        ops: Ops,
        options: Options,
        metrics: Metrics,
        logger: logging.Logger,
    ) -> None:
        self._connector, self._ops = connector, ops
        self._options, self._logger, self._metrics = options, logger, metrics
        self._session = Session(connector, options.reconnect_seconds, ops.forget, logger)
        self._streams: dict[str, Stream] = {}
        #: The tables as they were when this run began, by schema.
        self._known: dict[str, dict[str, evolve.Existing]] = {}

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def cancel(self) -> None:
        """Cancel the work of another thread, and refuse new work."""
        self._session.cancel()

    def connect(self) -> None:
        """Open the first connection, without a second try.

        Raises:
            Exception: the database cannot be reached, or refuses the login.
        """
        self._session.connection()

    def _transaction(
        self,
        work: Callable[[psycopg.Cursor], t.Any],
        table: str,
        lock: str,
        retry: bool,
        ddl: bool = False,
    ) -> t.Any:
        """Run work in a transaction of its own; see `Session.persist`."""

        def transact() -> t.Any:
            connection = self._session.connection()
            with connection.transaction(), connection.cursor() as cursor:
                self._session.check_pooler(connection)
                if ddl:
                    run(cursor, f"set local lock_timeout = '{DDL_LOCK_TIMEOUT}'")
                return work(cursor)

        return self._session.run_with_retries(
            transact, retry, LockWait(table, lock, ddl=ddl, logger=self._logger)
        )

    # Tables

    def prepare_schema(self, schema: str) -> None:
        """Create a schema and the loader's own tables.

        Raises:
            NotPermittedError: a right is missing; the message has the GRANT statement.
        """

        def prepare(cursor: psycopg.Cursor) -> None:
            self._connector.prepare_schema_with(cursor, schema)
            self._known[schema] = evolve.existing_tables(cursor, schema)

        self._transaction(prepare, quote(schema), schema, retry=True)
        if self._options.bookkeeping:
            self._transaction(
                self._ops.prepare,
                quote(self._ops.schema, "quarantine"),
                self._ops.lock,
                retry=True,
                ddl=True,
            )

    def unchanged_table(
        self, schema: str, table: str, wanted: Mapping[str, str], keys: Sequence[str]
    ) -> evolve.Table | None:
        """Return a table that fits the stream as it was when the run began, as most do.

        None for any other one, which `prepare_table` looks at again, under a lock. The database is
        not asked.
        """
        known = self._known.get(schema, {}).pop(table, None)
        if known is None:
            return None
        return evolve.unchanged_table(schema, table, known, wanted, keys)

    def prepare_table(
        self, schema: str, table: str, wanted: Mapping[str, str], keys: Sequence[str]
    ) -> evolve.Table:
        """Create a table or adapt it to a stream's schema; see `Evolution.prepare`."""
        return t.cast(
            "evolve.Table",
            self._transaction(
                lambda cursor: evolve.Evolution(cursor, schema, table, self._logger).prepare(
                    wanted, keys
                ),
                quote(schema, table),
                evolve.lock_name(schema, table),
                retry=True,
                ddl=True,
            ),
        )

    # Loading

    def run(
        self,
        batches: Sequence[Batch | UnsentRecords],
        write_state: Callable[[], None] | None,
        final: bool = False,
    ) -> None:
        """Load batches, each in a transaction of its own; then write the state.

        Args:
            batches: in any order; together they hold all records that came before the state.
            write_state: writes the state, if there is a new one.
            final: True at the end of the input.

        Raises:
            DataRefusedError: too large a share of a stream was refused; no state is written.
        """
        loaded = set()
        for batch in batches:
            if isinstance(batch, UnsentRecords):
                self._quarantine_unsent(batch)
                continue
            stream, began = batch.stream, time.monotonic()
            self._streams[stream.name] = stream
            loaded.add(stream)
            stream.counts.add(
                self._transaction(
                    functools.partial(self._load, batch),
                    stream.table.sql,
                    evolve.lock_name(stream.table.schema, stream.table.name),
                    retry=bool(stream.table.keys),
                )
            )
            self._metrics.loaded(stream, len(batch.rows), time.monotonic() - began)
        for stream in self._streams.values() if final else loaded:
            self._check_refused_share(stream, final)
        if write_state:
            write_state()

    def _quarantine_unsent(self, batch: UnsentRecords) -> None:
        """Store in the quarantine the records that the tap could not send."""
        self._transaction(
            lambda cursor: self._ops.quarantine(cursor, batch.entries),
            quote(self._ops.schema, "quarantine"),
            self._ops.lock,
            retry=True,
        )
        batch.counts.add(Counts(read=len(batch.entries), quarantined=len(batch.entries)))

    def _check_refused_share(self, stream: Stream, final: bool) -> None:
        counts, limit = stream.counts, self._options.max_refused_share
        if not final and counts.read < self.MIN_RECORDS_FOR_SHARE:
            return
        if counts.quarantined > limit * counts.read:
            lack_key = stream.last_reason.startswith(KEY_MISSING)
            raise (errors.KeyMissingError if lack_key else errors.DataRefusedError)(
                f"{stream.name}: {counts.quarantined} of {counts.read} records were refused, more "
                f"than max_refused_share ({limit:.1%}) allows. The last reason: "
                f"{stream.last_reason}. All are in {self._ops.schema}.quarantine with their "
                "reasons; the others are loaded. Mend the source, or raise max_refused_share."
            )
        # A few bad values in a small run do not fail it; a large share of many records does.
        if (
            counts.read >= self.MIN_RECORDS_FOR_SHARE
            and counts.repaired_records > limit * counts.read
        ):
            raise errors.DataRefusedError(
                f"{stream.name}: {counts.repaired_records} of {counts.read} records had values "
                f"that PostgreSQL refuses, more than max_refused_share ({limit:.1%}) allows. "
                f"They are loaded with null in those columns; see {self._ops.schema}.quarantine. "
                "Mend the source, or raise max_refused_share."
            )

    def _load(self, batch: Batch, cursor: psycopg.Cursor) -> Counts:
        stream = batch.stream
        settings = evolve.LOOK_KEYS_UP if stream.table.unique else ""
        evolve.lock(cursor, stream.table.schema, stream.table.name, settings)
        seen, generation = stream.seen, self._session.generation
        batch.seen = None
        if (
            seen is not None
            and batch.version is not None
            and seen.begin(cursor, batch.version, generation)
        ):
            batch.seen = seen
        if batch.has_unusual_dates and not batch.repaired:
            repair.repair_values(cursor, batch)
        counts = self._merge_or_quarantine(cursor, batch)
        self._record_counts(cursor, stream, counts)
        stream.generation = self._session.generation
        for number, what in (
            (counts.quarantined, "records were refused"),
            (counts.nulled_values, "values became null because PostgreSQL refused them"),
        ):
            if number:
                self._logger.warning(
                    "%s: of a batch of %d records %d %s; see %s.quarantine.",
                    stream.name,
                    counts.read,
                    number,
                    what,
                    self._ops.schema,
                )
        return counts

    def _merge_or_quarantine(self, cursor: psycopg.Cursor, batch: Batch) -> Counts:
        """Merge a batch; records that PostgreSQL refuses go to the quarantine.

        If the batch is refused, bad values become null and it is merged again; if it is refused
        again, its rows are loaded one by one.
        """
        stream, counts, late = batch.stream, Counts(), dict[int, str]()
        while True:
            try:
                counts.add(self._merge_batch(cursor, batch))
                break
            except psycopg.Error as exc:
                if not quarantine.is_refusal(exc):
                    raise
                if not batch.repaired:
                    repair.repair_values(cursor, batch)
                    continue
            counts.add(
                repair.load_one_by_one(cursor, batch, self._options.use_copy, late.__setitem__)
            )
            break
        refused = [*batch.refused, *(self._refuse(cursor, batch, *each) for each in late.items())]
        nulled = [note for index, note in batch.nulled.items() if index not in late]
        self._ops.quarantine(cursor, [*refused, *(entry for entry, _ in nulled)])
        if refused:
            stream.last_reason = refused[-1].reason
        counts.add(
            Counts(
                read=len(batch.rows) + len(batch.refused),
                quarantined=len(refused),
                nulled_values=sum(values for _, values in nulled),
                repaired_records=len(nulled),
            )
        )
        return counts

    def _merge_batch(self, cursor: psycopg.Cursor, batch: Batch) -> Counts:
        """Stage and merge a batch completely, or change nothing."""
        stream, rows = batch.stream, batch.rows
        if not rows:
            return Counts()
        with cursor.connection.transaction():
            keys = stream.staging.distinct_keys(rows)
            known = stream.merge.existing(cursor, keys) if keys else None
            if known == 0 and batch.may_skip_staging and self._options.use_copy:
                # Only one attempt: the rows of a failed one stay in the table as dead rows.
                batch.may_skip_staging = False
                with (
                    contextlib.suppress(psycopg.errors.UniqueViolation),
                    cursor.connection.transaction(),
                ):
                    return stream.merge.append(cursor, rows, batch.constants)
            given = stream.staging.parameters(rows) if known is not None else None
            if given is not None and batch.seen is None:
                return stream.merge_of_parameters.run(
                    cursor,
                    len(rows),
                    {**batch.constants, **given},
                    distinct=True,
                    all_there=known == len(rows),
                )
            stream.staging.create(cursor)
            fill = stream.staging.copy if self._options.use_copy else stream.staging.insert
            fill(cursor, rows)
            counts = stream.merge.run(
                cursor,
                len(rows),
                batch.constants,
                distinct=keys is not None,
                all_there=known == len(rows),
            )
            if batch.seen:
                batch.seen.remember(cursor, stream.staging.name)
            stream.staging.empty(cursor)
        return counts

    @staticmethod
    def _refuse(cursor: psycopg.Cursor, batch: Batch, index: int, reason: str) -> Entry:
        stream = batch.stream
        record, key = quarantine.record_of(batch.lines[index], stream.keys)
        if batch.seen and key:
            found = msgspec.json.decode(key)
            batch.seen.remember_one(
                cursor,
                {c: str(found[k]) for c, k in zip(stream.table.keys, stream.keys, strict=True)},
            )
        return Entry(stream.name, key, reason, record)

    # The end of a full scan, and of the run

    def activate(self, stream: Stream, version: int) -> None:
        """Mark rows that a full scan did not return as deleted; no load may be running.

        Raises:
            DataRefusedError: a larger share vanished than max_vanished_share allows.
        """
        seen = stream.seen
        if seen is not None and (why := seen.incomplete_reason(version)):
            self._logger.warning(
                "%s: ACTIVATE_VERSION %s marks nothing as deleted: %s.", stream.name, version, why
            )
            return
        stream.counts.deleted += self._transaction(
            lambda cursor: self._sweep(stream, version, cursor),
            stream.table.sql,
            evolve.lock_name(stream.table.schema, stream.table.name),
            retry=False,
        )

    def _sweep(self, stream: Stream, version: int, cursor: psycopg.Cursor) -> int:
        evolve.lock(cursor, stream.table.schema, stream.table.name)
        deleted = (
            stream.seen.finish(
                cursor,
                stream.started_at,
                self._options.hard_delete,
                self._options.max_vanished_share,
            )
            if stream.seen
            else sweep.retire(cursor, stream.table, version, self._options.hard_delete)
        )
        self._record_counts(cursor, stream, Counts(deleted=deleted))
        return deleted

    def _record_counts(self, cursor: psycopg.Cursor, stream: Stream, counts: Counts) -> None:
        """Add counts to this run's row of the stream, unless bookkeeping is off."""
        if self._options.bookkeeping:
            self._ops.record(cursor, [_load_of(stream, counts)])

    def finish(self, streams: Sequence[Stream]) -> None:
        """Record the end of the input, and log the counts of each stream."""
        if self._options.bookkeeping and streams:
            self._transaction(
                functools.partial(self._finish, streams),
                quote(self._ops.schema, "stream_load"),
                self._ops.lock,
                retry=True,
            )
        for stream in streams:
            c = stream.counts
            self._logger.info(
                "%s: %d records read: %d rows inserted, %d updated, %d unchanged, %d marked "
                "deleted, %d records refused.",
                stream.name,
                c.read,
                c.inserted,
                c.updated,
                c.unchanged,
                c.deleted,
                c.quarantined,
            )

    def _finish(self, streams: Sequence[Stream], cursor: psycopg.Cursor) -> None:
        loads = [_load_of(stream, Counts()) for stream in streams]
        self._ops.record(cursor, loads, finished=True)
        self._ops.delete_old_rows(cursor)


def _load_of(stream: Stream, counts: Counts) -> tuple[str, str, str, datetime, Counts]:
    return stream.name, stream.table.schema, stream.table.name, stream.started_at, counts
