"""One table of outcomes: whatever depends on it says the same."""

from __future__ import annotations

import io

import pytest
from stand_ins import ROOT

from pipeboard import outcomes
from pipeboard.commands.run_summary import show_run
from pipeboard.console import Console
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.outcomes import CODES, STATUSES, STREAM_OUTCOMES, process_code
from pipeboard.run.metrics import MetricSet, push
from pipeboard.run.run_metrics import of_end
from pipeboard.run.runner import Outcome


def test_the_docs_have_the_table() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    assert outcomes.table() in page
    for name, meaning in STREAM_OUTCOMES.items():
        assert f"| `{name}` | {meaning} |" in page


def test_every_exit_code_has_a_policy_and_a_status() -> None:
    codes = {code for status in STATUSES.values() for code in status.exit_codes}
    assert codes - {0} == CODES.keys()
    assert {int(code) for code in ExitCode} <= codes


@pytest.mark.parametrize("status", STATUSES)
def test_metrics_say_the_status(status: str) -> None:
    metrics = MetricSet()
    of_end(metrics, 1.0, status, 0, {"total": 1.0})
    shown = {labels[0]: value for labels, value in metrics.values["last_run_outcome"].items()}
    assert shown == {name: float(name == status) for name in STATUSES}
    good = metrics.values["last_run_status"][()]
    assert good == float(status in ("succeeded", "behind"))


@pytest.mark.parametrize(
    ("status", "code", "wanted", "exits"),
    [
        ("behind", 75, "0", 0),
        ("behind", 75, "75", 75),
        ("behind", 75, "", 75),
        ("behind", 0, "75", 0),
        ("incomplete", 77, "0", 77),
        ("failed", 69, "0", 69),
        ("interrupted", 143, "0", 143),
    ],
)
def test_exit_code_behind_changes_only_a_spent_budget(
    status: str, code: int, wanted: str, exits: int
) -> None:
    assert process_code(status, code, {"PIPEBOARD_EXIT_CODE_BEHIND": wanted}) == exits


def test_another_code_for_a_spent_budget_is_refused() -> None:
    with pytest.raises(PipeboardError, match="PIPEBOARD_EXIT_CODE_BEHIND is 'none'") as refused:
        process_code("succeeded", 0, {"PIPEBOARD_EXIT_CODE_BEHIND": "none"})
    assert refused.value.code == ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ("succeeded", 0, "done: sync"),
        ("behind", 0, "done: sync"),
        ("behind", 75, "done for today: sync"),
        ("incomplete", 77, "sync is incomplete"),
        ("failed", 69, "sync failed in tap-pipedrive"),
        ("interrupted", 143, "sync was interrupted by SIGTERM"),
        ("skipped", 0, ""),
    ],
)
def test_the_summary_says_the_status(status: str, code: int, text: str) -> None:
    out = io.StringIO()
    outcome = Outcome("r", status, code, 0.0, 1.0, part="tap-pipedrive")
    outcome.reason = "interrupted by SIGTERM" if status == "interrupted" else "why"
    show_run(Console(out), "sync", outcome)
    assert text in out.getvalue()
    assert bool(text) == bool(out.getvalue())


@pytest.mark.parametrize(
    ("code", "retried"),
    [(0, False), (1, True), (64, False), (69, True), (75, False), (77, False), (137, True)],
)
def test_a_scheduler_retries_what_may_go_better(code: int, retried: bool) -> None:
    assert outcomes.is_retryable(code) is retried


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        ("succeeded", 0, ("Completed", True)),
        ("behind", 75, ("Behind", True)),
        ("incomplete", 77, ("Incomplete", False)),
        ("interrupted", 143, ("Interrupted", False)),
        ("failed", 69, ("Unavailable", False)),
        (None, 78, ("Misconfigured", False)),
        (None, 75, ("Behind", True)),
        (None, 0, ("Completed", True)),
        (None, 137, ("Failed", False)),
    ],
)
def test_a_flow_has_the_state_of_its_run(
    status: str | None, code: int, state: tuple[str, bool]
) -> None:
    assert outcomes.flow_state(status, code) == state


def test_a_metric_that_is_not_declared_so_is_refused() -> None:
    metrics = MetricSet()
    with pytest.raises(ValueError, match="last_run_outcome takes the labels"):
        metrics.set("last_run_outcome", 1.0)
    with pytest.raises(KeyError):
        metrics.set("of_another_program", 1.0)


@pytest.mark.parametrize("gateway", ["http://127.0.0.1:9", "http://[broken"])
def test_metrics_that_cannot_be_pushed_are_one_line(gateway: str) -> None:
    assert str(push(gateway, "main", MetricSet())).startswith("metrics could not be pushed (")
