"""Keys, schema properties and table columns may each have an order of their own."""

from __future__ import annotations

import json
import random
import typing as t

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from loader_helpers import Warehouse, record, schema, state

Way = dict[str, t.Any]
TYPES = {"a": "bigint", "b": "text", "c": "bigint", "v": "text", "o": "jsonb"}
JSON_TYPES = {"a": "integer", "b": "string", "c": "integer", "v": "string", "o": "object"}
NAMES = list(TYPES)


TRIPLES = st.lists(st.tuples(*[st.integers(0, 1)] * 3), min_size=1, max_size=4)


def _row(triple: tuple[int, int, int], v: str) -> dict[str, t.Any]:
    # Numbers and texts that are equal by bytes: one key that is taken for another shows.
    a, b, c = triple
    return {"a": a, "b": str(b), "c": c, "v": v, "o": {"v": v}}


@example(
    keys=["a", "c"],
    properties=["c", "a", "b", "v", "o"],
    columns=NAMES,
    primary=random.Random(1),
    stored=[(0, 0, 1)],
    sent=[(1, 0, 0)],
    fallback=False,
    version=False,
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    keys=st.sampled_from([["a", "b"], ["a", "c"], ["a", "b", "c"]]).flatmap(st.permutations),
    properties=st.permutations(NAMES),
    columns=st.permutations(NAMES),
    primary=st.randoms(use_true_random=False),
    stored=TRIPLES,
    sent=TRIPLES,
    fallback=st.booleans(),
    version=st.booleans(),
)
def test_any_permutation_gives_the_right_rows(
    warehouse: Warehouse,
    keys: list[str],
    properties: list[str],
    columns: list[str],
    primary: t.Any,
    stored: list[tuple[int, int, int]],
    sent: list[tuple[int, int, int]],
    fallback: bool,
    version: bool,
) -> None:
    primary_key = list(keys)
    primary.shuffle(primary_key)
    body = ", ".join(f"{name} {TYPES[name]}" for name in columns)
    warehouse.sql(
        "drop schema if exists {s} cascade; create schema {s};"
        f" create table {{s}}.s ({body}, primary key ({', '.join(primary_key)}))"
    )
    s = schema({name: JSON_TYPES[name] for name in properties}, keys)
    messages, want = [s], {}
    for triple, v in [*((triple, "old") for triple in stored), *((x, "new") for x in sent)]:
        row = _row(triple, v)
        want[tuple(row[key] for key in keys)] = row
        shuffled = {name: row[name] for name in properties}
        number = 1 if version and v == "new" else None
        messages.append({**record(version=number), "record": shuffled})
    config: dict[str, t.Any] = {"validate_records": True} if fallback else {}
    warehouse.load(messages[: 1 + len(stored)], **config)
    end = [{"type": "ACTIVATE_VERSION", "stream": "s", "version": 1}] if version else []
    target = warehouse.load([s, *messages[1 + len(stored) :], *end], max_vanished_share=1, **config)
    assert target.results()["s"].quarantined == 0
    found = warehouse.sql("select a, b, c, v, o from {s}.s")
    assert sorted(json.dumps(row) for row in found) == sorted(
        json.dumps([row[name] for name in NAMES]) for row in want.values()
    )
    gone = warehouse.sql("select v from {s}.s where _sdc_deleted_at is not null")
    old = [row for row in want.values() if row["v"] == "old"]
    assert len(gone) == (len(old) if version else 0)


def test_a_record_without_its_key_is_quarantined(warehouse: Warehouse, way: Way) -> None:
    s = schema({"v": "string", "b": "string", "a": "integer"}, ["a", "b"])
    warehouse.load(
        [s, record(a=1, b="x", v="ok"), record(a=2, v="no b"), record(v="none"), state({"x": 1})],
        max_refused_share=1,
        **way,
    )
    assert warehouse.sql("select a, b, v from {s}.s") == [(1, "x", "ok")]
    assert warehouse.sql("select reason from {o}.quarantine order by reason") == [
        ("Record is missing one or more key_properties. It lacks a, b",),
        ("Record is missing one or more key_properties. It lacks b",),
    ]
    assert warehouse.states == [{"x": 1}]


@pytest.mark.parametrize("text", ['{"type":"RECORD","stream":"s","record":5}', None])
def test_a_record_that_is_no_object_is_quarantined(
    warehouse: Warehouse, way: Way, text: str | None
) -> None:
    deep = '{"type":"RECORD","stream":"s","record":{"id":2,"o":' + "[" * 9999 + "]" * 9999 + "}}"
    messages = [schema({"id": "integer", "o": "object"}), text or deep, record(id=1)]
    target = warehouse.load(messages, max_refused_share=1, **way)
    assert warehouse.sql("select id from {s}.s") == [(1,)]
    assert target.results()["s"].quarantined == 1
