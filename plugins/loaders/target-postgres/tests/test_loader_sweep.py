"""ACTIVATE_VERSION after a full scan marks the rows that the scan did not return."""

from __future__ import annotations

import threading
import typing as t

import psycopg
import pytest
from loader_helpers import Warehouse, record, schema

from pipeboard_target_postgres import connector, session
from pipeboard_target_postgres.errors import DataRefusedError

Way = dict[str, t.Any]
S = schema({"id": "integer", "v": "string"})


def activate(version: int) -> dict:
    return {"type": "ACTIVATE_VERSION", "stream": "s", "version": version}


def _live(warehouse: Warehouse) -> list[int]:
    return warehouse.one(
        "select array_agg(id order by id) from {s}.s where _sdc_deleted_at is null"
    )


def test_only_unseen_rows_are_marked(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i, v="x") for i in range(20)]], **way)
    walk = [record(id=i, v="x", version=5) for i in range(18)]
    warehouse.load([S, *walk, activate(5)], batch_size_rows=7, **way)
    assert _live(warehouse) == list(range(18))
    assert warehouse.load_row()["rows_updated"] == 0
    assert warehouse.load_row()["rows_deleted"] == 2
    # A row that is seen again loses its mark, though nothing else changed.
    warehouse.load([S, record(id=19, v="x")], **way)
    assert _live(warehouse) == [*range(18), 19]
    # Another sweep does not mark twice.
    before = warehouse.one("select _sdc_deleted_at from {s}.s where id = 18")
    warehouse.load([S, *walk, record(id=19, v="x", version=5), activate(5)], **way)
    assert warehouse.one("select _sdc_deleted_at from {s}.s where id = 18") == before


def test_activate_version_before_its_records_marks_nothing(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i) for i in range(5)]], **way)
    warehouse.load([S, activate(6), *[record(id=i, version=6) for i in range(2)]], **way)
    assert _live(warehouse) == list(range(5))
    warehouse.load([S, *[record(id=i, version=6) for i in range(2)], activate(7)], **way)
    assert _live(warehouse) == list(range(5))


def test_a_sweep_above_max_vanished_share_is_refused(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i) for i in range(10)]], **way)
    walk = [S, *[record(id=i, version=1) for i in range(7)], activate(1)]
    with pytest.raises(DataRefusedError, match=r"3 of 10 rows .* max_vanished_share"):
        warehouse.load(walk, **way)
    assert _live(warehouse) == list(range(10))
    warehouse.load(walk, max_vanished_share=0.5, **way)
    assert _live(warehouse) == list(range(7))


def test_rows_of_another_run_are_not_marked(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i) for i in range(10)]], **way)
    warehouse.sql(
        "insert into {s}.s (id, _sdc_received_at) values (99, now() + interval '1 minute')"
    )
    warehouse.load([S, *[record(id=i, version=1) for i in range(9)], activate(1)], **way)
    assert _live(warehouse) == [*range(9), 99]


def test_hard_delete_removes_the_rows(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i) for i in range(10)]], **way)
    warehouse.load(
        [S, *[record(id=i, version=1) for i in range(9)], activate(1)], hard_delete=True, **way
    )
    assert warehouse.one("select array_agg(id order by id) from {s}.s") == list(range(9))


def test_a_refused_record_is_not_marked_as_deleted(warehouse: Warehouse) -> None:
    s = schema({"id": "integer", "n": "integer"})
    warehouse.load([s, *[record(id=i, n=i) for i in range(10)]])
    walk = [record(id=i, n="x" if i == 4 else i, version=1) for i in range(9)]
    warehouse.load([s, *walk, activate(1)], max_refused_share=1)
    assert _live(warehouse) == list(range(9))


def test_a_schema_change_during_a_scan_keeps_the_seen_keys(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i) for i in range(10)]], **way)
    wider = schema({"id": "integer", "v": "string", "w": "string"})
    warehouse.load(
        [
            S,
            *[record(id=i, version=1) for i in range(5)],
            wider,
            *[record(id=i, version=1) for i in range(5, 9)],
            activate(1),
        ],
        **way,
    )
    assert _live(warehouse) == list(range(9))


def test_without_keys_older_versions_are_marked(warehouse: Warehouse, way: Way) -> None:
    bare = schema({"v": "string"}, keys=[])
    warehouse.load([bare, *[record(v="old", version=1) for _ in range(3)]], **way)
    warehouse.load([bare, *[record(v="new", version=2) for _ in range(3)], activate(2)], **way)
    assert warehouse.sql("select distinct v from {s}.s where _sdc_deleted_at is null") == [("new",)]


def test_names_with_a_percent_sign_work(warehouse: Warehouse, way: Way) -> None:
    for keys in ([], ["id%"]):
        name = f"s%{len(keys)}"
        s = schema({"id%": "integer", "v": "string"}, keys=keys, stream=name)
        rows = [{**record(stream=name, version=v), "record": {"id%": v, "v": "x"}} for v in (1, 2)]
        warehouse.load([s, rows[0]], **way)
        end = {"type": "ACTIVATE_VERSION", "stream": name, "version": 2}
        warehouse.load([s, rows[1], end], max_vanished_share=1, **way)
        table = f'{{s}}."{name}"'.replace("%", "%%")
        gone = f"select v from {table} where _sdc_deleted_at is not null and %s"
        assert len(warehouse.sql(gone, True)) == 1


def test_activate_version_false_marks_nothing(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i) for i in range(10)]], **way)
    warehouse.load(
        [S, *[record(id=i, version=1) for i in range(9)], activate(1)],
        activate_version=False,
        **way,
    )
    assert _live(warehouse) == list(range(10))


def test_a_sweep_whose_first_batch_waits_for_a_lock_goes_on(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try that got no lock is rolled back, and the table of the seen keys with it."""
    warehouse.load([S, *[record(id=i, v="x") for i in range(20)]])
    monkeypatch.setattr(session, "PAUSE_SECONDS", 0.1)
    settings = f"{connector.SESSION}; set lock_timeout = '100ms'"
    monkeypatch.setattr(connector, "SESSION", settings)
    walk = [record(id=i, v="y", version=5) for i in range(18)]
    with psycopg.connect(warehouse.url) as other:
        other.execute(f"lock table {warehouse.schema}.s in share mode".encode())
        release = threading.Timer(1, other.rollback)
        release.start()
        warehouse.load([S, *walk, activate(5)])
        release.join()
    assert _live(warehouse) == list(range(18))
