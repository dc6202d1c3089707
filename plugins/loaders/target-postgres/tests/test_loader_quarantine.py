"""A record that PostgreSQL refuses is set aside with its reason; the others load."""

from __future__ import annotations

import json
import time
import typing as t

import psycopg
import pytest
from loader_helpers import DATE, DATE_TIME, Warehouse, record, schema, state

from pipeboard_target_postgres.errors import DataRefusedError, NotPermittedError

S = schema({"id": "integer", "n": "integer", "at": DATE_TIME, "o": "object"})
CONFIGS = [{}, {"use_copy": False}, {"stream_maps": {"s": {"id": "id"}}}]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_bad_value_becomes_null_and_goes_to_the_quarantine(
    warehouse: Warehouse, config: dict[str, t.Any]
) -> None:
    bad = [
        record(id=3, n="abc"),
        record(id=5, n=5, at="0000-00-00 00:00:00"),
        record(id=7, n=2**70),
        record(id=8, n=1.5, at="2026-02-30T00:00:00Z"),
        record(id=9, n={"a": 1}),
    ]
    good = [record(id=i, n=i) for i in (1, 2, 4, 6, 10)]
    messages = [good[0], bad[0], good[1], bad[1], good[2], *bad[2:], *good[3:], state({"x": 1})]
    target = warehouse.load([S, *messages], **config)
    assert warehouse.sql("select id, n, at from {s}.s order by id") == [
        (i, i if i in {1, 2, 4, 5, 6, 10} else None, None) for i in range(1, 11)
    ]
    rows = warehouse.sql("select key, reason, record, level from {o}.quarantine order by key")
    assert [(r[0]["id"], r[3]) for r in rows] == [(i, "value") for i in (3, 5, 7, 8, 9)]
    reasons = {r[0]["id"]: r[1] for r in rows}
    assert reasons[3] == 'column n is null: invalid input syntax for type bigint: "abc" [22P02]'
    assert "column at is null" in reasons[5]
    assert "column n is null" in reasons[8]
    assert "column at is null" in reasons[8]
    if "stream_maps" not in config:
        assert [json.loads(r[2]) for r in rows] == [b["record"] for b in bad]
    counts = target.results()["s"]
    assert (counts.inserted, counts.quarantined, counts.nulled_values) == (10, 0, 6)
    assert warehouse.states == [{"x": 1}]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_bad_key_refuses_the_record(warehouse: Warehouse, config: dict[str, t.Any]) -> None:
    messages = [record(id=1), record(id="abc", n="x"), record(id=None), record(id=2)]
    warehouse.load([S, *messages], max_refused_share=1, **config)
    assert warehouse.sql("select id from {s}.s order by id") == [(1,), (2,)]
    assert warehouse.sql("select level, reason from {o}.quarantine order by reason") == [
        ("record", 'column id: invalid input syntax for type bigint: "abc" [22P02]'),
        ("record", "column id: null value in a key [23502]"),
    ]
    assert warehouse.load_row()["quarantined"] == 2


