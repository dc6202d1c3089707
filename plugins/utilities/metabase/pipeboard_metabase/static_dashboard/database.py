"""The database inside the page: what its cards read, as one SQLite file, and their selects for it.

The page filters in the browser by the selects that Metabase gets, so that a figure is defined once.
The file has only the relations, and of them only the columns, that a select of the page names.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg import sql

from pipeboard_metabase.definitions import CLAUSE, PERIOD, TAG, Card, Column
from pipeboard_metabase.sql import translate
from pipeboard_metabase.static_dashboard.deals import JOINED, SOURCE, TABLE

#: The filters of the page, in the order of its bar.
PAGE_FILTERS = (PERIOD, "pipeline", "owner", "team")
#: What a clause about days becomes, from the first day to the last.
BETWEEN = "between :period_first and :period_last"
#: SQLite has one namespace for each file: marts.dim_user is the table marts_dim_user.
RELATION = re.compile(r"\b(marts|ops)\.([a-z][a-z0-9_]*)\b")
COMMENT = re.compile(r"--[^\n]*")
WORD = re.compile(r"[a-z_][a-z0-9_]*")
#: Rows that are read from PostgreSQL and written to the file at a time.
BATCH = 5_000
#: PostgreSQL's idioms in the cards and SQLite's own. All numbers but ids are stored as floating
#: point, so that a quotient is never that of integers and a cast to numeric changes nothing.
DAY = r"((?:[a-z_]+\.)?[a-z_]+)"
DIALECT = (
    (re.compile(r"::(?:numeric|integer|date)\b"), ""),
    (
        re.compile(rf"\({DAY} \+ interval '1 month' - interval '1 day'\)"),
        r"date(\1, '+1 month', '-1 day')",
    ),
    (re.compile(rf"{DAY} - interval '(\d+) months?'"), r"date(\1, '-\2 months')"),
    (re.compile(r"(account\.(?:today|this_month)) - (\d+)\b"), r"date(\1, '-\2 days')"),
    (
        re.compile(r"(account\.today) - ([a-z_]+\.[a-z_]*_date)\b"),
        r"(julianday(\1) - julianday(\2))",
    ),
    # The smallest of 0 and 1 is 0: one that is false makes all of them false.
    (re.compile(r"\bbool_and\("), "min("),
)


def is_filtered(card: Card) -> bool:
    """Return whether the page can compute a card for other filters than the default ones."""
    return any(key in card.filters for key in PAGE_FILTERS)


def template(card: Card) -> str:
    """Return the select of a card for SQLite, with its clauses still between [[ and ]].

    A clause about another filter than the page's is left out, and one about texts has the parameter
    `:filter`, a JSON list of them; that of a period has `:period_first` and `:period_last`.
    """

    def clause(found: re.Match[str]) -> str:
        tags = TAG.findall(found.group(1))
        return found.group(0) if set(tags) <= set(PAGE_FILTERS) else ""

    def condition(found: re.Match[str]) -> str:
        tag = found.group(1)
        column = _name(card.filters[tag])
        if tag == PERIOD:
            return f"{column} {BETWEEN}"
        return f"{column} in (select value from json_each(:{tag}))"

    text = CLAUSE.sub(clause, translate(COMMENT.sub("", card.sql), None, None))
    # The tag stays in front, so that the page knows which filter a clause is about.
    text = CLAUSE.sub(lambda found: f"[[{TAG.findall(found[1])[0]}:{found[1]}]]", text)
    return TAG.sub(condition, to_sqlite(text))


def to_sqlite(text: str) -> str:
    """Write a select of PostgreSQL for SQLite, as far as cards need it."""
    for pattern, replacement in DIALECT:
        text = pattern.sub(replacement, text)
    return RELATION.sub(r"\1_\2", text)


def _name(column: Column) -> str:
    return f"{column.schema}_{column.relation}.{column.name}"


@dataclass(frozen=True)
class PageDatabase:
    """What the page filters: the file, and what each filter of the bar can be set to."""

    file: bytes
    first_month: date
    choices: Mapping[str, tuple[str, ...]]


#: One row: the first month with deals, and the names that filters can be set to, in their order.
CHOICES = """
    select
        coalesce(
            (select min(month) from marts.rpt_deals_monthly where n_created > 0), this_month
        ) as first_month,
        array(
            select display_name from marts.dim_pipeline
            where is_active or pipeline_id in (select pipeline_id from marts.rpt_deals_monthly)
            order by order_nr, display_name
        ) as pipeline,
        array(
            select display_name from marts.dim_user
            where
                user_id in (select owner_id from marts.rpt_owner_scorecard)
                or user_id in (select owner_id from marts.rpt_open_deals)
            order by display_name
        ) as owner,
        array(
            select distinct team_name from marts.dim_user where team_name is not null
            order by team_name
        ) as team
    from ops.ops_account
