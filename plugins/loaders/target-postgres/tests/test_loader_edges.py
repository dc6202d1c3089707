"""What seldom happens: each of these cases has a branch of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import gzip
import io
import json
import logging
import os
import signal
import socket
import threading
import time
import typing as t
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from loader_helpers import DATE, DATE_TIME, Warehouse, line, record, schema
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from singer_sdk.exceptions import MappingError
from singer_sdk.singerlib.exceptions import InvalidInputLine

from pipeboard_target_postgres import connector as connectors
from pipeboard_target_postgres import dispatcher, errors, pooler, quarantine, settings
from pipeboard_target_postgres.columns import Column
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.encoder import RecordEncoder, RecordRefusedError, dump, whole_number
from pipeboard_target_postgres.errors import (
    ConfigurationError,
    DataRefusedError,
    NotPermittedError,
    UnavailableError,
)
from pipeboard_target_postgres.locks import _describe
from pipeboard_target_postgres.staging import Staging
from pipeboard_target_postgres.target import TargetPostgres
from pipeboard_target_postgres.termination import STOP

S = schema({"id": "integer", "v": "string"})


def activate(version: int) -> dict:
    return {"type": "ACTIVATE_VERSION", "stream": "s", "version": version}


# The command


@pytest.fixture
def run(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> t.Callable[..., tuple[int, dict]]:
    """Run the command over messages; return its exit code and its report."""
    report = tmp_path / "report.json"
    monkeypatch.setenv("PIPEBOARD_LOADER_REPORT", str(report))

    def run_(*messages: t.Any, **changes: t.Any) -> tuple[int, dict]:
        source, config = tmp_path / "input.jsonl", tmp_path / "config.json"
        source.write_bytes(b"".join(map(line, messages)))
        config.write_text(json.dumps(warehouse.config(**changes)))
        with pytest.raises(SystemExit) as ended:
            TargetPostgres.get_singer_command().main(
                ["--input", str(source), "--config", str(config)]
            )
        return int(t.cast("t.Any", ended.value.code) or 0), json.loads(report.read_text())

    return run_


def test_a_signal_before_the_target_exists_ends_with_its_code(
    run: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STOP, "signum", signal.SIGTERM)
    code, report = run(S, record(id=1), max_refused_share=0.5)
    assert code == 143
    assert (report["outcome"], report["message"]) == ("interrupted", "Stopped by SIGTERM")
    assert STOP.signum is None, "the next run in this process goes on"


def test_a_server_that_neither_answers_nor_can_be_cancelled_ends_the_process(
    run: t.Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(code: int) -> t.NoReturn:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(dispatcher, "LOAD_SECONDS", 0.0)
    monkeypatch.setattr(dispatcher, "CANCEL_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code, report = run(S, sqlalchemy_url=f"postgresql://u@127.0.0.1:{port}/d")
        accepted, _ = silent.accept()
        accepted.close()  # the thread that waits for it ends
    STOP.restore()
    assert code == report["exit_code"] == 69
    assert report["outcome"] == "failed"
    assert report["message"] in caplog.text
    assert "does not answer, and a load cannot be cancelled" in report["message"]


def test_a_defect_is_raised_after_the_report(
    run: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: t.Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(TargetPostgres, "listen", fail)
    with pytest.raises(ValueError, match="a defect"):
        run(S)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["outcome"], report["exit_code"]) == ("failed", 1)
    assert report["message"] == "a defect"


def test_a_report_that_cannot_be_written_leaves_no_file(
    run: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("PIPEBOARD_LOADER_REPORT", str(folder))
    with pytest.raises(FileNotFoundError):
        run(S, record(id=1))
    assert "The loader report cannot be written" in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "input.jsonl", "config.json"}


# The input


def test_the_last_line_needs_no_end_and_a_line_may_be_long(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    source = tmp_path / "input"
    long = "x" * (3 << 20)
    messages = [S, record(id=1, v=long), record(id=2, v="last")]
    source.write_bytes(b"".join(map(line, messages)).rstrip())
    target = TargetPostgres(config=warehouse.config())
    with source.open("rb") as lines:
        target.listen(t.cast("t.Any", lines))
    assert warehouse.sql("select id, length(v) from {s}.s order by id") == [(1, 3 << 20), (2, 4)]


def test_a_schema_that_says_the_same_keeps_its_sink(warehouse: Warehouse) -> None:
    maps = {"s": {"id": "id", "__else__": None}}
    other = schema({"id": "integer", "w": "string"})
    warehouse.load([S, S, record(id=1), other, record(id=2)], stream_maps=maps)
    assert warehouse.one("select count(*) from {s}.s") == 2


def test_a_state_is_written_once(warehouse: Warehouse, capsys: pytest.CaptureFixture) -> None:
    target = TargetPostgres(config=warehouse.config())
    for text in (b'{"at":1}', b'{"at":1}', b'{"at":2}'):
        target._emit(text)
    assert capsys.readouterr().out == '{"at":1}\n{"at":2}\n'


def test_a_record_whose_last_stream_is_another_goes_there(warehouse: Warehouse) -> None:
    both = [schema({"id": "integer"}, stream=name) for name in ("s", "t")]
    text = '{"type":"RECORD","stream":"s","record":{"id":2},"stream":"t"}'
    warehouse.load([*both, record(id=1), text])
    assert warehouse.sql("select s.id, t.id from {s}.s, {s}.t") == [(1, 2)]


def test_a_line_that_breaks_off_is_no_message(warehouse: Warehouse) -> None:
    with pytest.raises(InvalidInputLine, match="not a Singer message"):
        warehouse.load([S, record(id=1), '{"type":"RECORD","stream":"s","record":{"id":2'])


def test_a_key_of_an_unsent_record_may_be_an_object(warehouse: Warehouse) -> None:
    aside = schema({"stream": "string", "key": "object"}, [], stream="aside")
    sent = record(stream="aside", key={"id": 5})
    warehouse.load([aside, sent], quarantine_stream="aside")
    assert warehouse.one("select key from {o}.quarantine") == {"id": 5}


def test_a_stream_without_keys_may_change_its_schema(warehouse: Warehouse) -> None:
    first, second = schema({"v": "string"}, []), schema({"v": "string", "w": "string"}, [])
    warehouse.load([first, record(v="a"), second, record(v="b", w="c")])
    assert warehouse.sql("select v, w from {s}.s order by v") == [("a", None), ("b", "c")]


def test_a_map_that_the_sdk_refuses_is_reported_as_it_says(warehouse: Warehouse) -> None:
    with pytest.raises(MappingError) as raised:
        warehouse.load([S, record(id=1, v="A")], stream_maps={"s": {"v": "nope(v)"}})
    known = errors.explain(raised.value)
    assert known
    assert known.exit_code == 78


def test_unknown_metadata_is_not_reported(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        warehouse.load([S, record(id=1, _sdc_of_the_tap=5)])
    assert "No schema for record field" not in caplog.text


def test_refused_records_fill_a_batch_too(warehouse: Warehouse) -> None:
    target = warehouse.load(
        [S, *(record(v=str(n)) for n in range(5))], batch_size_rows=2, max_refused_share=1
    )
    assert target.results()["s"].quarantined == 5


def test_a_stream_without_columns_is_refused(warehouse: Warehouse) -> None:
    bare = {"add_record_metadata": False, "activate_version": False}
    with pytest.raises(DataRefusedError, match="its schema has no properties"):
        warehouse.load([schema({}, [])], **bare)


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        ({"format": "csv"}, "BATCH files of format 'csv', compression None"),
        ({"format": "jsonl", "compression": "zip"}, "compression 'zip'"),
        ({"format": "parquet"}, "need the package pyarrow"),
    ],
)
def test_batch_files_of_another_format_are_refused(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, encoding: dict, says: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=says):
        warehouse.load([S, {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": []}])


def test_blank_lines_of_a_batch_file_are_ignored(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "batch.gz"
    path.write_bytes(gzip.compress(b'{"id":1}\n\n{"id":2}\n'))
    encoding = {"format": "jsonl", "compression": "gzip"}
    batch = {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": [path.as_uri()]}
    warehouse.load([S, batch])
    assert warehouse.one("select count(*) from {s}.s") == 2


# Records


def encoder(*columns: Column) -> RecordEncoder:
    return RecordEncoder("s", columns, ["id"], metadata=False, sanitize=True)


def test_a_message_that_contradicts_itself_is_refused() -> None:
    text = b'{"type":"RECORD","stream":"s","record":{"id":1},"time_extracted":NaN,"stream":5}'
    with pytest.raises(RecordRefusedError, match="Record cannot be read"):
        encoder(Column("id", "id", "bigint")).encode(text)


def test_an_encoder_that_repairs_writes_whole_numbers_as_integers() -> None:
    repairing = encoder(Column("id", "id", "bigint"), Column("v", "v", "numeric"))
    repairing.repairing = True
    rows = [
        repairing.encode(b'{"type":"RECORD","stream":"s","record":{"id":%b,"v":1.0}}' % number)
        for number in (b"1e3", b"1.5", b"7")
    ]
    assert [row and row[0] for row in rows] == [b"1000\t1.0", b"1.5\t1.0", b"7\t1.0"]


def test_what_cannot_be_read_has_no_unknown_properties() -> None:
    made = encoder(Column("id", "id", "bigint"))
    assert made.unknown(b'{"record":{"id":1,"new":2,"none":null}}') == {"new"}
    assert made.unknown(b'{"record":{"id":"\xff"}}') == made.unknown(b"{}") == set()


def test_values_of_other_types_are_written_as_text() -> None:
    made = dump({"at": dt.date(2026, 1, 31), "id": uuid.UUID(int=10), "n": decimal.Decimal("1.50")})
    assert made == (b'{"at":"2026-01-31","id":"00000000-0000-0000-0000-00000000000a","n":1.50}')


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        *((b"1.0", 1), (b"-2e3", -2000), (b" 7 ", 7), (b"9223372036854775807", 2**63 - 1)),
        *((text, None) for text in (b"1.5", b"1e-999999999", b"1e19", b"1e999999999", b"Infinity")),
        *((text, None) for text in (b"NaN", b"sNaN", b"abc", b"", b"\xff")),
    ],
)
def test_a_number_without_a_fraction_is_whole(text: bytes, whole: int | None) -> None:
    assert whole_number(text) == whole


def test_bytes_that_are_no_text_are_no_parameters() -> None:
    staging = Staging("x", [Column("v", "v", "text")], [])
    assert staging.parameters([b"a"]) == {"c0": '{"a"}'}
    assert staging.parameters([b"\xff"]) is None


def test_an_error_of_the_driver_about_a_value_is_a_refusal() -> None:
    assert quarantine.is_refusal(psycopg.DataError("cannot be sent"))
    assert not quarantine.is_refusal(psycopg.InterfaceError("the connection is closed"))


# Tables


def test_a_table_with_another_key_of_its_own_is_merged_by_the_streams_key(
    warehouse: Warehouse,
) -> None:
    warehouse.sql(
        "create schema {s}; create table {s}.s (nr bigserial primary key, id bigint unique, v text)"
    )
    for value in ("first", "second"):
        warehouse.load([S, record(id=5, v=value)])
    assert warehouse.sql("select id, v from {s}.s") == [(5, "second")]


def test_a_key_that_is_widened_during_a_scan_marks_nothing(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.load([S, *(record(id=i) for i in range(5))])
    wider = schema({"id": "number", "v": "string"})
    scan = [record(id=0, version=1), wider, record(id=1, version=1), activate(1)]
    warehouse.load([S, *scan], max_vanished_share=1)
    assert warehouse.one("select count(*) from {s}.s where _sdc_deleted_at is not null") == 0
    assert "ACTIVATE_VERSION 1 marks nothing as deleted" in caplog.text


def test_a_time_or_a_date_is_stored_as_a_time(warehouse: Warehouse) -> None:
    s = schema({"id": "integer"})
    s["schema"]["properties"]["x"] = {"anyOf": [DATE_TIME, DATE, {"type": "null"}]}
    warehouse.load([s, record(id=1, x="2026-01-31"), record(id=2, x="2026-01-31T10:00:00Z")])
    assert warehouse.type_of("s", "x") == "timestamp with time zone"


def test_a_table_of_another_role_that_lacks_a_column_names_the_right(
    warehouse: Warehouse,
) -> None:
    warehouse.load([S, record(id=1)])
    role = f"{warehouse.ops}_weak"
    parts = conninfo_to_dict(warehouse.url)
    weak = f"postgresql://{role}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    warehouse.sql(
        f"create role {role} login; grant usage, create on schema {{s}}, {{o}} to {role};"
        f" grant all on all tables in schema {{s}} to {role};"
        f" grant all on all tables in schema {{o}} to {role}"
    )
    wider = schema({"id": "integer", "v": "string", "w": "string"})
    try:
        with pytest.raises(NotPermittedError, match=f'OWNER TO "{role}"'):
            warehouse.load([wider, record(id=2)], sqlalchemy_url=weak)
    finally:
        warehouse.sql(f"drop owned by {role}; drop role {role}")


# The connection


def connector_of(warehouse: Warehouse, **changes: t.Any) -> PostgresConnector:
    target = TargetPostgres(config=warehouse.config(**changes))
    return t.cast("PostgresConnector", target.target_connector)


def test_a_connection_that_refuses_its_settings_is_closed(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[psycopg.Connection] = []
    connect = psycopg.connect

    def note(*args: t.Any, **given: t.Any) -> psycopg.Connection:
        made.append(connect(*args, **given))
        return made[-1]

    monkeypatch.setattr(psycopg, "connect", note)
    monkeypatch.setattr(connectors, "SESSION", "select 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connector_of(warehouse).connect()
    assert [connection.closed for connection in made] == [True]


def test_a_session_that_was_cancelled_opens_no_connection(warehouse: Warehouse) -> None:
    target = TargetPostgres(config=warehouse.config())
    target.loader.cancel()
    with pytest.raises(UnavailableError, match="the run is stopping"):
        target.loader.connect()


def test_a_certificate_may_be_a_file(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "root.crt"
    path.write_text("-----BEGIN CERTIFICATE-----")
    assert connector_of(warehouse).filepath_or_certificate(str(path), "root.crt") == str(path)


def test_a_wrong_key_of_the_tunnel_is_a_configuration_error(warehouse: Warehouse) -> None:
    tunnel = {"enable": True, "host": "h", "port": 22, "username": "u", "private_key": "no key"}
    with pytest.raises(ConfigurationError, match="key"):
        connector_of(warehouse, ssh_tunnel=tunnel)


def test_a_signal_that_the_tunnel_catches_ends_the_run(warehouse: Warehouse) -> None:
    connector = connector_of(warehouse)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        connector.catch_signal(signal.SIGTERM, None)
        assert STOP.signum == signal.SIGTERM
    finally:
        STOP.restore()
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


class AuthenticationException(Exception):  # noqa: N818
    """Has the name of paramiko's error."""


