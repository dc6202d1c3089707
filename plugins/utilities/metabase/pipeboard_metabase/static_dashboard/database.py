"""The database inside the page: what its cards read, and their selects for SQLite.

The page filters in the browser by the selects that Metabase gets, so that a figure is defined once.
The file has only the relations, and of them only the columns, that a select of the page names:
JSON, column by column, from which the browser makes the tables. Texts are numbers of one list in
the order of the database's own collation, by which the page sorts too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from pipeboard_metabase.definitions import (
    CLAUSE,
    GRAIN,
    PERIOD,
    TAG,
    Card,
    Column,
    filters_in,
)
from pipeboard_metabase.sql import translate
from pipeboard_metabase.static_dashboard.cells import stored
from pipeboard_metabase.static_dashboard.deals import JOINED, SOURCES

#: The filters of the page, in the order of its bar.
PAGE_FILTERS = (PERIOD, "pipeline", "owner", "team")
#: What a clause about days becomes, from the first day to the last.
BETWEEN = "between :period_first and :period_last"
#: SQLite has one namespace for each file: marts.dim_user is the table marts_dim_user.
RELATION = re.compile(r"\b(marts|ops)\.([a-z][a-z0-9_]*)\b")
COMMENT = re.compile(r"--[^\n]*")
WORD = re.compile(r"[a-z_][a-z0-9_]*")
#: The order of a select, and the names of columns in it.
ORDER = re.compile(r"(?m)^(\s*order by )(.+)$")
TEXT = re.compile(r"(?:[a-z_]+\.)?([a-z_]+)")
#: The values of an array as rows: the clause, the array, and the name of a value in two parts.
UNNEST = re.compile(r"(\s*cross join unnest\(([a-z_.]+)\) as ([a-z_]+) \(([a-z_]+)\))")
#: PostgreSQL's types that are days, whose order is the same everywhere, and numbers in SQLite.
DAYS = ("date", "timestamp", "timestamptz")
NUMBERS = ("bool", "int2", "int4", "int8", "numeric", "float4", "float8")
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
    (
        re.compile(r"percentile_cont\((0\.\d+)\) within group \(order by ([a-z_.]+)\)"),
        r"percentile(\1, \2)",
    ),
    # The smallest of 0 and 1 is 0: one that is false makes all of them false.
    (re.compile(r"\bbool_and\("), "min("),
)


def is_filtered(card: Card) -> bool:
    """Return whether the page can compute a card for other filters than the default ones."""
    return any(key in card.filters for key in PAGE_FILTERS)


def template(card: Card, texts: Collection[str]) -> str:
    """Return the select of a card for SQLite, with its clauses still between [[ and ]].

    It sorts the columns that are `texts` by their place in the order of the database's collation.
    A clause about another filter than the page's is left out, and one about texts has the parameter
    `:filter`, a JSON list of them; that of a period has `:period_first` and `:period_last`.
    `:grain` always has a value.
    """

    def clause(found: re.Match[str]) -> str:
        tags = filters_in(found.group(1))
        return found.group(0) if set(tags) <= set(PAGE_FILTERS) else ""

    def condition(found: re.Match[str]) -> str:
        tag = found.group(1)
        if tag == GRAIN:
            return f":{GRAIN}"
        column = _name(card.filters[tag])
        if tag == PERIOD:
            return f"{column} {BETWEEN}"
        return f"{column} in (select value from json_each(:{tag}))"

    text = CLAUSE.sub(clause, translate(COMMENT.sub("", card.sql), None, None))
    # The tag stays in front, so that the page knows which filter a clause is about.
    text = CLAUSE.sub(lambda found: f"[[{filters_in(found[1])[0]}:{found[1]}]]", text)

    def place(term: re.Match[str]) -> str:
        if term[1] not in texts:
            return term[0]
        # Inside of a function SQLite takes a column of that name before that of the result.
        renamed = re.search(rf"([a-z_.]+) as {term[0]}\b", text)
        return f"place_of({renamed[1] if renamed else term[0]})"

    def collated(found: re.Match[str]) -> str:
        return found[1] + TEXT.sub(place, found[2])

    text = TAG.sub(condition, to_sqlite(text))
    return ORDER.sub(collated, text)


def to_sqlite(text: str) -> str:
    """Write a select of PostgreSQL for SQLite, as far as cards need it.

    The page has no row for each value of an array: its aggregates take whole arrays.
    """
    for unnested, array, *name in UNNEST.findall(text):
        value = ".".join(name)
        text = text.replace(unnested, "").replace(f"count({value})", f"count_of({array})")
        text = text.replace(value, array)
    for pattern, replacement in DIALECT:
        text = pattern.sub(replacement, text)
    return RELATION.sub(r"\1_\2", text)


def _name(column: Column) -> str:
    return f"{column.schema}_{column.relation}.{column.name}"


@dataclass(frozen=True)
class PageDatabase:
    """What the page filters: its tables, and what each filter of the bar can be set to.

    `file` has what cards read, `lists` the deals behind figures, which are made when a
    reader asks for some. `texts` are the names of columns of texts.
    """

    file: bytes
    lists: bytes
    first_month: date
    choices: Mapping[str, tuple[str, ...]]
    texts: frozenset[str] = frozenset()


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
    choices = {
        key: tuple(str(stored(name)) for name in found)
        for key, found in zip(PAGE_FILTERS[1:], names, strict=True)
    }
    filtered = [card for card in cards if is_filtered(card)]
    tables = relations(filtered)
    for key, columns in JOINED.items():
        tables[key] = tables.get(key, set()) | columns
    found = {}
    for (schema, name), identifiers in sorted(tables.items()):
        source = sql.SQL("select * from {}").format(sql.Identifier(schema, name))
        found[f"{schema}_{name}"] = _read(connection, source, identifiers)
    lists = {key: _read(connection, sql.SQL(text), None) for key, text in SOURCES.items()}
    texts = frozenset(
        name
        for table in found.values()
        for name, kind in (table["columns"].items() if table else ())
        if kind == "text"
    )
    return PageDatabase(
        _file(connection, found), _file(connection, lists), first_month, choices, texts
    )


def relations(cards: Iterable[Card]) -> dict[tuple[str, str], set[str]]:
    """Return what the selects of cards read, and the identifiers that may be its columns."""
    found: dict[tuple[str, str], set[str]] = {}
    for card in cards:
        columns = [column for key, column in card.filters.items() if key in PAGE_FILTERS]
        text = CLAUSE.sub(
            lambda clause: clause[0] if set(filters_in(clause[1])) <= set(PAGE_FILTERS) else "",
            COMMENT.sub("", card.sql),
        )
        identifiers = set(WORD.findall(text)) | {column.name for column in columns}
        for relation in {*RELATION.findall(text), *((c.schema, c.relation) for c in columns)}:
            found.setdefault(relation, set()).update(identifiers)
    return found


def _file(connection: psycopg.Connection, tables: Mapping[str, dict[str, Any] | None]) -> bytes:
    """Return tables column by column, which compresses to half of what rows do."""
    found = {name: table for name, table in tables.items() if table}
    columns = [
        values
        for table in found.values()
        for kind, values in zip(table["columns"].values(), table["values"], strict=True)
        if kind == "text"
    ]
    texts = {text for values in columns for text in values if text is not None}
    rows = connection.execute(
        "select text from unnest(%s::text[]) as texts (text) order by text", [list(texts)]
    )
    ordered = [text for (text,) in rows]
    place = {text: nr for nr, text in enumerate(ordered)}
    for values in columns:
        values[:] = [None if text is None else place[text] for text in values]
    known = {"texts": ordered, "tables": found}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _read(
    connection: psycopg.Connection, source: sql.Composable, identifiers: Collection[str] | None
) -> dict[str, Any] | None:
    """Return the columns of a select that are among some identifiers, or all; None if it fails."""
    try:
        with connection.transaction():
            query = sql.SQL("select * from ({}) as source limit 0").format(source)
            described = connection.execute(query).description or ()
            columns = [c for c in described if identifiers is None or c.name in identifiers]
            names = [c.name for c in columns]
            # Neighbours that are alike compress well.
            order = sorted(names, key=lambda name: not name.endswith("_id"))
            rows = connection.execute(
                sql.SQL("select {} from ({}) as source order by {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    source,
                    sql.SQL(", ").join(map(sql.Identifier, order)),
                )
            ).fetchall()
    except psycopg.Error:
        # It costs its cards, which say so when they are filtered.
        return None
    return {
        "columns": {c.name: _type(c) for c in columns},
        "values": [[stored(row[nr]) for row in rows] for nr in range(len(columns))],
    }


def _type(column: psycopg.Column) -> str:
    """Return the type of a column in SQLite; a number that is no id is a floating-point one.

    That of an array is `list`, see cells.stored().
    """
    known = psycopg.adapters.types.get(column.type_code)
    if known is not None and known.array_oid == column.type_code:
        return "list"
    if known is not None and known.name in DAYS:
        return "date"
    if known is None or known.name not in NUMBERS:
        return "text"
    return "integer" if column.name.endswith("_id") else "real"
