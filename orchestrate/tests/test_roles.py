"""`pipeboard roles`: who may run it, which passwords it uses, and what it says."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path

import psycopg
import pytest

from pipeboard.commands import roles
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
MADE = ("pipeboard_transform", "pipeboard_metrics", "metabase_ro")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path))
    return Paths(ROOT)


@pytest.fixture
def admin(superuser: psycopg.Connection, database: DatabaseUrl) -> DatabaseUrl:
    """The database's owner, who may create roles and is no superuser."""
    superuser.execute("drop schema if exists marts cascade")
    for role in (*MADE, "dba"):
        for (name,) in superuser.execute(
            "select datname from pg_database where datname <> 'template0'"
        ).fetchall():
            with psycopg.connect(
                database.url,
                dbname=name,
                user="postgres",
                password=superuser.info.password,
                autocommit=True,
            ) as connection:
                connection.execute(
                    "do $$ begin if exists (select from pg_roles where rolname = "
                    f"'{role}') then drop owned by {role} cascade; end if; end $$".encode()
                )
        superuser.execute(f"drop role if exists {role}".encode())
    superuser.execute("create role dba login createrole password 'of the dba'")
    superuser.execute("grant pipeboard, bi_read to dba with admin option")
    superuser.execute("alter database test owner to dba")
    return DatabaseUrl(
        f"postgresql://dba:of%20the%20dba@{database.host}:{database.port}/{database.database}"
    )


def lines_of(paths: Paths) -> dict[str, str]:
    lines = (paths.local / "roles.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def enters(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_an_administrator_who_is_no_superuser_makes_the_roles(
    paths: Paths, admin: DatabaseUrl, database: DatabaseUrl
) -> None:
    out = StringIO()
    given = {roles.ADMIN: admin.url, "PIPEBOARD_DATABASE_URL": database.url}
    assert roles.apply(paths, given, Console(out)) == 0
    first = lines_of(paths)
    assert first["PIPEBOARD_DATABASE_URL"] == database.url, "the password that is in .env stays"
    assert all(map(enters, first.values()))
    assert roles.apply(paths, given, Console(out)) == 0
    assert lines_of(paths) == first
    for url in first.values():
        assert DatabaseUrl.parse(url).password not in out.getvalue()

    # Given ones win; they may contain whatever they like.
    odd = "s@crt/'1 $x%"
    roles.apply(paths, {**given, "READER_PASSWORD": odd}, Console(out))
    changed = lines_of(paths)["METABASE_DATABASE_URL"]
    assert DatabaseUrl.parse(changed).password == odd
    assert enters(changed)
    assert not enters(first["METABASE_DATABASE_URL"])

    # The file is lost: who has a password keeps it.
    shutil.rmtree(paths.local)
    roles.apply(paths, given, Console(out))
    assert "its password is not known here, set READER_PASSWORD" in out.getvalue()
    assert set(lines_of(paths)) == {"PIPEBOARD_DATABASE_URL"}
    assert enters(changed)


def test_no_password_is_sent_to_the_server(
    paths: Paths, admin: DatabaseUrl, superuser: psycopg.Connection
) -> None:
    roles.apply(
        paths, {roles.ADMIN: admin.url, "TRANSFORM_PASSWORD": "of dbt"}, Console(StringIO())
    )
    stored = superuser.execute(
        "select rolpassword from pg_authid where rolname = 'pipeboard_transform'"
    ).fetchone()
    assert stored is not None
    assert stored[0].startswith("SCRAM-SHA-256$")


def test_a_role_without_rights_gets_a_remedy(paths: Paths, database: DatabaseUrl) -> None:
    with pytest.raises(PipeboardError, match="PIPEBOARD_ADMIN_DATABASE_URL") as caught:
        roles.apply(paths, {"PIPEBOARD_DATABASE_URL": database.url}, Console(StringIO()))
    assert caught.value.code == ExitCode.NOT_PERMITTED
    assert database.password not in str(caught.value)
    with pytest.raises(PipeboardError, match="embedded PostgreSQL has one role"):
        roles.apply(paths, {}, Console(StringIO()))


def test_the_printed_sql_has_no_password_and_takes_them_from_the_environment(
    paths: Paths,
) -> None:
    printed = roles.for_psql(paths)
    for login in roles.LOGINS:
        assert f"\\getenv {login.password.lower()} {login.password}" in printed
        assert f"'{login.role}'" in printed
    assert printed.index("set_config") < printed.index(roles.MARK)
    assert "\\" not in roles.script(paths).replace("ops\\_%", ""), "psql alone knows its commands"