def test_a_tunnel_that_refuses_the_login_is_named() -> None:
    known = errors.explain(AuthenticationException("bad key"))
    assert type(known) is NotPermittedError
    assert "SSH tunnel" in str(known)


def test_a_lock_of_a_session_that_may_not_be_seen_names_the_right() -> None:
    text = _describe(7, "boss", "", None, 0, 0)
    assert text.startswith("pid 7, user boss, application (none) (grant pg_read_all_stats")


def test_null_certificates_stay_null() -> None:
    config = {"sqlalchemy_url": "postgresql://h/d", "ssl_client_certificate": None, "port": None}
    assert settings.prepare(config, {}) == []
    assert "ssl_client_certificate" in config
    assert "port" not in config


@contextlib.contextmanager
def byte_by_byte(url: str) -> Iterator[str]:
    """A proxy of a server whose answer to a query comes a byte at a time; yields its address."""
    server = conninfo_to_dict(url)

    def forward(client: socket.socket) -> None:
        there = socket.create_connection((server["host"], int(str(server["port"]))))
        slow = threading.Event()

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := there.recv(4096):
                    for piece in (
                        (data[i : i + 1] for i in range(len(data))) if slow.is_set() else [data]
                    ):
                        client.sendall(piece)
                        time.sleep(0.001 if slow.is_set() else 0)

        threading.Thread(target=back, daemon=True).start()
        with contextlib.suppress(OSError), there, client:
            while data := client.recv(4096):
                if data[:1] == b"Q":
                    slow.set()
                there.sendall(data)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=forward, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        yield make_conninfo(url, port=listener.getsockname()[1])


def test_the_process_of_a_second_connection_is_read_from_an_answer_in_pieces(url: str) -> None:
    with byte_by_byte(url) as address:
        assert pooler._of_second_connection(address, "")


def test_a_second_connection_that_does_not_answer_in_time_is_none(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "PROBE_SECONDS", 0)
    assert pooler._of_second_connection(url, "") is None
    assert pooler._of_second_connection(make_conninfo(url, port=1), "") is None


def test_lines_may_come_as_text(warehouse: Warehouse) -> None:
    target = TargetPostgres(config=warehouse.config())
    target.listen(t.cast("t.Any", io.StringIO(b"".join(map(line, [S, record(id=1)])).decode())))
    assert warehouse.one("select count(*) from {s}.s") == 1
