"""Compares the raw tables of a database with the account they were loaded from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from conftest import truth
from project_under_test import Site

STREAMS = (
    *("deals", "deal_products", "persons", "organizations", "products", "activities", "notes"),
    *("leads", "lead_labels", "pipelines", "stages", "users", "activity_types"),
)
FIELDS = ("deal", "person", "organization", "product", "activity")
#: A deal's change log is read again when one of these changed.
MOVES = ("stage_id", "status", "pipeline_id")
#: Properties that depend on the token's user.
IGNORED = ("is_you", "last_login")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")


def differences(site: Site) -> list[str]:
    """Return what is missing or wrong in the raw tables of the streams that are selected."""
    return [*_records(site), *_fields(site), *_histories(site)]


def _records(site: Site) -> Iterator[str]:
    readable = _readable_deals(site)
    for stream in STREAMS:
        stored = {row["id"]: row for row in _rows(site, stream)}
        known = {record["id"]: record for record in truth(site.simulator, stream)}
        yield from (f"{stream} {key}: not in the account" for key in stored.keys() - known.keys())
        for key, record in known.items():
            if not record.get("_listed", True):
                continue
            if stream == "deal_products" and record["deal_id"] not in readable:
                continue
            yield from _differing(f"{stream} {key}", record, stored.get(key))
    lines: dict[int, set[int]] = {}
    for record in truth(site.simulator, "deal_products"):
        if record["deal_id"] in readable:
            lines.setdefault(record["deal_id"], set()).add(record["id"])
    for row in _rows(site, "deal_products_sync"):
        if row["deal_id"] in readable and set(row["line_ids"]) != lines.pop(row["deal_id"], set()):
            yield f"deal_products_sync {row['deal_id']}: {row['line_ids']}"
    yield from (f"deal_products_sync {deal}: missing" for deal in lines)


def _fields(site: Site) -> Iterator[str]:
    stored = {
        entity: {row["field_code"]: row for row in _rows(site, f"{entity}_fields")}
        for entity in FIELDS
    }
    for field in truth(site.simulator, "fields"):
        entity = field.pop("entity")
        if entity in stored:
            name = f"{entity}_fields {field['field_code']}"
            yield from _differing(name, field, stored[entity].get(field["field_code"]))


def _histories(site: Site) -> Iterator[str]:
    readable = _readable_deals(site)
    known = Counter(_change(row, readable) for row in truth(site.simulator, "deal_changelog"))
    stored = Counter(_change(row, readable) for row in _rows(site, "deal_changelog"))
    yield from (f"deal_changelog: {change} is not in the account" for change in stored - known)
    for change in known - stored:
        if change and change[2] in MOVES:
            yield f"deal_changelog: {change} is missing"
    synced = {row["deal_id"] for row in _rows(site, "deal_changelog_sync")}
    yield from (f"deal_changelog_sync {deal}: missing" for deal in readable - synced)


def _readable_deals(site: Site) -> set[int]:
    return {deal["id"] for deal in truth(site.simulator, "deals") if deal["_listed"]}


def _rows(site: Site, table: str) -> list[dict[str, Any]]:
    if site.query("select to_regclass(%s) is null", f"pipedrive.{table}") == [(True,)]:
        return []
    return [row for (row,) in site.query(f"select to_jsonb(t) from pipedrive.{table} as t")]


def _differing(name: str, record: dict[str, Any], row: dict[str, Any] | None) -> Iterator[str]:
    if row is None:
        yield f"{name}: missing"
        return
    for column, value in record.items():
        if column in row and column not in IGNORED and _plain(row[column]) != _plain(value):
            yield f"{name}: {column} is {row[column]!r}, not {value!r}"


def _change(row: dict[str, Any], readable: set[int]) -> tuple[Any, ...] | None:
    if row["deal_id"] not in readable:
        return None
    return (
        *(row["deal_id"], _plain(row["time"]), row["field_key"]),
        *(row["old_value"], row["new_value"]),
    )


def _plain(value: object) -> object:
    """Return a value in one form, since a time is written in several."""
    if isinstance(value, str) and TIME.match(value):
        return value[:19].replace(" ", "T")
    return value
