"""Creates, extends and widens a stream's table so that it fits the stream's schema."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence, Set

import psycopg

from pipeboard_target_postgres.columns import Column, adapt, identifier, versioned
from pipeboard_target_postgres.errors import DataRefusedError
from pipeboard_target_postgres.sql import quote, run

#: PostgreSQL compresses rows over 2 kB. For records with many custom fields this triples the time
#: of an insert and saves little space, so it starts only where two rows fill a page.
_STORAGE = "toast_tuple_target = 4000"


@dataclasses.dataclass(frozen=True)
class Table:
    """A stream's table.

    Attributes:
        schema: its schema.
        name: its name.
        columns: the columns that records are written to.
        keys: names of the key columns; empty means that rows are appended.
        unique: True if a unique index on exactly the keys exists.
        stale_columns: columns for other types of a property (`versioned`); an update sets them to
            null, because the record's value is now in another column.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    unique: bool
    stale_columns: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The quoted name."""
        return quote(self.schema, self.name)


def lock_name(schema: str, table: str) -> str:
    """Return the name of the advisory lock that excludes other loaders from a table."""
    return f"pipeboard:{schema}.{table}"


def lock(cursor: psycopg.Cursor, schema: str, table: str) -> None:
    """Lock the table against other loaders until the transaction ends; readers do not wait."""
    cursor.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock_name(schema, table)]
    )


def _existing(cursor: psycopg.Cursor, schema: str, table: str) -> dict[str, str]:
    """Return column name -> type; empty if there is no such table."""
    cursor.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
        " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p', 'f', 'v')"
        " and a.attnum > 0 and not a.attisdropped order by a.attnum",
        [schema, table],
    )
    return dict(cursor.fetchall())


def _has_unique_index(cursor: psycopg.Cursor, table: str, keys: Sequence[str]) -> bool:
    cursor.execute(
        "select exists (select from pg_index i where i.indrelid = %s::regclass and i.indisunique"
        " and i.indisvalid and i.indpred is null and i.indexprs is null"
        " and (select array_agg(a.attname::text order by a.attname::text) from pg_attribute a"
        "  where a.attrelid = i.indrelid and a.attnum = any(i.indkey)) = %s)",
        [table, sorted(keys)],
    )
    return bool((cursor.fetchone() or [False])[0])


def _primary_key(cursor: psycopg.Cursor, table: str) -> list[str]:
    """Return the columns of a table's primary key, in order."""
    cursor.execute(
        "select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid"
        " and a.attnum = any(i.indkey) where i.indrelid = %s::regclass and i.indisprimary"
        " order by array_position(i.indkey::int2[], a.attnum)",
        [table],
    )
    return [name for (name,) in cursor.fetchall()]


