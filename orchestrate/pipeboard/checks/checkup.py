"""`pipeboard doctor` and `pipeboard status`: what is well, and what to do about the rest."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pipeboard.bounded import within
from pipeboard.checks import probes
from pipeboard.checks.preflight import Account, check_account, check_settings
from pipeboard.checks.warehouse import prepare_database, show_connection
from pipeboard.console import Console
from pipeboard.database import connect, first_line
from pipeboard.outcomes import (
    BEHIND,
    COMPLETE,
    INCOMPLETE,
    NOT_DUE,
    REFUSED,
    STREAM_OUTCOMES,
    process_code,
)
from pipeboard.problems import ExitCode, Problem
from pipeboard.run import history
from pipeboard.run.history import StreamTrouble
from pipeboard.run.measures import exists, freshness, remaining_histories
from pipeboard.run.ops import migrate_database
from pipeboard.worlds import DEMO, DEMO_DATABASE, OWN, OWN_DATABASE, settings

if TYPE_CHECKING:
    from pipeboard.database_url import DatabaseUrl
    from pipeboard.local.services import Services

#: Seconds for a login by who only looks.
LOGIN_SECONDS = 5
#: Seconds for the whole answer of a service.
PROBE_SECONDS = 20.0
LOW_DISK = 2 * 1024**3
COMMANDS = ("meltano", "tap-pipedrive", "target-postgres", "dbt")


def doctor(services: Services, console: Console) -> int:
    """Check one thing after the other; the first problem decides the exit code.

    Spent tokens are the least of them: an installation is whole on such a day, too.
    """
    given = services.settings()
    worst = 0
    spent = False

    def check(name: str, action: Callable[[], str]) -> bool:
        nonlocal worst, spent
        try:
            words = action()
        except Problem as problem:
            console.note(name, f"{console.bad('problem')}: {problem}")
            if problem.code is ExitCode.BUDGET:
                spent = True
            else:
                worst = worst or int(problem.code)
            return False
        console.note(name, f"{console.good('ok')}: {words}")
        return True

    found: list[Account] = []
    reached: list[DatabaseUrl] = []

    def account() -> str:
        answer = check_account(given, check_settings(given))
        if answer is None:
            return "OAuth, not tried"
        found.append(answer)
        return f"{answer.company or answer.base}, as {answer.user}"

    def database() -> str:
        world = services.own(console)
        version = prepare_database(world)
        reached.append(world.database)
        migrate_database(world.database)
        return f"PostgreSQL {version}, {world.database.place}"

    check("programs", lambda: _programs(services))
    check("disk", lambda: _disk(services))
    if check("settings", lambda: f"the API at {check_settings(given)}") and check(
        "account", account
    ):
        for answer in found:
            check("permissions", partial(probes.check_permissions, answer))
            check("tokens", partial(probes.check_tokens, answer, given))
            check("clock", partial(probes.check_clock, answer))
    if check("database", database):
        _show_streams(reached[0], console)
        check("quarantine", lambda: _quarantine(reached[0]))
    optional = (
        ("redis", "REDIS_URL", probes.check_redis),
        ("pushgateway", "PUSHGATEWAY_URL", probes.check_pushgateway),
    )
    for name, variable, probe in optional:
        url = given.get(variable)
        if url:
            check(name, partial(_bounded, f"{name} at {probes.place_of(url)}", partial(probe, url)))
        else:
            console.note(name, f"not used ({variable} is not set)")
    if spent and not worst:
        return process_code(BEHIND, int(ExitCode.BUDGET), given)
    return worst


def _bounded(what: str, probe: Callable[[], str]) -> str:
    """Ask a service, and do not wait for an answer that drips."""
    try:
        return within(PROBE_SECONDS, what, probe)
    except TimeoutError as error:
        raise Problem(
            str(error), "Check it; runs go on without it", ExitCode.UNAVAILABLE
        ) from error


def _show_streams(database: DatabaseUrl, console: Console) -> None:
    """Name the streams that the last runs could not read in full.

    This changes no exit code: the installation is whole, and a release may be the remedy.
    """
    with connected(database.url) as connection:
        troubles = history.stream_troubles(connection)
        outcomes = history.stream_outcomes(connection)
    lost = [one for one in troubles if one.outcome in (REFUSED, INCOMPLETE)]
    if lost:
        what = "; ".join(_trouble(one) for one in lost)
        refused = any(one.outcome == REFUSED for one in lost)
        remedy = "Give the token's user the rights it had" if refused else "See `make history`"
        console.note("streams", f"{console.bad('not complete')}: {what}. {remedy}")
        return
    parts = [_trouble(one) for one in troubles]
    behind = [name for name, outcome in outcomes.items() if outcome == BEHIND]
    if behind:
        parts.append(f"{', '.join(behind)}: {STREAM_OUTCOMES[BEHIND]}")
    whole = "each was read to its end when it was due" if outcomes else "none was read yet"
    console.note("streams", f"{console.good('ok')}: {'; '.join(parts) or whole}")


def _trouble(one: StreamTrouble) -> str:
    """Say what is missing of a stream."""
    is_read = one.outcome in (COMPLETE, BEHIND, NOT_DUE)
    parts = [] if is_read else [STREAM_OUTCOMES[one.outcome]]
    if one.incomplete_parents:
        parts.append(f"{one.incomplete_parents:,} records whose dependent records are incomplete")
    if one.nulled_values:
        parts.append(f"{one.nulled_values:,} values set to null")
    why = f" ({one.reason})" if one.reason else ""
    return f"{one.stream}: {', '.join(parts)}{why}"


def _quarantine(database: DatabaseUrl) -> str:
    """Count the records that were set aside."""
    with connected(database.url) as connection:
        found = history.quarantined(connection)
    if not found:
        return "empty"
    counts = [f"{stream}: {total:,} ({fresh:,} in 24 hours)" for stream, total, fresh in found]
    return f"{'; '.join(counts)}; see ops.quarantine, docs/runbooks/QuarantineFilling.md"


def _programs(services: Services) -> str:
    missing = [name for name in COMMANDS if not (services.paths.binaries / name).exists()]
    if missing:
        what = f"{', '.join(missing)} not installed"
        raise Problem(what, "Run `make setup`", ExitCode.CONFIGURATION)
    return ", ".join(COMMANDS)


def _disk(services: Services) -> str:
    """Look where logs and, unless another one is named, the database grow."""
    local = services.paths.local
    places = [services.paths.root, local if local.exists() else local.parent]
    cluster = services.postgres.record.load()
    if cluster:
        places.append(Path(cluster.home))
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    words = f"{free / 1024**3:.1f} GiB free in {place}"
    if free < LOW_DISK:
        raise Problem(words, "Make room: at least 2 GiB", ExitCode.CONFIGURATION)
    if not os.access(local if local.exists() else local.parent, os.W_OK):
        what = f"{local} may not be written by you"
        raise Problem(what, "Use a checkout of your own", ExitCode.NOT_PERMITTED)
    return words


def status(services: Services, console: Console) -> int:
    """Show background services; the last runs, freshness and tables of each world in reach."""
    urls = services.postgres.urls(OWN_DATABASE, DEMO_DATABASE) or {}
    where = next(iter(urls.values()), "").rpartition("@")[2].partition("/")[0]
    console.note("postgres", f"embedded, on {where}" if urls else "embedded one not running")
    ready = services.simulator.ready()
    console.note("account", f"simulated, on {ready['url']}" if ready else "no simulated one runs")
    for prefect in services.prefects:
        if prefect.url:
            worker = "its worker waits for runs" if prefect.works else "no worker"
            console.note("prefect", f"for the {prefect.world} world, on {prefect.url}; {worker}")
    logs = sorted(services.paths.logs.glob("*.jsonl"))
    console.note("last log", str(logs[-1]) if logs else "none yet")
    given = settings(services.paths)
    for world in (OWN, DEMO):
        services.stack(world).show(console, services.settings_of_up(world))
    named = given.get("PIPEBOARD_DATABASE_URL")
    own = named or urls.get(OWN_DATABASE)
    for world, url in (("own world", own), ("demo world", urls.get(DEMO_DATABASE))):
        try:
            if url:
                with connect(url, LOGIN_SECONDS) as connection:
                    _show_world(console, world, connection)
                show_connection(console, url, embedded=url != named)
        except psycopg.Error as error:
            if url != named and "does not exist" in str(error):
                continue  # the embedded server has what was used so far
            console.note(world, f"not in reach: {first_line(error)}")
    return 0


def _show_world(console: Console, world: str, connection: psycopg.Connection) -> None:
    if exists(connection, "ops.etl_run"):
        runs = history.latest_of_each(connection)
        if runs:
            console.heading(f"Last runs of the {world}")
            _table_of_runs(console, runs)
        troubles = history.stream_troubles(connection)
        if troubles:
            console.heading(f"Streams of the {world} to look at")
            for one in troubles:
                console.line(f"  {_trouble(one)}")
        for stream, total, fresh in history.quarantined(connection):
            words = f"{total:,} records in quarantine, {fresh:,} of the last 24 hours"
            console.line(f"  {stream}: {words}")
        remaining = remaining_histories(connection)
        if remaining:
            console.line(f"  {remaining:,} deals whose history was not read yet")
    rows = _tables(connection)
    if rows:
        console.heading(f"Raw tables of the {world}")
        console.table(["table", "rows", "last change (UTC)", "last looked (UTC)"], rows)


def show_history(
    services: Services,
    console: Console,
    count: int,
    pipeline: str | None,
    *,
    in_demo: bool,
    as_json: bool,
) -> None:
    """Show the latest runs."""
    errors = Console(sys.stderr)
    if in_demo:
        url = services.start_postgres(errors, DEMO_DATABASE)
    else:
        url = services.own(errors).database.url
    runs = _latest(url, count, pipeline)
    if as_json:
        for run in runs:
            console.line(json.dumps(run, default=_plain, ensure_ascii=False))
    elif runs:
        _table_of_runs(console, runs)
    else:
        console.line("no run yet")
        demo = (services.postgres.urls(DEMO_DATABASE) or {}).get(DEMO_DATABASE)
        if not in_demo and demo and demo != url and _latest(demo, 1, pipeline):
            console.line("The demo has runs: `make history DEMO=1` (pipeboard history --demo)")


def _latest(url: str, count: int, pipeline: str | None) -> list[dict[str, Any]]:
    try:
        with connected(url) as connection:
            if not exists(connection, "ops.etl_run"):
                return []
            return history.latest(connection, count, pipeline)
    except Problem as problem:
        if "does not exist" in problem.what:
            return []
        raise


def _table_of_runs(console: Console, runs: list[dict[str, Any]]) -> None:
    console.table(
        ["run", "job", "started (UTC)", "seconds", "status", "exit", "rows", "tokens", "why"],
        [
            [
                *(run["run_id"], run["job"], f"{_utc(run['started_at']):%Y-%m-%d %H:%M:%S}"),
                *(run["seconds"], run["status"], run["exit_code"], run["rows"]),
                *(run["tokens"], _short(run)),
            ]
            for run in runs
        ],
    )


def _short(run: dict[str, Any]) -> str:
    words = f"{run['failed_stage']}: " if run["failed_stage"] else ""
    words += " ".join(str(run["reason"] or "").split())
    return words if len(words) <= 70 else f"{words[:69]}…"


def _utc(time: datetime) -> datetime:
    return time.astimezone(timezone.utc)


def _plain(value: object) -> object:
    return _utc(value).isoformat() if isinstance(value, datetime) else str(value)


def connected(url: str) -> psycopg.Connection:
    """Connect for a look."""
    try:
        return connect(url, LOGIN_SECONDS)
    except psycopg.OperationalError as error:
        what = f"the database cannot be reached: {first_line(error)}"
        raise Problem(what, "Check it with `make doctor`", ExitCode.UNAVAILABLE) from error


def _tables(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """Count the raw tables; say when each last changed, and was last read at the source."""
    names = connection.execute(
        """
        select table_name from information_schema.columns
        where table_schema = 'pipedrive' and column_name = '_sdc_batched_at'
        order by 1
        """
    ).fetchall()
    fresh = freshness(connection) if exists(connection, "ops.etl_run") else {}
    rows: list[tuple[object, ...]] = []
    for (name,) in names:
        query = sql.SQL(
            "select {0}, count(*), to_char(max(_sdc_batched_at) at time zone 'UTC', "
            "'YYYY-MM-DD HH24:MI') from pipedrive.{1}"
        ).format(sql.Literal(name), sql.Identifier(name))
        looked = fresh.get(name)
        shown = f"{datetime.fromtimestamp(looked, timezone.utc):%Y-%m-%d %H:%M}" if looked else "-"
        rows.extend((*found, shown) for found in connection.execute(query).fetchall())
    return rows
