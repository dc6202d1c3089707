"""The loader's own tables, quarantine and bookkeeping, in a schema apart from the data."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from pipeboard_target_postgres.errors import NotPermittedError
from pipeboard_target_postgres.merge import Counts
from pipeboard_target_postgres.sql import quote, run

#: The reason without the quoted values.
REASON_CLASS = (
    """text generated always as (regexp_replace(reason, '"[^"]*"', '"..."', 'g')) stored"""
)
TABLES = {
    "quarantine": f"""
        stream text not null,
        key jsonb,
        reason text not null,
        record text not null,
        at timestamptz not null default now(),
        first_at timestamptz not null default now(),
        times bigint not null default 1,
        run_id text not null,
        level text not null default 'record',
        reason_class {REASON_CLASS}
    """,
    "stream_load": """
        stream text not null,
        run_id text not null,
        started_at timestamptz not null,
        finished_at timestamptz,
        records_read bigint not null default 0,
        rows_inserted bigint not null default 0,
        rows_updated bigint not null default 0,
        rows_unchanged bigint not null default 0,
        rows_deleted bigint not null default 0,
        quarantined bigint not null default 0,
        target_schema text not null,
        target_table text not null,
        primary key (stream, run_id)
    """,
}
#: Columns that other roles (BI, metrics) may read: enough to count refused records. They may not
#: read a record or a reason, which may quote the record; `reason_class` has no quoted values.
#: A right to the whole table, given by the schema's default privileges, is replaced by this one.
_PUBLIC_COLUMNS = "stream, at, first_at, times, run_id, level, reason_class"
_READERS = """
    select distinct case acl.grantee
        when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee))
    end
    from pg_catalog.pg_class, aclexplode(relacl) as acl
    where oid = to_regclass(%s) and acl.grantee <> relowner and acl.privilege_type = 'SELECT'
        and pg_has_role(relowner, 'usage')
"""
_INDEXES = {"quarantine": "create index on {table} (stream, md5(record))"}
#: Columns that are missing in tables of earlier versions.
_LATER_COLUMNS = {
    "quarantine": {
        "level": "text not null default 'record'",
        "reason_class": REASON_CLASS,
    }
}
_LATER_COLUMN_NAMES = [name for columns in _LATER_COLUMNS.values() for name in columns]
#: The tables that exist and have all columns; the second one has none that came later.
_COMPLETE = """
    select c.relname from pg_catalog.pg_class c
    where c.relnamespace = to_regnamespace(quote_ident(%s)) and c.relname = any(%s::text[])
        and (c.relname <> 'quarantine' or cardinality(%s::text[]) = (
            select count(*) from pg_catalog.pg_attribute a
            where a.attrelid = c.oid and a.attname = any(%s::text[]) and not a.attisdropped
        ))
