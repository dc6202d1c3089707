"""What the page shows, read from the marts by the cards' own selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import psycopg
from psycopg import sql

from pipeboard_metabase.definitions import Card, Definitions, Filter
from pipeboard_metabase.sql import Between, Value, render
from pipeboard_metabase.static_dashboard.database import PageDatabase, read_database
from pipeboard_metabase.warehouse import NoMarts, connected

#: The role that Metabase reads with; what it may not read, the page must not show either.
READER = "bi_read"
#: A card that takes longer is no card. Milliseconds.
CARD_TIMEOUT = 30_000
#: Rows of one card that the page carries; Metabase cuts at 2,000.
MOST_ROWS = 500

ACCOUNT = """
    select
        (select max(data_as_of) from ops.ops_stream_freshness where stream = 'deals') as as_of,
        (select count(*) from marts.fct_deal where not is_deleted) as deals,
        base_currency,
        this_month,
        reporting_timezone,
        coalesce(
            (select month from marts.dim_date where fiscal_month = 1 limit 1), 1
        ) as fiscal_month,
        today
    from ops.ops_account
"""


@dataclass(frozen=True)
class Account:
    """The account: `currency` is that of all `_base` columns, `zone` the one of all days.

    `fiscal_month` is the month (1 to 12) in which the fiscal year begins.
    `database` is what the page filters; without one it shows the default period only.
    """

    as_of: datetime | None
    deals: int
    currency: str
    this_month: date
    zone: str
    fiscal_month: int = 1
    today: date | None = None
    database: PageDatabase | None = None


@dataclass(frozen=True)
class CardResult:
    """The rows of a card; `types` are PostgreSQL's names. `error` says why there are none."""

    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    cut: bool = False
    error: str | None = None


def read(url: str, definitions: Definitions) -> tuple[Account, dict[str, CardResult]]:
    """Answer every card of the static dashboard, as the reader, with the filters' own defaults.

    One snapshot for all of them, so that two cards never contradict each other. A card that fails
    is answered by its error; the others go on.

    Raises:
        NoMarts: when the marts are not there.
        psycopg.OperationalError: when the database cannot be reached, or ends the session.
    """
    with connected(url) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        _become_reader(connection)
        try:
            row = connection.execute(ACCOUNT).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise NoMarts from None
        if row is None:
            raise NoMarts
        account = Account(*row)
        wanted = [card for card in definitions.cards.values() if card.static_dashboard]
        defaults = {
            key: value
            for key, found in definitions.filters.items()
            if (value := default_of(found, account.this_month))
        }
        results = {card.key: answer(connection, card, defaults) for card in wanted}
        return replace(account, database=read_database(connection, wanted)), results


def default_of(found: Filter, this_month: date) -> Between | None:
    """Return what a filter is set to when nobody sets it, at the account's time."""
    months = found.months
    if months is None:
        return None
    this = this_month.year * 12 + this_month.month - 1
    first, after = (date(nr // 12, nr % 12 + 1, 1) for nr in (this - months, this + 1))
    return Between(first, after - timedelta(days=1))


def answer(
    connection: psycopg.Connection, card: Card, defaults: Mapping[str, Between] | None = None
) -> CardResult:
    """Run one card's select."""
    given: dict[str, Value] = {k: v for k, v in (defaults or {}).items() if k in card.filters}
    query, parameters = render(card, given)
    try:
        # A failed select must not cost the others their snapshot.
        with connection.transaction(), connection.cursor() as cursor:
            # The text comes from files of this package; values come as parameters.
            cursor.execute(query.encode(), parameters)
            rows = cursor.fetchmany(MOST_ROWS + 1)
            described = cursor.description or []
            return CardResult(
                tuple(column.name for column in described),
                tuple(_type_name(column) for column in described),
                tuple(rows[:MOST_ROWS]),
                cut=len(rows) > MOST_ROWS,
            )
    except psycopg.Error as error:
        if connection.closed:  # then no other card can be read either
            raise
        return CardResult(error=str(error).splitlines()[0] if str(error) else type(error).__name__)


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


def _type_name(column: psycopg.Column) -> str:
    known = psycopg.adapters.types.get(column.type_code)
    return known.name if known else "text"
