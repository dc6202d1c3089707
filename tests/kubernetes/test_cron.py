"""The check of schedules finds what Kubernetes would refuse."""

from __future__ import annotations

import pytest
from cron import cron_problem


@pytest.mark.parametrize(
    "schedule", ["*/30 * * * *", "7-59/30 * * * *", "10 5 * * mon-fri", "0 0 1,15 jan *"]
)
def test_valid_schedules_pass(schedule: str) -> None:
    assert cron_problem(schedule) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "61 4 * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "*/0 * * * *",
        "5-1 * * * *",
    ]
    + ["* * * *", "@half-hourly", "CRON_TZ=UTC 0 4 * * *", "a * * * *", ""],
)
def test_invalid_schedules_fail(schedule: str) -> None:
    assert cron_problem(schedule)
