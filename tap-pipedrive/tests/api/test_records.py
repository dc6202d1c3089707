"""Records are converted where the API differs from its schema, and else unchanged."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_pipedrive.api.openapi.schema import property_type, stream_schema
from tap_pipedrive.api.records import PageReader, RecordShaper, time_or_none

TYPES = {"id": "integer", "update_time": "date-time", "due_date": "date", "name": "string"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2024-02-12 09:14:35", "2024-02-12T09:14:35Z"),
        ("2024-02-12T09:14:35Z", "2024-02-12T09:14:35Z"),
        ("2024-02-12T09:14:35.120Z", "2024-02-12T09:14:35.120Z"),
        ("2024-02-12T09:14:35+02:00", "2024-02-12T09:14:35+02:00"),
        ("2024-02-12T09:14:35", "2024-02-12T09:14:35Z"),
        ("0000-00-00 00:00:00", None),
        ("", None),
    ],
)
def test_times_become_utc(raw: str, expected: str | None) -> None:
    assert time_or_none(raw) == expected


def test_impossible_dates_become_null_and_unknown_properties_are_stored() -> None:
    shaper = RecordShaper(TYPES)
    record = {
        "id": 1,
        "update_time": "0000-00-00 00:00:00",
        "due_date": "0000-00-00",
        "new": {"a": 1},
    }
    assert shaper.shape([record]) == [
        {
            "id": 1,
            "update_time": None,
            "due_date": None,
            "_extra": {
                "new": {"a": 1},
                "update_time": "0000-00-00 00:00:00",
                "due_date": "0000-00-00",
            },
        }
    ]
    assert shaper.unknown == {"new"}
    assert shaper.nulled == 2


def test_custom_fields_of_v1_do_not_count_as_unknown() -> None:
    shaper, key = RecordShaper(TYPES), "d7e846f071c4a45fe0146daf4a9789c1697d70f3"
    (shaped,) = shaper.shape([{"id": 1, key: 7, f"{key}_currency": "BRL"}])
    assert shaped["_extra"] == {key: 7, f"{key}_currency": "BRL"}
    assert shaper.unknown == set()


def test_values_of_another_type_are_stored_in_extra() -> None:
    shaper = RecordShaper(TYPES | {"value": "number", "flag": "boolean", "tags": "array"})
    good = {"id": 1, "name": "a", "value": 3, "flag": True, "tags": [1]}
    odd = {"id": 2.0, "name": 7, "value": "12,5", "flag": "yes", "tags": {}, "update_time": 99}
    assert shaper.shape([dict(good), dict(odd)]) == [
        good,
        {
            "id": 2,
            "name": None,
            "value": None,
            "flag": None,
            "tags": None,
            "update_time": None,
            "_extra": {"name": 7, "value": "12,5", "flag": "yes", "tags": {}, "update_time": 99},
        },
    ]
    assert shaper.retyped == {"name", "value", "flag", "tags", "update_time"}
    assert not shaper.unknown
    assert shaper.nulled == 5


@given(
    st.dictionaries(
        st.sampled_from([*TYPES, "x", "y"]).filter(lambda n: n not in ("update_time", "due_date")),
        st.integers() | st.sampled_from(["", "a", "é"]) | st.none(),
    )
)
def test_every_value_is_in_its_column_or_in_extra(record: dict) -> None:
    (shaped,) = RecordShaper(TYPES).shape([dict(record)])
    stored = {**shaped, **shaped.get("_extra", {})}
    assert all(stored[name] == value for name, value in record.items())


def test_property_names_distinguish_times_from_durations() -> None:
    assert property_type("stage_change_time", "string") == "date-time"
    assert property_type("due_time", "string") == "string"
    assert property_type("last_login", "string") == "date-time"
    assert property_type("due_date", "string") == "date"
    assert property_type("add_time", "integer") == "integer"


def test_only_the_key_is_required() -> None:
    schema = stream_schema(TYPES, ("id",))
    assert schema["required"] == ["id"]
    assert schema["properties"]["id"] == {"type": ["integer"]}
    assert all("null" in p["type"] for n, p in schema["properties"].items() if n != "id")
    assert "_extra" in schema["properties"]


TEXTS = st.sampled_from(["", "a", "é", '"', "\n", "🎯"])
FULL = TYPES | {"value": "number", "flag": "boolean", "tags": "array", "custom_fields": "object"}
FITTING = {
    "id": st.integers(-(2**63), 2**63 - 1),
    "update_time": st.sampled_from(["2024-02-12T09:14:35Z", "2024-02-12T09:14:35.120+02:00"]),
    "due_date": st.just("2024-02-12"),
    "name": TEXTS,
    "value": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "tags": st.lists(st.integers() | TEXTS, max_size=3),
    "custom_fields": st.dictionaries(TEXTS, st.none() | st.integers() | TEXTS, max_size=3),
}
ODD = st.sampled_from(
    ["", "0000-00-00", "0000-00-00 00:00:00", "2024-02-12 09:14:35", 7, 2.0, True, [], {}, "x"]
)
a_record = st.fixed_dictionaries({}, optional={n: st.none() | v for n, v in FITTING.items()})


@given(st.lists(a_record, max_size=3))
def test_a_fitting_page_is_read_as_rows(records: list[dict[str, Any]]) -> None:
    body = msgspec.json.encode({"success": True, "data": records, "additional_data": {"c": 1}})
    reader = PageReader.of(FULL)
    assert reader is not None
    page = reader.read(body)
    assert page is not None
    assert [msgspec.json.decode(msgspec.json.encode(row)) for row in page[0]] == records
    assert page[1] == {"c": 1}
    for row, record in zip(page[0], records, strict=True):
        assert ("id" in row) is ("id" in record) and row.get("name", 5) == record.get("name", 5)


@given(a_record, st.sampled_from([*FITTING, "unheard_of"]), ODD)
def test_a_page_that_does_not_fit_is_not_read_as_rows(
    record: dict[str, Any], name: str, value: Any
) -> None:
    """Both ways of reading agree, or the page reader refuses the page."""
    record = {**record, name: value}
    body = msgspec.json.encode({"success": True, "data": [record]})
    shaped = RecordShaper(FULL).shape([copy.deepcopy(record)])
    reader = PageReader.of(FULL)
    assert reader is not None
    if page := reader.read(body):
        assert [msgspec.json.decode(msgspec.json.encode(row)) for row in page[0]] == shaped


def test_a_response_without_success_is_not_a_page() -> None:
    reader = PageReader.of(FULL)
    assert reader is not None
    for body in (b'{"success":false,"data":[]}', b'{"success":true,"data":null}', b"null", b"{"):
        assert reader.read(body) is None
    assert PageReader.of({"not a name": "string"}) is None
    assert PageReader.of({"get": "string"}) is None
