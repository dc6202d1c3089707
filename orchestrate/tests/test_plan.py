"""What a job would cost, read from what the tap prints."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from stand_ins import job

from pipeboard.commands.plan import Estimate, Idle, Plan, plan_job, read_plan
from pipeboard.console import Console
from pipeboard.environments import own_environment
from pipeboard.errors import PipeboardError
from pipeboard.paths import Paths

PRINTED = """\
stream    calls  tokens  how sure
deals         2      30  exact: changed since the bookmark; v2 /deals/archived last read 20 min ago
stages        1   1,005  a short list; last read 2 h ago, on a schedule every 3 h
total         3   1,035

Budget: 60,000 tokens a day, of which this job may use 70%.
Streams that cost a call per record need 100,000 tokens: 5 day(s) at 21,000 each.
With nothing new: 1,260 tokens by hand; on a schedule 80; 120 more every 10,800 s; \
60 more every 0 s.
This plan itself cost 10 tokens.
"""


def test_what_the_tap_prints_is_understood() -> None:
    plan = read_plan(PRINTED)
    assert plan.estimates[1] == Estimate(
        "stages", 1, 1005, "a short list; last read 2 h ago, on a schedule every 3 h"
    )
    assert (plan.tokens, plan.a_day) == (1035, 42_000)
    assert plan.idle == Idle(1260, 80, [(120, 10_800), (60, 0)])
    assert plan.days == 5, "histories may spend a part of the tokens only"
    out = io.StringIO()
    plan.show(Console(out))
    shown = out.getvalue()
    assert "may use 42,000 tokens a day, 21,000 of them on histories: about 5 days." in shown


def test_an_idle_day_is_what_the_schedule_reads() -> None:
    idle = Idle(260, 80, [(120, 10_800), (60, 3_600)])
    assert idle.day(48) == 48 * 80 + 8 * 120 + 24 * 60
    assert idle.day(4) == 4 * 260, "a list is read by a run, never oftener"
    assert Idle(260, 80, [(180, 0)]).day(48) == 48 * 260, "no interval: with every run"
    assert Idle(260, 80, [(180, 100_000)]).day(48) == 48 * 80 + 180


def test_a_person_sees_what_an_idle_day_costs() -> None:
    out = io.StringIO()
    Plan([], None, Idle(260, 80, [(120, 10_800), (60, 3_600)]), 48).show(Console(out))
    text = out.getvalue()
    assert "it costs 260 tokens by hand, and an idle day of 48 scheduled runs 6,240." in text


def test_a_plan_of_some_streams_has_their_cost_alone() -> None:
    plan = read_plan(PRINTED)
    assert plan.only([]) == Plan(
        plan.estimates, 42_000, None, histories_a_day=21_000, history_days=5
    )
    found = plan.only(["deals"])
    assert ([e.stream for e in found.estimates], found.tokens, found.days) == (["deals"], 30, 1)
    out = io.StringIO()
    found.show(Console(out))
    assert "It may use 42,000 tokens a day: about 1 day." in out.getvalue()


def test_a_job_without_a_schedule_has_no_idle_day() -> None:
    out = io.StringIO()
    Plan([], None, Idle(260, 80, [])).show(Console(out))
    assert "With nothing new it costs 260 tokens by hand." in out.getvalue()
    assert "No daily budget is known: set PIPEDRIVE_DAILY_TOKENS" in out.getvalue()


def test_a_job_that_asks_pipedrive_for_nothing_has_no_plan(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    environment = own_environment(paths, {}, "postgresql://a:b@127.0.0.1:1/c", embedded=False)
    build = replace(job("sync"), name="build", plugin=None)
    with pytest.raises(PipeboardError, match="asks Pipedrive for nothing") as caught:
        plan_job(paths, environment, build, Console(io.StringIO()))
    assert caught.value.code == 64
