"""Whole runs against the simulated account: the first, the second, after changes, interrupted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tap_runs import PYTHON, Output, run_tap

from tap_pipedrive.api import client as client_module
from tap_pipedrive.errors import SourceUnavailableError
from tap_pipedrive.times import LOOKBACK, to_time

Sync = Callable[..., Output]

MOVES = ("stage_change_time", "add_time", "close_time")
#: Operations that list nothing: they are asked per deal.
PER_DEAL = {"getDealChangelog", "getDealsProducts"}


def by_id(records: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {record["id"]: record for record in records}


def listed(simulator: Any, entity: str) -> dict[Any, dict[str, Any]]:
    """The records of an entity in the account's lists, by id."""
    return by_id([record for record in simulator.truth(entity) if record["_listed"]])


def calls(simulator: Any) -> dict[str, int]:
    stats = simulator.control("GET", "stats")
    return {op: n["calls"] for op, n in stats["operations"].items() if n["calls"]}


@pytest.fixture
def reset(simulator: Any) -> Callable[[], None]:
    return lambda: simulator.control("POST", "stats/reset")


def test_the_first_run_reads_every_deal_and_its_whole_log(simulator: Any, sync: Sync) -> None:
    untimed = simulator.account.create_deal(update_time=None)
    output = sync(page_size=100)
    assert untimed.id in by_id(output.records["deals"])
    truth = listed(simulator, "deals")
    got = by_id(output.records["deals"])
    assert got.keys() == truth.keys()
    assert any(d["is_archived"] for d in got.values())
    assert any(d["is_deleted"] for d in got.values())
    marks = {m["deal_id"]: m for m in output.records["deal_changelog_sync"]}
    assert marks.keys() == got.keys()
    assert any(m["events"] == 0 for m in marks.values()), "a deal without changes has a mark too"
    logged = {r["deal_id"] for r in output.records["deal_changelog"]}
    assert {d for d, m in marks.items() if m["events"]} == logged


def test_nothing_changed_costs_one_call_per_list(
    simulator: Any, sync: Sync, reset: Callable[[], None]
) -> None:
    simulator.account.advance_clock(5)  # what changes in this very second may change again
    first = sync()
    reset()
    second = sync(first.state)
    spent = calls(simulator)
    assert all(n == 1 for n in spent.values()), spent
    assert not PER_DEAL & spent.keys(), "nothing changed, so no deal is asked about"
    assert {"getDeals", "getArchivedDeals", "getPersons", "getUsers"} <= spent.keys()
    resent = {name: len(rows) for name, rows in second.records.items() if rows}
    assert not resent.keys() & {"users", "pipelines", "stages", "deal_fields"}
    for archived in (False, True):
        one_list = [d for d in first.records["deals"] if d["is_archived"] is archived]
        window = to_time(max(d["update_time"] for d in one_list)) - LOOKBACK
        assert all(
            to_time(d["update_time"]) >= window
            for d in second.records["deals"]
            if d["is_archived"] is archived
        )
    assert not second.records["deal_changelog"] and not second.records["deal_changelog_sync"]


def test_the_totals_by_currency_are_read_once_a_day(
    simulator: Any, sync: Sync, reset: Callable[[], None]
) -> None:
    first = sync()
    (reading,) = first.records["deal_summary_daily"]
    reported = reading["values_total"]["USD"]
    assert reported["value_converted"] == pytest.approx(5 * reported["value"], abs=0.005)
    reset()
    again = sync(first.state)
    assert not again.records["deal_summary_daily"]
    assert "getDealsSummary" not in calls(simulator)
    simulator.account.advance_clock(86_400)
    next_day = sync(again.state)
    (later,) = next_day.records["deal_summary_daily"]
    assert calls(simulator)["getDealsSummary"] == 1
    assert later["as_of"][:10] == simulator.account.clock.text()[:10] > reading["as_of"][:10]


def test_refused_totals_are_read_again_and_do_not_fail_the_run(simulator: Any, sync: Sync) -> None:
    rule = {"kind": "status", "status": 403, "operation": "getDealsSummary"}
    simulator.control("POST", "faults", rule)
    first = sync()
    assert not first.records["deal_summary_daily"] and first.records["deals"]
    assert "read_on" not in first.state["bookmarks"].get("deal_summary_daily", {})
    simulator.control("DELETE", "faults")
    assert len(sync(first.state).records["deal_summary_daily"]) == 1


