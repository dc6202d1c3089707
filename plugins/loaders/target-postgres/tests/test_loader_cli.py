"""The command line: errors in one line, exit codes, and no secret in the output."""

from __future__ import annotations

import json
import logging
import typing as t
from importlib import metadata
from pathlib import Path

import psycopg
import pytest
from loader_helpers import Warehouse, line, record, schema

from pipeboard_target_postgres import settings
from pipeboard_target_postgres.errors import explain, redact
from pipeboard_target_postgres.target import TargetPostgres

SECRET = "s3cr3t-w0rd"


class Run(t.NamedTuple):
    code: int
    log: str


@pytest.fixture
def run(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> t.Callable[..., Run]:
    """Run the console script's function with a configuration and an input."""
    monkeypatch.delenv(settings.ENV_DATABASE_URL, raising=False)

    def run_(config: dict | None, *messages: t.Any, args: tuple[str, ...] = ()) -> Run:
        source = tmp_path / "input.jsonl"
        source.write_bytes(b"".join(map(line, messages)))
        argv = ["--input", str(source), *args]
        if config is not None:
            path = tmp_path / "config.json"
            path.write_text(json.dumps(config))
            argv += ["--config", str(path)]
        code: t.Any = 0
        with caplog.at_level(logging.DEBUG):
            try:
                TargetPostgres.get_singer_command().main(argv, standalone_mode=True)
            except SystemExit as exc:
                code = exc.code or 0
        out = capsys.readouterr()
        log = caplog.text + out.out + out.err
        assert SECRET not in log
        assert "Traceback" not in log
        return Run(code, log)

    return run_


BAD = [
    ({}, 78, "PIPEBOARD_DATABASE_URL"),
    ({"sqlalchemy_url": f"mysql://u:{SECRET}@h/d"}, 78, "not an address of PostgreSQL"),
    ({"sqlalchemy_url": f"postgresql://u:{SECRET}@h:port/d"}, 78, "not an address"),
    ({"sqlalchemy_url": {"x": SECRET}}, 78, "sqlalchemy_url is not valid"),
    ({"host": "h", "user": "u"}, 78, "password, database missing"),
    ({"host": "h", "user": "u", "database": "d", "password": [SECRET]}, 78, "password is not"),
    ({"sqlalchemy_url": "postgresql://h/d", "batch_size_rows": 0}, 78, "batch_size_rows"),
    ({"sqlalchemy_url": "postgresql://h/d", "add_record_metadata": False}, 78, "activate_version"),
    ({"sqlalchemy_url": f"postgresql://u:{SECRET}@127.0.0.1:1/d"}, 69, "127.0.0.1:1"),
    (
        {"sqlalchemy_url": f"postgresql://u:{SECRET}@no-such-host.invalid/d"},
        69,
        "no-such-host.invalid",
    ),
]


@pytest.mark.parametrize(("config", "code", "says"), BAD)
def test_configuration_errors(run: t.Any, config: dict, code: int, says: str) -> None:
    result = run(config)
    assert result.code == code
    assert says in result.log


def test_a_configuration_that_cannot_be_read(run: t.Any, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "absent.json"):
        assert run(None, args=("--config", str(tmp_path / name))).code == 78


def test_a_missing_database_is_a_configuration_error(run: t.Any, url: str) -> None:
    result = run({"sqlalchemy_url": url.rpartition("/")[0] + "/no_such_database"})
    assert (result.code, "does not exist" in result.log) == (78, True)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_address_comes_from_the_environment(
    run: t.Any, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(
        settings.ENV_DATABASE_URL,
        scheme + warehouse.url.partition(":")[1] + warehouse.url.partition(":")[2],
    )
    config = warehouse.config()
    del config["sqlalchemy_url"]
    assert run(config, schema({"id": "integer"}), record(id=1)).code == 0
    assert warehouse.one("select count(*) from {s}.s") == 1


def test_rights_are_named_with_the_statement_that_gives_them(
    run: t.Any, warehouse: Warehouse
) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(warehouse.url)
    weak = f"postgresql://pb_weak@{parts['host']}:{parts['port']}/{parts['dbname']}"
    database = parts["dbname"]
    messages = [schema({"id": "integer"}), record(id=1)]
    config = warehouse.config(sqlalchemy_url=weak)
    warehouse.sql("drop role if exists pb_weak; create role pb_weak login")
    try:
        result = run(config, *messages)
        assert result.code == 77
        assert f'GRANT CREATE ON DATABASE "{database}" TO "pb_weak"' in result.log
        warehouse.sql("create schema {s}")
        result = run(config, *messages)
        assert result.code == 77
        assert f'GRANT USAGE, CREATE ON SCHEMA "{warehouse.schema}" TO "pb_weak"' in result.log
        warehouse.sql("grant usage on schema {s} to pb_weak")
        result = run(config, *messages)
        assert result.code == 77
        assert f'GRANT USAGE, CREATE ON SCHEMA "{warehouse.schema}" TO "pb_weak"' in result.log
        warehouse.sql("grant usage, create on schema {s} to pb_weak")
        result = run(config, *messages)
        assert result.code == 77
        assert "stream_load" in result.log
        assert warehouse.one("select to_regclass('{s}.s') is null")
        warehouse.sql("create schema {o}; grant usage, create on schema {o} to pb_weak")
        assert run(config, *messages).code == 0
    finally:
        warehouse.sql("drop owned by pb_weak; drop role pb_weak")


def test_input_that_is_not_singer(run: t.Any, warehouse: Warehouse) -> None:
    for messages in (
        ["{"],
        ["[]"],
        ['{"type":"NEWS"}'],
        [record(id=1)],
        [schema({"id": "integer"}), record(v=1)],
        [schema({"id": "integer"}), '{"type":"RECORD","stream":"s","record":5}'],
        [schema({"v": "integer"})],
    ):
        assert run(warehouse.config(), *messages).code == 65, messages


def test_about_and_version_print_name_and_settings(run: t.Any) -> None:
    result = run(None, args=("--about", "--format", "json"))
    assert result.code == 0
    assert "PIPEBOARD_DATABASE_URL" in result.log
    assert "target-postgres v" in run(None, args=("--version",)).log


def test_both_scripts_start_this_loader() -> None:
    """Both names; the stock target's script of the first name is why there is a second."""
    scripts = metadata.distribution("pipeboard-target-postgres").entry_points
    entry_point = "pipeboard_target_postgres.main:main"
    assert {s.name: s.value for s in scripts} == {
        "target-postgres": entry_point,
        "pipeboard-target-postgres": entry_point,
    }


LOGINS = [
    ('FATAL: password authentication failed for user "u"', 77),
    ('FATAL: no pg_hba.conf entry for host "h"', 77),
    ('FATAL: database "d" does not exist', 78),
    ('FATAL: role "u" does not exist', 77),
    ("FATAL: the database system is starting up", 69),
    ("connection timeout expired", 69),
]


@pytest.mark.parametrize(("text", "code"), LOGINS)
def test_a_refused_connection_gives_its_exit_code(text: str, code: int) -> None:
    known = explain(psycopg.OperationalError(f"connection failed: {text}"), "database 'd'")
    assert known
    assert known.exit_code == code
    assert "\n" not in str(known)


def test_application_name_and_session(warehouse: Warehouse) -> None:
    target = TargetPostgres(config=warehouse.config())
    row = (
        target.loader._session.connection()
        .execute("select current_setting('application_name'), current_setting('timezone')")
        .fetchone()
    )
    target.close()
    assert row == ("pipeboard target-postgres", "UTC")


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{SECRET}@h/d",
        f"password={SECRET} host=h",
        f"PASSWORD = '{SECRET} x'",
    ],
)
def test_passwords_are_redacted(text: str) -> None:
    assert SECRET not in redact(text)
    assert "***" in redact(text)
