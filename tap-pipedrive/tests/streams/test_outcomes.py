"""The failure of one stream, its effect on other streams, on the state and on the exit code."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from tap_runs import Output, run_tap

from tap_pipedrive.api import client as client_module
from tap_pipedrive.errors import (
    BudgetSpentError,
    NotPermittedError,
    OperationFailingError,
    SourceUnavailableError,
    TapError,
)
from tap_pipedrive.state.parents import REFUSALS_IN_A_ROW

HISTORY = {"deals", "deal_changelog", "deal_changelog_sync"}
Sync = Callable[..., Output]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Any]:
    """Supervise the runs of a test; return a function that reads the latest report."""
    file = tmp_path / "report.json"
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(file))
    return lambda: json.loads(file.read_text())


def outcomes(report: Any) -> dict[str, str]:
    return {name: entry["outcome"] for name, entry in report["streams"].items()}


def fail(simulator: RunningSimulator, operation: str, status: int, **rule: Any) -> None:
    rule = {"kind": "status", "status": status, "operation": operation, **rule}
    simulator.control("POST", "faults", rule)


def heal(simulator: RunningSimulator) -> None:
    simulator.control("DELETE", "faults")


def listed(simulator: RunningSimulator, entity: str) -> set[Any]:
    return {record["id"] for record in simulator.truth(entity) if record["_listed"]}


def ids(output: Output, stream: str, key: str = "id") -> set[Any]:
    return {row[key] for row in output.records[stream]}


# -- the report -------------------------------------------------------------------------------


def test_the_report_has_an_entry_for_each_selected_stream_and_no_other(
    sync: Sync, report: Any, tmp_path: Path
) -> None:
    output = sync(only={"deals", "users", "persons"})
    reported = report()
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert (reported["version"], reported["exit_code"], reported["stopped"]) == (2, 0, None)
    assert reported["message"] is None and reported["behind"] == []
    assert outcomes(reported) == dict.fromkeys(("deals", "users", "persons"), "complete")
    for name, entry in reported["streams"].items():
        assert entry.keys() == {
            "outcome", "reason", "records", "calls", "tokens", "retries", "quarantined",
            "nulled_values", "incomplete_parents",
        }  # fmt: skip
        assert entry["records"] == len(output.records[name]) > 0
        assert entry["calls"] > 0


def test_the_report_counts_the_messages_not_the_records_read(sync: Sync, report: Any) -> None:
    maps = {"users": {"__filter__": "record['id'] == 1"}}
    output = sync(only={"users"}, stream_maps=maps)
    assert len(output.records["users"]) == 1
    assert report()["streams"]["users"]["records"] == 1


def test_a_report_that_cannot_be_written_fails_the_run(
    sync: Sync, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(tmp_path / "file" / "report.json"))
    with pytest.raises(TapError, match="report"):
        sync(only={"users"})


def test_a_history_behind_is_not_a_failure(sync: Sync, report: Any) -> None:
    sync(only=HISTORY, daily_tokens=600, history_token_share=0.2)
    reported = report()
    assert (reported["exit_code"], reported["stopped"]) == (0, None)
    assert outcomes(reported) == {
        "deals": "complete", "deal_changelog": "behind", "deal_changelog_sync": "behind",
    }  # fmt: skip
    assert reported["behind"] == ["deal_changelog", "deal_changelog_sync"]


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 410])
@pytest.mark.parametrize("only", [HISTORY, {"deal_changelog"}, {"deal_products"}])
def test_an_error_of_the_deal_list_belongs_to_deals(
    simulator: Any, sync: Sync, report: Any, status: int, only: set[str]
) -> None:
    fail(simulator, "getDeals", status)
    with pytest.raises(NotPermittedError, match="deals is refused") as failure:
        sync(only=only)
    assert failure.value.exit_code == 77
    reported = report()
    assert (reported["exit_code"], reported["stopped"]) == (77, "error")
    expected = dict.fromkeys(only, "interrupted")
    assert outcomes(reported) == (expected | {"deals": "refused"} if "deals" in only else expected)


def test_a_refused_log_does_not_move_its_bookmarks(simulator: Any, sync: Sync, report: Any) -> None:
    """The marks come with the log: without it their bookmarks must not move."""
    fail(simulator, "getDealChangelog", 403)
    first = sync(only=HISTORY)
    assert outcomes(report())["deal_changelog_sync"] == "not_permitted"
    assert not any(mark["complete"] for mark in first.records["deal_changelog_sync"])
    heal(simulator)
    second = sync(first.state, only=HISTORY)
    complete = {m["deal_id"] for m in second.records["deal_changelog_sync"] if m["complete"]}
    assert complete == listed(simulator, "deals")
    assert set(outcomes(report()).values()) == {"complete"}


def test_a_lost_permission_exits_with_77_after_the_other_streams(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    state = sync(only={"notes", "users"}).state
    fail(simulator, "getNotes", 403)
    with pytest.raises(NotPermittedError, match="notes could be read before") as failure:
        sync(state, only={"notes", "users"})
    assert failure.value.exit_code == 77
    assert "users" in run_tap.last.schemas  # type: ignore[attr-defined]


def test_a_stream_without_permission_says_how_to_deselect_it(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    fail(simulator, "getNotes", 403)
    first = sync(only={"notes", "users"})
    assert "notes is not permitted" in caplog.text and "deselect it" in caplog.text
    sync(first.state, only={"notes", "users"})  # and the same the next time


def test_a_402_about_a_feature_concerns_the_stream(simulator: Any, sync: Sync, report: Any) -> None:
    fail(simulator, "getNotes", 402, error="This feature needs an upgrade")
    sync(only={"notes", "users"})
    assert outcomes(report()) == {"notes": "not_permitted", "users": "complete"}


def test_archived_leads_have_their_own_outcome(simulator: Any, sync: Sync, report: Any) -> None:
    fail(simulator, "getArchivedLeads", 403)
    state: dict[str, Any] = {}
    for _ in range(2):
        state = sync(state, only={"leads"}).state
        reported = report()
        assert (outcomes(reported), reported["exit_code"]) == ({"leads": "not_permitted"}, 0)
        assert "archived" in reported["streams"]["leads"]["reason"]
    heal(simulator)
    state = sync(state, only={"leads"}).state
    fail(simulator, "getArchivedLeads", 403)
    sync(state, only={"leads"})
    assert (outcomes(report()), report()["exit_code"]) == ({"leads": "refused"}, 77)


def test_a_sweep_marks_nothing_in_a_stream_it_could_not_read(
    simulator: Any, sync: Sync, report: Any
) -> None:
    swept = {"persons", "notes", "users"}
    first = sync(only=swept, sweep=True)
    assert first.versions.keys() == swept
    fail(simulator, "getNotes", 403)
    fail(simulator, "getPersons", 500)
    second = sync(first.state, only=swept, sweep=True)
    assert second.versions.keys() == {"users"}
    assert outcomes(report()) == {"persons": "incomplete", "notes": "refused", "users": "complete"}
    assert report()["exit_code"] == 77
    never = sync(only=swept, sweep=True)
    assert outcomes(report())["notes"] == "not_permitted"
    assert never.versions.keys() == {"users"}


def test_a_bookmark_without_a_call_does_not_prove_permission(sync: Sync, report: Any) -> None:
    """Without products no instalments are read; the bookmark moves."""
    only = {"deals", "deal_installments"}
    with running_simulator(deals=6, seed=2) as simulator:
        config = {"api_token": simulator.token, "api_url": simulator.url}
        path = "/api/v2/deals/installments"
        simulator.control("POST", "faults", {"kind": "status", "status": 403, "path": path})
        simulator.account.advance_clock(600)
        state = run_tap({**config, "start_date": "2026-06-15T13:00:00Z"}, only=only).state
        assert outcomes(report())["deal_installments"] == "complete"
        simulator.account.advance_clock(7200)
        simulator.account.update_deal(next(iter(listed(simulator, "deals"))), title="new")
        run_tap(config, state, only=only)
        assert outcomes(report())["deal_installments"] == "not_permitted"
        assert report()["exit_code"] == 0


def test_a_lasting_hollow_response_concerns_the_stream(
    simulator: Any, sync: Sync, report: Any
) -> None:
    simulator.control("POST", "faults", {"kind": "hollow", "operation": "getNotes"})
    sync(only={"notes", "users"})
    assert outcomes(report()) == {"notes": "incomplete", "users": "complete"}
    assert report()["exit_code"] == 69


def test_deal_products_sync_has_the_outcome_of_deal_products(
    simulator: Any, sync: Sync, report: Any
) -> None:
    fail(simulator, "getDealsProducts", 403)
    only = {"deals", "deal_products", "deal_products_sync"}
    for settings in ({}, {"sweep": True}):
        sync(only=only, **settings)
        assert outcomes(report()) == {
            "deals": "complete",
            "deal_products": "not_permitted",
            "deal_products_sync": "not_permitted",
        }


def test_quarantined_records_are_an_entry_of_the_report(
    simulator: Any, sync: Sync, report: Any
) -> None:
    rule = {"kind": "bad_record", "operation": "getPersons", "oddity": "no_id", "count": 1}
    simulator.control("POST", "faults", rule)
    output = sync(only={"persons"})
    entry = report()["streams"]["tap_quarantine"]
    assert entry["records"] == len(output.records["tap_quarantine"]) == 1
    assert (entry["outcome"], report()["exit_code"]) == ("complete", 0)
    assert report()["streams"]["persons"]["quarantined"] == 1


def test_children_of_a_refused_list_name_it(simulator: Any, sync: Sync, report: Any) -> None:
    fail(simulator, "getPersons", 403)
    sync(only={"persons", "person_changelog", "users"})
    assert outcomes(report()) == {
        "persons": "not_permitted", "person_changelog": "not_permitted", "users": "complete",
    }  # fmt: skip
    assert "it needs persons" in report()["streams"]["person_changelog"]["reason"]


# -- one parent record --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 410])
def test_one_refused_parent_is_counted_and_the_stream_goes_on(
    simulator: Any, sync: Sync, report: Any, status: int
) -> None:
    fail(simulator, "getNoteComments", status, count=1)
    sync(only={"notes", "note_comments"})
    reported = report()
    assert (outcomes(reported)["note_comments"], reported["exit_code"]) == ("complete", 0)
    assert reported["streams"]["note_comments"]["incomplete_parents"] == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_stream_whose_parents_are_all_refused_is_refused(
    simulator: Any, sync: Sync, report: Any, status: int
) -> None:
    fail(simulator, "getNoteComments", status)
    sync(only={"notes", "note_comments"})
    assert outcomes(report()) == {"notes": "complete", "note_comments": "not_permitted"}
    calls = simulator.control("GET", "stats")["operations"]["getNoteComments"]["calls"]
    assert calls == REFUSALS_IN_A_ROW


# -- errors of one stream, and of all ------------------------------------------------------------


def test_a_stream_that_fails_midway_resumes_there(simulator: Any, sync: Sync, report: Any) -> None:
    fail(simulator, "getPersons", 500, after=2)
    first = sync(only={"persons", "users"}, page_size=20)
    reported = report()
    assert (reported["exit_code"], reported["stopped"]) == (69, None)
    assert outcomes(reported) == {"persons": "incomplete", "users": "complete"}
    assert "500" in reported["streams"]["persons"]["reason"]
    assert reported["streams"]["persons"]["records"] == len(first.records["persons"]) > 0
    heal(simulator)
    second = sync(first.state, only={"persons", "users"}, page_size=20)
    assert ids(first, "persons") | ids(second, "persons") == listed(simulator, "persons")
    assert first.records["persons"][0]["id"] not in ids(second, "persons"), "it started over"


@pytest.mark.parametrize(("status", "code"), [(400, 65), (500, 69)])
def test_a_failed_stream_sets_the_exit_code(
    simulator: Any, sync: Sync, status: int, code: int
) -> None:
    fail(simulator, "getNotes", status)
    with pytest.raises(TapError) as failure:
        sync(only={"notes", "users"})
    assert failure.value.exit_code == code
    assert run_tap.last.records["users"]  # type: ignore[attr-defined]


def test_a_lost_permission_takes_precedence_over_other_errors(
    simulator: Any, sync: Sync, report: Any
) -> None:
    only = {"notes", "persons", "users"}
    state = sync(only=only).state
    fail(simulator, "getNotes", 403)
    fail(simulator, "getPersons", 400)
    sync(state, only=only)
    assert outcomes(report()) == {"notes": "refused", "persons": "incomplete", "users": "complete"}
    assert report()["exit_code"] == 77


@pytest.mark.parametrize("stream", ["getDealsProducts", "getDealChangelog"])
def test_a_child_of_deals_fails_alone_during_windows(
    simulator: Any, sync: Sync, report: Any, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_TRIES", 2)
    fail(simulator, stream, 500, after=3)
    only = HISTORY | {"deal_products"}
    settings = {"page_size": 10, "windows": 4}
    first = sync(only=only, **settings)
    failed = {"deal_products"} if stream == "getDealsProducts" else HISTORY - {"deals"}
    assert {n for n, outcome in outcomes(report()).items() if outcome != "complete"} == failed
    assert ids(first, "deals") == listed(simulator, "deals")
    heal(simulator)
    second = sync(first.state, only=only, **settings)
    whole = sync(only=only, **settings)
    for name in only:
        key = "deal_id" if name == "deal_changelog_sync" else "id"
        assert ids(first, name, key) | ids(second, name, key) >= ids(whole, name, key)
    assert set(outcomes(report()).values()) == {"complete"}


def test_the_run_ends_when_every_operation_fails(simulator: Any, sync: Sync, report: Any) -> None:
    fail(simulator, "*", 503, after=5)
    with pytest.raises(SourceUnavailableError) as failure:
        sync()
    assert not isinstance(failure.value, OperationFailingError)
    reported = report()
    assert (reported["exit_code"], reported["stopped"]) == (69, "error")
    # A list that failed while others were still answered is incomplete; then nothing is.
    found = set(outcomes(reported).values())
    assert "interrupted" in found <= {"complete", "incomplete", "interrupted"}


# -- a spent day ----------------------------------------------------------------------------------


def test_streams_fall_behind_after_a_spent_budget(sync: Sync, report: Any) -> None:
    sync(daily_tokens=200)
    reported = report()
    assert (reported["exit_code"], reported["stopped"]) == (75, "budget")
    assert set(outcomes(reported).values()) == {"complete", "behind"}
    assert reported["behind"] == sorted(n for n, o in outcomes(reported).items() if o == "behind")


@pytest.mark.parametrize("configured", [True, False])
def test_a_429_without_headers_on_a_spent_day_is_a_spent_budget(
    simulator: Any, sync: Sync, tmp_path: Path, configured: bool
) -> None:
    """The ledger decides, with the configured budget or the plan's from an earlier response."""
    ahead = {"lists_ahead": 3, "calls_ahead": 2}
    settings: dict[str, Any] = {"state_dir": str(tmp_path), **ahead}
    if configured:
        settings["daily_tokens"] = 300
    simulator.control("POST", "limits", {"daily_tokens": 300})
    with pytest.raises(BudgetSpentError):
        sync(**settings)
    simulator.control("POST", "limits", {"daily_headers": False})
    simulator.control("POST", "stats/reset")
    with pytest.raises(BudgetSpentError):
        sync(run_tap.last.state, **settings)  # type: ignore[attr-defined]
    # What is cheaper than the rest of the budget is still answered. After the first 429 no call
    # begins: each thread that asks ahead, and the one that writes, had one under way at the most.
    limited = simulator.control("GET", "stats")["statuses"].get("429", 0)
    assert limited <= sum(ahead.values()) + 1


def test_retries_of_a_429_without_headers_are_bounded(simulator: Any, sync: Sync) -> None:
    simulator.control("POST", "limits", {"daily_tokens": 1, "daily_headers": False})
    with pytest.raises(SourceUnavailableError):
        sync()
    assert simulator.control("GET", "stats")["calls"] <= client_module.MOST_LIMITED_IN_A_ROW


def test_threads_stop_soon_when_every_call_is_limited(simulator: Any, sync: Sync) -> None:
    headers = {"x-daily-ratelimit-token-remaining": None}
    fail(simulator, "*", 429, after=5, headers=headers)
    with pytest.raises(SourceUnavailableError, match="PIPEDRIVE_DAILY_TOKENS"):
        sync()
    assert simulator.control("GET", "stats")["statuses"]["429"] <= 60
