"""A stand-in for Metabase, a small warehouse, and the command between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from card_helpers import Server
from pipeboard_metabase import cli, client, connection, setup
from pipeboard_metabase.definitions import Definitions
from provision_helpers import (
    EMAIL,
    PASSWORD,
    READER_PASSWORD,
    WAREHOUSE,
    Command,
    OpenSite,
    Site,
    command,
    manifest,
    readme_sql,
    small_definitions,
)
from standin import StandIn


@pytest.fixture(scope="session")
def login(server: Server) -> None:
    """The reader's login, made as the README says."""
    url = server.postgres.start(server.binaries, "provisioned", fresh=True)["provisioned"]
    cluster = server.postgres.record.load()
    assert cluster is not None
    with psycopg.connect(url, user="postgres", password=cluster.superuser_password) as root:
        literal = READER_PASSWORD.replace("'", "''")
        root.execute(readme_sql().replace(":'password'", f"'{literal}'").encode())


@pytest.fixture(scope="session")
def warehouse(server: Server, login: None) -> str:
    """The small warehouse, as its owner."""
    url = server.postgres.start(server.binaries, "provisioned")["provisioned"]
    with psycopg.connect(url) as owner:
        owner.execute(WAREHOUSE.encode())
        for schema in ("marts", "ops"):
            owner.execute(f"grant usage on schema {schema} to bi_read".encode())
            owner.execute(f"grant select on all tables in schema {schema} to bi_read".encode())
    return url


@pytest.fixture
def open_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: None) -> Iterator[OpenSite]:
    for module in (setup, connection):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(client, "BACKOFF_SECONDS", 0.001)
    standins = []

    def open_one(url: str, manifest_file: Path, definitions: Definitions) -> Site:
        with psycopg.connect(url) as owner:
            columns = owner.execute(
                "select nspname, relname, attname from pg_attribute"
                " join pg_class on pg_class.oid = attrelid"
                " join pg_namespace on pg_namespace.oid = relnamespace"
                " where nspname in ('marts', 'ops') and relkind in ('r', 'v', 'm', 'p')"
                " and attnum > 0 and not attisdropped order by attrelid, attnum"
            ).fetchall()
        standin = StandIn([(str(s), str(t), str(c)) for s, t, c in columns], READER_PASSWORD)
        standins.append(standin)
        parsed = psycopg.conninfo.conninfo_to_dict(url)
        reader = f"metabase_ro:{quote(READER_PASSWORD, safe='')}"
        address = f"{parsed['host']}:{parsed['port']}/{parsed['dbname']}"
        environ = {
            "METABASE_URL": standin.url,
            "METABASE_DATABASE_URL": f"postgresql://{reader}@{address}",
            "METABASE_ADMIN_EMAIL": EMAIL,
            "METABASE_ADMIN_PASSWORD": PASSWORD,
            "METABASE_DBT_MANIFEST": str(manifest_file),
            "METABASE_TIMEOUT_SECONDS": "5",
            "PIPEBOARD_STATE_DIR": str(tmp_path),
        }
        found = Site(standin, environ, tmp_path, definitions)
        monkeypatch.setattr(cli, "load", lambda: found.definitions)
        return found

    yield open_one
    for standin in standins:
        standin.close()
        # Whatever a test is about: not one request may be what Metabase's document does not know.
        assert standin.violations == []


@pytest.fixture
def site(warehouse: str, open_site: OpenSite, tmp_path: Path) -> Site:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(manifest()))
    return open_site(warehouse, file, small_definitions())


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(site, capsys)


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
