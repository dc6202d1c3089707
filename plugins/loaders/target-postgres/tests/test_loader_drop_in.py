"""Any tap: clashing names, changed keys, types with alternatives, unusual messages."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import threading
import time
import typing as t
from pathlib import Path

import psycopg
import pytest
from loader_helpers import DATE_TIME, Warehouse, line, record, schema, state
from singer_sdk.exceptions import MappingError
from singer_sdk.singerlib.exceptions import InvalidInputLine

from pipeboard_target_postgres import errors, locks
from pipeboard_target_postgres.errors import ConfigurationError, DataRefusedError, UnavailableError
from pipeboard_target_postgres.target import TargetPostgres

Way = dict[str, t.Any]
S = schema({"id": "integer", "v": "string"})


def activate(version: t.Any, stream: str = "s") -> dict:
    return {"type": "ACTIVATE_VERSION", "stream": stream, "version": version}


# Names


def test_two_streams_for_one_table_are_refused(warehouse: Warehouse, way: Way) -> None:
    first = schema({"id": "integer"}, stream="east-visits")
    second = schema({"id": "integer"}, stream="west-visits")
    messages = [first, record(stream="east-visits", id=1), second, state({"x": 1})]
    with pytest.raises(ConfigurationError) as raised:
        warehouse.load(messages, **way)
    for text in ("east-visits", "west-visits", "visits", '{"west-visits": {"__alias__"'):
        assert text in str(raised.value)
    assert warehouse.states == []
    messages.insert(3, record(stream="west-visits", id=1))
    alias = {"west-visits": {"__alias__": "west_visits"}}
    target = warehouse.load(messages, stream_maps=alias)
    assert warehouse.one("select count(*) from {s}.visits") == 1
    assert warehouse.one("select count(*) from {s}.west_visits") == 1
    assert target.results()["west-visits"].read == 1


def test_one_stream_may_send_its_schema_again(warehouse: Warehouse) -> None:
    again = schema({"id": "integer", "w": "string"}, stream="east-visits")
    first = schema({"id": "integer"}, stream="east-visits")
    warehouse.load([first, again, record(stream="east-visits", id=1)])
    assert warehouse.one("select count(*) from {s}.visits") == 1


def test_a_stream_cannot_write_to_the_loaders_own_tables(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="loader's own"):
        warehouse.load(
            [schema({"id": "integer"}, stream="quarantine")],
            default_target_schema=warehouse.ops,
        )


def test_two_properties_for_one_column_are_refused(warehouse: Warehouse) -> None:
    with pytest.raises(DataRefusedError, match="would all be column"):
        warehouse.load([schema({"id": "integer", "ctid": "string", "ctid_": "string"})])


# Keys


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["id"], ["shop", "id"]),
        (["shop", "id"], ["id"]),
        (["id"], []),
        (["id"], ["shop"]),
    ],
)
def test_another_key_is_refused_with_a_remedy(
    warehouse: Warehouse, before: list[str], after: list[str]
) -> None:
    properties = {"id": "integer", "shop": "string", "n": "integer"}
    rows = [record(id=i, shop=shop, n=i) for shop in ("a", "b") for i in range(2)]
    warehouse.load([schema(properties, before), *rows])
    stored = warehouse.one("select count(*) from {s}.s")
    with pytest.raises(DataRefusedError) as raised:
        warehouse.load([schema(properties, after), *rows, state({})])
    assert f"primary key ({', '.join(before)})" in str(raised.value)
    assert warehouse.states == []
    assert warehouse.one("select count(*) from {s}.s") == stored
    assert warehouse.one("select count(*) from {o}.quarantine") == 0
    remedy = str(raised.value).rpartition("for the new key: ")[2]
    warehouse.sql("delete from {s}.s where shop = 'b' and id > 0 or shop = 'a'")
    warehouse.sql(remedy)
    sent = [{**r, "record": {k: v for k, v in r["record"].items() if k in after}} for r in rows]
    warehouse.load([schema(properties, after), *sent])
    assert warehouse.one("select count(*) from {o}.quarantine") == 0
    if after:
        stored = {tuple(r["record"][key] for key in after) for r in rows}
        assert warehouse.one("select count(*) from {s}.s") == len(stored)


def test_a_generated_primary_key_is_not_compared_with_the_streams_key(warehouse: Warehouse) -> None:
    warehouse.sql("create schema {s}; create table {s}.s (nr bigserial primary key, v text)")
    warehouse.load([schema({"v": "string"}, []), record(v="a"), record(v="b")])
    assert warehouse.sql("select nr, v from {s}.s order by nr") == [(1, "a"), (2, "b")]


# Types

CHOICES: list[tuple[t.Any, str, list[t.Any]]] = [
    ({"anyOf": [DATE_TIME, {"type": ["string", "null"]}]}, "text", ["soon", "2026-01-01"]),
    ({"anyOf": [{"type": "null"}, DATE_TIME]}, "timestamp with time zone", [None]),
    ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "numeric", [1, 1.5]),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "text", [1, "x"]),
    ({"anyOf": [{"type": "integer"}, {"type": "object"}]}, "jsonb", [1, {"a": 1}]),
    ({"anyOf": [{"type": "boolean"}, {"type": "integer"}]}, "text", [True, 5]),
    ({"type": "integer", "minimum": 0, "maximum": 2**64 - 1}, "numeric", [2**64 - 1, 0]),
    ({"type": ["integer", "null"], "exclusiveMinimum": -(2**70)}, "numeric", [-(2**69)]),
    ({"type": "integer", "minimum": 0, "maximum": 255}, "bigint", [5]),
    *((anything, "text", ["x", 1, None]) for anything in (True, False, {}, [], None, 5, "x")),
    *(
        ({"type": "string", **odd}, "text", ["x"])
        for odd in ({"format": [1]}, {"format": 5}, {"maxLength": "x"}, {"x-sql-datatype": [1]})
    ),
    ({"type": {"a": 1}}, "text", ["x"]),
    ({"anyOf": "x"}, "text", ["x"]),
    ({"anyOf": []}, "text", ["x"]),
    ({"anyOf": [True, 5]}, "text", ["x"]),
    ({"type": "integer", "maximum": "x"}, "bigint", [1]),
    ({"type": "string", "format": "x-singer.decimal", "precision": "1)"}, "numeric", [1]),
]


@pytest.mark.parametrize(("definition", "sql_type", "values"), CHOICES)
def test_a_column_stores_every_value_its_schema_allows(
    warehouse: Warehouse, definition: t.Any, sql_type: str, values: list[t.Any]
) -> None:
    s = schema({"id": "integer"})
    s["schema"]["properties"]["x"] = definition
    warehouse.load([s, *[record(id=i, x=v) for i, v in enumerate(values)]])
    assert warehouse.type_of("s", "x") == sql_type
    assert warehouse.one("select count(*) from {s}.s") == len(values)
    assert warehouse.one("select count(*) from {o}.quarantine") == 0
    null = sum(v is None for v in values)
    assert warehouse.one("select count(*) from {s}.s where x is null") == null


# Messages

BROKEN: list[tuple[list[t.Any], str]] = [
    ([activate(1)], "before its SCHEMA"),
    ([S, activate("x")], "no number"),
    ([S, activate(None)], "no number"),
    ([S, activate(True)], "no number"),
    ([{"type": "ACTIVATE_VERSION", "version": 1}], "has no stream name"),
    ([{**S, "schema": True}], "has no properties"),
    ([{**S, "schema": {"properties": []}}], "has no properties"),
    ([{**S, "schema": {}}], "missing required properties"),
    ([{**S, "stream": 5}], "has no stream name"),
    ([{**S, "stream": ""}], "has no stream name"),
    ([{**S, "key_properties": "id"}], "no list of names"),
    ([{**S, "key_properties": [1]}], "no list of names"),
    ([{"type": "RECORD", "record": {}}], "has no stream name"),
    ([{"type": "RECORD", "stream": [], "record": {}}], "has no stream name"),
    ([{"type": "STATE"}], "value"),
    ([{"type": []}], "Unknown message type"),
    ([S, {"type": "BATCH", "stream": "s"}], "has no encoding"),
    ([{"type": "BATCH", "stream": "s", "encoding": {}, "manifest": []}], "before its SCHEMA"),
    (["[" * 100_000], "nested too deeply"),
]


@pytest.mark.parametrize(("messages", "says"), BROKEN)
def test_an_invalid_message_ends_in_one_line(
    warehouse: Warehouse, messages: list[t.Any], says: str
) -> None:
    with pytest.raises(Exception, match=says) as raised:
        warehouse.load(messages)
    known = errors.explain(raised.value)
    assert known
    assert known.exit_code == 65


ODD = [None, True, 0, -1, 2**70, 1.5, "", "x", "\0", [], {}, [1], {"a": 1}, "1" * 300]


def test_a_wrong_type_in_a_message_ends_without_a_traceback(warehouse: Warehouse) -> None:
    chance = random.Random(int(os.environ.get("PIPEBOARD_TEST_SEED", "5")))
    good = [
        schema({"id": "integer", "v": "string", "at": DATE_TIME, "o": "object"}),
        {**record(version=1, id=1, v="x", o={}), "time_extracted": "2026-01-01T00:00:00Z"},
        activate(1),
        {"type": "BATCH", "stream": "s", "encoding": {"format": "jsonl"}, "manifest": []},
        state({"x": 1}),
    ]

    def spoil(value: t.Any) -> t.Any:
        if isinstance(value, dict) and value and chance.random() < 0.85:
            name = chance.choice(list(value))
            return {**value, name: spoil(value[name])}
        if isinstance(value, list) and value and chance.random() < 0.5:
            return [spoil(value[0]), *value[1:]]
        return chance.choice(ODD)

    for _ in range(int(os.environ.get("PIPEBOARD_TEST_FUZZ", "40"))):
        messages = [json.loads(json.dumps(m)) for m in good]
        at = chance.randrange(len(messages))
        messages[at] = spoil(messages[at])
        try:
            text = [json.dumps(m) for m in messages]
            warehouse.load(text, max_refused_share=1, max_vanished_share=1)
        except Exception as exc:
            if (known := errors.explain(exc)) is None or "\n" in str(known):
                raise AssertionError(messages[at]) from exc
        warehouse.sql("drop schema if exists {s} cascade")


# Sweeps


def test_a_late_record_of_an_older_version_changes_nothing(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=i, v="x") for i in range(10)]], **way)
    walk = [record(id=i, v="x", version=5) for i in range(9)]
    walk[4:4] = [record(id=2, v="late", version=4), record(id=99, v="late", version=4)]
    warehouse.load([S, record(id=0, version=3), *walk, activate(5)], **way)
    gone = "select id, v from {s}.s where _sdc_deleted_at is not null order by id"
    assert warehouse.sql(gone) == [(9, "x"), (99, "late")]


def test_a_sweep_that_marks_nothing_logs_the_reason(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.load([S, record(id=1, version=6), activate(5)])
    assert "the records that came last have version 6" in caplog.text
    warehouse.load([S, record(id=1), activate(5)])
    assert "no record with a version has come" in caplog.text


# BATCH files and stream maps


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_stream_maps_apply_to_batch_files(
    warehouse: Warehouse, tmp_path: Path, compression: str
) -> None:
    path = tmp_path / "batch.jsonl"
    text = b"".join(line({"id": i, "v": f"mail{i}@example.com"}) for i in range(5))
    path.write_bytes(gzip.compress(text) if compression == "gzip" else text)
    batch = {
        "type": "BATCH",
        "stream": "s",
        "encoding": {"format": "jsonl", "compression": compression},
        "manifest": [path.as_uri()],
    }
    maps = {"s": {"v": "md5(v)", "__filter__": "id > 0"}}
    config = {"stream_maps": maps, "stream_map_config": {}}
    target = warehouse.load([S, batch, state({"x": 1})], **config)
    assert warehouse.sql("select id, length(v), v like '%%@%%' from {s}.s where %s", True) == [
        (i, 32, False) for i in range(1, 5)
    ]
    counts = target.results()["s"]
    assert (counts.read, counts.filtered) == (5, 1)
    assert warehouse.states == [{"x": 1}]
    path.unlink()
    with pytest.raises(DataRefusedError, match=r"batch\.jsonl cannot be read"):
        warehouse.load([S, batch])


# Locks


def _reader(warehouse: Warehouse, seconds: float) -> threading.Thread:
    started = threading.Event()

    def read() -> None:
        with psycopg.connect(warehouse.url, application_name="a long report") as reader:
            reader.execute(t.cast("t.Any", f"select * from {warehouse.schema}.s"))
            started.set()
            time.sleep(seconds)

    thread = threading.Thread(target=read)
    thread.start()
    started.wait()
    return thread


WIDER = schema({"id": "integer", "v": "string", "w": "string"})


def test_adding_a_column_waits_for_readers_without_blocking_others(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeboard_target_postgres.session.PAUSE_SECONDS", 0.5)
    warehouse.load([S, record(id=1)])
    thread = _reader(warehouse, 4)
    slowest, done = 0.0, threading.Event()

    def others() -> None:
        nonlocal slowest
        while not done.is_set():
            began = time.monotonic()
            warehouse.sql("select * from {s}.s")
            slowest = max(slowest, time.monotonic() - began)

    watcher = threading.Thread(target=others)
    watcher.start()
    warehouse.load([WIDER, record(id=2, w="x"), state({"x": 1})])
    done.set()
    watcher.join()
    thread.join()
    assert warehouse.states == [{"x": 1}]
    assert warehouse.type_of("s", "w") == "text"
    assert slowest < 2
    assert "a long report" in caplog.text
    assert "pid " in caplog.text


@pytest.mark.parametrize("what", ["table", "advisory lock"])
def test_a_lock_that_is_not_released_ends_in_69(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_SECONDS", 1.0)
    monkeypatch.setattr("pipeboard_target_postgres.session.PAUSE_SECONDS", 0.1)
    warehouse.load([S, record(id=1)])
    with psycopg.connect(warehouse.url, application_name="a long report") as blocker:
        if what == "table":
            blocker.execute(t.cast("t.Any", f"select * from {warehouse.schema}.s"))
        else:
            name = f"pipeboard:{warehouse.schema}.s"
            blocker.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        with pytest.raises(UnavailableError, match="a long report") as raised:
            warehouse.load([WIDER, record(id=2), state({})])
    assert raised.value.exit_code == 69
    assert "pg_terminate_backend" in str(raised.value)
    assert warehouse.states == []


# Errors that the operator can mend


def test_the_message_names_a_statement_timeout(warehouse: Warehouse) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled) as raised:
        warehouse.sql("set statement_timeout = 10; select pg_sleep(1)")
    known = errors.explain(raised.value, "database 'd'")
    assert known
    assert "statement_timeout" in str(known)
    assert "cannot be reached" not in str(known)
    assert known.exit_code == 69


@pytest.mark.parametrize(
    "settings",
    [
        {
            "ssl_client_certificate_enable": True,
            "ssl_client_certificate": "/no/such/cert.crt",
            "ssl_client_private_key": "/no/such/pkey.key",
        },
        {"ssl_enable": True, "ssl_mode": "verify-full", "ssl_certificate_authority": "/no/such"},
    ],
)
def test_a_missing_certificate_is_a_configuration_error(settings: dict) -> None:
    config = {"host": "h", "user": "u", "password": "p", "database": "d", "port": 1, **settings}
    with pytest.raises(ConfigurationError, match="does not exist"):
        TargetPostgres(config=config)


@pytest.mark.parametrize("query", ["sslmode=odd", "sslcert=/no/such/cert.crt&sslmode=require"])
def test_a_wrong_option_in_the_address_is_a_configuration_error(
    warehouse: Warehouse, query: str
) -> None:
    with pytest.raises(Exception, match=r"ssl|SSL|certificate") as raised:
        warehouse.load([S], sqlalchemy_url=f"{warehouse.url}?{query}")
    known = errors.explain(raised.value)
    assert known
    assert known.exit_code == 78


def test_one_target_reads_two_inputs(warehouse: Warehouse, way: Way) -> None:
    target = TargetPostgres(config=warehouse.config(**way))
    for number in (1, 2):
        messages = b"".join(map(line, [S, record(id=number), state({"x": number})]))
        target.listen(t.cast("t.Any", io.BytesIO(messages)))
    assert warehouse.one("select count(*) from {s}.s") == 2
    assert target.results()["s"].inserted == 2


def test_no_connection_is_left_open(warehouse: Warehouse) -> None:
    warehouse.load([S, record(id=1)])
    left = "select count(*) from pg_stat_activity where application_name like 'pipeboard%'"
    deadline = time.monotonic() + 5
    while warehouse.one(left) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert warehouse.one(left) == 0


def test_a_stream_name_that_cannot_be_stored_is_refused(warehouse: Warehouse) -> None:
    for name in (r"a\u0000b", r"\ud800"):
        message = json.dumps(schema({"id": "integer"}, stream="NAME")).replace("NAME", name)
        with pytest.raises(InvalidInputLine, match="no text that can be stored"):
            warehouse.load([message])


@pytest.mark.parametrize("value", ["NaN", r'"\ud800"', "[1e400]"])
def test_a_state_with_nan_is_written_unchanged(warehouse: Warehouse, value: str) -> None:
    warehouse.load([S, record(id=1), f'{{"type":"STATE","value":{{"x":{value}}}}}'])
    assert repr(warehouse.states) == repr([{"x": json.loads(value)}])


def test_a_failing_stream_map_is_reported_without_the_records_value(warehouse: Warehouse) -> None:
    maps = {"s": {"v": "md5(v)"}}
    with pytest.raises(MappingError) as raised:
        warehouse.load([S, record(id=1, v="A"), record(id=2, v=4711)], stream_maps=maps)
    found = errors.explain(raised.value)
    assert found is not None
    assert found.exit_code == 78
    assert "map of stream s" in str(found)
    assert "4711" not in str(found)


def test_batch_files_on_a_storage_without_its_package_are_refused(warehouse: Warehouse) -> None:
    batch = {"type": "BATCH", "stream": "s", "encoding": {"format": "jsonl"}}
    with pytest.raises(ConfigurationError, match="s3://"):
        warehouse.load([S, {**batch, "manifest": ["s3://bucket/file.jsonl"]}])


@pytest.mark.parametrize(
    "change",
    [
        "drop schema {s} cascade",
        "alter table {s}.s drop column v",
        "alter table {s}.s alter v type integer using null",
        "drop schema {o} cascade",
    ],
)
def test_a_table_changed_during_a_load_is_reported(warehouse: Warehouse, change: str) -> None:
    class Target(TargetPostgres):
        def _emit(self, state: bytes) -> None:
            super()._emit(state)
            warehouse.sql(change)

    target = Target(config=warehouse.config(batch_size_rows=1))
    messages = [S]
    for number in range(20):
        messages += record(id=number, v="a"), state({"n": number})
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(psycopg.Error) as raised:
        target.listen(t.cast("t.Any", io.BytesIO(b"".join(map(line, messages)))))
    target.close()
    known = errors.explain(raised.value)
    assert known is not None
    assert known.exit_code == 69
    assert "changed or dropped" in str(known)
    assert '{"n": 19}' not in out.getvalue()


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_transaction_timeout_is_reported(setting: str) -> None:
    kind = {
        "idle_in_transaction_session_timeout": psycopg.errors.IdleInTransactionSessionTimeout,
        "transaction_timeout": psycopg.errors.lookup("25P04"),
    }[setting]
    known = errors.explain(kind("terminating connection due to a timeout"))
    assert known is not None
    assert known.exit_code == 69
    assert setting in str(known)


@pytest.mark.parametrize("address", ["{url}?connect_timeout=abc", "postgresql://u:p@ss@host/x"])
def test_a_malformed_address_is_a_configuration_error(warehouse: Warehouse, address: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        warehouse.load([S], sqlalchemy_url=address.format(url=warehouse.url))
    known = errors.explain(raised.value)
    assert known is not None
    assert known.exit_code == 78
    assert "ss@" not in str(known)


def test_the_encoding_of_the_role_changes_no_text(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, encoding in enumerate(("LATIN1", "SQL_ASCII")):
        monkeypatch.setenv("PGCLIENTENCODING", encoding)
        warehouse.load([S, record(id=number, v="naïve \U0001f600")])
    monkeypatch.delenv("PGCLIENTENCODING")
    assert warehouse.sql("select distinct v from {s}.s") == [("naïve \U0001f600",)]


def test_an_error_is_reported_without_its_row(warehouse: Warehouse) -> None:
    def copy_a_row() -> None:
        with psycopg.connect(warehouse.url) as connection, connection.cursor() as cursor:
            cursor.execute("create temporary table x (v integer)")
            with cursor.copy("copy x from stdin") as copy:
                copy.write("12\nsecret\n")

    with pytest.raises(psycopg.Error) as raised:
        copy_a_row()
    assert "COPY x, line 2" in str(raised.value)
    assert "COPY" not in errors.one_line(raised.value)
