"""A pooler between the loader and PostgreSQL: PgBouncer where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from loader_helpers import Warehouse, record, schema, state

from pipeboard_target_postgres import pooler
from pipeboard_target_postgres.errors import ConfigurationError, explain

S = schema({"id": "integer", "v": "string", "o": "object"})
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@pytest.fixture
def bouncer(url: str, tmp_path: Path) -> Iterator[t.Callable[..., str]]:
    """Start PgBouncer in a mode; return the address to use."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    started: list[subprocess.Popen] = []
    server = psycopg.conninfo.conninfo_to_dict(url)

    def start(mode: str, size: int = 5) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        tmp_path.chmod(0o755)
        users = tmp_path / "users.txt"
        users.write_text(f'"{server["user"]}" ""\n')
        ini = tmp_path / "pgbouncer.ini"
        ini.write_text(
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"auth_file = {users}\npool_mode = {mode}\ndefault_pool_size = {size}\n"
            f"[databases]\n{server['dbname']} = host={server['host']} port={server['port']}"
            f" user={server['user']} dbname={server['dbname']}\n"
        )
        command = [str(PGBOUNCER), "-q", str(ini)]
        user: t.Any = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for folder in (tmp_path, *tmp_path.parents[:2]):
                folder.chmod(folder.stat().st_mode | 0o755)
        started.append(subprocess.Popen(command, cwd="/", stderr=subprocess.PIPE, **user))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        return f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}"

    yield start
    for process in started:
        process.terminate()
        process.wait(10)
        t.cast("t.Any", process.stderr).close()


@pytest.mark.parametrize("size", [1, 5])
def test_session_pooling_works(
    warehouse: Warehouse, bouncer: t.Any, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "PROBE_SECONDS", 1)
    url = bouncer("session", size)
    rows = [record(id=i, v="x", o={}) for i in range(500)]
    for _ in range(2):
        warehouse.load([S, *rows, state({"x": 1})], sqlalchemy_url=url, batch_size_rows=50)
        assert warehouse.states == [{"x": 1}]
    assert warehouse.one("select count(*) from {s}.s") == 500


def test_transaction_pooling_is_refused_with_one_line(warehouse: Warehouse, bouncer: t.Any) -> None:
    url = bouncer("transaction")
    with pytest.raises(ConfigurationError, match="pool_mode = session") as raised:
        warehouse.load([S, record(id=1), state({})], sqlalchemy_url=url)
    assert raised.value.exit_code == 78
    assert warehouse.states == []


def test_another_server_process_during_a_run_is_noticed(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "check", lambda _: 1)
    with pytest.raises(ConfigurationError, match="after each transaction"):
        warehouse.load([S, record(id=1), state({})])
    assert warehouse.states == []


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.InvalidSqlStatementName('prepared statement "_pg3_0" does not exist'),
        psycopg.errors.DuplicateTable('relation "pb_stage_1" already exists'),
        psycopg.errors.UndefinedTable('relation "pb_seen_1" does not exist'),
    ],
)
def test_errors_of_transaction_pooling_name_pool_mode(error: psycopg.Error) -> None:
    known = explain(error)
    assert known
    assert known.exit_code == 78
    assert "session mode" in str(known)