class Evolution:
    """Brings one table to one schema, inside the caller's transaction."""

    def __init__(self, cursor: psycopg.Cursor, schema: str, table: str, logger: logging.Logger):
        self._cursor = cursor
        self._schema, self._table = schema, table
        self._sql = quote(schema, table)
        self._logger = logger

    def _run(self, statement: str) -> None:
        run(self._cursor, statement)

    def prepare(self, wanted: Mapping[str, str], keys: Sequence[str]) -> Table:
        """Create or adapt the table.

        Args:
            wanted: property -> SQL type, in order.
            keys: properties that identify a row; may be empty.

        Returns:
            The table as it is now.

        Raises:
            DataRefusedError: the type of a key changed, and no type can store both.
        """
        lock(self._cursor, self._schema, self._table)
        existing = _existing(self._cursor, self._schema, self._table)
        names = {prop: identifier(prop) for prop in wanted}
        key_names = tuple(names[key] for key in keys)
        if existing:
            self._check_primary_key(key_names, set(names.values()))
        if not existing:
            self._create({names[p]: sql_type for p, sql_type in wanted.items()}, key_names)
            columns = [Column(prop, names[prop], sql_type) for prop, sql_type in wanted.items()]
        else:
            columns = [
                Column(prop, *self._fit(existing, names[prop], sql_type, prop in keys))
                for prop, sql_type in wanted.items()
            ]
        used = {c.name for c in columns}
        bases = {identifier(prop) for prop in wanted}
        stale_columns = tuple(
            name
            for name, sql_type in existing.items()
            if name not in used
            and (name in bases or any(versioned(base, sql_type) == name for base in bases))
        )
        unique = bool(key_names) and _has_unique_index(self._cursor, self._sql, key_names)
        if key_names and not unique:
            self._logger.warning(
                "Table %s has no unique index on (%s): merging will be slow.",
                self._sql,
                ", ".join(key_names),
            )
        return Table(self._schema, self._table, tuple(columns), key_names, unique, stale_columns)

    def _check_primary_key(self, keys: Sequence[str], sent: Set[str]) -> None:
        """Refuse a stream whose key differs from the table's: its rows would collide."""
        primary = _primary_key(self._cursor, self._sql)
        if not primary or set(primary) == set(keys) or not sent & set(primary):
            return
        columns = ", ".join(map(quote, keys))
        # The columns of a dropped primary key stay NOT NULL in PostgreSQL.
        new = "".join(
            f", ALTER COLUMN {quote(name)} DROP NOT NULL" for name in primary if name not in keys
        ) + (f", ADD PRIMARY KEY ({columns})" if keys else "")
        raise DataRefusedError(
            f"Table {self._sql} has the primary key ({', '.join(primary)}), and the stream now has "
            f"the key ({', '.join(keys) or 'none'}). Nothing was loaded. Either load the stream "
            f"anew: ALTER TABLE {self._sql} RENAME TO {quote(self._table + '_old')}; or, if the "
            f"rows are right for the new key: ALTER TABLE {self._sql} DROP CONSTRAINT "
            f"{quote(self._constraint())}{new};"
        )

    def _constraint(self) -> str:
        self._cursor.execute(
            "select conname from pg_constraint where conrelid = %s::regclass and contype = 'p'",
            [self._sql],
        )
        return str((self._cursor.fetchone() or [""])[0])

    def _create(self, columns: Mapping[str, str], keys: Sequence[str]) -> None:
        parts = [f"{quote(name)} {sql_type}" for name, sql_type in columns.items()]
        if keys:
            parts.append(f"primary key ({', '.join(map(quote, keys))})")
        self._run(f"create table {self._sql} ({', '.join(parts)}) with ({_STORAGE})")

    def _fit(
        self, existing: dict[str, str], name: str, wanted: str, is_key: bool
    ) -> tuple[str, str]:
        """Return name and type of the column for these values; create or alter it."""
        if name not in existing:
            self._run(f"alter table {self._sql} add column {quote(name)} {wanted}")
            existing[name] = wanted
            self._logger.info("Added column %s %s to %s.", name, wanted, self._sql)
            return name, wanted
        change = adapt(existing[name], wanted, quote(name))
        if change.action == "keep":
            return name, existing[name]
        if change.action == "alter" and self._alter(
            name, existing[name], change.type, change.using
        ):
            existing[name] = change.type
            return name, change.type
        if is_key:
            raise DataRefusedError(
                f"Key column {name} of {self._sql} is {existing[name]} and the stream now sends "
                f"{wanted}: rename or drop the table, then load it anew."
            )
        other = versioned(name, wanted)
        if other not in existing:
            self._logger.warning(
                "Column %s of %s is %s and the stream now sends %s: from now on its values go to "
                "column %s.",
                name,
                self._sql,
                existing[name],
                wanted,
                other,
            )
        return self._fit(existing, other, wanted, is_key)

    def _alter(self, name: str, old: str, new: str, using: str) -> bool:
        """Widen a column; False if a view forbids it."""
        self._run("savepoint widen")
        try:
            self._run(
                f"alter table {self._sql} alter column {quote(name)} type {new} using {using}"
            )
        except psycopg.errors.FeatureNotSupported as exc:
            # A view reads the column, and the loader does not drop views.
            self._run("rollback to savepoint widen")
            self._logger.warning(
                "Column %s of %s stays %s: %s",
                name,
                self._sql,
                old,
                exc.diag.message_detail or exc.diag.message_primary,
            )
            return False
        self._run("release savepoint widen")
        self._logger.info("Widened column %s of %s: %s to %s.", name, self._sql, old, new)
        return True
