"""Every type is stored as it was sent, on both paths."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import typing as t
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loader_helpers import DATE, DATE_TIME, Warehouse, record, schema

UTC = dt.timezone.utc
Way = dict[str, t.Any]

MATRIX: list[tuple[t.Any, str, str, t.Any]] = [
    # JSON Schema, JSON text of the value, column type, value read back
    ("integer", "9223372036854775807", "bigint", 9223372036854775807),
    ("integer", "-1", "bigint", -1),
    ("integer", "1.0", "bigint", 1),
    ("number", "0.1", "numeric", decimal.Decimal("0.1")),
    (
        "number",
        "12345678901234567890.123456789",
        "numeric",
        decimal.Decimal("12345678901234567890.123456789"),
    ),
    ("number", "1e3", "numeric", decimal.Decimal(1000)),
    ("number", "10005534", "numeric", decimal.Decimal(10005534)),
    ("boolean", "true", "boolean", True),
    ("boolean", "false", "boolean", False),
    ("string", '""', "text", ""),
    ("string", '"null"', "text", "null"),
    ("string", '"\\\\N"', "text", "\\N"),
    ("string", '"\\\\."', "text", "\\."),
    (
        "string",
        '"a\\tb\\nc\\r\\"q\\" \\\\ \\/ \\u00e7 ç {x} [y]"',
        "text",
        'a\tb\nc\r"q" \\ / ç ç {x} [y]',
    ),
    ("string", "12.50", "text", "12.50"),
    ("string", '{"a": [1, "x\\ty"]}', "text", None),
    ({"type": ["string", "integer", "null"]}, "7", "text", "7"),
    ({"type": ["object", "string", "null"]}, '"plain"', "jsonb", "plain"),
    (
        DATE_TIME,
        '"2024-01-01T12:00:00Z"',
        "timestamp with time zone",
        dt.datetime(2024, 1, 1, 12, tzinfo=UTC),
    ),
    (
        DATE_TIME,
        '"2024-01-01T12:00:00.123456-03:00"',
        "timestamp with time zone",
        dt.datetime(2024, 1, 1, 15, 0, 0, 123456, tzinfo=UTC),
    ),
    (
        DATE_TIME,
        '"2024-01-01 12:00:00"',
        "timestamp with time zone",
        dt.datetime(2024, 1, 1, 12, tzinfo=UTC),
    ),
    (DATE, '"2024-02-29"', "date", dt.date(2024, 2, 29)),
    (
        {"type": ["string", "null"], "format": "time"},
        '"13:14:15"',
        "time without time zone",
        dt.time(13, 14, 15),
    ),
    (
        {"type": ["string", "null"], "format": "uuid"},
        '"00000000-0000-0000-0000-00000000000a"',
        "uuid",
        uuid.UUID(int=10),
    ),
    (
        "object",
        '{"b": 1.10, "a": null, "t": "x\\n\\"\\\\y"}',
        "jsonb",
        {"b": 1.1, "a": None, "t": 'x\n"\\y'},
    ),
    ("object", "{}", "jsonb", {}),
    ("array", "[1, [2], {}]", "jsonb", [1, [2], {}]),
    ({"type": ["array", "null"], "items": {"type": "string"}}, '["x"]', "jsonb", ["x"]),
]


@pytest.mark.parametrize(("definition", "text", "sql_type", "expected"), MATRIX)
def test_a_value_is_stored_as_sent(
    warehouse: Warehouse, way: Way, definition: t.Any, text: str, sql_type: str, expected: t.Any
) -> None:
    if way and definition in ("string", "integer"):
        # Against the schema: validation would refuse it, so use the slow path without validation.
        way = {"stream_maps": {"s": {"id": "record['id']"}}}
    message = '{"type":"RECORD","stream":"s","record":{"id":1,"v":' + text + "}}"
    warehouse.load([schema({"id": "integer", "v": definition}), message], **way)
    assert warehouse.type_of("s", "v") == sql_type
    value = warehouse.one("select v from {s}.s")
    if expected is None:
        assert json.loads(value) == json.loads(text)
    else:
        assert value == expected
        assert type(value) is type(expected)


def test_number_in_jsonb_keeps_its_digits(warehouse: Warehouse, way: Way) -> None:
    message = (
        '{"type":"RECORD","stream":"s","record":{"id":1,"v":{"n":12345678901234567890.1234567890}}}'
    )
    warehouse.load([schema({"id": "integer", "v": "object"}), message], **way)
    assert warehouse.one("select v->>'n' from {s}.s") == "12345678901234567890.1234567890"


@pytest.mark.parametrize("kind", ["integer", "number", "string", "boolean", "object", "array"])
def test_null_is_sql_null(warehouse: Warehouse, way: Way, kind: str) -> None:
    warehouse.load(
        [schema({"id": "integer", "v": kind}), record(id=1, v=None), record(id=2)], **way
    )
    assert warehouse.one("select count(*) from {s}.s where v is null") == 2


def test_the_session_is_in_utc_despite_other_defaults(warehouse: Warehouse, way: Way) -> None:
    """The tests' server is in America/New_York; a role may have a default of its own."""
    warehouse.sql("alter role current_user set timezone = 'Asia/Tokyo'")
    try:
        for use_copy in (True, False):
            warehouse.load(
                [
                    schema({"id": "integer", "v": DATE_TIME}),
                    record(id=1, v="2024-07-01T12:00:00"),
                    record(id=2, v="2024-07-01T12:00:00Z"),
                ],
                **{**way, "use_copy": use_copy},
            )
            assert warehouse.sql("select distinct v from {s}.s") == [
                (dt.datetime(2024, 7, 1, 12, tzinfo=UTC),)
            ]
    finally:
        warehouse.sql("alter role current_user reset timezone")


