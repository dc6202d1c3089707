"""The warehouse as a database of Metabase: the reader's connection, and every column known."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pipeboard_metabase.client import Refused
from pipeboard_metabase.definitions import Column
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.run import Run
from pipeboard_metabase.settings import SCHEMAS, Settings

POLL_SECONDS = 2.0
#: When Metabase looks for new columns, and for the values that filters offer.
SCHEDULES = {
    "metadata_sync": {"schedule_type": "hourly", "schedule_minute": 50},
    "cache_field_values": {"schedule_type": "daily", "schedule_hour": 5, "schedule_minute": 20},
}
#: What stands in the place of a password in what Metabase tells.
MASK = "**MetabasePass**"


def details(settings: Settings) -> dict[str, Any]:
    """Return the connection as Metabase wants it."""
    reader = settings.connection
    wanted: dict[str, Any] = {
        "host": reader.host,
        "port": reader.port,
        "dbname": reader.database,
        "user": reader.user,
        "password": reader.password,
        "ssl": reader.sslmode not in ("disable", "allow", "prefer"),
        "schema-filters-type": "inclusion",
        "schema-filters-patterns": ",".join(SCHEMAS),
        # jsonb columns stay what they are; a column per key of each would be hundreds.
        "json-unfolding": False,
        "let-user-control-scheduling": True,
    }
    if wanted["ssl"]:
        wanted["ssl-mode"] = reader.sslmode
    return wanted


def keep_database(run: Run) -> int:
    """Make the database, or correct it; return its id.

    Passwords come back masked. Whether the one that Metabase has still works, Metabase itself
    tells: nothing of it need be kept anywhere.
    """
    settings = run.settings
    name, wanted = settings.database_name, details(settings)
    listed = run.get("database", {"data": []})
    listed = listed["data"] if isinstance(listed, dict) else listed
    found = [database for database in listed if database["name"] == name]
    if not found:
        body = {
            "name": name,
            "engine": "postgres",
            "details": wanted,
            "is_full_sync": True,
            "auto_run_queries": True,
            "schedules": SCHEDULES,
        }
        made = run.change(
            "create",
            "database",
            name,
            lambda client: _connecting(lambda: client.post("database", body), run),
            [f"{settings.connection.place}, schemas {', '.join(SCHEMAS)}"],
        )
        return int(made["id"]) if made else run.unmade()
    database = run.get(f"database/{found[0]['id']}", {})
    known = database.get("details") or {}
    differing = [
        f"{key}: {known.get(key)!r} -> {value!r}"
        for key, value in wanted.items()
        if key != "password" and known.get(key) != value
    ]
    if not differing and not _connects(run, database["id"]):
        differing = ["password: the one that Metabase has is not accepted"]
    if differing:
        body = {"name": name, "engine": "postgres", "details": wanted}
        run.change(
            "update",
            "database",
            name,
            lambda client: _connecting(lambda: client.put(f"database/{database['id']}", body), run),
            differing,
        )
    return int(database["id"])


def _connects(run: Run, database: int) -> bool:
    return bool(run.get(f"database/{database}/healthcheck", {})["status"] == "ok")


def _connecting(call: Any, run: Run) -> Any:
    """Report that Metabase cannot connect to the warehouse."""
    try:
        return call()
    except Refused as refused:
        if refused.status != 400:
            raise
        place = run.settings.connection.place
        what = f"Metabase cannot connect to {place}: {refused.what.partition('): ')[2]}"
        remedy = "METABASE_DATABASE_URL names the host as Metabase sees it, and the reader's login"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from None


def synced(run: Run, database: int) -> list[dict[str, Any]]:
    """Return Metabase's tables with their fields, once it knows every column of the warehouse.

    Raises:
        PipeboardError: when it has not found them all in time; it names some.
    """
    tables = _tables(run, database)
    if not unknown(run, tables):
        return tables
    missing = unknown(run, tables)
    names = sorted({str(column).rsplit(".", 1)[0] for column in missing})
    run.change(
        "update",
        "tables",
        f"{len(missing)} columns that Metabase does not know yet",
        lambda client: client.post(f"database/{database}/sync_schema"),
        [f"in {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"],
    )
    if run.dry:
        return tables
    deadline = time.monotonic() + run.settings.timeout_seconds
    while missing := unknown(run, tables := _tables(run, database)):
        if time.monotonic() >= deadline:
            some = ", ".join(str(column) for column in missing[:3])
            what = f"Metabase does not find {len(missing)} columns that the warehouse has: {some}"
            remedy = (
                f"May {run.settings.connection.user} read them? Metabase's own log says more; "
                "a bigger METABASE_TIMEOUT_SECONDS gives it more time"
            )
            raise PipeboardError(what, remedy, ExitCode.UNAVAILABLE)
        time.sleep(POLL_SECONDS)
    return tables


def _tables(run: Run, database: int) -> list[dict[str, Any]]:
    if database < 0:
        return []
    answer = run.get(f"database/{database}/metadata", {"tables": []}, include_hidden=True)
    return list(answer["tables"])


def unknown(run: Run, tables: list[dict[str, Any]]) -> list[Column]:
    """Return the columns of the warehouse that Metabase does not know."""
    known = set(field_ids(tables))
    return [column for column in run.contents.columns if column not in known]


def field_ids(tables: list[dict[str, Any]]) -> Mapping[Column, int]:
    """Return Metabase's numbers of its fields by the columns they are."""
    return {
        Column(table["schema"], table["name"], field["name"]): int(field["id"])
        for table in tables
        for field in table.get("fields", [])
    }


def known_fields(run: Run, tables: list[dict[str, Any]]) -> Mapping[Column, int]:
    """Return the same, with a number of its own for every column that is yet to be found."""
    ids = dict(field_ids(tables))
    for column in run.contents.columns:
        if column not in ids:
            ids[column] = run.unmade()
    return ids