def test_only_the_logs_of_moved_deals_are_read(
    simulator: Any, sync: Sync, reset: Callable[[], None], tmp_path: Any
) -> None:
    first = sync(state_dir=str(tmp_path))
    latest = max(d["update_time"] for d in first.records["deals"])
    simulator.control("POST", "clock", {"advance_seconds": 3600})
    simulator.control("POST", "advance", {"deals": 40, "hours": 2})
    reset()
    second = sync(first.state, state_dir=str(tmp_path))
    truth = listed(simulator, "deals")
    merged = {**by_id(first.records["deals"]), **by_id(second.records["deals"])}
    assert {i: d["update_time"] for i, d in merged.items()} == {
        i: d["update_time"] for i, d in truth.items()
    }
    assert {i: (d["stage_id"], d["status"]) for i, d in merged.items()} == {
        i: (d["stage_id"], d["status"]) for i, d in truth.items()
    }
    requested = calls(simulator)
    moved = [
        d for d in second.records["deals"]
        if d["is_deleted"] or max(d[t] or "" for t in MOVES) > latest
    ]  # fmt: skip
    assert 0 < requested["getDealChangelog"] < len(second.records["deals"])
    assert requested["getDealChangelog"] >= len(moved)
    assert requested["getDeals"] == requested["getArchivedDeals"] == 1


@pytest.fixture
def moved(simulator: Any) -> Callable[[list[dict[str, Any]]], set[tuple[int, str]]]:
    """Move six open deals, and edit them hours later, so that a page of two is hours long."""

    def move(deals: list[dict[str, Any]]) -> set[tuple[int, str]]:
        account = simulator.account
        open_deals = [d for d in deals if d["status"] == "open" and not d["is_archived"]][:6]
        wanted = set()
        for deal in open_deals:
            simulator.control("POST", "clock", {"advance_seconds": 600})
            stage = next(i for i in account.stages.records if i != deal["stage_id"])
            account.move_deal(deal["id"], stage)
            wanted.add((deal["id"], str(stage)))
        for deal in open_deals:
            simulator.control("POST", "clock", {"advance_seconds": 3600})
            account.update_deal(deal["id"], value=deal["id"] + 0.5)
        return wanted

    return move


def moves(*outputs: Output) -> set[tuple[int, str]]:
    return {
        (row["deal_id"], row["new_value"])
        for output in outputs
        for row in output.records["deal_changelog"]
        if row["field_key"] == "stage_id"
    }


def test_a_move_long_before_the_last_edit_is_read_on_every_page(
    simulator: Any, sync: Sync, moved: Any, tmp_path: Any
) -> None:
    first = sync(state_dir=str(tmp_path))
    wanted = moved(first.records["deals"])
    second = sync(first.state, state_dir=str(tmp_path), page_size=2)
    assert wanted - moves(second) == set()
    assert "complete_through" not in json.dumps(second.state)


