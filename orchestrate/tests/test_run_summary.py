"""What a person reads at the end of a run: how it ended, what to look at, what to do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from pipeboard.commands.run_summary import show_run
from pipeboard.console import Console
from pipeboard.run.changed import Decision
from pipeboard.run.dbt_results import Build, Result
from pipeboard.run.proof import StreamOutcome
from pipeboard.run.runner import Outcome

LOG = Path("/logs/a.jsonl")


def shown(status: str, code: int, **facts: Any) -> str:
    out = io.StringIO()
    show_run(Console(out), "sync", Outcome("a", status, code, 0.0, 12.0, log_file=LOG, **facts))
    return out.getvalue()


def test_a_skipped_run_shows_nothing() -> None:
    assert shown("skipped", 0, report={"streams": {"deals": {"records": 1}}}) == ""


@pytest.mark.parametrize(
    ("status", "code", "reason", "lines"),
    [
        ("succeeded", 0, None, ["done: sync in 12 s"]),
        ("behind", 75, None, ["done for today: sync in 12 s. The token budget is used up"]),
        ("behind", 0, "notes: later", ["done: sync in 12 s", "Notes: later."]),
        (
            *("incomplete", 77, "notes: 403"),
            [
                "sync is incomplete after 12 s: notes: 403",
                "Everything else is loaded and built. Check the token",
                "The whole log: /logs/a.jsonl",
            ],
        ),
        ("interrupted", 130, "interrupted by SIGINT", ["sync was interrupted by SIGINT after"]),
        (
            *("failed", 78, "no such setting"),
            ["sync failed after 12 s", "  no such setting", "Check .env (`make doctor`)."],
        ),
        ("failed", 1, "unknown", ["sync failed after 12 s", "  unknown", "The whole log: /logs/"]),
    ],
)
def test_a_run_ends_with_what_happened_and_what_to_do(
    status: str, code: int, reason: str | None, lines: list[str]
) -> None:
    text = shown(status, code, reason=reason)
    for line in lines:
        assert any(found.startswith(line) for found in text.splitlines()), text


def test_a_failed_part_shows_its_last_errors_once() -> None:
    errors = [f"error {number}" for number in range(9)]
    text = shown("failed", 69, part="dbt", errors=errors, reason="error 8")
    assert "sync failed in dbt after 12 s" in text
    assert text.count("error 8") == 1
    assert "error 2" not in text and "error 3" in text
    assert "Run again later: it goes on where it stopped." in text


def test_streams_to_look_at_are_named() -> None:
    streams = [
        StreamOutcome("notes", "refused", 0, 0, 0, 0, 0, "403 for /notes"),
        StreamOutcome("leads", "not_permitted", 0, 0, 0, 0, 0, None),
        StreamOutcome("deals", "complete", 9, 9, 3, 2, 0, None),
        StreamOutcome("users", "not_due", 0, 0, 0, 0, 0, None),
    ]
    text = shown("succeeded", 0, streams=streams, notices=["the plan is nearly spent"])
    assert "  notes: refused, and readable before: 403 for /notes" in text
    assert "  leads: refused, and never readable with this token\n" in text
    assert "  deals: 3 records in quarantine (ops.quarantine), 2 values set to null" in text
    assert "users" not in text
    assert "Tap and loader say\n  the plan is nearly spent" in text


def test_dbt_shows_warnings_and_failures_and_why_it_built() -> None:
    results = [
        Result("model", "fine", "success", "", 0.1, None, ""),
        Result("test", "unique_id", "warn", "3 rows", 0.1, None, ""),
        Result("model", "broken", "error", "division by zero", 0.1, None, ""),
    ]
    decision = Decision(("fine", "broken"), 7, "rows came")
    text = shown("failed", 1, build=Build(results, 1.0), decision=decision)
    assert "reason: rows came; 7 models are current" in text
    assert "  warn: unique_id: 3 rows" in text
    assert "  error: broken: division by zero" in text
    assert "success" not in text
    nothing = shown("succeeded", 0, decision=Decision((), None, "no row came"))
    assert "reason: no row came\n" in nothing