"""


class Entry(t.NamedTuple):
    """A row of the quarantine: a record that could not be loaded as it came.

    Attributes:
        stream: the stream's name.
        key: JSON object of the record's keys; None if it cannot be read.
        reason: why it could not be loaded, with the column if known.
        record: the record's JSON text, as it came.
        level: `record` if the record is not in its table, `value` if it is, with null in the
            columns that the reason names.
    """

    stream: str
    key: str | None
    reason: str
    record: str
    level: str = "record"


class Ops:
    """Writes to the schema `ops`, inside the caller's transaction.

    Args:
        schema: its name.
        run_id: the run's id, stored in every row.
        keep_days: rows of `stream_load` older than this are deleted.
    """

    def __init__(self, schema: str, run_id: str, keep_days: int) -> None:
        self.schema, self.run_id, self._keep_days = schema, run_id, keep_days
        #: Name of the advisory lock for creating the tables.
        self.lock = f"pipeboard:{schema}"
        self._present: set[str] = set()

    def forget(self) -> None:
        """Check again whether the tables exist: the transaction that made them may have failed."""
        self._present.clear()

    def prepare(self, cursor: psycopg.Cursor) -> None:
        """Create missing tables, so that queries find them even without a row."""
        cursor.execute(_COMPLETE, [self.schema, list(TABLES), *[_LATER_COLUMN_NAMES] * 2])
        self._present.update(name for (name,) in cursor.fetchall())
        for name in TABLES:
            self._table(cursor, name)
        self._restrict_readers(cursor)

    def _restrict_readers(self, cursor: psycopg.Cursor) -> None:
        """Let roles other than the loader's read only `_PUBLIC_COLUMNS`."""
        table = quote(self.schema, "quarantine")
        for (reader,) in cursor.execute(_READERS, [table]).fetchall():
            run(cursor, f"revoke select on {table} from {reader}")
            run(cursor, f"grant select ({_PUBLIC_COLUMNS}) on {table} to {reader}")

    def _table(self, cursor: psycopg.Cursor, name: str) -> str:
        """Return the quoted table; create it and the schema at the first use."""
        table = quote(self.schema, name)
        if name not in self._present:
            with self._permission(cursor, name):
                cursor.execute(
                    "select pg_advisory_xact_lock(hashtextextended(%s, 0)), to_regclass(%s)",
                    [self.lock, table],
                )
                if (cursor.fetchone() or (None, None))[1] is None:
                    self._create(cursor, name, table)
                else:
                    for column, definition in _LATER_COLUMNS.get(name, {}).items():
                        self._extend(cursor, table, column, definition)
            self._present.add(name)
        return table

    def _create(self, cursor: psycopg.Cursor, name: str, table: str) -> None:
        cursor.execute("select exists (select from pg_namespace where nspname = %s)", [self.schema])
        if not (cursor.fetchone() or [False])[0]:
            run(cursor, f"create schema {quote(self.schema)}")
        run(cursor, f"create table {table} ({TABLES[name]})")
        if name in _INDEXES:
            run(cursor, _INDEXES[name].format(table=table))
        if name == "quarantine":
            self._restrict_readers(cursor)

    @staticmethod
    def _extend(cursor: psycopg.Cursor, table: str, column: str, definition: str) -> None:
        cursor.execute(
            "select exists (select from pg_attribute where attrelid = %s::regclass"
            " and attname = %s and not attisdropped)",
            [table, column],
        )
        if not (cursor.fetchone() or [False])[0]:
            run(cursor, f"alter table {table} add column {quote(column)} {definition}")

    @contextmanager
    def _permission(self, cursor: psycopg.Cursor, name: str) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as exc:
            user = cursor.connection.info.user
            database = cursor.connection.info.dbname
            raise NotPermittedError(
                f"Role {user} may not write {self.schema}.{name} in database {database}, which "
                "has refused records and the counts of each load. As the owner run: CREATE SCHEMA "
                f"IF NOT EXISTS {quote(self.schema)}; GRANT USAGE, CREATE ON SCHEMA "
                f"{quote(self.schema)} TO {quote(user)}; GRANT SELECT, INSERT, UPDATE, DELETE "
                f"ON ALL TABLES IN SCHEMA {quote(self.schema)} TO {quote(user)};"
            ) from exc

    def delete_old_rows(self, cursor: psycopg.Cursor) -> None:
        """Delete rows of `stream_load` older than `keep_days`."""
        load = self._table(cursor, "stream_load")
        with self._permission(cursor, "stream_load"):
            run(
                cursor,
                f"delete from {load} where started_at < now() - make_interval(days => %s)",
                [self._keep_days],
            )

    def quarantine(self, cursor: psycopg.Cursor, entries: Sequence[Entry]) -> None:
        """Store records that could not be loaded; a known record only increases its `times`.

        Args:
            cursor: inside the transaction that loads the rest of the batch.
            entries: in their order of arrival.
        """
        if not entries:
            return
        table = self._table(cursor, "quarantine")
        with self._permission(cursor, "quarantine"):
            run(
                cursor,
                "with given as (select stream, level, record, max(key) as key, max(reason) as"
                " reason, count(*) as times, min(nr) as nr from unnest(%s::text[], %s::text[],"
                " %s::text[], %s::text[], %s::text[]) with ordinality"
                " as g (stream, key, reason, record, level, nr) group by stream, level, record),"
                f" known as (update {table} q set at = now(), times = q.times + g.times,"
                " reason = g.reason, run_id = %s from given g where q.stream = g.stream"
                " and md5(q.record) = md5(g.record) and q.record = g.record and q.level = g.level"
                " returning g.nr)"
                f" insert into {table} (stream, key, reason, record, times, level, run_id)"
                " select stream, key::jsonb, reason, record, times, level, %s from given"
                " where nr not in (select nr from known) order by nr",
                [
                    *([_storable(entry[i]) for entry in entries] for i in range(5)),
                    self.run_id,
                    self.run_id,
                ],
            )

    def record(
        self,
        cursor: psycopg.Cursor,
        loads: Sequence[tuple[str, str, str, t.Any, Counts]],
        finished: bool = False,
    ) -> None:
        """Add counts to the rows of these streams and this run.

        Args:
            cursor: inside the transaction of the counted rows.
            loads: of each stream (at least one) its name, schema and name of its table, time of its
                first message in this run, and rows since the last call.
            finished: True at the end of the input.
        """
        load = self._table(cursor, "stream_load")
        names = ("read", "inserted", "updated", "unchanged", "deleted", "quarantined")
        fields = ("records_read", *(f"rows_{name}" for name in names[1:-1]), "quarantined")
        columns = ("stream", "target_schema", "target_table", "started_at", *fields)
        rows = [(*known, *(getattr(counts, name) for name in names)) for *known, counts in loads]
        with self._permission(cursor, "stream_load"):
            run(
                cursor,
                f"insert into {load} as l (run_id, finished_at, {', '.join(columns)})"
                " select %s, case when %s then clock_timestamp() end, g.* from unnest(%s::text[],"
                f" %s::text[], %s::text[], %s::timestamptz[]{', %s::bigint[]' * len(fields)}) as g"
                " on conflict (stream, run_id) do update set finished_at = excluded.finished_at, "
                + ", ".join(f"{f} = l.{f} + excluded.{f}" for f in fields),
                [self.run_id, finished, *map(list, zip(*rows, strict=True))],
            )


def _storable(text: str | None) -> str | None:
    """Return the text with NUL and lone surrogates escaped, which PostgreSQL cannot store."""
    if text is None:
        return None
    return text.replace("\0", "\\u0000").encode(errors="backslashreplace").decode()
