"""What the page shows, read from the marts by the cards' own selects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from pipeboard_metabase.definitions import Card, Definitions
from pipeboard_metabase.sql import render

#: The role that Metabase reads with; what it may not read, the page must not show either.
READER = "bi_read"
#: A card that takes longer is no card. Milliseconds.
CARD_TIMEOUT = 30_000
#: Rows of one card that the page carries; Metabase cuts at 2,000.
MOST_ROWS = 500

ACCOUNT = """
    select
        (select max(data_as_of) from ops.ops_stream_freshness) as as_of,
        (select count(*) from marts.fct_deal where not is_deleted) as deals,
        coalesce(
            (select base_currency from marts.fct_forecast_snapshot limit 1),
            (
                select currency from marts.fct_deal
                where fx_rate = 1 group by currency order by count(*) desc limit 1
            )
        ) as currency
"""


@dataclass(frozen=True)
class Account:
    """The account as a whole. `currency` is that of all `_base` columns, as far as it is known."""

    as_of: datetime | None
    deals: int
    currency: str | None


@dataclass(frozen=True)
class Answer:
    """The rows of a card; `types` are PostgreSQL's names. `error` says why there are none."""

    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    cut: bool = False
    error: str | None = None


class NoMarts(Exception):
    """There is nothing to look at: no sync has built the marts yet."""


def read(url: str, definitions: Definitions) -> tuple[Account, dict[str, Answer]]:
    """Answer every card of the first look, as the reader.

    One snapshot for all of them, so that two cards never contradict each other. A card that fails
    is answered by its error; the others go on.

    Raises:
        NoMarts: when the marts are not there.
        psycopg.OperationalError: when the database cannot be reached.
    """
    with psycopg.connect(url, connect_timeout=10) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        _become_reader(connection)
        try:
            row = connection.execute(ACCOUNT).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NoMarts(str(error).splitlines()[0]) from error
        account = Account(*row) if row else Account(None, 0, None)
        wanted = [card for card in definitions.cards.values() if card.first_look]
        return account, {card.key: answer(connection, card) for card in wanted}


def answer(connection: psycopg.Connection, card: Card) -> Answer:
    """Run one card's select, without any filter."""
    query, parameters = render(card)
    try:
        with _savepoint(connection), connection.cursor() as cursor:
            # The text comes from our own files; what it is told comes as parameters.
            cursor.execute(query.encode(), parameters)
            rows = cursor.fetchmany(MOST_ROWS + 1)
            described = cursor.description or []
            types = tuple(_type_name(column) for column in described)
            return Answer(
                tuple(column.name for column in described),
                types,
                tuple(rows[:MOST_ROWS]),
                cut=len(rows) > MOST_ROWS,
            )
    except psycopg.Error as error:
        return Answer(error=str(error).splitlines()[0] if str(error) else type(error).__name__)


def _become_reader(connection: psycopg.Connection) -> None:
    """Drop every right that the page does not need, where the reader is known here."""
    connection.execute(sql.SQL("set statement_timeout = {}").format(CARD_TIMEOUT))
    # Compiling expressions takes longer than the cards themselves.
    connection.execute("set jit = off")
    row = connection.execute(
        "select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = %s", [READER]
    ).fetchone()
    if row and row[0]:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(READER)))


@contextmanager
def _savepoint(connection: psycopg.Connection) -> Iterator[None]:
    """Keep the snapshot after an error."""
    with connection.transaction():
        yield


def _type_name(column: psycopg.Column) -> str:
    known = psycopg.adapters.types.get(column.type_code)
    return known.name if known else "text"