"""


def read_database(connection: psycopg.Connection, cards: Iterable[Card]) -> PageDatabase:
    """Return the database of the page, read in the snapshot of the connection."""
    row = connection.execute(CHOICES).fetchone()
    assert row is not None, "ops.ops_account always has a row"
    first_month, *names = row
    choices = {key: tuple(found) for key, found in zip(PAGE_FILTERS[1:], names, strict=True)}
    filtered = [card for card in cards if is_filtered(card)]
    tables = relations(filtered)
    for key, columns in JOINED.items():
        tables[key] = tables.get(key, set()) | columns
    return PageDatabase(_file(connection, tables), first_month, choices)


def relations(cards: Iterable[Card]) -> dict[tuple[str, str], set[str]]:
    """Return the relations that the selects of cards read, and the words that may be columns."""
    found: dict[tuple[str, str], set[str]] = {}
    for card in cards:
        text = COMMENT.sub("", card.sql)
        words = set(WORD.findall(text)) | {column.name for column in card.filters.values()}
        read = set(RELATION.findall(text))
        for relation in read | {(c.schema, c.relation) for c in card.filters.values()}:
            found.setdefault(relation, set()).update(words)
    return found


def _file(connection: psycopg.Connection, tables: Mapping[tuple[str, str], set[str]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            # Nothing of it outlives a crash.
            file.execute("pragma journal_mode = off")
            file.execute("pragma synchronous = off")
            file.execute("begin")
            for (schema, name), words in sorted(tables.items()):
                source = sql.SQL("select * from {}").format(sql.Identifier(schema, name))
                _copy(connection, source, file, f"{schema}_{name}", words)
            _copy(connection, sql.SQL(SOURCE), file, TABLE)
            file.execute("commit")
        return path.read_bytes()


def _copy(
    connection: psycopg.Connection,
    source: sql.Composable,
    file: sqlite3.Connection,
    table: str,
    words: Collection[str] | None = None,
) -> None:
    """Copy the columns of a select that are among some words, or all, to a table of the file."""
    # A relation that cannot be read costs its cards: they say so when filtered.
    with suppress(psycopg.Error), connection.transaction():
        query = sql.SQL("select * from ({}) as source").format(source)
        empty = connection.execute(sql.SQL("{} limit 0").format(query))
        columns = [c.name for c in empty.description or () if words is None or c.name in words]
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        # Without types, each value keeps its own.
        file.execute(f"create table {table} ({', '.join(columns)})")
        places = ", ".join("?" for _ in columns)
        ids = [column.endswith("_id") for column in columns]
        with connection.cursor(f"copy_{table}") as rows:
            rows.itersize = BATCH
            rows.execute(sql.SQL("select {} from ({}) as source").format(names, source))
            file.executemany(f"insert into {table} values ({places})", _values(rows, ids))


def _values(
    rows: Iterable[tuple[object, ...]], ids: list[bool]
) -> Iterator[list[str | int | float | None]]:
    for row in rows:
        yield [stored(value, is_id=is_id) for value, is_id in zip(row, ids, strict=True)]


def stored(value: object, *, is_id: bool = False) -> str | int | float | None:
    """Return a value of PostgreSQL as the file has it: dates in ISO 8601, truth as 0 and 1."""
    if value is None or (is_id and isinstance(value, int)):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float | Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
