"""A record that PostgreSQL refuses is set aside with its reason; the others load."""

from __future__ import annotations

import json
import typing as t

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loader_testkit import DATE_TIME, Warehouse, record, schema, state

from pipeboard_target_postgres.errors import DataRefusedError, NotPermittedError
from pipeboard_target_postgres.quarantine import place

S = schema({"id": "integer", "n": "integer", "at": DATE_TIME, "o": "object"})
LENIENT = {"max_refused_share": 1}


def test_the_refused_are_kept_and_the_rest_loads(warehouse: Warehouse) -> None:
    bad = [
        record(id=3, n="abc"),
        record(id=5, at="0000-00-00 00:00:00"),
        record(id=None),
        record(id=7, n=2**70),
        record(id=8, n=1.5),
        record(id=9, n={"a": 1}),
    ]
    good = [record(id=i, n=i) for i in (1, 2, 4, 6, 10)]
    messages = [good[0], bad[0], good[1], bad[1], bad[2], good[2], *bad[3:], *good[3:]]
    warehouse.load([S, *messages, state({"x": 1})], **LENIENT)
    assert warehouse.one("select array_agg(id order by id) from {s}.s") == [1, 2, 4, 6, 10]
    rows = warehouse.sql("select key, reason, record from {o}.quarantine order by key->>'id'")
    assert sorted((r[0]["id"] or 0) for r in rows) == [0, 3, 5, 7, 8, 9]
    reasons = {r[0]["id"]: r[1] for r in rows}
    assert reasons[3] == 'column n: invalid input syntax for type bigint: "abc" [22P02]'
    assert "at" in reasons[5]
    assert "null" in reasons[None]
    assert json.loads(rows[0][2]) in [b["record"] for b in bad]
    assert warehouse.load_row()["quarantined"] == 6
    assert warehouse.load_row()["rows_inserted"] == 5
    assert warehouse.states == [{"x": 1}]


def test_the_same_record_again_only_counts_up(warehouse: Warehouse) -> None:
    for _ in range(3):
        warehouse.load([S, record(id=1, n="abc"), record(id=2)], **LENIENT)
    assert warehouse.sql("select times, at > first_at from {o}.quarantine") == [(3, True)]


@pytest.mark.parametrize("by_default", [True, False])
def test_others_may_count_the_refused_and_never_read_one(
    warehouse: Warehouse, by_default: bool
) -> None:
    """By default privileges of the schema, or by a grant that stems from an earlier version."""
    reader = f"{warehouse.ops}_reader"
    warehouse.sql(f"create role {reader}")
    try:
        warehouse.sql(f"create schema {{o}}; grant usage on schema {{o}} to {reader}")
        if by_default:
            warehouse.sql(
                f"alter default privileges in schema {{o}} grant select on tables to {reader}"
            )
        warehouse.load([S, record(id=1, n="abc")], **LENIENT)
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


@pytest.mark.parametrize("config", [{}, {"use_copy": False}, {"stream_maps": {"s": {"id": "id"}}}])
def test_many_refusals_by_any_way(warehouse: Warehouse, config: dict[str, t.Any]) -> None:
    messages = [record(id=i, n="x" if i % 3 == 0 else i, o={"t": "a\nb\\"}) for i in range(60)]
    warehouse.load([S, *messages], **LENIENT, **config)
    assert warehouse.one("select count(*) from {s}.s") == 40
    assert warehouse.one("select count(*) from {o}.quarantine") == 20


def test_a_refused_later_version_leaves_the_earlier(warehouse: Warehouse) -> None:
    warehouse.load([S, record(id=1, n=1), record(id=1, n=2), record(id=1, n="x")], **LENIENT)
    assert warehouse.one("select n from {s}.s") == 2


def test_a_constraint_of_the_owner_refuses_in_the_merge(warehouse: Warehouse) -> None:
    warehouse.load([S])
    warehouse.sql("alter table {s}.s add constraint positive check (n > 0)")
    warehouse.load([S, *[record(id=i, n=i - 1) for i in range(20)]], **LENIENT)
    assert warehouse.one("select count(*) from {s}.s") == 18
    assert "positive" in warehouse.one("select min(reason) from {o}.quarantine")


def test_bytes_that_are_no_text(warehouse: Warehouse) -> None:
    v = schema({"id": "integer", "v": "string"})
    warehouse.load(
        [v, record(id=1, v="ok"), b'{"type":"RECORD","stream":"s","record":{"id":2,"v":"\xff"}}'],
        **LENIENT,
    )
    assert warehouse.sql("select id from {s}.s") == [(1,)]
    assert "\\xff" in warehouse.one("select record from {o}.quarantine")


def test_nul_is_refused_where_it_is_not_sanitized(warehouse: Warehouse) -> None:
    v = schema({"id": "integer", "v": "string", "o": "object"})
    warehouse.load(
        [v, record(id=1, v="a\0"), record(id=2, o={"a": "\0"}), record(id=3)],
        sanitize_null_text_characters=False,
        **LENIENT,
    )
    assert warehouse.sql("select id from {s}.s") == [(3,)]
    assert warehouse.one("select count(*) from {o}.quarantine") == 2


def test_too_large_a_share_fails_the_run_and_keeps_the_state(warehouse: Warehouse) -> None:
    messages = [S, *[record(id=i, n="x" if i < 10 else i) for i in range(100)], state({"x": 1})]
    with pytest.raises(DataRefusedError, match=r"10 of 100 records .* \(5\.0%\)"):
        warehouse.load(messages)
    assert warehouse.states == []
    assert warehouse.one("select count(*) from {s}.s") == 90
    assert warehouse.one("select count(*) from {o}.quarantine") == 10
    warehouse.load(messages, max_refused_share=0.1)
    assert warehouse.states == [{"x": 1}]


def test_no_right_to_the_quarantine_is_said_and_loads_nothing(warehouse: Warehouse) -> None:
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
                **LENIENT,
            )
        assert warehouse.one("select count(*) from {s}.s") == 1
    finally:
        warehouse.sql("drop owned by pb_weak; drop role pb_weak")


class _Refusal(psycopg.DataError):
    sqlstate = "22000"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=60))
def test_bisection_finds_exactly_the_bad_and_keeps_order(bad: list[bool]) -> None:
    loaded: list[int] = []
    refused: list[int] = []

    def load(low: int, high: int) -> None:
        if any(bad[low:high]):
            raise _Refusal
        loaded.extend(range(low, high))

    place(len(bad), load, lambda index, _: refused.append(index))
    assert loaded == [i for i, b in enumerate(bad) if not b]
    assert refused == [i for i, b in enumerate(bad) if b]
