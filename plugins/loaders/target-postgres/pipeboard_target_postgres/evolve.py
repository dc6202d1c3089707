"""Creates, extends and widens a stream's table so that it fits the stream's schema."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence, Set

import psycopg
from psycopg import sql

from pipeboard_target_postgres.columns import Column, adapt, identifier, versioned
from pipeboard_target_postgres.errors import DataRefusedError
from pipeboard_target_postgres.sql import quote, run

#: Makes the planner look up each key in the index. A batch is small and the table may be huge, but
#: the planner has no statistics about a new staging table.
LOOK_KEYS_UP = "set local enable_hashjoin = off; set local enable_mergejoin = off; "
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


def lock(cursor: psycopg.Cursor, schema: str, table: str, settings: str = "") -> None:
    """Lock the table against other loaders until the transaction ends; readers do not wait.

    Args:
        cursor: in a transaction.
        schema: the table's schema.
        table: its name.
        settings: statements to run before, in the same round trip.
    """
    name = sql.Literal(lock_name(schema, table)).as_string(cursor)
    run(cursor, f"{settings}select pg_advisory_xact_lock(hashtextextended({name}, 0))")


@dataclasses.dataclass(frozen=True)
class Existing:
    """A table as the catalogue describes it.

    Attributes:
        columns: name -> type, in their order.
        primary_key: its columns in the order of the index; empty without one.
        unique: the columns of each index that makes them unique.
    """

    columns: Mapping[str, str]
    primary_key: tuple[str, ...] = ()
    unique: frozenset[frozenset[str]] = frozenset()


def existing_tables(
    cursor: psycopg.Cursor, schema: str, table: str | None = None
) -> dict[str, Existing]:
    """Return the tables and views of a schema, or the one with this name if there is one."""
    cursor.execute(
        "select c.relname,"
        " array(select array[a.attnum::text, a.attname, format_type(a.atttypid, a.atttypmod)]"
        "  from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        "  order by a.attnum),"
        " array(select array[i.indisprimary::int::text, array_to_string(i.indkey::int2[], ' ')]"
        "  from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid"
        "  and i.indpred is null and i.indexprs is null)"
        " from pg_class c where c.relnamespace = to_regnamespace(%s) and (%s::text is null"
        " or c.relname = %s) and c.relkind in ('r', 'p', 'f', 'v')",
        [quote(schema), table, table],
    )
    found = {}
    for name, columns, indexes in cursor.fetchall():
        by_number = {number: column for number, column, _ in columns}
        keys = [
            (primary == "1", tuple(by_number[n] for n in numbers.split() if n in by_number))
            for primary, numbers in indexes
        ]
        found[name] = Existing(
            {column: sql_type for _, column, sql_type in columns},
            next((key for primary, key in keys if primary), ()),
            frozenset(frozenset(key) for _, key in keys),
        )
    return found


def unchanged_table(
    schema: str, table: str, known: Existing, wanted: Mapping[str, str], keys: Sequence[str]
) -> Table | None:
    """Return a table that fits a stream's schema as it is; None if something is to be done.

    Args:
        schema: its schema.
        table: its name.
        known: the table.
        wanted: property -> SQL type, in order.
        keys: properties that identify a row.
    """
    key_names = tuple(map(identifier, keys))
    if frozenset(key_names) not in known.unique:
        return None
    if known.primary_key and set(known.primary_key) != set(key_names):
        return None
    columns = []
    for prop, sql_type in wanted.items():
        name = identifier(prop)
        existing = known.columns.get(name)
        if existing is None or adapt(existing, sql_type, quote(name)).action != "keep":
            return None
        columns.append(Column(prop, name, existing))
    return _table(schema, table, columns, key_names, known.columns, unique=True)


def _table(
    schema: str,
    table: str,
    columns: Sequence[Column],
    keys: tuple[str, ...],
    existing: Mapping[str, str],
    unique: bool,
) -> Table:
    used = {c.name for c in columns}
    bases = {identifier(c.prop) for c in columns}
    stale_columns = tuple(
        name
        for name, sql_type in existing.items()
        if name not in used
        and (name in bases or any(versioned(base, sql_type) == name for base in bases))
    )
    return Table(schema, table, tuple(columns), keys, unique, stale_columns)


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
        found = existing_tables(self._cursor, self._schema, self._table).get(self._table)
        existing = dict(found.columns) if found else {}
        names = {prop: identifier(prop) for prop in wanted}
        key_names = tuple(names[key] for key in keys)
        if found is None:
            self._create({names[p]: sql_type for p, sql_type in wanted.items()}, key_names)
            columns = [Column(prop, names[prop], sql_type) for prop, sql_type in wanted.items()]
            unique = bool(key_names)
        else:
            self._check_primary_key(found.primary_key, key_names, set(names.values()))
            columns = [
                Column(prop, *self._fit(existing, names[prop], sql_type, prop in keys))
                for prop, sql_type in wanted.items()
            ]
            unique = frozenset(key_names) in found.unique
        if key_names and not unique:
            self._logger.warning(
                "Table %s has no unique index on (%s): merging will be slow.",
                self._sql,
                ", ".join(key_names),
            )
        return _table(self._schema, self._table, columns, key_names, existing, unique)

    def _check_primary_key(
        self, primary: Sequence[str], keys: Sequence[str], sent: Set[str]
    ) -> None:
        """Refuse a stream whose key differs from the table's: its rows would collide."""
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
