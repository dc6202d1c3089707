"""Whatever happens to an account, and to the syncs, the last good sync makes both equal.

A random account lives through rounds of random edits, with the clock standing still or moving on
between them. Each round is synced, sometimes under faults, sometimes cut off. What the tap wrote
before its last state is kept, as a loader would. After one last, undisturbed sync the kept
records must be the account's, stream by stream, and an idle sync must cost a call a list.

This is for the night: the stories of tests/trust show it with each change, with the loader.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from tap_runs import Output, run_tap

from tap_pipedrive.api import client as client_module
from tap_pipedrive.api.records import time_or_none
from tap_pipedrive.errors import TapError
from tap_pipedrive.streams.deals import INCLUDE_FIELDS
from tap_pipedrive.sync import shared_scan, windows

EDITS = (
    "create_deal", "move_deal", "move_twice", "win_deal", "lose_deal", "reopen_deal",
    "update_deal", "archive_deal", "unarchive_deal", "delete_deal", "restore_deal", "merge_deals",
    "attach_product", "update_person", "create_person", "update_organization",
    "create_activity", "update_activity", "update_product", "rename_field", "add_option",
    "rename_stage", "update_user", "create_note", "update_lead", "create_lead",
)  # fmt: skip
FAULTS = ("500", "524", "reset", "truncated_json", "null_body")

edit = st.tuples(
    st.sampled_from(EDITS), st.integers(0, 60), st.integers(0, 9), st.sampled_from([0, 0, 1, 300])
)
a_round = st.fixed_dictionaries(
    {
        "edits": st.lists(edit, max_size=8),
        "pause": st.sampled_from([0, 0, 1, 600, 86_400]),
        "cut_after": st.none() | st.integers(0, 60),
        "fault": st.none() | st.sampled_from(FAULTS),
        "edits_during": st.booleans(),
        "lost": st.booleans(),  # the loader died before it committed anything of this run
    }
)  # fmt: skip


def apply(account: Any, name: str, which: int, how: int) -> None:
    """Apply one edit to a record picked by number; an edit that the account refuses is skipped."""

    def pick(table: Any) -> Any:
        ids = sorted(table.records)
        return ids[which % len(ids)]

    deal, stage = (
        pick(account.deals),
        sorted(account.stages.records)[how % len(account.stages.records)],
    )
    field = next(f for f in account.fields["deal"].custom if f.options)
    actions: dict[str, Any] = {
        "create_deal": lambda: account.create_deal(stage_id=stage),
        "move_deal": lambda: account.move_deal(deal, stage),
        "move_twice": lambda: (account.move_deal(deal, stage), account.move_deal(deal, stage - 1)),
        "win_deal": lambda: account.win_deal(deal),
        "lose_deal": lambda: account.lose_deal(deal, "preço"),
        "reopen_deal": lambda: account.reopen_deal(deal),
        "update_deal": lambda: account.update_deal(deal, value=float(how)),
        "archive_deal": lambda: account.archive_deal(deal),
        "unarchive_deal": lambda: account.unarchive_deal(deal),
        "delete_deal": lambda: account.delete_deal(deal),
        "restore_deal": lambda: account.restore_deal(deal),
        "merge_deals": lambda: account.merge_deals(deal, into=pick(account.deals) + 1),
        "attach_product": lambda: account.attach_product(deal, pick(account.products)),
        "update_person": lambda: account.update_person(pick(account.persons), name=f"P{how}"),
        "create_person": lambda: account.create_person(f"N{how}"),
        "update_organization": lambda: account.update_organization(
            pick(account.organizations), name=f"O{how}"
        ),
        "create_activity": lambda: account.create_activity(f"A{how}", deal_id=deal),
        "update_activity": lambda: account.update_activity(pick(account.activities), done=how > 4),
        "update_product": lambda: account.update_product(pick(account.products), name=f"X{how}"),
        "rename_field": lambda: account.rename_field("deal", field.key, f"Campo {how}"),
        "add_option": lambda: account.add_option("deal", field.key, f"Opção {how}"),
        "rename_stage": lambda: account.rename_stage(stage, f"Etapa {how}"),
        "update_user": lambda: account.update_user(pick(account.users), name=f"U{how}"),
        "create_note": lambda: account.create_note(f"nota {how}", deal_id=deal),
        "update_lead": lambda: account.update_lead(pick(account.leads), title=f"L{how}"),
        "create_lead": lambda: account.create_lead(f"Lead {how}"),
    }  # fmt: skip
    try:
        actions[name]()
    except (ValueError, KeyError):  # an EditError: archived, deleted, no such stage
        return


class Warehouse:
    """Stores the records as a loader does: those before the last state, by key."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.rows: dict[str, dict[Any, dict[str, Any]]] = {}
        self.state: dict[str, Any] = state or {}

    def load(self, output: Output) -> None:
        for stream, records in output.records.items():
            rows = self.rows.setdefault(stream, {})
            keys = output.schemas[stream]["key_properties"]
            for record in records:
                name = record[keys[0]] if len(keys) == 1 else tuple(record[key] for key in keys)
                rows[name] = record
        if output.states:
            self.state = output.state


