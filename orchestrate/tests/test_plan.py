"""What a job would cost, read from what the tap prints."""

from __future__ import annotations

import io

from pipeboard.commands.plan import Estimate, Idle, Plan, read_plan
from pipeboard.console import Console

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
