"""A stand-in for Metabase, a small warehouse, and the command between them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from pipeboard_metabase import cli, client, connection, setup
from provision_kit import (
    EMAIL,
    PASSWORD,
    READER_PASSWORD,
    ROOT,
    WAREHOUSE,
    Command,
    Site,
    manifest,
    readme_sql,
    small_definitions,
)
from standin import StandIn

from pipeboard.embedded_postgres import EmbeddedPostgres
from pipeboard.postgres_binaries import Binaries, wheel_binaries


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The small warehouse, as its owner; its reader is made as the README says."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server"))
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    demo = ROOT / ".pipeboard" / "env" / "demo"
    binaries = Binaries(Path(named)) if named else wheel_binaries(demo)
    url = server.start(binaries, "provisioned", fresh=True)["provisioned"]
    cluster = server.record.load()
    assert cluster is not None
    with psycopg.connect(url) as owner:
        owner.execute(WAREHOUSE)
        for schema in ("marts", "ops"):
            owner.execute(f"grant usage on schema {schema} to bi_read".encode())
            owner.execute(f"grant select on all tables in schema {schema} to bi_read".encode())
    with psycopg.connect(url, user="postgres", password=cluster.superuser_password) as root:
        root.execute(
            readme_sql()
            .replace(":'password'", "'" + READER_PASSWORD.replace("'", "''") + "'")
            .encode()
        )
    yield url
    server.destroy()


@pytest.fixture
def site(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for module in (setup, connection):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(client, "BACKOFF_SECONDS", 0.001)
    with psycopg.connect(warehouse) as owner:
        columns = owner.execute(
            "select table_schema, table_name, column_name from information_schema.columns"
            " where table_schema in ('marts', 'ops') order by ordinal_position"
        ).fetchall()
    standin = StandIn([(str(s), str(t), str(c)) for s, t, c in columns], READER_PASSWORD)
    parsed = psycopg.conninfo.conninfo_to_dict(warehouse)
    address = f"{parsed['host']}:{parsed['port']}/{parsed['dbname']}"
    manifest_file = tmp_path / "manifest.json"
    manifest_file.write_text(json.dumps(manifest()))
    found = Site(
        standin,
        {
            "METABASE_URL": standin.url,
            "METABASE_DATABASE_URL": (
                f"postgresql://metabase_ro:{quote(READER_PASSWORD, safe='')}@{address}"
            ),
            "METABASE_ADMIN_EMAIL": EMAIL,
            "METABASE_ADMIN_PASSWORD": PASSWORD,
            "METABASE_DBT_MANIFEST": str(manifest_file),
            "METABASE_TIMEOUT_SECONDS": "5",
            "PIPEBOARD_STATE_DIR": str(tmp_path),
        },
        tmp_path,
        small_definitions(),
    )
    monkeypatch.setattr(cli, "load", lambda: found.definitions)
    yield found
    standin.close()
    # Whatever a test is about: not one request may be what Metabase's document does not know.
    assert standin.violations == []


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run pipeboard-metabase; return its exit code. What it said is in site.out and site.err."""

    def command(*arguments: str, **more: str) -> int:
        environ = {k: v for k, v in {**site.environ, **more}.items() if v}
        site.standin.log.clear()
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments), environ)
        site.out, site.err = capsys.readouterr()
        site.shown += [site.out, site.err]
        for said in (site.out, site.err):
            assert PASSWORD not in said and READER_PASSWORD not in said
        return int(end.value.code or 0)

    return command


_APPLIED: list[tuple[dict[str, Any], str]] = []


@pytest.fixture
def applied(site: Site, run: Command) -> Site:
    """A Metabase as the files say; applied once, and the same again for every test."""
    if not _APPLIED:
        assert run("apply") == 0, site.err
        _APPLIED.append((site.standin.save(), site.key_file.read_text()))
    state, key = _APPLIED[0]
    site.standin.load(state)
    site.key_file.parent.mkdir(exist_ok=True)
    site.key_file.write_text(key)
    return site