def sync(
    simulator: RunningSimulator, warehouse: Warehouse, folder: str | None, **settings: Any
) -> None:
    config = {"api_token": simulator.token, "api_url": simulator.url, "page_size": 7, **settings}
    if folder:
        config["state_dir"] = folder
    try:
        run_tap(config, warehouse.state)
    except TapError:
        pass
    finally:
        warehouse.load(run_tap.last)  # type: ignore[attr-defined]


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the simulator's flags, without changing counters and without nulls."""
    return {
        k: time_or_none(v) if k.endswith("_time") and isinstance(v, str) and k != "due_time" else v
        for k, v in record.items()
        if not k.startswith("_") and k not in INCLUDE_FIELDS and v is not None and k != "attendees"
    }


def change_of(row: dict[str, Any]) -> tuple[Any, ...]:
    time = row["time"].replace("T", " ")[:19]
    return row["deal_id"], time, row["field_key"], row["old_value"], row["new_value"]


def check(simulator: RunningSimulator, warehouse: Warehouse) -> None:
    for stream in ("deals", "persons", "organizations", "activities", "products"):
        stored = warehouse.rows.get(stream, {})
        for record in simulator.truth(stream):
            if record["_listed"]:
                assert comparable(stored[record["id"]]) == comparable(record), stream
    for stream in ("pipelines", "stages", "users", "leads", "notes"):
        stored = warehouse.rows.get(stream, {})
        for record in simulator.truth(stream):
            assert record["id"] in stored, (stream, record["id"])
            for name in ("name", "title", "content", "order_nr"):
                assert stored[record["id"]].get(name) == record.get(name), stream
    readable = {d["id"] for d in simulator.truth("deals") if d["_listed"]}
    reported = Counter(
        change_of(r) for r in simulator.truth("deal_changelog") if r["deal_id"] in readable
    )
    stored_log = Counter(
        change_of(r)
        for r in warehouse.rows.get("deal_changelog", {}).values()
        if r["deal_id"] in readable
    )
    fields = ("stage_id", "status", "pipeline_id")
    stage_moves = {k: n for k, n in reported.items() if k[2] in fields}
    stored_moves = {k: n for k, n in stored_log.items() if k[2] in fields}
    assert stored_moves == stage_moves
    assert not stored_log - reported, "a change that never was"
    assert set(warehouse.rows["deal_changelog_sync"]) >= readable


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)
    monkeypatch.setattr(client_module, "OUTAGE_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _windows_in_small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scan, "PLAIN_PAGES", 1)
    monkeypatch.setattr(windows, "LEAST_PAGES", 0.5)


@pytest.mark.nightly
@settings(
    # A few by default; DIFFERENTIAL_EXAMPLES=200 for a long night.
    max_examples=int(os.environ.get("DIFFERENTIAL_EXAMPLES", "8")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    # No shrinking: a failing example prints its blob, and shrinking whole syncs takes minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(
    seed=st.integers(0, 50),
    rounds=st.lists(a_round, min_size=1, max_size=4),
    remembers=st.booleans(),
    width=st.sampled_from([1, 3]),
)
def test_incremental_syncs_equal_a_full_sync(
    seed: int, rounds: list[dict[str, Any]], remembers: bool, width: int
) -> None:
    with (
        running_simulator(deals=25, seed=seed) as simulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        account, warehouse = simulator.account, Warehouse()
        stored = folder if remembers else None
        for number, lived in enumerate(rounds):
            if number:
                for name, which, how, seconds in lived["edits"]:
                    apply(account, name, which, how)
                    account.advance_clock(seconds)
            account.advance_clock(lived["pause"])
            if lived["fault"]:
                simulator.control(
                    "POST", "faults", {"kind": lived["fault"], "probability": 0.1, "seed": seed}
                )
            if lived["cut_after"] is not None:
                simulator.control(
                    "POST", "faults", {"kind": "401", "after": lived["cut_after"], "count": 1}
                )
            if lived["edits_during"]:
                simulator.control(
                    "POST",
                    "faults",
                    {"kind": "edit_during_walk", "every": 9, "count": 4, "deals": 2},
                )
            into = Warehouse(warehouse.state) if lived["lost"] else warehouse
            sync(simulator, into, stored, windows=width)
            simulator.control("DELETE", "faults")
        sync(simulator, warehouse, stored, windows=width)
        check(simulator, warehouse)

        account.advance_clock(5)
        sync(simulator, warehouse, stored, windows=width)
        simulator.control("POST", "stats/reset")
        sync(simulator, warehouse, stored, page_size=500)
        spent = simulator.control("GET", "stats")["operations"]
        paged = {"getDeals", "getArchivedDeals", "getActivities", "getPersons", "getOrganizations",
                 "getNotes", "getLeads", "getArchivedLeads"}  # fmt: skip
        assert not {"getDealChangelog", "getDealsProducts"} & spent.keys(), spent
        assert all(n["calls"] == 1 for op, n in spent.items() if op in paged), spent
