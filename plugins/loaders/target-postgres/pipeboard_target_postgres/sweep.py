"""ACTIVATE_VERSION: marks rows that a full scan did not return; the source has deleted them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping

import psycopg

from pipeboard_target_postgres.columns import Column
from pipeboard_target_postgres.errors import DataRefusedError
from pipeboard_target_postgres.evolve import Table
from pipeboard_target_postgres.sql import quote, run

DELETED_AT = "_sdc_deleted_at"
VERSION = "_sdc_table_version"
RECEIVED_AT = "_sdc_received_at"


class Seen:
    """The keys that came with one version in this run, in a temporary table.

    Unchanged rows are not rewritten, so the version in the table does not show which rows the scan
    returned. A temporary table is used because the loader's memory must not grow with the table.

    Args:
        name: of the temporary table, unique in the session.
        table: the stream's table.
    """

    def __init__(self, name: str, table: Table) -> None:
        self.name, self.table = name, table
        types = {c.name: c.type for c in table.columns}
        self._keys = [Column(key, key, types[key]) for key in sorted(table.keys)]
        #: The key columns, quoted.
        self.names = ", ".join(quote(c.name) for c in self._keys)
        self.version: int | None = None
        self._generation: int | None = None
        #: True if keys were lost with a connection: the unseen rows are then unknown.
        self.lost = False

    def continue_from(self, old: Seen) -> None:
        """Take over the keys of the same stream with its earlier schema."""
        self.version, self.lost = old.version, old.lost
        if self._keys == old._keys:
            self.name, self._generation = old.name, old._generation
        else:
            self.lost = old.version is not None

    def begin(self, cursor: psycopg.Cursor, version: int, generation: int) -> bool:
        """Prepare to store keys of a version; return False if it is older than the current one.

        Args:
            cursor: of the loader's session.
            version: of the records to come.
            generation: counts the sessions of this run; a new one has lost the old one's tables.
        """
        if self.version is not None and version < self.version:
            return False  # a late record of an earlier scan, not of this one
        if self._generation != generation:
            self.lost = self.lost or (self._generation is not None and self.version == version)
            self._generation = generation
        # Each time: a transaction that created it may have been rolled back.
        body = ", ".join(f"{quote(c.name)} {c.type}" for c in self._keys)
        run(
            cursor,
            f"create temp table if not exists {self.name} ({body}, primary key ({self.names}))",
        )
        if self.version != version:
            run(cursor, f"truncate {self.name}")
            self.version, self.lost = version, False
        return True

    def incomplete_reason(self, version: int) -> str | None:
        """Return why the scan of a version is not known to be complete; None if it is."""
        if self.version is None:
            return "no record with a version has come in this run"
        if self.version != version:
            return f"the records that came last have version {self.version}"
        if self.lost:
            return "the connection was lost during the scan, and the keys read so far with it"
        return None

    def remember(self, cursor: psycopg.Cursor, staging: str) -> None:
        """Store the keys of a staging table."""
        run(
            cursor,
            f"insert into {self.name} ({self.names}) select {self.names} from {staging}"
            " on conflict do nothing",
        )

    def remember_one(self, cursor: psycopg.Cursor, values: Mapping[str, str]) -> None:
        """Store the key of a refused record, by column: the source still has the record."""
        casts = ", ".join(f"%s::{c.type}" for c in self._keys)
        # If the column's type refuses the key, no row can have it.
        with contextlib.suppress(psycopg.DataError), cursor.connection.transaction():
            run(
                cursor,
                f"insert into {self.name} values ({casts}) on conflict do nothing",
                [values[c.name] for c in self._keys],
            )

    def _unseen(self) -> str:
        # In a statement with parameters % must be doubled.
        keys = [quote(key).replace("%", "%%") for key in self.table.keys]
        on = " and ".join(f"s.{key} = t.{key}" for key in keys)
        # A row that another run loaded meanwhile is newer than this scan, and must not be marked;
        # a row with a lower version is older in any case.
        return (
            f"t.{quote(DELETED_AT)} is null and not exists (select from {self.name} s where {on})"
            f" and ((t.{quote(RECEIVED_AT)} < %(begun)s) is not false"
            f" or t.{quote(VERSION)} < %(version)s)"
        )

    def finish(
        self, cursor: psycopg.Cursor, begun: datetime.datetime, hard: bool, limit: float
    ) -> int:
        """Mark (or delete) the rows that were not seen.

        Args:
            cursor: inside a transaction of the loader's session.
            begun: time of the stream's first message in this run.
            hard: delete them instead of marking them.
            limit: the largest share of the live rows that may vanish at once.

        Returns:
            The number of these rows.

        Raises:
            DataRefusedError: more than `limit` of them; nothing is marked.
        """
        table, given = self.table.sql.replace("%", "%%"), {"begun": begun, "version": self.version}
        run(cursor, f"analyze {self.name}")
        run(
            cursor,
            f"select count(*), count(*) filter (where {self._unseen()})"
            f" from {table} t where t.{quote(DELETED_AT)} is null",
            given,
        )
        live, gone = cursor.fetchone() or (0, 0)
        if gone > live * limit:
            raise DataRefusedError(
                f"A full scan did not return {gone} of {live} rows of {self.table.sql}, more than "
                f"max_vanished_share ({limit:.0%}) allows: none was marked as deleted. If the "
                "source has really deleted them, run once with a higher max_vanished_share."
            )
        if gone:
            action = (
                f"delete from {table} t"
                if hard
                else f"update {table} t set {quote(DELETED_AT)} = now()"
            )
            run(cursor, f"{action} where {self._unseen()}", given)
        return int(gone)


def retire(cursor: psycopg.Cursor, table: Table, version: int, hard: bool) -> int:
    """Mark (or delete) rows of older versions in a table without keys, as the stock target does."""
    name = table.sql.replace("%", "%%")
    action = f"delete from {name}" if hard else f"update {name} set {quote(DELETED_AT)} = now()"
    return run(
        cursor,
        f"{action} where {quote(DELETED_AT)} is null"
        f" and ({quote(VERSION)} < %s or {quote(VERSION)} is null)",
        [version],
    )