IMPOSSIBLE = [
    *("infinity", "-infinity", "Infinity", "yesterday", "now", "epoch", "292277-01-01T00:00:00Z"),
    *("10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-13-45", "-0001-11-30T00:00:00Z"),
    *("0044-03-15 BC", "0000-00-00", "", "soon", "9999-12-31T23:30:00-05:00", True, [1]),
]
POSSIBLE = [
    *("2026-02-28T23:59:60Z", "2026-02-28", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    *("20260228", "2026-02-28 10:00:00+01", "Feb 28, 2026", "2024-02-29T00:00:00.123456789Z"),
]


@pytest.mark.parametrize("definition", [DATE_TIME, DATE], ids=["date-time", "date"])
@pytest.mark.parametrize("version", [None, 1], ids=["", "in a sweep"])
def test_impossible_dates_are_null(
    warehouse: Warehouse, definition: dict, version: int | None
) -> None:
    values = [*IMPOSSIBLE, *POSSIBLE]
    if definition is DATE:
        values.remove("9999-12-31T23:30:00-05:00")
    s = schema({"v": "string", "id": "integer", "at": definition})
    records = [record(id=i, at=v, version=version) for i, v in enumerate(values)]
    if version:
        warehouse.load([s, *records])
    else:
        # Each in a batch of its own: none is found only because of its neighbour.
        warehouse.load([s, *records], batch_size_rows=1)
    null = warehouse.one("select array_agg(id order by id) from {s}.s where at is null")
    assert [values[i] for i in null] == [v for v in values if v not in POSSIBLE]
    assert warehouse.one("select bool_and(isfinite(at)) from {s}.s")
    noted = warehouse.one("select count(*) from {o}.quarantine where level = 'value'")
    assert noted == len(null)


def test_a_repeated_refused_record_only_increases_its_count(warehouse: Warehouse) -> None:
    for _ in range(3):
        warehouse.load([S, record(id=1, n="abc"), record(id=2)])
    assert warehouse.sql("select times, at > first_at from {o}.quarantine") == [(3, True)]


@pytest.mark.parametrize("by_default", [True, False])
def test_other_roles_may_count_refused_records_but_not_read_them(
    warehouse: Warehouse, by_default: bool
) -> None:
    """With default privileges of the schema, or with a grant of an earlier version."""
    reader = f"{warehouse.ops}_reader"
    warehouse.sql(f"create role {reader}")
    try:
        warehouse.sql(f"create schema {{o}}; grant usage on schema {{o}} to {reader}")
        if by_default:
            warehouse.sql(
                f"alter default privileges in schema {{o}} grant select on tables to {reader}"
            )
        warehouse.load([S, record(id=1, n="abc")])
        if not by_default:
            warehouse.sql(f"grant select on {{o}}.quarantine to {reader}")
            warehouse.load([S])
        with psycopg.connect(warehouse.url, options=f"-c role={reader}", autocommit=True) as other:
            table = f"{warehouse.ops}.quarantine"
            assert other.execute(f"select stream, times from {table}").fetchall() == [("s", 1)]
            for column in ("*", "record", "reason", "key"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    other.execute(f"select {column} from {table}")
    finally:
        warehouse.sql(f"drop owned by {reader}; drop role {reader}")


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("keys", [["id"], []], ids=["keys", "no keys"])
def test_a_constraint_of_the_owner_refuses_records(
    warehouse: Warehouse, config: dict[str, t.Any], keys: list[str]
) -> None:
    s = schema({"id": "integer", "n": "integer", 'o"% $pb$': "object"}, keys)
    warehouse.load([s, record(id=1, n=7), record(id=2, n=7), record(id=3, n=9)])
    warehouse.sql("alter table {s}.s add constraint positive check (n > 0)")
    sent = [record(id=i, n=i - 1, **{'o"% $pb$': {"t": "a\nb\\"}}) for i in range(20)]
    target = warehouse.load([s, *sent, record(id=2, n="x")], max_refused_share=1, **config)
    assert "positive" in warehouse.one(
        "select min(reason) from {o}.quarantine where level = 'record'"
    )
    counts = target.results()["s"]
    assert (counts.read, counts.quarantined, counts.nulled_values) == (21, 2, 1)
    stored = dict(warehouse.sql("select id, n from {s}.s order by id, _sdc_sequence"))
    want = {i: i - 1 for i in range(2, 20)} | {2: None}
    assert stored == (want | {1: 7})
    if keys:
        assert (counts.inserted, counts.updated) == (16, 3)
    else:
        assert counts.inserted == 19
        order = "select array_agg(id order by _sdc_sequence) from {s}.s where _sdc_sequence >= %s"
        first = warehouse.one("select min(_sdc_sequence) from {s}.s where id = 19") - 19
        assert warehouse.one(order, first) == [*range(2, 20), 2]


def test_a_sweep_counts_rows_loaded_one_by_one_as_seen(warehouse: Warehouse) -> None:
    warehouse.load([S, *[record(id=i, n=1) for i in range(10)]])
    warehouse.sql("alter table {s}.s add constraint positive check (n > 0)")
    walk = [record(id=i, n=i - 1, version=1) for i in range(9)]
    end = {"type": "ACTIVATE_VERSION", "stream": "s", "version": 1}
    warehouse.load([S, *walk, end], max_refused_share=1)
    assert warehouse.sql("select id from {s}.s where _sdc_deleted_at is not null") == [(9,)]


@pytest.mark.parametrize("value", ["abc", -1], ids=["bad values", "bad records"])
def test_a_thousand_refusals_take_seconds(warehouse: Warehouse, value: t.Any) -> None:
    warehouse.load([S])
    warehouse.sql("alter table {s}.s add constraint positive check (n >= 0)")
    messages = [
        record(id=i, n=value if i % 3 == 0 else i, at="2026-01-01T00:00:00Z") for i in range(3000)
    ]
    began = time.monotonic()
    warehouse.load([S, *messages], max_refused_share=1)
    assert time.monotonic() - began < 10
    assert warehouse.one("select count(*) from {o}.quarantine") == 1000
    assert warehouse.one("select count(*) from {s}.s where n is not null") == 2000


def test_bytes_that_are_no_text_are_refused(warehouse: Warehouse) -> None:
    v = schema({"id": "integer", "v": "string"})
    warehouse.load(
        [v, record(id=1, v="ok"), b'{"type":"RECORD","stream":"s","record":{"id":2,"v":"\xff"}}']
    )
    assert warehouse.sql("select id, v from {s}.s") == [(1, "ok"), (2, None)]
    assert "\\xff" in warehouse.one("select record from {o}.quarantine")


def test_nul_becomes_null_without_sanitizing(warehouse: Warehouse) -> None:
    v = schema({"id": "integer", "v": "string", "o": "object"})
    warehouse.load(
        [v, record(id=1, v="a\0"), record(id=2, o={"a": "\0"}), record(id=3, v="b")],
        sanitize_null_text_characters=False,
    )
    assert warehouse.sql("select id, v, o from {s}.s order by id") == [
        (1, None, None),
        (2, None, None),
        (3, "b", None),
    ]
    assert warehouse.one("select count(*) from {o}.quarantine") == 2


def test_whole_numbers_with_exponent_or_fraction_are_loaded(warehouse: Warehouse) -> None:
    values = [1.0, "12", " 13 ", "14.0", 1e3, "-0"]
    warehouse.load([S, *[record(id=i, n=v) for i, v in enumerate(values)], record(id=9, n="x")])
    assert warehouse.one("select array_agg(n order by id) from {s}.s") == [
        *(1, 12, 13, 14, 1000, 0),
        None,
    ]
    assert warehouse.one("select count(*) from {o}.quarantine") == 1


@pytest.mark.parametrize("value", ["1e1000000", "-1e999999999", '"1e1000000"', '"Infinity"'])
def test_a_number_beyond_all_arithmetic_becomes_null(warehouse: Warehouse, value: str) -> None:
    text = '{"type":"RECORD","stream":"s","record":{"id":%d,"n":%s}}'
    # The second batch is encoded by an encoder that repairs.
    messages = [S, text % (1, value), text % (2, "7.0"), text % (3, value), text % (4, "1e3")]
    target = warehouse.load(messages, batch_size_rows=2)
    found = warehouse.sql("select id, n from {s}.s order by id")
    assert found == [(1, None), (2, 7), (3, None), (4, 1000)]
    assert target.results()["s"].nulled_values == 2


def test_too_large_a_share_fails_the_run_and_keeps_the_state(warehouse: Warehouse) -> None:
    messages = [
        S,
        *[record(id="x" if i < 10 else i, n=i) for i in range(100)],
        state({"x": 1}),
    ]
    with pytest.raises(DataRefusedError, match=r"10 of 100 records .* \(5\.0%\)"):
        warehouse.load(messages)
    assert warehouse.states == []
    assert warehouse.one("select count(*) from {s}.s") == 90
    warehouse.load(messages, max_refused_share=0.1)
    assert warehouse.states == [{"x": 1}]


def test_bad_values_in_a_large_share_of_many_records_fail_the_run(warehouse: Warehouse) -> None:
    messages = [S, *[record(id=i, n="x" if i < 200 else i) for i in range(1000)], state({"x": 1})]
    with pytest.raises(DataRefusedError, match="200 of 1000 records had values"):
        warehouse.load(messages)
    assert warehouse.states == []
    assert warehouse.one("select count(*) from {s}.s") == 1000


def test_a_missing_right_to_the_quarantine_loads_nothing(warehouse: Warehouse) -> None:
    warehouse.load([S, record(id=1)], bookkeeping=False)
    warehouse.sql(
        "drop role if exists pb_weak; create role pb_weak login;"
        " grant usage, create on schema {s} to pb_weak; grant all on {s}.s to pb_weak"
    )
    weak = psycopg.conninfo.conninfo_to_dict(warehouse.url)
    url = f"postgresql://pb_weak@{weak['host']}:{weak['port']}/{weak['dbname']}"
    try:
        with pytest.raises(NotPermittedError, match="GRANT USAGE, CREATE ON SCHEMA"):
            warehouse.load(
                [S, record(id=2), record(id=3, n="x")],
                sqlalchemy_url=url,
                bookkeeping=False,
                max_refused_share=1,
            )
        assert warehouse.one("select count(*) from {s}.s") == 1
    finally:
        warehouse.sql("drop owned by pb_weak; drop role pb_weak")
