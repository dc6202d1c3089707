"""Repairs a batch that PostgreSQL refuses: bad values become null, bad records are set aside.

First each value is compared with its column's type: a wrong value becomes null; in a key, the
record is refused. If PostgreSQL still refuses the batch (a constraint, a trigger), the rows are
loaded one by one, inside the server, to find the refused ones.
"""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from pipeboard_target_postgres.columns import DATES, INTEGERS, Column
from pipeboard_target_postgres.encoder import whole_number
from pipeboard_target_postgres.merge import Counts, Merge
from pipeboard_target_postgres.ops import Entry
from pipeboard_target_postgres.quarantine import record_of
from pipeboard_target_postgres.sql import quote, run
from pipeboard_target_postgres.staging import Staging, fields
from pipeboard_target_postgres.stream import Batch

_NULL = rb"\N"
_NOT_NULL = "null value in a key [23502]"
_NOT_TEXT = "invalid byte sequence for text [22021]"
#: Conditions of PL/pgSQL for the classes of `quarantine.is_refusal`.
_CONDITIONS = (
    "data_exception or integrity_constraint_violation or with_check_option_violation"
    " or program_limit_exceeded or raise_exception"
)
#: PostgreSQL accepts these words as times, and years beyond ISO 8601; both are refused here.
_REFUSE_NAMED_TIMES = """
    if $1 ~* '(now|today|tomorrow|yesterday|epoch|allballs)' then
        return 'not a point in time: "' || $1 || '" [22007]';
    end if;
"""
_REFUSE_OUT_OF_RANGE = """
    if not isfinite(x) or extract(year from x) not between 1 and 9999 then
        return 'out of range: "' || $1 || '" [22008]';
    end if;
"""
_CHECK = """
declare x {type};
begin
    x := $1;
    {more}
    return null;
exception when {conditions} then
    return sqlerrm || ' [' || sqlstate || ']';
end
"""
_WIDTH = {"smallint": (4, 16), "integer": (9, 32), "bigint": (18, 64)}
_PLAIN: dict[str, re.Pattern[bytes]] = {
    **{name: re.compile(rb"-?[0-9]{1,%d}" % digits) for name, (digits, _) in _WIDTH.items()},
    "numeric": re.compile(rb"-?[0-9]{1,15}(\.[0-9]{1,15})?"),
    "boolean": re.compile(rb"true|false"),
    "timestamp with time zone": re.compile(
        rb"(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
        rb"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|\+00:00)"
    ),
    "date": re.compile(rb"(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"),
}
#: Escapes and exponents: only these can make jsonb refuse a JSON text.
_ODD_JSON = re.compile(rb"\\u|[0-9][eE]")


def repair_values(cursor: psycopg.Cursor, batch: Batch) -> None:
    """Replace values that their columns refuse by null; remove records with such a key.

    The batch is changed in place and records every change, so that a retry can load it again.
    """
    batch.repaired = True
    stream = batch.stream
    columns = stream.encoder.columns
    rows = [row.split(b"\t") for row in batch.rows]
    wrong: dict[int, list[tuple[Column, str]]] = defaultdict(list)
    for at, column in enumerate(columns):
        reasons = _wrong_values(cursor, column, {row[at] for row in rows})
        is_key = column.name in stream.table.keys
        if is_key:
            reasons[_NULL] = _NOT_NULL
        for number, row in enumerate(rows) if reasons else ():
            value = row[at]
            if value not in reasons:
                continue
            whole = _lossless(value, column.type)
            if whole is not None:
                row[at] = whole
                stream.encoder.repairing = True
            else:
                wrong[number].append((column, reasons[value]))
                if not is_key:
                    row[at] = _NULL
    remaining_rows, remaining_lines = list[bytes](), list[bytes]()
    for number, (row, line) in enumerate(zip(rows, batch.lines, strict=True)):
        faults = wrong.get(number)
        in_key = [f for f in faults or () if f[0].name in stream.table.keys]
        if faults:
            record, key = record_of(line, stream.keys)
            if in_key:
                reason = "; ".join(f"column {c.name}: {why}" for c, why in in_key)
                batch.refused.append(Entry(stream.name, key, reason, record))
                continue
            reason = "; ".join(f"column {c.name} is null: {why}" for c, why in faults)
            entry = Entry(stream.name, key, reason, record, level="value")
            batch.nulled[len(remaining_rows)] = (entry, len(faults))
        remaining_rows.append(b"\t".join(row))
        remaining_lines.append(line)
    batch.rows[:], batch.lines[:] = remaining_rows, remaining_lines


