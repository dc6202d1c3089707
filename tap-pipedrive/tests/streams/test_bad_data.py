"""Invalid values, records and responses are handled alone; everything else is delivered."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_simulator.testing import running_simulator
from tap_runs import Output

from tap_pipedrive import errors
from tap_pipedrive.api.lenient_json import NotJsonError, decode_body
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.records import (
    PageReader,
    RecordShaper,
    _check_utf8,
    converted,
    date_or_none,
    time_or_none,
)
from tap_pipedrive.api.responses import page_of
from tap_pipedrive.quarantine import Quarantine
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.tap import TapPipedrive
from tap_pipedrive.times import to_text, to_time

Sync = Callable[..., Output]
DEALS = operation("v2 /deals")

# -- any page ------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
ODD_TEXTS = [
    b"NaN", b"-Infinity", b"1e400", b'"caf\xe9"', b'"\\ud800"', b'"a\\u0000b"', b'"\xed\xa0\x80"',
    b'"a\nb"', b"9" * 400, b"[" * 1000 + b"]" * 1000, b'{"a":[{"b":NaN},1]}', b"01", b"nul", b"",
    b'{"x":1,"x":2}', b'"2026-13-45"', b'"0000-00-00 00:00:00"', b'"yesterday"', b'"-infinity"',
    b'"12"', b'"12.50"', b"1", b'"true"', b'{"value":1}', b'{"a":1,}', b'{"\xff":1}',
]  # fmt: skip
value_texts = st.sampled_from(ODD_TEXTS) | json_values.map(lambda v: json.dumps(v).encode())
names = st.sampled_from([
    "id", "title", "value", "update_time", "add_time", "stage_change_time", "is_deleted",
    "label_ids", "custom_fields", "expected_close_date", "_extra", "unheard_of", "stage_id",
])  # fmt: skip


@st.composite
def elements(draw: Any, number: int) -> bytes:
    """An element of a list, with its number as a mark."""
    mark = b'"mark":"<%d>"' % number
    kind = draw(st.sampled_from(["record", "record", "record", "no record"]))
    if kind == "no record":
        return draw(st.sampled_from([b'"<%d>"', b'["<%d>"]', b'{"a" "<%d>"}', b"{%d}"])) % number
    members = draw(st.lists(st.tuples(names, value_texts), max_size=4))
    texts = [b'"id":%d' % number, *(b'"%b":%b' % (n.encode(), v) for n, v in members), mark]
    return b"{%b}" % b",".join(texts)


pages = st.integers(0, 4).flatmap(lambda n: st.tuples(*(elements(1000 + i) for i in range(n))))


@pytest.fixture(scope="module")
def deals_stream() -> Iterator[PipedriveStream]:
    tap = TapPipedrive(config={"api_token": "0" * 40, "api_url": "http://127.0.0.1:9"})
    for stream in tap.streams.values():
        stream.selected = stream.name == "deals"
    yield tap.streams["deals"]  # type: ignore[misc]


def emitted(stream: PipedriveStream, body: bytes) -> Output:
    """Return what the stream writes for the body of a response."""
    stream._run.quarantine = Quarantine()
    real, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        stream._schema_written = False
        stream._write_schema_message()
        page = page_of(body, "GET /deals", DEALS, stream._reader)
        stream.emit(stream.screen(DEALS)(page).records)
        stream._run.quarantine.write(stream._run.writer)
        sys.stdout.flush()
        return Output.parse(sys.stdout.buffer.getvalue())  # type: ignore[attr-defined]
    finally:
        sys.stdout = real


@settings(deadline=None, max_examples=150)
@given(page=pages)
def test_each_record_is_delivered_or_quarantined(
    deals_stream: PipedriveStream, page: tuple[bytes, ...]
) -> None:
    body = b'{"success":true,"data":[%b],"additional_data":{"next_cursor":"c"}}' % b",".join(page)
    output = emitted(deals_stream, body)
    delivered = json.dumps([r.get("_extra") for r in output.records["deals"]])
    quarantined = json.dumps([r["record"] for r in output.records["tap_quarantine"]])
    for number in range(1000, 1000 + len(page)):
        set_aside = re.search(rf"(?<!\d){number}(?!\d)", quarantined)
        assert (f"<{number}>" in delivered) != bool(set_aside), (number, page)
    total = len(output.records["deals"]) + len(output.records["tap_quarantine"])
    assert total == len(page)
    assert deals_stream._run.quarantine.count == len(output.records["tap_quarantine"])


@settings(deadline=None, max_examples=300)
@given(body=st.binary(max_size=60) | st.text('{}[]":,1ad \\', max_size=40).map(str.encode))
def test_any_bytes_are_a_page_or_a_fault_to_retry(body: bytes) -> None:
    for text in (body, b'{"data":' + body, b'{"data":[' + body + b"]}"):
        try:
            page = page_of(text, "GET /deals", DEALS)
        except errors.RetriableError:
            continue
        assert all(isinstance(record, dict) for record in page.records)


@given(st.lists(json_values, max_size=4), st.data())
def test_a_truncated_body_is_refused(values: list[Any], data: Any) -> None:
    body = json.dumps({"success": True, "data": values}).encode()
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(NotJsonError):
        decode_body(body[:cut])


@given(st.lists(json_values, max_size=4))
def test_lenient_decoding_of_valid_json_equals_strict_decoding(values: list[Any]) -> None:
    body = msgspec.json.encode({"success": True, "data": values, "additional_data": {"a": 1}})
    answer = decode_body(body)
    assert answer.members["additional_data"] == {"a": 1}
    assert answer.records is not None
    strict = msgspec.json.decode(body)["data"]
    assert [r.record for r in answer.records] == [
        v if isinstance(v, dict) else None for v in strict
    ]


@given(st.binary(max_size=20) | st.text(max_size=12).map(lambda t: t.encode(errors="replace")))
def test_a_check_in_parts_equals_a_check_of_the_whole(body: bytes) -> None:
    def is_text(check: Callable[[], object]) -> bool:
        try:
            check()
        except UnicodeDecodeError:
            return False
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_pipedrive.api.records._CHUNK", 4)
        assert is_text(lambda: _check_utf8(body)) == is_text(body.decode)


def test_an_invalid_custom_field_leaves_the_others_unchanged(deals_stream: PipedriveStream) -> None:
    body = b'{"success":true,"data":[{"id":1,"custom_fields":{"a":7,"b":NaN,"c":"x\\ud800"}}]}'
    (deal,) = emitted(deals_stream, body).records["deals"]
    assert deal["custom_fields"] == {"a": 7, "b": None, "c": None}
    assert deal["_extra"] == {"custom_fields.b": "NaN", "custom_fields.c": "x\\ud800"}
    assert "custom_fields" in deals_stream._drift_reported


def test_the_page_reader_refuses_invalid_bytes(deals_stream: PipedriveStream) -> None:
    body = b'{"success":true,"data":[{"id":1,"custom_fields":{"a":"caf\xe9"}}]}'
    assert deals_stream._reader is not None and deals_stream._reader.read(body) is None
    (deal,) = emitted(deals_stream, body).records["deals"]
    assert deal["_extra"] == {"custom_fields.a": "caf\\xe9"}


def test_a_value_nested_too_deep_to_encode_is_stored_as_text() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    shaper = RecordShaper({"id": "integer", "tags": "array"})
    record = {"id": 1, "tags": deep}
    shaper.set_deep_values_aside([record])
    assert record["tags"] is None
    assert record["_extra"] == {"tags": "[" * 5000 + "1" + "]" * 5000}
    assert shaper.nulled == 1


def test_the_quarantine_holds_no_secret() -> None:
    tap = TapPipedrive(config={"api_token": "0" * 40, "api_url": "http://127.0.0.1:9"})
    webhooks: Any = tap.streams["webhooks"]
    for text in (b'{"http_auth_password":"hush","url":"x"}', b'{"http_auth_password":"hush\xff"}',
                 b'{"http_auth_password" "hush"}'):  # fmt: skip
        webhooks.quarantine("has no usable id", text)
    assert webhooks.quarantined == 3
    assert "hush" not in repr(tap.run_context.quarantine._waiting)


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", "12", 12), ("integer", "-3", -3), ("integer", "12.0", 12), ("integer", 2.0, 2),
        ("integer", "12.5", None), ("integer", "007", None), ("integer", "1e3", None),
        ("integer", str(2**63), None), ("integer", 2**63, None), ("integer", True, None),
        ("integer", "9" * 5000, None), ("integer", "\uff11\uff12", None), ("integer", " 12", None),
        ("number", "12.50", 12.5), ("number", "12", 12), ("number", "1e3", 1000.0),
        ("number", "0.1", 0.1), ("number", "12,5", None), ("number", "NaN", None),
        ("number", "12345678901234567.891", None), ("number", "1e400", None),
        ("number", True, None),
        ("boolean", 1, True), ("boolean", 0, False), ("boolean", "1", True),
        ("boolean", "0", False),
        ("boolean", "true", True), ("boolean", "yes", None), ("boolean", 2, None),
        ("boolean", [], None), ("string", 7, None), ("date-time", 1700000000, None),
    ],
)  # fmt: skip
def test_conversions_keep_the_value(kind: str, value: Any, expected: Any) -> None:
    found = converted(value, kind)
    assert found == expected and type(found) is type(expected)
    (record,) = RecordShaper({"x": kind}).shape([{"x": value}])
    stored = {} if expected is not None else {"_extra": {"x": value}}
    assert record == {"x": expected, **stored}


IMPOSSIBLE = [
    "-0001-11-30T00:00:00Z", "-0001-11-30 00:00:00", "0000-00-00 00:00:00", "0000-00-00",
    "-infinity", "infinity", "2026-02-30", "2026-02-30 10:00:00",
    "2025-02-29T00:00:00Z", "2026-13-45",
    "292277-01-01T00:00:00Z", "yesterday", "now", "2026-01-01T25:00:00Z",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00", "2026-01-01T00:00:00+99:00", "2026-01-01T00:00:00Zjunk",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["date-time", "date"])
@pytest.mark.parametrize("value", IMPOSSIBLE)
def test_an_impossible_date_is_null_and_its_text_is_stored(kind: str, value: str) -> None:
    shaper = RecordShaper({"id": "integer", "x": kind})
    assert shaper.shape([{"id": 1, "x": value}]) == [{"id": 1, "x": None, "_extra": {"x": value}}]
    assert shaper.nulled == 1
    reader = PageReader.of({"id": "integer", "x": kind})
    assert reader is not None
    assert reader.read(msgspec.json.encode({"data": [{"id": 1, "x": value}]})) is None


@pytest.mark.parametrize(
    ("value", "aside"),
    [
        ("2026-02-28", {}), ("2026-02-28T00:00:00Z", {}), ("2026-02-28 00:00:00.000", {}),
        ("2026-02-28T00:00:00-03:00", {"x": "2026-02-28T00:00:00-03:00"}),
        ("9999-12-31T23:59:59Z", {"x": "9999-12-31T23:59:59Z"}),
        ("2024-02-29 00:01", {"x": "2024-02-29 00:01"}),
    ],
)  # fmt: skip
def test_a_time_in_place_of_a_day_is_its_day_and_its_clock_is_stored(
    value: str, aside: dict[str, str]
) -> None:
    (record,) = RecordShaper({"x": "date"}).shape([{"x": value}])
    assert record == {"x": value[:10], **({"_extra": aside} if aside else {})}
    reader = PageReader.of({"id": "integer", "x": "date"})
    assert reader is not None
    page = reader.read(msgspec.json.encode({"data": [{"id": 1, "x": value}]}))
    assert (page is None) == (len(value) > 10)


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-29T00:00:00Z",
        "2000-02-29T00:00:00Z",
        "2026-01-31T23:59:59.999999Z", "2026-01-31T23:59:59-03:00", "1900-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_a_valid_time_is_read_as_a_row(value: str) -> None:
    reader = PageReader.of({"id": "integer", "x": "date-time", "y": "date"})
    assert reader is not None
    page = reader.read(msgspec.json.encode({"data": [{"id": 1, "x": value, "y": value[:10]}]}))
    assert page is not None and page[0][0].x == value
    assert time_or_none(value) == value and date_or_none(value[:10]) == value[:10]


@given(st.datetimes(), st.sampled_from(["Z", "+02:00", "", " -0330"]), st.sampled_from("T "))
def test_all_valid_times_are_stored(moment: Any, zone: str, separator: str) -> None:
    text = moment.isoformat(separator) + zone
    found = time_or_none(text)
    if found is None:
        assert moment.year in (1, 9999) and zone.strip() not in ("", "Z")
    elif not zone:
        assert to_time(found).replace(tzinfo=None) == moment
    assert to_text(to_time("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00Z"


# -- whole runs ----------------------------------------------------------------------------------


@pytest.fixture
def simulator() -> Iterator[Any]:
    """A small account, because there are many short runs."""
    with running_simulator(deals=60, seed=7) as running:
        yield running


def listed(simulator: Any, entity: str) -> set[Any]:
    return {record["id"] for record in simulator.truth(entity) if record.get("_listed", True)}


def ids(output: Output, stream: str) -> list[Any]:
    return [record["id"] for record in output.records[stream]]


LISTS = {"deals": "getDeals", "persons": "getPersons", "notes": "getNotes", "leads": "getLeads"}


@pytest.mark.parametrize(
    "oddity",
    ["invalid_utf8", "lone_surrogate", "nan", "infinity", "1e400", "huge_integer", "deep"],
)
def test_one_invalid_value_nulls_only_itself(simulator: Any, sync: Sync, oddity: str) -> None:
    fields = {"deals": "title", "persons": "name", "notes": "content", "leads": "title"}
    for stream, op in LISTS.items():
        rule = {"kind": "bad_record", "oddity": oddity, "field_name": fields[stream], "record": 3}
        simulator.control("POST", "faults", {**rule, "operation": op})
    output = sync(only={*LISTS}, page_size=10)
    for stream in LISTS:
        assert set(ids(output, stream)) == listed(simulator, stream), stream
        odd = [r for r in output.records[stream] if fields[stream] in (r.get("_extra") or {})]
        assert odd and all(r[fields[stream]] is None for r in odd)
    assert not output.records["tap_quarantine"]
    assert output.state["bookmarks"]["persons"]["first_walk_done"]


@pytest.mark.parametrize("oddity", ["no_id", "null_id", "not_an_object", "null", "broken"])
def test_one_invalid_record_is_quarantined_alone(simulator: Any, sync: Sync, oddity: str) -> None:
    for op in LISTS.values():
        rule = {"kind": "bad_record", "oddity": oddity, "record": 2, "operation": op}
        simulator.control("POST", "faults", rule)
    output = sync(only={*LISTS}, page_size=10)
    for stream in LISTS:
        assert set(ids(output, stream)) == listed(simulator, stream), stream
    quarantined = output.records["tap_quarantine"]
    assert {record["stream"] for record in quarantined} == {*LISTS}
    assert len(quarantined) == len(LISTS), "once a run, however often it is met"
    assert all(record["reason"] and record["record"] for record in quarantined)
    schema = output.schemas["tap_quarantine"]
    assert schema["key_properties"] == []
    assert list(schema["schema"]["properties"]) == [
        "stream", "key", "reason", "record", "extracted_at"
    ]  # fmt: skip
    written = [
        place for place, reported in enumerate(output.order) if reported[1] == "tap_quarantine"
    ]
    assert output.order[written[0]][0] == "SCHEMA"
    assert "STATE" in [kind for kind, _ in output.order[written[-1] :]]


def test_a_page_without_any_usable_record_writes_no_message(deals_stream: PipedriveStream) -> None:
    deals_stream._run.quarantine = Quarantine()
    fields = deals_stream._streams["person_fields"]
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(written):
        fields.emit([{"field_name": "without its key"}])
        written.flush()
    output = Output.parse(written.buffer.getvalue())  # type: ignore[attr-defined]
    assert output.records.keys() == {"tap_quarantine"}
    assert (fields.emitted, fields.quarantined) == (0, 1)


@pytest.mark.parametrize("windows", [1, 6])
@pytest.mark.parametrize("place", [0, 4])
@pytest.mark.parametrize(
    "time", ['"yesterday"', '"2026-13-45"', "7", '"9999-12-31T00:00:00Z"', "{}"]
)
def test_an_impossible_update_time_does_not_move_the_bookmark(
    simulator: Any, sync: Sync, time: str, place: int, windows: int
) -> None:
    for op in ("getDeals", "getPersons", "getNotes", "getLeads"):
        rule = {"kind": "bad_record", "field_name": "update_time", "value": time, "record": place}
        simulator.control("POST", "faults", {**rule, "operation": op, "every": 2})
    only = {*LISTS, "deal_changelog", "deal_changelog_sync"}
    output = sync(only=only, page_size=5, windows=windows)
    for stream in LISTS:
        assert set(ids(output, stream)) == listed(simulator, stream), stream
    marks = {mark["deal_id"] for mark in output.records["deal_changelog_sync"]}
    assert marks == listed(simulator, "deals")
    now = to_time(simulator.control("GET", "clock")["now"])
    for name, state in output.state["bookmarks"].items():
        for read in state.get("partitions", [state]):
            if value := read.get("replication_key_value"):
                assert to_time(value) <= now, name


def test_the_log_of_a_deal_with_an_impossible_update_time_is_read_once(
    simulator: Any, sync: Sync, tmp_path: Any
) -> None:
    simulator.account.advance_clock(5)
    for op in ("getDeals", "getArchivedDeals"):
        rule = {"kind": "bad_record", "field_name": "update_time", "value": '"yesterday"'}
        simulator.control("POST", "faults", {**rule, "operation": op})
    state: dict[str, Any] = {}
    requested = []
    for _ in range(3):
        simulator.control("POST", "stats/reset")
        output = sync(state, state_dir=str(tmp_path))
        state = output.state
        calls = simulator.control("GET", "stats")["operations"]
        requested.append(calls.get("getDealChangelog", {"calls": 0})["calls"])
        assert len(json.dumps(state)) < 64 * 1024
    assert requested[0] > 50 and requested[2] == 0, requested


@pytest.mark.parametrize("is_alone", [False, True], ids=["with deals", "alone"])
def test_a_value_of_any_kind_in_any_property_of_a_deal_stops_no_history(
    simulator: Any, sync: Sync, tmp_path: Any, is_alone: bool
) -> None:
    """Each on a deal of its own, in the first sync and in the one that meets them edited.

    Where deals are not sent, or were sent by an earlier run, nobody has made their values fit.
    """
    names = (
        *("status", "close_time", "won_time", "stage_change_time", "add_time"),
        *("is_deleted", "is_archived", "stage_id", "pipeline_id", "owner_id", "custom_fields"),
    )
    kinds = ('{"unexpected": [1]}', "[[1], null]", "-7.5", "true", '"none of these"')
    odd = [(name, value) for name in names for value in kinds]
    sound = (d for d in simulator.truth("deals") if not (d["is_archived"] or d["is_deleted"]))
    chosen = [deal["id"] for deal in sound][: len(odd)]
    assert len(chosen) == len(odd)
    for deal_id, (name, value) in zip(chosen, odd, strict=True):
        rule = {"kind": "bad_record", "field_name": name, "value": value, "key": deal_id}
        simulator.control("POST", "faults", {**rule, "operation": "getDeals"})
    only = {"deal_changelog", "deal_changelog_sync", *([] if is_alone else ["deals"])}
    first = sync(only=only, state_dir=str(tmp_path))
    simulator.account.advance_clock(3600)
    for deal_id in chosen:
        simulator.account.update_deal(deal_id, title="edited")
    second = sync(first.state, only=only, state_dir=str(tmp_path))
    read = {row["deal_id"] for row in first.records["deal_changelog_sync"]}
    assert set(chosen) <= read
    for output in () if is_alone else (first, second):
        assert set(chosen) <= set(ids(output, "deals"))


def test_the_log_of_a_deal_that_moved_while_it_was_no_record_is_read(
    simulator: Any, sync: Sync, tmp_path: Any
) -> None:
    account, only = simulator.account, {"deals", "deal_changelog", "deal_changelog_sync"}
    state = sync(only=only, state_dir=str(tmp_path)).state
    moved, other = sorted(d["id"] for d in simulator.truth("deals") if d["status"] == "open")[:2]
    rule = {"kind": "bad_record", "oddity": "null", "key": moved, "operation": "getDeals"}
    simulator.control("POST", "faults", rule)
    for deal_id in (moved, other):
        account.advance_clock(3600)
        (deal,) = (d for d in simulator.truth("deals") if d["id"] == deal_id)
        stages = [s for s in simulator.truth("stages") if s["pipeline_id"] == deal["pipeline_id"]]
        (to, *_) = (s["id"] for s in stages if s["id"] != deal["stage_id"])
        edit = {"op": "move_deal", "deal_id": deal_id, "stage_id": to}
        simulator.control("POST", "edit", edit)
    account.advance_clock(3600)
    output = sync(state, only=only, state_dir=str(tmp_path))
    assert {mark["deal_id"] for mark in output.records["deal_changelog_sync"]} == {other}

    simulator.control("DELETE", "faults")
    edit = {"op": "update_deal", "deal_id": moved, "value": 12}
    simulator.control("POST", "edit", edit)
    output = sync(output.state, only=only, state_dir=str(tmp_path))
    assert moved in {mark["deal_id"] for mark in output.records["deal_changelog_sync"]}


def test_the_log_of_a_deal_that_was_closed_at_no_time_is_read(
    simulator: Any, sync: Sync, tmp_path: Any
) -> None:
    account, only = simulator.account, {"deals", "deal_changelog", "deal_changelog_sync"}
    state = sync(only=only, state_dir=str(tmp_path)).state
    won = min(d["id"] for d in simulator.truth("deals") if d["status"] == "open")
    rule = {"kind": "bad_record", "field_name": "close_time", "value": '""', "key": won}
    simulator.control("POST", "faults", {**rule, "operation": "getDeals"})
    account.advance_clock(3600)
    simulator.control("POST", "edit", {"op": "win_deal", "deal_id": won})
    account.advance_clock(3600)
    output = sync(state, only=only, state_dir=str(tmp_path))
    assert {mark["deal_id"] for mark in output.records["deal_changelog_sync"]} == {won}


def test_an_incomplete_sweep_marks_nothing_as_deleted(simulator: Any, sync: Sync) -> None:
    rule = {"kind": "bad_record", "oddity": "no_id", "operation": "getPersons"}
    simulator.control("POST", "faults", rule)
    output = sync(only={"persons", "organizations"}, sweep=True)
    assert output.versions.keys() == {"organizations"}


def test_the_report_counts_quarantined_records(
    simulator: Any, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"kind": "bad_record", "operation": "getPersons", "count": 1}
    simulator.control("POST", "faults", {**rule, "oddity": "no_id"})
    simulator.control("POST", "faults", {**rule, "oddity": "nan", "field_name": "name"})
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(tmp_path / "report.json"))
    sync(only={"persons"}, page_size=10, windows=1)
    streams = json.loads((tmp_path / "report.json").read_text())["streams"]
    counts = ("outcome", "quarantined", "nulled_values", "incomplete_parents")
    assert [streams["persons"][name] for name in counts] == ["complete", 1, 1, 0]
    assert streams["tap_quarantine"]["records"] == 1