@pytest.mark.parametrize("pages", [1, 2])
def test_a_move_long_before_the_last_edit_is_read_after_an_interruption(
    pages: int, simulator: Any, sync: Sync, moved: Any, tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(client_module, "MAX_TRIES", 1)
    first = sync(state_dir=str(tmp_path))
    wanted = moved(first.records["deals"])
    fault = {"kind": "503", "operation": "getDeals", "after": pages, "count": 1}
    simulator.control("POST", "faults", fault)
    with pytest.raises(SourceUnavailableError):
        sync(first.state, state_dir=str(tmp_path), page_size=2)
    broken = run_tap.last  # type: ignore[attr-defined]
    simulator.control("DELETE", "faults")
    last = sync(broken.state, state_dir=str(tmp_path), page_size=2)
    assert wanted - moves(broken, last) == set()


def test_the_log_of_a_reopened_deal_is_read(simulator: Any, sync: Sync, tmp_path: Any) -> None:
    first = sync(state_dir=str(tmp_path))
    lost = next(
        d for d in first.records["deals"]
        if d["status"] == "lost" and not d["is_archived"] and not d["is_deleted"]
    )  # fmt: skip
    simulator.control("POST", "clock", {"advance_seconds": 7200})
    simulator.account.reopen_deal(lost["id"])
    second = sync(first.state, state_dir=str(tmp_path))
    changes = [
        (r["old_value"], r["new_value"])
        for r in second.records["deal_changelog"]
        if r["deal_id"] == lost["id"] and r["field_key"] == "status"
    ]
    assert changes[-1] == ("lost", "open")


def test_an_interrupted_run_resumes_without_a_gap(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_TRIES", 1)
    state: dict[str, Any] = {}
    seen: dict[str, dict[Any, Any]] = {}
    rounds = 0
    for allowed in [40, 90, 160, 250, 400, 10_000]:
        simulator.control("DELETE", "faults")
        simulator.control("POST", "faults", {"kind": "503", "after": allowed, "count": 1})
        try:
            output = sync(state, page_size=50)
        except SourceUnavailableError:
            output = run_tap.last  # type: ignore[attr-defined]
        rounds += 1
        state = output.state or state
        for name, rows in output.records.items():
            for row in rows:
                key = row.get("id") or row.get("field_code") or row.get("deal_id")
                seen.setdefault(name, {})[key] = row
    assert rounds > 1
    assert seen["deals"].keys() == listed(simulator, "deals").keys()
    assert seen["deal_changelog_sync"].keys() == seen["deals"].keys()


def test_an_expired_cursor_starts_the_read_again(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.control("POST", "faults", {"kind": "expired_cursor", "after": 1, "count": 1})
    simulator.control(
        "POST", "faults", {"kind": "expired_cursor", "operation": "getPersons", "count": 1}
    )
    output = sync(page_size=50)
    assert by_id(output.records["deals"]).keys() == listed(simulator, "deals").keys()
    assert by_id(output.records["persons"]).keys() == listed(simulator, "persons").keys()
    assert "reading it again from the start" in caplog.text


def test_a_sweep_ends_with_activate_version(simulator: Any, sync: Sync) -> None:
    sync()
    person = next(p for p in simulator.truth("persons") if p["_listed"])
    simulator.account.delete_person(person["id"])
    untimed = simulator.account.create_deal(update_time=None)
    output = sync(sweep=True)
    assert output.versions.keys() >= {"persons", "organizations", "activities", "products", "users"}
    assert "deals" not in output.versions
    assert by_id(output.records["deals"]).keys() == {untimed.id}
    for stream in ("persons", "organizations", "activities", "products"):
        assert by_id(output.records[stream]).keys() == listed(simulator, stream).keys()
    assert person["id"] not in by_id(output.records["persons"])
    assert output.order[-1][0] in ("ACTIVATE_VERSION", "STATE")
    for stream, version in output.versions.items():
        assert {v for s, v in output.record_versions if s == stream} <= {version}
        last_record = max(
            (n for n, (kind, s) in enumerate(output.order) if (kind, s) == ("RECORD", stream)),
            default=-1,
        )
        assert output.order.index(("ACTIVATE_VERSION", stream)) > last_record


def test_an_interrupted_sweep_activates_nothing(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_TRIES", 1)
    simulator.control("POST", "faults", {"kind": "503", "operation": "getPersons", "after": 1})
    with pytest.raises(SourceUnavailableError):
        sync(only={"persons"}, sweep=True, page_size=50)
    assert run_tap.last.records["persons"]  # type: ignore[attr-defined]
    assert not run_tap.last.versions  # type: ignore[attr-defined]


def test_random_faults_in_one_call_of_ten_change_no_record(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)
    plain = sync()
    types = (
        "429_burst",
        "500",
        "502",
        "503",
        "524",
        "reset",
        "truncated_json",
        "null_body",
        "hang",
    )
    for seed, kind in enumerate(types):
        simulator.control(
            "POST", "faults", {"kind": kind, "probability": 0.1 / len(types), "seed": seed}
        )
    shaken = sync(request_timeout=0.3)
    faults = simulator.control("GET", "stats")["faults"]
    assert len(faults) >= 5, "the faults did happen"
    for stream, records in plain.records.items():
        assert shaken.records[stream] == records, stream


def test_a_sync_after_kill_9_has_every_record(
    simulator: Any, sync: Sync, config: dict[str, Any]
) -> None:
    """Records before the last complete state are stored; the others come again."""
    command = [PYTHON, "-m", "tap_pipedrive", "--config", "/dev/stdin"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({**config, "page_size": 40}).encode())
    process.stdin.close()
    lines = []
    for line in process.stdout:
        lines.append(line)
        marks = sum(b'"stream":"deal_changelog_sync"' in seen for seen in lines)
        if marks > 100 and b'"STATE"' in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    before = Output.parse(b"".join(lines))
    assert before.states and not before.records["users"], "it was cut off midway"
    after = sync(before.state, page_size=40)
    for stream in ("deals", "persons", "organizations", "activities", "products"):
        stored = by_id(before.records[stream]) | by_id(after.records[stream])
        assert stored.keys() == listed(simulator, stream).keys(), stream
    marks = before.records["deal_changelog_sync"] + after.records["deal_changelog_sync"]
    assert {m["deal_id"] for m in marks} == listed(simulator, "deals").keys()
    again = {m["deal_id"] for m in after.records["deal_changelog_sync"]}
    assert again < listed(simulator, "deals").keys(), "it did not start over"


def test_a_removed_line_is_missing_from_deal_products_sync(simulator: Any, sync: Sync) -> None:
    only = {"deals", "deal_products", "deal_products_sync"}
    first = sync(only=only)
    lists = {row["deal_id"]: row["line_ids"] for row in first.records["deal_products_sync"]}
    # Also where there are none: a read that was interrupted may have sent some that are gone.
    lines: dict[int, list[int]] = {deal["id"]: [] for deal in first.records["deals"]}
    for line in first.records["deal_products"]:
        lines[line["deal_id"]].append(line["id"])
    assert lists == {deal: sorted(ids) for deal, ids in lines.items()}
    live = {d["id"] for d in first.records["deals"] if not d["is_archived"] and not d["is_deleted"]}
    deal_id, ids = next((deal, ids) for deal, ids in lists.items() if len(ids) > 1 and deal in live)
    simulator.control("POST", "clock", {"advance_seconds": 3600})
    simulator.account.detach_product(ids[0])
    second = sync(first.state, only=only)
    (changed,) = [r for r in second.records["deal_products_sync"] if r["deal_id"] == deal_id]
    assert changed["line_ids"] == ids[1:]
    swept = sync(only=only, sweep=True)
    assert {row["deal_id"] for row in swept.records["deal_products_sync"]} >= {deal_id}
