"""What must be true of the raw tables, whatever happened: compared with the account itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import psycopg
from damages import Damaged
from pipedrive_simulator.account.oracle import TRUTHS
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipeline import Warehouse

#: Streams whose rows are compared as a whole, by id.
RECORDS = (
    "deals", "persons", "organizations", "products", "activities", "notes", "leads", "pipelines",
    "stages", "users", "lead_labels", "activity_types", "deal_products",
)  # fmt: skip
#: A deal's change log is read again when one of these changed.
MOVES = ("stage_id", "status", "pipeline_id")
#: Depends on who asks.
IGNORED = ("is_you", "last_login")
#: Merging two contacts changes these in a deleted record too, without a new update time.
REFERENCES = ("person_id", "org_id")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_decode = msgspec.json.decode
Record = dict[str, Any]
Change = tuple[Any, ...]
#: Two times as text, as in a change.
Span = tuple[str, str]
#: Damaged records by stream and id.
Hostile = Mapping[tuple[str, Any], Damaged]


@dataclass
class Truth:
    """The account at one moment: records by stream and id, and the change logs."""

    records: dict[str, dict[Any, Record]]
    fields: dict[str, dict[str, Record]]
    changes: Counter[tuple[Any, ...]]
    readable_deals: set[int]

    @classmethod
    def of(cls, account: SimulatedAccount, streams: Iterable[str]) -> Truth:
        """Take the truth of these streams."""
        records = {
            name: {record["id"]: record for record in own_records(account, name)}
            for name in RECORDS
            if name in streams or name == "deals"
        }
        fields: dict[str, dict[str, Record]] = {}
        for field in own_records(account, "fields"):
            stream = f"{field.pop('entity')}_fields"
            if stream in streams:
                fields.setdefault(stream, {})[field["field_code"]] = field
        readable = {d["id"] for d in records["deals"].values() if d["_listed"]}
        changes = Counter(
            _change(row)
            for row in own_records(account, "deal_changelog")
            if row["deal_id"] in readable
        )
        return cls(records, fields, changes, readable)


def own_records(account: SimulatedAccount, name: str) -> Iterator[Record]:
    """Yield what the account itself knows of one kind; `TRUTHS` has the names."""
    return map(_decode, TRUTHS[name](account))


def differences(
    warehouse: Warehouse, streams: Iterable[str], versions: Sequence[Truth], runs: Sequence[Span],
    damaged: Sequence[Damaged] = (),
) -> list[str]:  # fmt: skip
    """Return how the raw tables differ from the account.

    Args:
        warehouse: the raw tables.
        streams: whose tables.
        versions: the account at the start of the last run, and after each edit during that run. A
            record that was edited meanwhile may be stored as it was before or after the edit.
        runs: when runs of the tap began and ended.
        damaged: records that the source serves with hostile values.

    """
    rows = _Rows(warehouse.connection, warehouse.raw)
    hostile = {one.place: one for one in damaged if one.stream in streams}
    found = _differences(rows, set(streams), versions, runs, hostile)
    return [*found, *_differing_damages(warehouse, rows, hostile)]


def _differing_damages(warehouse: Warehouse, rows: _Rows, hostile: Hostile) -> Iterator[str]:
    if not hostile:
        return
    table = f"select to_jsonb(q) from {warehouse.ops}.quarantine as q"
    quarantine = [row for (row,) in warehouse.connection.execute(table.encode())]
    for one in hostile.values():
        row = next((row for row in rows.of(one.stream) if row["id"] == one.key), None)
        about = [entry for entry in quarantine if entry["stream"] == one.stream]
        yield from one.differences(row, about)


class _Rows:
    def __init__(self, connection: psycopg.Connection, schema: str) -> None:
        self._connection, self._schema = connection, schema
        found = connection.execute(
            "select tablename from pg_tables where schemaname = %s", (schema,)
        )
        self._tables = {name for (name,) in found}

    def of(self, table: str) -> list[Record]:
        if table not in self._tables:
            return []
        query = f'select to_jsonb(t) from "{self._schema}"."{table}" as t'
        return [row for (row,) in self._connection.execute(query.encode())]


def _differences(
    rows: _Rows, streams: set[str], versions: Sequence[Truth], runs: Sequence[Span],
    hostile: Hostile,
) -> Iterator[str]:  # fmt: skip
    before, after = versions[0], versions[-1]
    readable = before.readable_deals & after.readable_deals
    readable -= {one.key for one in hostile.values() if one.stream == "deals" and one.is_refused}
    for stream in sorted(streams & set(RECORDS)):
        stored = {row["id"]: row for row in rows.of(stream)}
        known = before.records[stream] | after.records[stream]
        if stream != "deal_products":  # a detached line stays; deal_products_sync has what is left
            unknown = stored.keys() - known.keys()
            yield from (f"{stream} {key}: not in the account" for key in sorted(unknown, key=str))
        for key, record in before.records[stream].items():
            later = after.records[stream].get(key)
            if not record.get("_listed", True) or later is None or not later.get("_listed", True):
                continue
            if stream == "deal_products" and record["deal_id"] not in readable:
                continue
            damaged = hostile.get((stream, key))
            if damaged is not None and not damaged.is_the_last:
                if damaged.is_refused:
                    continue
                record = {name: value for name, value in record.items() if name != damaged.field}
            if record.get("is_deleted"):
                record = {name: value for name, value in record.items() if name not in REFERENCES}
            others = [v.records[stream][key] for v in versions[1:] if key in v.records[stream]]
            yield from _differing(f"{stream} {key}", stored.get(key), record, *others)
    if "deal_products_sync" in streams:
        yield from _differing_lines(rows, readable, before, after)
    for stream in sorted(streams & before.fields.keys()):
        stored = {row["field_code"]: row for row in rows.of(stream)}
        for code, field in before.fields[stream].items():
            if code in after.fields[stream]:
                later = after.fields[stream][code]
                yield from _differing(f"{stream} {code}", stored.get(code), field, later)
    if "deal_changelog" in streams:
        yield from _differing_histories(rows, readable, before, after, runs)


def _differing_lines(rows: _Rows, readable: set[int], before: Truth, after: Truth) -> Iterator[str]:
    stored = {row["deal_id"]: set(row["line_ids"]) for row in rows.of("deal_products_sync")}
    for deal in sorted(readable):
        allowed = [
            {key for key, line in truth.records["deal_products"].items() if line["deal_id"] == deal}
            for truth in (before, after)
        ]
        if stored.get(deal, set()) not in allowed:  # a deal that never had a line has no row
            yield f"deal_products_sync {deal}: {stored.get(deal)}, not {allowed[0]}"


def _differing_histories(
    rows: _Rows, readable: set[int], before: Truth, after: Truth, runs: Sequence[Span]
) -> Iterator[str]:
    stored = Counter(
        _change(row) for row in rows.of("deal_changelog") if row["deal_id"] in readable
    )
    synced = {row["deal_id"]: row["complete"] for row in rows.of("deal_changelog_sync")}
    for change in stored - after.changes:
        yield f"deal_changelog: {change} is not in the account, or stored twice"
    missing = before.changes - stored
    for change in missing - _unseen(missing, runs):
        # A log that was refused is marked as not complete, and read again by a later run.
        if change[0] in readable and change[2] in MOVES and synced.get(change[0], True):
            yield f"deal_changelog: {change} is missing"
    yield from (f"deal_changelog_sync {deal}: missing" for deal in sorted(readable - synced.keys()))


def _unseen(missing: Counter[Change], runs: Sequence[Span]) -> Counter[Change]:
    """Return the changes of status that were undone, by one or more others, before a run saw them.

    A deal that is open before and after shows no trace of them: the tap's README says so.
    """
    found: Counter[Change] = Counter()
    by_deal: dict[int, list[Change]] = {}
    for change in sorted(missing, key=str):
        if change[2] == "status":
            by_deal.setdefault(change[0], []).append(change)
    for changes in by_deal.values():
        changes.sort(key=lambda change: change[1])
        for first, done in enumerate(changes):
            for last, undone in enumerate(changes[first + 1 :], first + 1):
                part = changes[first : last + 1]
                follow = all(change[4] == after[3] for change, after in pairwise(part))
                # What is undone in the second in which a run begins may be undone before it.
                was_seen = any(begin < undone[1] and done[1] <= end for begin, end in runs)
                if follow and done[3] == undone[4] and not was_seen:
                    found.update(change for change in part if change not in found)
    return found


def _differing(name: str, row: Record | None, *wanted: Record) -> Iterator[str]:
    if row is None:
        yield f"{name}: missing"
        return
    for column, value in wanted[0].items():
        if column.startswith("_") or column in IGNORED or column not in row:
            continue  # a custom field that is not in the row was null, or did not exist
        stored = row[column]
        if column == "custom_fields":
            # Adding or removing a field changes no record's update time: keys come and go as null.
            yield from _differing(f"{name}:", stored or {}, *map(_customs, wanted))
            continue
        if stored == value:
            continue
        allowed = [_plain(record.get(column)) for record in wanted]
        if _plain(stored) not in allowed:
            yield f"{name}: {column} is {stored!r:.80}, not {value!r:.80}"


def _customs(record: Record) -> Record:
    return record.get("custom_fields") or {}


def _change(row: Record) -> tuple[Any, ...]:
    return (
        row["deal_id"], _plain(row["time"]), row["field_key"], row["old_value"], row["new_value"],
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Return a value in one form, since a time is written in several."""
    if isinstance(value, str) and _TIME.match(value):
        return value[:19].replace(" ", "T")
    return value
