"""Unit tests of small parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeboard_target_postgres.columns import Column, adapt, identifier, versioned
from pipeboard_target_postgres.encoder import RecordEncoder
from pipeboard_target_postgres.staging import Staging, fields


def encoder(*columns: Column) -> RecordEncoder:
    return RecordEncoder("s", columns, ["id"], metadata=False, sanitize=True)


@given(st.text(max_size=200))
def test_identifiers_fit_and_are_stable(name: str) -> None:
    made = identifier(name)
    assert 1 <= len(made.encode()) <= 63
    assert "\0" not in made
    assert identifier(made) == made
    assert len(versioned(made, "timestamp with time zone").encode()) <= 63


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_fields_undo_encode(values: list[str]) -> None:
    import json

    columns = [Column("id", "id", "bigint"), Column("v", "v", "text"), Column("n", "n", "text")]
    for value in values:
        message = {"type": "RECORD", "stream": "s", "record": {"n": None, "v": value, "id": 1}}
        encoded = encoder(*columns).encode(json.dumps(message).encode())
        assert encoded
        assert b"\n" not in encoded[0]
        assert fields(encoded[0]) == ["1", value, None]


def test_keys_are_compared_by_bytes_only_where_that_is_exact() -> None:
    def distinct(sql_type: str, *rows: bytes) -> bool:
        columns = [Column("id", "id", sql_type), Column("v", "v", "text")]
        return Staging("x", columns, ["id"]).distinct_keys(list(rows)) is not None

    assert distinct("bigint", b"1\ta", b"2\ta")
    assert not distinct("bigint", b"1\ta", b"1\tb")
    assert not distinct("bigint", b"1\ta", b"01\tb")
    assert not distinct("bigint", b"0\ta", b"-0\tb")
    assert distinct("text", b"1\ta", b"01\tb")
    assert not distinct("numeric", b"1\ta", b"2\tb")


def test_keys_come_first_and_nested_values_last() -> None:
    made = encoder(
        Column("o", "o", "jsonb"), Column("v", "v", "text"), Column("id", "id", "bigint")
    )
    assert [c.name for c in made.columns] == ["id", "v", "o"]


@given(
    st.sampled_from(
        [
            "bigint",
            "text",
            "jsonb",
            "numeric",
            "boolean",
            "date",
            "timestamp with time zone",
            "uuid",
            "bytea",
            "smallint",
            "numeric(9,2)",
        ]
    ),
    st.sampled_from(
        [
            "bigint",
            "text",
            "jsonb",
            "numeric",
            "boolean",
            "date",
            "timestamp with time zone",
            "uuid",
            "bytea",
        ]
    ),
)
def test_adapting_twice_changes_nothing(existing: str, wanted: str) -> None:
    change = adapt(existing, wanted, '"c"')
    if change.action == "alter":
        assert adapt(change.type, wanted, '"c"').action == "keep"
    if change.action == "clash":
        assert versioned("c", wanted) != "c"
