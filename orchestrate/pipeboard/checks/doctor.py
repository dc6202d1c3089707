"""`pipeboard doctor`, `pipeboard status` and `pipeboard history`."""

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
from pipeboard.checks import service_checks
from pipeboard.checks.preflight import Account, check_account, check_settings
from pipeboard.checks.warehouse import prepare_database, show_connection
from pipeboard.console import Console
from pipeboard.database import connect, first_line
from pipeboard.environments import DEMO, DEMO_DATABASE, OWN, OWN_DATABASE, settings
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.outcomes import (
    BEHIND,
    COMPLETE,
    INCOMPLETE,
    NOT_DUE,
    REFUSED,
    STREAM_OUTCOMES,
    process_code,
)
from pipeboard.run import history
from pipeboard.run.history import StreamTrouble
from pipeboard.run.ops import migrate_database
from pipeboard.run.run_metrics import exists, freshness, remaining_histories

if TYPE_CHECKING:
    from pipeboard.database_url import DatabaseUrl
    from pipeboard.local.services import Services

#: Seconds for a login.
LOGIN_SECONDS = 5
#: Seconds for the whole response of a service.
CHECK_TIMEOUT_SECONDS = 20.0
LOW_DISK = 2 * 1024**3
COMMANDS = ("meltano", "tap-pipedrive", "target-postgres", "dbt")


def run_doctor(services: Services, console: Console) -> int:
    """Run all checks; the first failure decides the exit code.

    Spent tokens count only if nothing else failed: the installation is complete.
    """
    given = services.settings()
    worst = 0
    spent = False

    def check(name: str, action: Callable[[], str]) -> bool:
        nonlocal worst, spent
        try:
            text = action()
        except PipeboardError as error:
            console.note(name, f"{console.bad('problem')}: {error}")
            if error.code is ExitCode.BUDGET:
                spent = True
            else:
                worst = worst or int(error.code)
            return False
        console.note(name, f"{console.good('ok')}: {text}")
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
        environment = services.own(console)
        version = prepare_database(environment)
        reached.append(environment.database)
        migrate_database(environment.database)
        return f"PostgreSQL {version}, {environment.database.place}"

    check("programs", lambda: _programs(services))
    check("disk", lambda: _disk(services))
    if check("settings", lambda: f"the API at {check_settings(given)}") and check(
        "account", account
    ):
        for answer in found:
            check("permissions", partial(service_checks.check_permissions, answer))
            check("tokens", partial(service_checks.check_tokens, answer, given))
            check("clock", partial(service_checks.check_clock, answer))
    if check("database", database):
        _show_streams(reached[0], console)
        check("quarantine", lambda: _quarantine(reached[0]))
    optional = (
        ("redis", "REDIS_URL", service_checks.check_redis),
        ("pushgateway", "PUSHGATEWAY_URL", service_checks.check_pushgateway),
    )
    for name, variable, action in optional:
        url = given.get(variable)
        if url:
            check(
                name,
                partial(
                    _bounded, f"{name} at {service_checks.place_of(url)}", partial(action, url)
                ),
            )
        else:
            console.note(name, f"not used ({variable} is not set)")
    if spent and not worst:
        return process_code(BEHIND, int(ExitCode.BUDGET), given)
    return worst


def _bounded(what: str, action: Callable[[], str]) -> str:
    """Run a check of a service with a time limit for the whole response."""
    try:
        return within(CHECK_TIMEOUT_SECONDS, what, action)
    except TimeoutError as error:
        raise PipeboardError(
            str(error), "Check it; runs work without it", ExitCode.UNAVAILABLE
        ) from error


