"""The roles of a warehouse: one that loads, one that builds, one that counts, one that reads.

What they may do is in k8s/components/postgres/roles.sql, the same for every database. A single role
that does everything needs none of this.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg

from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.launch import DATABASE, TRANSFORM_DATABASE
from pipeboard.local.metrics_server import URL_VARIABLE

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.paths import Paths

SCRIPT = Path("k8s/components/postgres/roles.sql")
#: Marks the start of the part that is the same for every database.
MARK = "-- roles of a warehouse:"
ADMIN = "PIPEBOARD_ADMIN_DATABASE_URL"


@dataclass(frozen=True)
class Login:
    """A role that logs in: its name, and the variables of its password and its URL."""

    role: str
    password: str
    url: str


LOGINS = (
    Login("pipeboard", "WAREHOUSE_PASSWORD", DATABASE),
    Login("pipeboard_transform", "TRANSFORM_PASSWORD", TRANSFORM_DATABASE),
    Login("pipeboard_metrics", "METRICS_PASSWORD", URL_VARIABLE),
    Login("metabase_ro", "READER_PASSWORD", "METABASE_DATABASE_URL"),
)


def script(paths: Paths) -> str:
    """Return the SQL; it takes passwords from settings of the session."""
    text = (paths.root / SCRIPT).read_text(encoding="utf-8")
    return text[text.index(MARK) :]


def for_psql(paths: Paths) -> str:
    """Return the SQL for an administrator who runs it with psql; passwords from the environment."""
    lines = ["\\set ON_ERROR_STOP on"]
    for login in LOGINS:
        name = login.password.lower()
        lines += [f"\\set {name} ''", f"\\getenv {name} {login.password}"]
        lines.append(f"select set_config('pipeboard.{name}', :'{name}', false) \\g /dev/null")
    return "\n".join([*lines, script(paths)])


def administrator(given: Mapping[str, str]) -> DatabaseUrl:
    """Return the role that creates the roles: the administrator, else the role that syncs.

    Raises:
        PipeboardError: no database is named.

    """
    named = given.get(ADMIN) or given.get(DATABASE)
    if not named:
        what = f"the embedded PostgreSQL has one role that does everything, and {ADMIN} is not set"
        remedy = f"Set {ADMIN} to the warehouse, with a role that may create roles"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    return DatabaseUrl.parse(named)


def apply(paths: Paths, given: Mapping[str, str], console: Console) -> int:
    """Make or update the roles; write their URLs to a private file."""
    admin = administrator(given)
    file = paths.local / "roles.env"
    known = _known_passwords(given, file, admin)
    try:
        with psycopg.connect(admin.url, connect_timeout=10) as connection:
            there = {name for (name,) in connection.execute("select rolname from pg_roles")}
            passwords = {
                login: known.get(login.role) or secrets.token_urlsafe(24)
                for login in LOGINS
                # A password that is not known here stays.
                if known.get(login.role) or login.role not in there
            }
            for login, password in passwords.items():
                # The server gets a hash, which it may log, never the password.
                stored = connection.pgconn.encrypt_password(
                    password.encode(), login.role.encode(), b"scram-sha-256"
                )
                setting = [f"pipeboard.{login.password.lower()}", stored.decode()]
                connection.execute("select set_config(%s, %s, false)", setting)
            connection.execute(script(paths).encode())
    except psycopg.errors.InsufficientPrivilege as error:
        reason = str(error).splitlines()[0]
        what = f"the role {admin.user} may not make the roles in {admin.place}: {reason}"
        remedy = f"Name a superuser, or the database's owner with CREATEROLE, in {ADMIN}; or give "
        remedy += "`pipeboard roles --print` to its administrator"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED) from error
    except psycopg.OperationalError as error:
        what = f"the database {admin.place} cannot be reached, or refuses the password"
        raise PipeboardError(what, f"Check {ADMIN}", ExitCode.UNAVAILABLE) from error
    _write(file, {login: _url(admin, login.role, text) for login, text in passwords.items()})
    for login in LOGINS:
        text = "made" if login.role not in there else "up to date"
        if login not in passwords:
            text += f"; its password is not known here, set {login.password} to change it"
        console.note(login.role, text)
    console.note("roles", f"their URLs are in {file}: put its lines into .env")
    return 0


def _known_passwords(given: Mapping[str, str], file: Path, admin: DatabaseUrl) -> dict[str, str]:
    """Return passwords by role: from the environment, from the file of last time, from .env."""
    found: dict[str, str] = {}
    for login in LOGINS:
        urls = [given.get(login.url, ""), _read(file).get(login.url, "")]
        for url in filter(None, urls):
            named = DatabaseUrl.parse(url)
            # A role of the same name on another server is another role.
            same = (named.port, named.database) == (admin.port, admin.database)
            if same and named.user == login.role and named.password:
                found.setdefault(login.role, named.password)
        if given.get(login.password):
            found[login.role] = given[login.password]
    return found


def _url(admin: DatabaseUrl, role: str, password: str) -> str:
    """Return the administrator's URL with another role."""
    rest = admin.url.partition("://")[2].rpartition("@")[2]
    return f"postgresql://{quote(role)}:{quote(password, safe='')}@{rest}"


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _write(file: Path, urls: Mapping[Login, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = {**_read(file), **{login.url: url for login, url in urls.items()}}
    text = "# Written by `pipeboard roles`, for .env. Metabase may know the host by another name.\n"
    text += "".join(f"{name}={value}\n" for name, value in lines.items() if name)
    fresh = file.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)
