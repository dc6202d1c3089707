"""What an exit code and a log of pipeboard mean for a flow run."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import yaml
from conftest import ROOT

from pipeboard.outcomes import CODES, STATUSES, Status
from run_result import CommandResult, is_retryable, report, stream_rows

RUN = {
    **{"run_id": "r1", "job": "sync", "status": "behind", "exit_code": 75, "seconds": 61},
    **{"rows": 1_200, "calls": 90, "tokens": 1_800, "reason": "the token budget is used up"},
    "details": {
        "streams": {
            "deals": {"outcome": "complete", "records": 1_000, "calls": 10, "tokens": 200},
            "deal_changelog": {"outcome": "behind", "records": 200, "calls": 80, "tokens": 1_600},
        },
        "behind": ["deal_changelog"],
        "dbt": {"models": {"ok": 125, "warned": 0, "failed": 0, "skipped": 0}},
        "current_models": 1_030,
        "failed_nodes": [],
    },
}


def result_of(code: int, *entries: dict[str, Any] | str) -> CommandResult:
    result = CommandResult(code)
    for entry in entries:
        result.read(entry if isinstance(entry, str) else json.dumps(entry))
    return result


@pytest.mark.parametrize(
    ("code", "name"),
    [
        *((0, "Completed"), (75, "Behind"), (64, "Usage"), (65, "DataRefused")),
        *((69, "Unavailable"), (77, "NotPermitted"), (78, "Misconfigured"), (1, "Failed")),
        *((130, "Interrupted"), (143, "Interrupted"), (137, "Failed")),
    ],
)
def test_every_exit_code_has_a_state(code: int, name: str) -> None:
    state = result_of(code).flow_state()
    assert state.name == name
    assert state.completed == (code in (0, 75))


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
def test_every_status_has_the_state_of_the_table(status: Status) -> None:
    for code in status.exit_codes:
        state = result_of(code, {"event": "run ended", "status": status.name}).flow_state()
        assert state.completed == status.prefect_completed
        assert state.name == (status.prefect or CODES[code].name)


def test_flows_and_cluster_retry_after_the_same_exit_codes() -> None:
    job = yaml.safe_load((ROOT / "k8s" / "base" / "patch-cronjob.yaml").read_text())
    rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    (codes,) = [rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule]
    # The exit code for a spent budget reaches no Job: PIPEBOARD_EXIT_CODE_BEHIND makes it 0.
    final = {code for code, policy in CODES.items() if not policy.retry and code < 128}
    assert final - {75} <= set(codes) <= final
    assert not any(map(is_retryable, (*codes, 0, 130, 143)))
    assert all(map(is_retryable, (69, 1, 137)))


def test_a_success_that_left_streams_for_later_is_behind() -> None:
    end = {"event": "run ended", "rows": 5, "calls": 1, "tokens": 20, "behind": ["deal_changelog"]}
    state = result_of(0, end).flow_state()
    assert state[:2] == (True, "Behind") and state.message.endswith("with deal_changelog")


def test_a_skipped_run_is_completed_and_says_why() -> None:
    result = result_of(
        0, {"event": "run r0 of sync is running", "topic": "skipped", "run_id": "r1"}
    )
    assert result.flow_state() == (True, "Skipped", "run r0 of sync is running")
    assert result.run_ids == ["r1"]


def test_costs_of_several_runs_are_added_up() -> None:
    end = {"event": "run ended", "rows": 10, "calls": 2, "tokens": 40}
    result = result_of(
        0, {**end, "run_id": "r1"}, {**end, "run_id": "r2", "tokens": None, "rows": 1_000}
    )
    assert result.flow_state().message == "1,010 rows, 4 calls, 40 tokens"
    assert result.run_ids == ["r1", "r2"]


def test_the_worst_run_of_a_command_decides() -> None:
    lost = {"event": "run ended", "status": "incomplete", "run_id": "r1", "reason": "notes: 403"}
    built = {"event": "run ended", "status": "succeeded", "run_id": "r2"}
    assert result_of(77, lost, built).flow_state() == (
        False,
        "Incomplete",
        "exit code 77: notes: 403",
    )
    behind = {"event": "run ended", "status": "behind", "run_id": "r1"}
    # With PIPEBOARD_EXIT_CODE_BEHIND=0, too.
    assert result_of(0, behind, built).flow_state()[:2] == (True, "Behind")
    assert result_of(75, behind, built).flow_state()[:2] == (True, "Behind")
    assert result_of(78, built).flow_state()[:2] == (False, "Misconfigured")


def test_a_failure_says_where_and_why() -> None:
    end = {"event": "run ended", "failed_stage": "dbt", "reason": "unique_fct_deal", "run_id": "r"}
    assert result_of(65, end).flow_state().message == "exit code 65 in dbt: unique_fct_deal"
    error = "pipeboard: PIPEDRIVE_API_TOKEN is not set. Copy it"
    assert (
        result_of(78, error).flow_state().message
        == f"exit code 78: {error.removeprefix('pipeboard: ')}"
    )


@pytest.mark.parametrize(
    ("entry", "level", "text"),
    [
        ({"event": "acme", "topic": "account", "level": "info"}, logging.INFO, "account: acme"),
        (
            {"event": "progress", "progress": "dbt build: 3 of 9", "seconds": 75, "level": "info"},
            logging.INFO,
            "1:15 dbt build: 3 of 9",
        ),
        ({"event": "3 of 9 OK", "name": "dbt", "level": "info"}, logging.DEBUG, "dbt: 3 of 9 OK"),
        ({"event": "no rate", "name": "dbt", "level": "error"}, logging.ERROR, "dbt: no rate"),
        ("pipeboard: no token", logging.WARNING, "pipeboard: no token"),
        ("[1, 2]", logging.INFO, "[1, 2]"),
    ],
)
def test_log_lines_of_libraries_are_debug_unless_they_are_warnings(
    entry: dict[str, Any] | str, level: int, text: str
) -> None:
    line = CommandResult().read(entry if isinstance(entry, str) else json.dumps(entry))
    assert line == (level, text)


def test_a_report_has_rows_tokens_results_and_where_it_is_behind() -> None:
    text = report(result_of(75).flow_state(), [RUN], [], 75)
    assert "| r1 | sync | behind | 75 | 61 | 1,200 | 90 | 1,800 |" in text
    assert "| total | 1,200 | 90 | 1,800 |" in text
    assert "The next run goes on with: \n`deal_changelog`" in text
    assert "| models | 125 | 0 | 0 | 0 |" in text
    assert "1,030 models were current and not built." in text
    assert [row["outcome"] for row in stream_rows([RUN])] == ["complete", "behind"]


def test_a_report_names_the_models_and_tests_that_failed() -> None:
    nodes = ["fct_deal", "unique_fct_deal"]
    run = {**RUN, "details": {**RUN["details"], "failed_nodes": nodes}}
    assert "Failed: `fct_deal`, `unique_fct_deal`\n" in report(
        result_of(65).flow_state(), [run], [], 65
    )


def test_a_report_without_a_run_has_the_last_lines_and_a_remedy() -> None:
    result = result_of(78, "pipeboard: PIPEDRIVE_API_TOKEN is not set")
    text = report(result.flow_state(), [], result.last_lines, result.code)
    assert "PIPEDRIVE_API_TOKEN is not set" in text and "`make doctor`" in text