def test_nul_becomes_a_replacement_character(warehouse: Warehouse, way: Way) -> None:
    message = (
        r'{"type":"RECORD","stream":"s","record":{"id":1,"v":"a\u0000b\\u0000",'
        r'"o":{"k\u0000":"x\u0000\u0000\\\u0000 \\u0000"}}}'
    )
    warehouse.load([schema({"id": "integer", "v": "string", "o": "object"}), message], **way)
    assert warehouse.one("select v from {s}.s") == "a\ufffdb\\u0000"
    assert warehouse.one("select o from {s}.s") == {"k\ufffd": "x\ufffd\ufffd\\\ufffd \\u0000"}


def test_half_a_surrogate_and_nan_do_not_stop_the_run(warehouse: Warehouse) -> None:
    warehouse.load(
        [
            schema({"id": "integer", "v": "string", "n": "number"}),
            r'{"type":"RECORD","stream":"s","record":{"id":1,"v":"x\ud800y","n":NaN}}',
        ]
    )
    assert warehouse.sql("select v, n from {s}.s") == [("x\ufffdy", None)]


def test_hex_is_stored_as_bytes_in_a_bytea_column(warehouse: Warehouse, way: Way) -> None:
    definition = {"type": ["string", "null"], "contentEncoding": "base16"}
    warehouse.load(
        [schema({"id": "integer", "v": definition}), record(id=1, v="0xabc")],
        interpret_content_encoding=True,
        **way,
    )
    assert warehouse.one("select v from {s}.s") == b"\x0a\xbc"


_text = st.text(st.characters(codec="utf-8"), max_size=12)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | _text
    | st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9
    ).map(float),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(_text, _json, _text), min_size=1, max_size=20),
    spaced=st.booleans(),
    ascii_only=st.booleans(),
)
def test_any_value_is_read_back_equal(
    warehouse: Warehouse, rows: list[tuple], spaced: bool, ascii_only: bool
) -> None:
    def clean(value: t.Any) -> t.Any:
        if isinstance(value, str):
            return value.replace("\0", "\ufffd")
        if isinstance(value, list):
            return [clean(v) for v in value]
        if isinstance(value, dict):
            return {clean(k): clean(v) for k, v in value.items()}
        return value

    messages = [
        json.dumps(
            record(id=i, a=a, o=o, b=b),
            ensure_ascii=ascii_only,
            separators=(" , ", "\t: ") if spaced else (",", ":"),
        )
        for i, (a, o, b) in enumerate(rows)
    ]
    properties = {
        "id": "integer",
        "a": "string",
        "o": {"type": ["object", "string", "null"]},
        "b": "string",
    }
    warehouse.sql("drop schema if exists {s} cascade")
    warehouse.load([schema(properties), *messages])
    got = warehouse.sql("select a, o, b from {s}.s order by id")
    assert got == [tuple(map(clean, row)) for row in rows]