def _show_streams(database: DatabaseUrl, console: Console) -> None:
    """Show the streams that the last runs could not read in full.

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
    """Return what is missing in a stream."""
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
        raise PipeboardError(what, "Run `make setup`", ExitCode.CONFIGURATION)
    return ", ".join(COMMANDS)


def _disk(services: Services) -> str:
    """Check the disks on which logs and, unless another one is named, the database grow."""
    local = services.paths.local
    places = [services.paths.root, local if local.exists() else local.parent]
    cluster = services.postgres.record.load()
    if cluster:
        places.append(Path(cluster.home))
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    text = f"{free / 1024**3:.1f} GiB free in {place}"
    if free < LOW_DISK:
        raise PipeboardError(text, "Make room: at least 2 GiB", ExitCode.CONFIGURATION)
    if not os.access(local if local.exists() else local.parent, os.W_OK):
        what = f"{local} may not be written by you"
        raise PipeboardError(what, "Use a checkout of your own", ExitCode.NOT_PERMITTED)
    return text


def show_status(services: Services, console: Console) -> int:
    """Show background services, and runs, freshness and tables of each environment in reach."""
    urls = services.postgres.urls(OWN_DATABASE, DEMO_DATABASE) or {}
    where = next(iter(urls.values()), "").rpartition("@")[2].partition("/")[0]
    console.note("postgres", f"embedded, on {where}" if urls else "embedded one not running")
    ready = services.simulator.ready()
    console.note("account", f"simulated, on {ready['url']}" if ready else "no simulated one runs")
    for prefect in services.prefects:
        if prefect.url:
            worker = "its worker waits for runs" if prefect.works else "no worker"
            text = f"for the {prefect.kind} environment, on {prefect.url}; {worker}"
            console.note("prefect", text)
    logs = sorted(services.paths.logs.glob("*.jsonl"))
    console.note("last log", str(logs[-1]) if logs else "none yet")
    given = settings(services.paths)
    for kind in (OWN, DEMO):
        services.stack(kind).show(console, services.settings_of_up(kind))
    named = given.get("PIPEBOARD_DATABASE_URL")
    own = named or urls.get(OWN_DATABASE)
    for label, url in (("own environment", own), ("demo environment", urls.get(DEMO_DATABASE))):
        try:
            if url:
                with connect(url, LOGIN_SECONDS) as connection:
                    _show_environment(console, label, connection)
                show_connection(console, url, embedded=url != named)
        except psycopg.Error as error:
            if url != named and "does not exist" in str(error):
                continue  # the embedded server has only the databases used so far
            console.note(label, f"not reachable: {first_line(error)}")
    return 0


def _show_environment(console: Console, label: str, connection: psycopg.Connection) -> None:
    if exists(connection, "ops.etl_run"):
        runs = history.latest_of_each(connection)
        if runs:
            console.heading(f"Last runs of the {label}")
            _table_of_runs(console, runs)
        troubles = history.stream_troubles(connection)
        if troubles:
            console.heading(f"Streams of the {label} to look at")
            for one in troubles:
                console.line(f"  {_trouble(one)}")
        for stream, total, fresh in history.quarantined(connection):
            text = f"{total:,} records in quarantine, {fresh:,} of the last 24 hours"
            console.line(f"  {stream}: {text}")
        remaining = remaining_histories(connection)
        if remaining:
            console.line(f"  {remaining:,} deals whose history was not read yet")
    rows = _tables(connection)
    if rows:
        console.heading(f"Raw tables of the {label}")
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
    except PipeboardError as error:
        if "does not exist" in error.what:
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
    text = f"{run['failed_stage']}: " if run["failed_stage"] else ""
    text += " ".join(str(run["reason"] or "").split())
    return text if len(text) <= 70 else f"{text[:69]}…"


def _utc(time: datetime) -> datetime:
    return time.astimezone(timezone.utc)


def _plain(value: object) -> object:
    return _utc(value).isoformat() if isinstance(value, datetime) else str(value)


def connected(url: str) -> psycopg.Connection:
    """Connect, or say why that fails."""
    try:
        return connect(url, LOGIN_SECONDS)
    except psycopg.OperationalError as error:
        what = f"the database cannot be reached: {first_line(error)}"
        raise PipeboardError(what, "Check it with `make doctor`", ExitCode.UNAVAILABLE) from error


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
