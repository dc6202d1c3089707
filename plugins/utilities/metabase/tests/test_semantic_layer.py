"""MetricFlow's core metrics equal the reports, to the cent, by every dimension that both have."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from warehouse_helpers import COMMANDS, ROOT, Warehouse

DBT_PYTHON = ROOT / ".pipeboard" / "env" / "dbt" / "bin" / "python"
QUERIES = Path(__file__).with_name("metricflow_queries.py")

#: The columns of a report that a metric equals, or what computes it from them.
CREATED = {"deals_created": "sum(n_created)"}
CLOSED = {
    "won_count": "sum(n_won)",
    "won_value": "sum(won_value_base)",
    "lost_count": "sum(n_lost)",
    "lost_value": "sum(lost_value_base)",
    "win_rate_by_close_date": "sum(n_won)::numeric / nullif(sum(n_closed), 0)",
    "sales_cycle_days": "sum(won_cycle_days) / nullif(sum(n_won_with_cycle), 0)",
}
OPEN = {
    "open_pipeline_count": "sum(open_count)",
    "open_pipeline_value": "sum(open_value_base)",
    "weighted_forecast": "sum(weighted_value_base)",
}
MONTHLY = "marts.rpt_deals_monthly as report"
NOW = "marts.rpt_pipeline_now as report"
OWNERS = "left join marts.dim_user as owners on report.owner_id = owners.user_id"
#: metrics, MetricFlow's dimension, the same in SQL, and the report.
COMPARISONS = [
    *(
        (metrics, dimension, expression, report)
        for metrics in (CREATED, CLOSED)
        for dimension, expression, report in (
            ("metric_time__month", "report.month", MONTHLY),
            ("metric_time__quarter", "date_trunc('quarter', report.month)::date", MONTHLY),
            (
                "metric_time__fiscal_year",
                "fiscal_year",
                f"{MONTHLY} join marts.dim_date on report.month = date_day",
            ),
            ("pipeline", "pipeline_id", MONTHLY),
            ("owner", "owner_id", MONTHLY),
            ("owner__team_name", "team_name", f"{MONTHLY} {OWNERS}"),
        )
    ),
    (CREATED, "deal__origin", "origin", "marts.rpt_sources_monthly as report"),
    (OPEN, "pipeline", "pipeline_id", NOW),
    (OPEN, "stage", "stage_id", NOW),
    (OPEN, "owner", "owner_id", NOW),
    (OPEN, "owner__team_name", "team_name", f"{NOW} {OWNERS}"),
    (
        {"weighted_forecast": "sum(weighted_forecast_base)"},
        "open_deal__is_overdue",
        "period = 'overdue'",
        "marts.rpt_forecast as report",
    ),
]


@dataclass
class Answer:
    """MetricFlow's project folder as `mf` makes it, and the answer to a query."""

    environ: dict[str, str]
    output: str
    owners: dict[int, Decimal]


@pytest.fixture(scope="module")
def answer(demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Ask `mf` itself for the won value by owner."""
    environ = {**demo.environ(), "DBT_PROJECT_DIR": str(ROOT / "transform")}
    environ["DBT_PROFILES_DIR"] = environ["DBT_PROJECT_DIR"]
    folder = tmp_path_factory.mktemp("answer")
    # Of its own: in that of the tests is what dbt parsed for a database of another name.
    environ["DBT_TARGET_PATH"] = str(folder / "target")
    file = folder / "answer.csv"
    query = ["query", "--metrics", "won_value", "--group-by", "owner", "--csv", str(file)]
    outcome = subprocess.run(
        [COMMANDS / "mf", *query], env=environ, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    with file.open(newline="") as text:
        owners = {int(owner): cents(value) for owner, value in list(csv.reader(text))[1:]}
    return Answer({**environ, "DBT_PROJECT_DIR": str(folder)}, outcome.stdout, owners)


@pytest.mark.long
def test_the_command_answers(demo: Warehouse, answer: Answer) -> None:
    assert "new version" not in answer.output  # it would ask PyPI
    known = "select owner_id, sum(won_value_base) from marts.rpt_deals_monthly group by owner_id"
    assert {k: v for k, v in answer.owners.items() if v} == {
        k: cents(v) for k, v in demo.rows(known) if cents(v)
    }


@pytest.mark.long
def test_every_metric_equals_its_report(demo: Warehouse, answer: Answer) -> None:
    questions = [[list(metrics), dimension] for metrics, dimension, *_ in COMPARISONS]
    outcome = subprocess.run(
        [DBT_PYTHON, "-I", QUERIES],
        env=answer.environ,
        input=json.dumps(questions), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    answers = json.loads(outcome.stdout)
    for (metrics, dimension, expression, report), rows in zip(COMPARISONS, answers, strict=True):
        columns = ", ".join(metrics.values())
        known = demo.rows(f"select {expression}, {columns} from {report} group by 1")
        assert by_key(rows) == by_key(known), dimension


def test_the_reports_have_something_of_everything(demo: Warehouse) -> None:
    for metrics, dimension, expression, report in COMPARISONS:
        counted = demo.rows(f"select count(distinct {expression}) from {report}")[0][0]
        assert counted > 1, (dimension, list(metrics))


def by_key(rows: list[Any]) -> dict[str, tuple[Decimal, ...]]:
    """Return rows by their first value, without those in which nothing was counted."""
    found = {str(key): tuple(map(cents, values)) for key, *values in rows}
    return {key: values for key, values in found.items() if any(values)}


def cents(value: Any) -> Decimal:
    """Return a number with two decimals; nothing is 0. MetricFlow divides in floating point."""
    return round(round(Decimal(str(value or 0)), 9), 2)
