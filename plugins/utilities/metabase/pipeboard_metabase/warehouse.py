"""What the reader finds in the warehouse: every column of the marts, and the custom fields."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from pipeboard_metabase.definitions import Column
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.settings import SCHEMAS, Settings

_COLUMNS = """
select relations.nspname, relations.relname, attributes.attname
from (
    select pg_class.oid, nspname, relname
    from pg_catalog.pg_class
    inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where
        nspname = any(%s)
        and relkind in ('r', 'v', 'm', 'p', 'f')
        and not relispartition
) as relations
inner join pg_catalog.pg_attribute as attributes on attributes.attrelid = relations.oid
where attnum > 0 and not attisdropped
order by 1, 2, attnum
"""

# Labels of two fields may be the same; their columns never are.
_CUSTOM_FIELDS = """
select column_name, label, description, option_labels, field_type
from marts.dim_custom_field
where entity = 'deal'
order by column_name
"""


class NoMarts(PipeboardError):
    """The warehouse answers, and nothing was built in it."""

    def __init__(self) -> None:
        what = "the warehouse has no marts"
        super().__init__(what, "Run `make sync` first", ExitCode.CONFIGURATION)


@dataclass(frozen=True)
class CustomField:
    """A custom field of deals: its column in deal_wide, and what people call it today."""

    column: str
    label: str
    description: str | None
    options: str | None
    type: str


@dataclass(frozen=True)
class Contents:
    """What there is to show."""

    columns: tuple[Column, ...]
    custom_fields: tuple[CustomField, ...]


def connected(url: str) -> psycopg.Connection:
    """Connect to the warehouse.

    Raises:
        PipeboardError: the URL is none; libpq's own message would quote the password.
        psycopg.OperationalError: the database does not answer.
    """
    try:
        return psycopg.connect(url, connect_timeout=10)
    except psycopg.ProgrammingError:
        what = "the URL of the warehouse is not understood"
        remedy = (
            "Write postgresql://user:password@host:5432/database in PIPEBOARD_DATABASE_URL (or "
        )
        remedy += "METABASE_DATABASE_URL), with special characters percent-encoded"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from None


def read_contents(settings: Settings) -> Contents:
    """Read them with PIPEBOARD_DATABASE_URL; the reader's rights are enough.

    Raises:
        NoMarts: when the marts are not built.
        PipeboardError: when the database does not answer, or the marts are not readable.
    """
    try:
        with connected(settings.warehouse_url) as connection:
            columns = connection.execute(_COLUMNS, [list(SCHEMAS)]).fetchall()
            if not any(column[0] == "marts" for column in columns):
                raise NoMarts
            fields = connection.execute(_CUSTOM_FIELDS).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        what = f"no permission to read the warehouse: {str(error).strip()}"
        remedy = "Use a login that is in role bi_read (see the README)"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED) from None
    except psycopg.OperationalError:
        what = "the warehouse does not answer, or refuses the login"
        remedy = "Is PIPEBOARD_DATABASE_URL (or METABASE_DATABASE_URL) right?"
        raise PipeboardError(what, remedy, ExitCode.UNAVAILABLE) from None
    except psycopg.errors.UndefinedTable:
        raise NoMarts from None
    return Contents(
        tuple(Column(*column) for column in columns),
        tuple(CustomField(*field) for field in fields),
    )
