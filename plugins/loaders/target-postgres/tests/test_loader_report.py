"""The loader report: each record received is accounted for, however the run ends."""

from __future__ import annotations

import json
import signal
import stat
import time
import typing as t
from pathlib import Path

import psycopg
import pytest
from loader_helpers import Warehouse, line, record, schema, state
from loader_process import Process, message

from pipeboard_target_postgres.target import TargetPostgres

S = schema({"id": "integer", "n": "integer"})
BARE = schema({"v": "string"}, keys=[], stream="bare")
ASIDE = schema(
    {"stream": "string", "key": "string", "reason": "string", "record": "string"},
    keys=[],
    stream="tap_quarantine",
)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[], dict]:
    path = tmp_path / "report.json"
    monkeypatch.setenv("PIPEBOARD_LOADER_REPORT", str(path))

    def read() -> dict:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        found = json.loads(path.read_text())
        path.unlink()
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith("report")] == []
        for counts in found["streams"].values():
            outcomes = {"inserted", "updated", "unchanged", "quarantined", "superseded", "filtered"}
            assert counts["received"] == sum(counts.get(name, 0) for name in outcomes)
        return found

    return read


@pytest.fixture
def run(warehouse: Warehouse, tmp_path: Path, capsys: t.Any) -> t.Callable[..., int]:
    def run_(*messages: t.Any, **changes: t.Any) -> int:
        source, config = tmp_path / "input.jsonl", tmp_path / "config.json"
        source.write_bytes(b"".join(map(line, messages)))
        config.write_text(json.dumps(warehouse.config(**changes)))
        try:
            TargetPostgres.get_singer_command().main(
                ["--input", str(source), "--config", str(config)], standalone_mode=True
            )
        except SystemExit as exc:
            return int(exc.code or 0)
        return 0

    return run_


def test_each_record_is_in_exactly_one_count(run: t.Any, report: t.Any) -> None:
    assert run(S, *[record(id=i, n=i) for i in range(100)], BARE, record(stream="bare", v="x")) == 0
    first = report()
    assert (first["version"], first["outcome"], first["exit_code"]) == (1, "complete", 0)
    assert first["message"] is None
    assert first["streams"]["s"] == {
        "received": 100,
        "inserted": 100,
        "updated": 0,
        "unchanged": 0,
        "deleted": 0,
        "quarantined": 0,
    }
    changed = [record(id=i, n=i if i < 90 else -i) for i in range(100)]
    again = [record(id=1, n=5), record(id=1, n=6)]
    assert run(S, *changed, *again, record(n=1), state({}), batch_size_rows=103) == 0
    counts = report()["streams"]["s"]
    assert (counts["received"], counts["updated"], counts["quarantined"]) == (103, 11, 1)
    assert (counts["unchanged"], counts["superseded"]) == (89, 2)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_sums_are_exact_with_any_batch(run: t.Any, report: t.Any, batch: int) -> None:
    messages = [record(id=i % 40, n="x" if i % 9 == 0 else i % 5) for i in range(200)]
    assert run(S, *messages, batch_size_rows=batch, max_refused_share=1) == 0
    assert report()["streams"]["s"]["received"] == 200


def test_a_stream_map_that_filters_is_accounted_for(run: t.Any, report: t.Any) -> None:
    maps = {"s": {"__filter__": "id < 3"}}
    assert run(S, *[record(id=i, n=1) for i in range(10)], stream_maps=maps) == 0
    counts = report()["streams"]["s"]
    assert (counts["received"], counts["inserted"], counts["filtered"]) == (10, 3, 7)


def test_a_stream_without_records_has_an_entry(run: t.Any, report: t.Any) -> None:
    assert run(S) == 0
    assert report()["streams"]["s"]["received"] == 0


def test_failures_write_a_report(run: t.Any, report: t.Any) -> None:
    assert run(S, record(id=1, n=1), "{", batch_wait_seconds=0) == 65
    found = report()
    assert (found["outcome"], found["exit_code"]) == ("failed", 65)
    assert "not JSON" in found["message"] or "JSON" in found["message"]
    assert run(S, sqlalchemy_url="postgresql://u@127.0.0.1:1/d") == 69
    assert report()["exit_code"] == 69
    assert run(S, batch_size_rows=0) == 78
    assert report()["streams"] == {}


def test_a_signal_writes_a_report(warehouse: Warehouse, report: t.Any, tmp_path: Path) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        process = Process(warehouse, tmp_path, batch_wait_seconds=60)
        process.send(schema({"id": "integer", "v": "string", "o": "object"}), message(0))
        process.wait_for_log("Connecting")
        time.sleep(0.5)
        process.popen.send_signal(signum)
        assert process.end() == 128 + signum
        found = report()
        assert (found["outcome"], found["exit_code"]) == ("interrupted", 128 + signum)


def test_the_taps_unsent_records_go_to_the_quarantine(
    run: t.Any, report: t.Any, warehouse: Warehouse
) -> None:
    aside = [
        {"stream": "deals", "key": '{"id": 5}', "reason": "nested", "record": '{"id": 5, "x": 1}'},
        {"stream": "deals", "key": None, "reason": "no id", "record": "a\0b\\ud800"},
        {"stream": 5, "key": "no json", "reason": None, "record": {"a": 1}},
    ]
    messages = [{**record(stream="tap_quarantine"), "record": values} for values in aside]
    for _ in range(2):
        code = run(ASIDE, *messages, state({"x": 1}), quarantine_stream="tap_quarantine")
        assert code == 0
        found = report()["streams"]
        assert found["tap_quarantine"]["received"] == 3
        assert found["tap_quarantine"]["quarantined"] == 3
    assert warehouse.one("select to_regclass('{s}.tap_quarantine') is null")
    assert warehouse.sql(
        "select stream, key, reason, record, times, run_id is not null from {o}.quarantine"
        ' order by record collate "C"'
    ) == [
        ("deals", None, "no id", "a\\u0000b\\ud800", 2, True),
        ("5", "no json", "not given", '{"a":1}', 2, True),
        ("deals", {"id": 5}, "nested", '{"id": 5, "x": 1}', 2, True),
    ]


def test_without_quarantine_stream_it_is_a_table(run: t.Any, warehouse: Warehouse) -> None:
    assert run(ASIDE, record(stream="tap_quarantine", reason="x")) == 0
    assert warehouse.one("select count(*) from {s}.tap_quarantine") == 1


def test_the_taps_unsent_records_are_stored_before_the_state(warehouse: Warehouse) -> None:
    warehouse.load([S])
    warehouse.sql("alter table {o}.quarantine add check (reason <> 'bad')")
    with pytest.raises(psycopg.errors.CheckViolation):
        warehouse.load(
            [ASIDE, record(stream="tap_quarantine", reason="bad"), state({"x": 1})],
            quarantine_stream="tap_quarantine",
        )
    assert warehouse.states == []


def test_a_quarantine_of_an_earlier_version_gets_the_new_columns(warehouse: Warehouse) -> None:
    warehouse.load([S])
    warehouse.sql("alter table {o}.quarantine drop column level")
    warehouse.load([S, record(n=1), record(id=1)], max_refused_share=1)
    assert warehouse.sql("select level, reason from {o}.quarantine") == [
        ("record", "Record is missing one or more key_properties. It lacks id")
    ]
