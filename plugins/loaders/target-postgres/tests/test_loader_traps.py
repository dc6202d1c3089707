"""Names and schema changes on which the stock target fails."""

from __future__ import annotations

import logging
import typing as t

import pytest
from loader_helpers import DATE, DATE_TIME, Warehouse, record, schema

from pipeboard_target_postgres.errors import DataRefusedError

Way = dict[str, t.Any]

NAMES = [
    "x" * 70,
    "ç" * 40,
    "Upper",
    "select",
    "user",
    "per cent %",
    "%s",
    "%(id)s",
    'quo"te',
    "a:b",
    "a.b",
    "brackets[0]",
    "dollar$",
    "xmin",
    "tab\tbed",
    "",
    "id_",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_column_name_works_at_create_and_add(warehouse: Warehouse, way: Way, name: str) -> None:
    first = schema({"id": "integer", name: "string"})
    for value in ("1", "2"):
        warehouse.load([first, {**record(), "record": {"id": 1, name: value}}], **way)
    warehouse.load([schema({"id": "integer"}, stream="t"), record(stream="t", id=1)], **way)
    later = schema({"id": "integer", name: "string"}, stream="t")
    for value in ("1", "2"):
        warehouse.load([later, {**record(stream="t"), "record": {"id": 1, name: value}}], **way)
    for table in ("s", "t"):
        column = warehouse.one(
            "select attname from pg_attribute where attrelid = %s::regclass"
            " and attnum > 0 and attname not like '\\_sdc%%'"
            " and attname <> 'id'",
            f"{warehouse.schema}.{table}",
        )
        quoted = '"' + column.replace('"', '""').replace("%", "%%") + '"'
        assert warehouse.sql(f"select {quoted} from {{s}}.{table} where %s", True) == [("2",)]


def test_long_names_with_the_same_beginning_differ(warehouse: Warehouse, way: Way) -> None:
    a, b = "x" * 70 + "a", "x" * 70 + "b"
    for _ in range(2):
        warehouse.load(
            [
                schema({"id": "integer", a: "string", b: "string"}),
                {**record(), "record": {"id": 1, a: "A", b: "B"}},
            ],
            **way,
        )
    columns = [
        c
        for (c,) in warehouse.sql(
            "select attname from pg_attribute where attrelid = %s::regclass and attname like 'xx%%'"
            " order by attnum",
            f"{warehouse.schema}.s",
        )
    ]
    assert len(columns) == 2
    assert warehouse.sql(f"select {', '.join(columns)} from {{s}}.s") == [("A", "B")]


def test_escaped_names_are_decoded(warehouse: Warehouse) -> None:
    message = r'{"type":"RECORD","stream":"s","record":{"id":1,"a\u00e7\u00e3o":"x","q\"":"y"}}'
    for names in (["ação"], ["ação", 'q"']):
        warehouse.load([schema({"id": "integer", **dict.fromkeys(names, "string")}), message])
        assert warehouse.one('select "ação" from {s}.s') == "x"
    assert warehouse.one('select "q""" from {s}.s') == "y"


@pytest.mark.parametrize("name", ["deal%flow", "Deals", "order", "d" * 80, "é" * 50])
def test_any_stream_name_works(warehouse: Warehouse, way: Way, name: str) -> None:
    for _ in range(2):
        warehouse.load([schema({"id": "integer"}, stream=name), record(stream=name, id=1)], **way)
    assert (
        warehouse.one(
            "select count(*) from pg_class c join pg_namespace n on"
            " n.oid = c.relnamespace where nspname = %s and relkind = 'r'",
            warehouse.schema,
        )
        == 1
    )


def test_a_property_without_schema_is_dropped_with_one_warning(
    warehouse: Warehouse, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warehouse.load(
            [schema({"id": "integer"}), *[record(id=i, new=i) for i in range(30)]],
            batch_size_rows=5,
            **way,
        )
    assert sum("'new'" in r.getMessage() for r in caplog.records) == 1


def test_a_new_property_adds_a_column_during_a_run(warehouse: Warehouse, way: Way) -> None:
    warehouse.load(
        [
            schema({"id": "integer"}),
            record(id=1),
            schema({"id": "integer", "v": "string"}),
            record(id=2, v="x"),
            schema({"id": "integer", "v": "string"}),
            record(id=3, v="y"),
        ],
        **way,
    )
    assert warehouse.sql("select id, v from {s}.s order by id") == [(1, None), (2, "x"), (3, "y")]
    assert warehouse.load_row()["records_read"] == 3


WIDENED: list[tuple[t.Any, t.Any, t.Any, t.Any, str, list[str]]] = [
    ("integer", 5, "number", 1.5, "numeric", ["5", "1.5"]),
    ("integer", 5, "string", "five", "text", ["5", "five"]),
    ("number", 5.25, "string", "five", "text", ["5.25", "five"]),
    ("boolean", True, "string", "yes", "text", ["true", "yes"]),
    (
        DATE,
        "2024-01-02",
        DATE_TIME,
        "2024-01-02T03:04:05Z",
        "timestamp with time zone",
        ["2024-01-02 00:00:00+00", "2024-01-02 03:04:05+00"],
    ),
    ("string", "five", "integer", 5, "text", ["five", "5"]),
    ("number", 1.5, "integer", 5, "numeric", ["1.5", "5"]),
    ("string", "x", "object", {"a": 1}, "text", ["x", '{"a":1}']),
    ("object", {"a": 1}, "string", "x", "jsonb", ['{"a": 1}', '"x"']),
    ("array", [1], "object", {"a": 1}, "jsonb", ["[1]", '{"a": 1}']),
]


@pytest.mark.parametrize(("old", "a", "new", "b", "sql_type", "expected"), WIDENED)
def test_types_widen(
    warehouse: Warehouse,
    way: Way,
    old: t.Any,
    a: t.Any,
    new: t.Any,
    b: t.Any,
    sql_type: str,
    expected: list[str],
) -> None:
    warehouse.load([schema({"id": "integer", "v": old}), record(id=1, v=a)], **way)
    for _ in range(2):
        warehouse.load([schema({"id": "integer", "v": new}), record(id=2, v=b)], **way)
    assert warehouse.type_of("s", "v") == sql_type
    assert [v for (v,) in warehouse.sql("select v::text from {s}.s order by id")] == expected


CLASHES: list[tuple[t.Any, t.Any, t.Any, t.Any, str]] = [
    ("integer", 5, "boolean", True, "v__boolean"),
    ("integer", 5, "object", {"a": 1}, "v__jsonb"),
    (DATE_TIME, "2024-01-01T00:00:00Z", "integer", 5, "v__bigint"),
    ("boolean", True, DATE_TIME, "2024-01-01T00:00:00Z", "v__timestamptz"),
]


@pytest.mark.parametrize(("old", "a", "new", "b", "column"), CLASHES)
def test_clashing_types_go_to_a_versioned_column(
    warehouse: Warehouse, way: Way, old: t.Any, a: t.Any, new: t.Any, b: t.Any, column: str
) -> None:
    first, second = (schema({"id": "integer", "v": kind}) for kind in (old, new))
    warehouse.load([first, record(id=1, v=a), record(id=2, v=a)], **way)
    for _ in range(2):
        warehouse.load([second, record(id=2, v=b)], **way)
    query = f"select id, v is not null, {column} is not null from {{s}}.s order by id"
    # The value is in one of the two, never in both: the old one would be stale.
    assert warehouse.sql(query) == [(1, True, False), (2, False, True)]
    warehouse.load([first, record(id=2, v=a)], **way)
    assert warehouse.sql(query) == [(1, True, False), (2, True, False)]


def test_columns_that_others_added_are_not_changed(warehouse: Warehouse, way: Way) -> None:
    s = schema({"id": "integer", "v": "integer"})
    warehouse.load([s, record(id=1, v=1)], **way)
    warehouse.sql("alter table {s}.s add column v__note text, add column mine int")
    warehouse.sql("update {s}.s set v__note = 'set', mine = 7")
    warehouse.load([s, record(id=1, v=2)], **way)
    assert warehouse.sql("select v, v__note, mine from {s}.s") == [(2, "set", 7)]


def test_a_view_on_the_column_does_not_stop_the_load(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([schema({"id": "integer", "v": "integer"}), record(id=1, v=5)], **way)
    warehouse.sql("create view {s}.stg as select v from {s}.s")
    for _ in range(2):
        warehouse.load([schema({"id": "integer", "v": "string"}), record(id=2, v="x")], **way)
    assert warehouse.sql("select v, v__text from {s}.s order by id") == [(5, None), (None, "x")]


def test_a_key_of_another_type_is_refused(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([schema({"id": "boolean"}), record(id=True)], **way)
    with pytest.raises(DataRefusedError, match="Key column id"):
        warehouse.load([schema({"id": "integer"}), record(id=1)], **way)


def test_a_table_of_the_stock_target_is_extended(warehouse: Warehouse, way: Way) -> None:
    warehouse.sql("create schema {s}")
    warehouse.sql(
        "create table {s}.s (id integer primary key, at timestamp, tags text[], o json, extra text)"
    )
    warehouse.sql(
        "insert into {s}.s values (1, '2024-01-01 12:00', '{{a,b}}', '{{\"a\": 1}}', 'k')".replace(
            "{{", "{"
        ).replace("}}", "}")
    )
    full = schema({"id": "integer", "at": DATE_TIME, "tags": "array", "o": "object"})
    warehouse.load([full, record(id=2, at="2024-01-01T12:00:00Z", tags=["c"], o={"a": 2})], **way)
    assert warehouse.sql("select id, at::text, tags, o, extra from {s}.s order by id") == [
        (1, "2024-01-01 12:00:00+00", ["a", "b"], {"a": 1}, "k"),
        (2, "2024-01-01 12:00:00+00", ["c"], {"a": 2}, None),
    ]


FEATURES: list[tuple[str, dict[str, t.Any]]] = [
    ("stream map", {"stream_maps": {"s": {"v": "record['v'].upper()"}}}),
    ("flattening", {"flattening_enabled": True, "flattening_max_depth": 1}),
    ("validate_records", {"validate_records": True}),
]


@pytest.mark.parametrize(("reason", "config"), FEATURES)
def test_the_slow_path_logs_its_reason_once(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, reason: str, config: dict
) -> None:
    with caplog.at_level(logging.INFO):
        warehouse.load(
            [
                schema(
                    {
                        "id": "integer",
                        "v": "string",
                        "o": {"type": "object", "properties": {"k": {"type": "integer"}}},
                    }
                ),
                *[record(id=i, v="x", o={"k": i}) for i in range(5)],
            ],
            **config,
        )
    assert (
        sum("slow path" in r.getMessage() and reason in r.getMessage() for r in caplog.records) == 1
    )
    assert warehouse.one("select count(*) from {s}.s") == 5
    if reason == "stream map":
        assert warehouse.one("select min(v) from {s}.s") == "X"
    if reason == "flattening":
        assert warehouse.one("select max(o__k) from {s}.s") == 4


def test_batch_messages_are_loaded(warehouse: Warehouse, tmp_path: t.Any) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text("".join(f'{{"id":{i},"v":"x"}}\n' for i in range(9)))
    batch = {
        "type": "BATCH",
        "stream": "s",
        "encoding": {"format": "jsonl", "compression": "none"},
        "manifest": [f"file://{path}"],
    }
    warehouse.load([schema({"id": "integer", "v": "string"}), batch], batch_size_rows=4)
    assert warehouse.one("select count(*) from {s}.s where v = 'x'") == 9
