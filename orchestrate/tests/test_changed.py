"""Which models a build must run, and when it is not started at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeboard.fingerprint import fingerprint_of
from pipeboard.run import changed
from pipeboard.run.changed import (
    INCOMPLETE,
    Decision,
    Row,
    decide,
    decide_by_warehouse,
    decision_of,
)
from pipeboard.run.dbt_results import Build, Result
from pipeboard.run.metrics import MetricSet
from pipeboard.run.run_metrics import of_build

NOW = "0123 dev"


@pytest.mark.parametrize(
    ("rows", "decision"),
    [
        ([], Decision(None, None, "no model was built before")),
        (
            [Row("a", None, NOW), Row("b", None, NOW)],
            Decision((), 2, "nothing has changed"),
        ),
        (
            [Row("a", "a new day", NOW), Row("b", None, NOW), Row("c", "changed: notes", NOW)],
            Decision(("a", "c"), 1, "1 since a new day; 1 since changed: notes", ("a", "c")),
        ),
        (
            [Row("a", INCOMPLETE, NOW), Row("b", None, NOW), Row("c", "a new day", NOW)],
            Decision(("a", "c"), 1, f"1 since {INCOMPLETE}; 1 since a new day", ("c",)),
        ),
        (
            [Row("a", "a new day", NOW), Row("b", "a new day", NOW)],
            Decision(None, 0, "2 since a new day"),
        ),
        (
            [Row("a", None, NOW), Row("b", None, "other dev")],
            Decision(None, None, "the project, a setting or dbt itself has changed"),
        ),
        # Built by a dbt that does not know the fingerprint, and never built.
        (
            [Row("a", None, NOW), Row("b", None, "")],
            Decision(None, None, "the project, a setting or dbt itself has changed"),
        ),
        (
            [Row("a", None, NOW), Row("b", INCOMPLETE, None)],
            Decision(None, None, "the project, a setting or dbt itself has changed"),
        ),
    ],
)
def test_what_is_due_follows_from_what_was_built(rows: list[Row], decision: Decision) -> None:
    assert decide(rows, NOW) == decision


def test_a_report_is_read_back_as_it_was_written() -> None:
    found = Decision(("a", "b"), 3, "why")
    report = {"version": changed.REPORT_VERSION, "due": ["a", "b"], "current": 3, "reason": "why"}
    assert decision_of(report) == found
    assert decision_of({**report, "due": None}) == Decision(None, 3, "why")
    for broken in (None, {**report, "version": 0}, {**report, "due": "a"}, {**report, "due": 3}):
        assert decision_of(broken) is None


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "the project's files cannot be told from others"),
        ({changed.FINGERPRINT: "0123"}, "PIPEBOARD_DATABASE_URL is not a PostgreSQL URL"),
        (
            {changed.FINGERPRINT: "0123", changed.DATABASE: "postgresql://a:b@127.0.0.1:1/c"},
            "the warehouse does not say what changed",
        ),
    ],
)
def test_without_the_database_everything_is_built(environ: dict[str, str], reason: str) -> None:
    decision = decide_by_warehouse(environ)
    assert (decision.due, decision.current) == (None, None)
    assert decision.reason.startswith(reason)


def run_main(folder: Path, decision: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a decision, and a program in dbt's place."""
    program = folder / "dbt"
    program.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    program.chmod(0o755)
    lines = [
        "import sys",
        "from pipeboard.run import changed",
        "from pipeboard.run.changed import *",
    ]
    lines += [
        f"changed.decide_by_warehouse = lambda environ: {decision}",
        "sys.exit(changed.main())",
    ]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines), "--exclude", "tag:x"],
        env={"PATH": f"{folder}:/bin", changed.REPORT: str(folder / "report.json")},
        text=True,
        capture_output=True,
        check=False,
    )


def test_dbt_is_not_started_when_nothing_is_due(tmp_path: Path) -> None:
    done = run_main(tmp_path, 'Decision((), 7, "nothing has changed")')
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no model is due: nothing has changed; 7 are current\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert decision_of(report) == Decision((), 7, "nothing has changed")


def test_dbt_builds_what_is_due_and_its_exit_code_counts(tmp_path: Path) -> None:
    done = run_main(tmp_path, 'Decision(("a", "b"), 7, "why")')
    assert done.returncode == 3
    assert done.stdout == "building 2 models: why\nbuild --exclude tag:x --select a b\n"
    done = run_main(tmp_path, 'Decision(None, None, "why")')
    assert done.stdout == "building everything: why\nbuild --exclude tag:x\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "project/dbt_project.yml": "name: a",
        "project/models/a.sql": 'select \'{{ env_var("PIPEBOARD_BASE_CURRENCY", "BRL") }}\'',
        "project/seeds/rates.csv": "day,rate",
        "project/profiles.yml": "host: \"{{ env_var('PIPEBOARD_DATABASE_URL') }}\"",
        "project/README.md": "words",
        "project/target/compiled/a.sql": "select",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "env/lib/python3.11/site-packages/dbt_core-1.12.6.dist-info").mkdir(parents=True)
    return tmp_path


def fingerprint(folder: Path, **environ: str) -> str:
    return fingerprint_of(folder / "project", folder / "env", environ)


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("project/models/a.sql", True),
        ("project/seeds/rates.csv", True),
        ("project/macros/new.sql", True),
        ("project/README.md", False),
        ("project/target/compiled/a.sql", False),
    ],
)
def test_the_files_that_dbt_builds_from_make_the_fingerprint(
    project: Path, file: str, counts: bool
) -> None:
    before = fingerprint(project)
    assert fingerprint(project) == before
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text("something else")
    assert (fingerprint(project) != before) == counts


def test_the_settings_that_the_files_read_are_part_of_the_fingerprint(project: Path) -> None:
    before = fingerprint(project)
    assert fingerprint(project, PIPEBOARD_BASE_CURRENCY="USD") != before
    assert fingerprint(project, PIPEBOARD_DATABASE_URL="elsewhere", OTHER="x") == before


def test_another_version_of_dbt_has_another_fingerprint(project: Path) -> None:
    before = fingerprint(project)
    packages = project / "env/lib/python3.11/site-packages"
    (packages / "dbt_core-1.12.6.dist-info").rename(packages / "dbt_core-1.12.7.dist-info")
    assert fingerprint(project) != before


@pytest.mark.parametrize(
    ("built", "decision", "metric"),
    [
        (3, Decision(None, None, "no model was built before"), {("built",): 3, ("current",): 0}),
        (2, Decision(("a", "b"), 5, ""), {("built",): 2, ("current",): 5}),
        (None, Decision((), 7, "nothing has changed"), {("built",): 0, ("current",): 7}),
        (3, None, {("built",): 3, ("current",): 0}),
        (None, None, None),
    ],
    ids=["all", "some", "none", "by dbt:build", "no build"],
)
def test_the_metric_says_what_was_built_and_what_was_current(
    built: int | None, decision: Decision | None, metric: dict[tuple[str], int] | None
) -> None:
    one = Result("model", "a", "success", "", 0.1, None, "")
    metrics = MetricSet()
    of_build(metrics, None if built is None else Build([one] * built, 1.0), decision)
    assert metrics.values.get("dbt_models") == metric