def _wrong_values(cursor: psycopg.Cursor, column: Column, values: set[bytes]) -> dict[bytes, str]:
    """Return {value (a field of COPY) that the column's type refuses: reason}."""
    values.discard(_NULL)
    base = column.type.partition("(")[0]
    plain, suspects, wrong = _PLAIN.get(column.type), dict[str, bytes](), dict[bytes, str]()
    for value in values:
        if plain is not None and plain.fullmatch(value):
            continue
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            wrong[value] = _NOT_TEXT
        elif column.type == "text" or (base in {"json", "jsonb"} and not _ODD_JSON.search(value)):
            continue
        else:
            suspects[t.cast("str", fields(value)[0])] = value
    if suspects:
        more = (_REFUSE_NAMED_TIMES if base.startswith(("time", "date")) else "") + (
            _REFUSE_OUT_OF_RANGE if column.type in DATES else ""
        )
        body = _CHECK.format(type=column.type, more=more, conditions=_CONDITIONS)
        run(
            cursor,
            "create or replace function pg_temp.pb_check(text) returns text language plpgsql as "
            + sql.Literal(body).as_string(cursor),
        )
        run(
            cursor,
            "select v, why from (select v, pg_temp.pb_check(v) as why from unnest(%s::text[]) v"
            " offset 0) checked where why is not null",
            [list(suspects)],
        )
        wrong.update({suspects[text]: why for text, why in cursor.fetchall()})
    return wrong


def _lossless(value: bytes, sql_type: str) -> bytes | None:
    """Return a whole number such as 1.0 or 1e3 in plain digits; None for other values."""
    whole = whole_number(value) if sql_type in INTEGERS and len(value) <= 40 else None
    if whole is None:
        return None
    limit = 2 ** (_WIDTH[sql_type][1] - 1)
    return b"%d" % whole if -limit <= whole < limit else None


def load_one_by_one(
    cursor: psycopg.Cursor,
    batch: Batch,
    use_copy: bool,
    refuse: Callable[[int, str], None],
) -> Counts:
    """Load each row separately, inside the server, and report the refused ones.

    Args:
        cursor: in the transaction of the batch.
        batch: a batch after `repair_values`.
        use_copy: see the setting.
        refuse: called with index and reason of each refused row.
    """
    stream = batch.stream
    columns = stream.encoder.columns
    names = [f"c{at}" for at in range(len(columns))]
    staged = Staging(
        f"{stream.staging.name}_rows",
        [Column("nr", "nr", "integer"), *(Column(name, name, "text") for name in names)],
        (),
    )
    # Text is assigned, not cast: a cast to a type with a length would truncate it.
    values = ", ".join(
        f"r.{name}{'' if c.type.startswith('character') else '::' + c.type} as {quote(c.name)}"
        for name, c in zip(names, columns, strict=True)
    )
    query = f"(select {values})".replace("%", "%%")
    merge = Merge(stream.table, columns, query, position="r.nr")
    literal = psycopg.ClientCursor(cursor.connection)
    constants: t.Any = batch.constants
    insert, update = (literal.mogrify(s, constants) for s in (merge.insert, merge.update or ""))
    seen = (
        f"insert into {batch.seen.name} ({batch.seen.names}) select {batch.seen.names}"
        f" from (select {values}) s on conflict do nothing;"
        if batch.seen
        else ""
    )
    run(cursor, f"drop table if exists {staged.name}, pb_refused")
    run(cursor, "create temp table pb_refused (nr integer, reason text) on commit drop")
    staged.create(cursor)
    (staged.copy if use_copy else staged.insert)(
        cursor, [b"%d\t%b" % (nr, row) for nr, row in enumerate(batch.rows)]
    )
    body = f"""
declare
    r record; n bigint; inserted bigint := 0; updated bigint := 0; unchanged bigint := 0;
begin
    for r in select * from {staged.name} order by nr loop
        begin
            {insert}; get diagnostics n = row_count;
            inserted := inserted + n;
            if n = 0 then
                {update + "; get diagnostics n = row_count;" if update else ""}
                if n > 0 then updated := updated + 1; else unchanged := unchanged + 1; end if;
            end if;
            {seen}
        exception when {_CONDITIONS} then
            insert into pb_refused values (r.nr, sqlerrm || ' [' || sqlstate || ']');
        end;
    end loop;
    perform set_config('pipeboard.counts', inserted || ',' || updated || ',' || unchanged, true);
end
"""
    # A literal, not dollar quotes: a column's name may contain those.
    run(cursor, "do " + sql.Literal(body).as_string(cursor))
    run(cursor, "select nr, reason from pb_refused order by nr")
    for nr, reason in cursor.fetchall():
        refuse(nr, reason)
    cursor.execute("select current_setting('pipeboard.counts')")
    done = t.cast("Sequence[str]", cursor.fetchone())[0].split(",")
    run(cursor, f"drop table {staged.name}")
    return Counts(inserted=int(done[0]), updated=int(done[1]), unchanged=int(done[2]))
