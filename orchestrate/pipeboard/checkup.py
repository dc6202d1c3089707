"""`pipeboard doctor` and `pipeboard status`: what is well, and what to do about the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pipeboard.preflight import check_account, check_settings
from pipeboard.problems import ExitCode, Problem
from pipeboard.warehouse import prepare_database
from pipeboard.worlds import DEMO_DATABASE, OWN_DATABASE, settings

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.services import Services

LOW_DISK = 2 * 1024**3
COMMANDS = ("meltano", "tap-pipedrive", "target-postgres", "dbt")


def doctor(services: Services, console: Console) -> int:
    """Check one thing after the other; the worst one decides the exit code."""
    given = settings(services.paths)
    worst = 0

    def check(name: str, action: Callable[[], str]) -> bool:
        nonlocal worst
        try:
            words = action()
        except Problem as problem:
            console.note(name, f"{console.bad('problem')}: {problem}")
            worst = worst or int(problem.code)
            return False
        console.note(name, f"{console.good('ok')}: {words}")
        return True

    def account() -> str:
        found = check_account(given, check_settings(given))
        return f"{found.company or found.base}, as {found.user}" if found else "OAuth, not tried"

    def database() -> str:
        world = services.own(console)
        version = prepare_database(world.database, embedded=world.embedded)
        return f"PostgreSQL {version}, {world.database.place}"

    check("programs", lambda: _programs(services))
    check("disk", lambda: _disk(services))
    if check("settings", lambda: f"the API at {check_settings(given)}"):
        check("account", account)
    check("database", database)
    return worst


def _programs(services: Services) -> str:
    missing = [name for name in COMMANDS if not (services.paths.binaries / name).exists()]
    if missing:
        what = f"{', '.join(missing)} not installed"
        raise Problem(what, "Run `make setup`", ExitCode.CONFIGURATION)
    return ", ".join(COMMANDS)


def _disk(services: Services) -> str:
    free = shutil.disk_usage(services.paths.root).free
    words = f"{free / 1024**3:.1f} GiB free"
    if free < LOW_DISK:
        raise Problem(words, "Make room: at least 2 GiB", ExitCode.CONFIGURATION)
    local = services.paths.local
    if not os.access(local if local.exists() else local.parent, os.W_OK):
        what = f"{local} may not be written by you"
        raise Problem(what, "Use a checkout of your own", ExitCode.NOT_PERMITTED)
    return words


def status(services: Services, console: Console) -> int:
    """Show background services, the last runs, and the tables of each world that is reachable."""
    urls = services.postgres.urls(OWN_DATABASE, DEMO_DATABASE) or {}
    where = next(iter(urls.values()), "").rpartition("@")[2].partition("/")[0]
    console.note("postgres", f"embedded, on {where}" if urls else "embedded one not running")
    ready = services.simulator.ready()
    console.note("account", f"simulated, on {ready['url']}" if ready else "no simulated one runs")
    logs = sorted(services.paths.logs.glob("*.jsonl"))
    console.note("last run", str(logs[-1]) if logs else "none yet")
    named = settings(services.paths).get("PIPEBOARD_DATABASE_URL")
    own = named or urls.get(OWN_DATABASE)
    for world, url in (("own world", own), ("demo world", urls.get(DEMO_DATABASE))):
        rows = _tables(url) if url else None
        if rows:
            console.heading(f"Raw tables of the {world}")
            console.table(["table", "rows", "last loaded (UTC)"], rows)
    return 0


def _tables(url: str) -> list[tuple[object, ...]] | None:
    """Count the raw tables and say when each was last written; None if there are none."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            names = connection.execute(
                """
                select table_name from information_schema.columns
                where table_schema = 'pipedrive' and column_name = '_sdc_batched_at'
                order by 1
                """
            ).fetchall()
            rows: list[tuple[object, ...]] = []
            for (name,) in names:
                query = sql.SQL(
                    "select {0}, count(*), to_char(max(_sdc_batched_at) at time zone 'UTC', "
                    "'YYYY-MM-DD HH24:MI') from pipedrive.{1}"
                ).format(sql.Literal(name), sql.Identifier(name))
                rows.extend(connection.execute(query).fetchall())
            return rows
    except psycopg.Error:
        return None
