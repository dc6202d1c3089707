"""Budgets are respected, no log is paid for twice, and a plan estimates the cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pipedrive_simulator.testing import running_simulator
from tap_runs import Output, run_tap

from tap_pipedrive.errors import BudgetSpentError, ConfigurationError
from tap_pipedrive.settings import DEFAULTS
from tap_pipedrive.tap import TapPipedrive
from tap_pipedrive.times import to_time

DAY = 86_400
HISTORY = {"deals", "deal_changelog", "deal_changelog_sync"}
Sync = Callable[..., Output]


def marks_of(output: Output) -> list[int]:
    return [mark["deal_id"] for mark in output.records["deal_changelog_sync"]]


def test_a_long_history_is_read_over_several_days(tmp_path: Path) -> None:
    """Each log is read once, even if a bulk import gave all deals the same second."""
    with running_simulator(deals=90, seed=3) as simulator:
        account = simulator.account
        for _ in range(60):  # a bulk import: one second for all
            account.create_deal()
        account.advance_clock(600)
        config = {
            "api_token": simulator.token,
            "api_url": simulator.url,
            "daily_tokens": 1000,
            "history_token_share": 0.5,
            "state_dir": str(tmp_path),
        }
        requested: list[int] = []
        state: dict[str, Any] = {}
        days = 0
        readable = {d["id"] for d in simulator.truth("deals") if d["_listed"]}
        while set(requested) != readable:
            days += 1
            assert days < 20, "no headway"
            fresh = account.create_deal(title=f"day {days}").id
            readable.add(fresh)
            account.advance_clock(300)
            output = run_tap(config, state, only=HISTORY)
            state = output.state
            assert fresh in {d["id"] for d in output.records["deals"]}, (
                "what is new waits for no history"
            )
            requested += marks_of(output)
            spent = simulator.control("GET", "stats")["tokens"]
            simulator.control("POST", "stats/reset")
            assert spent <= 1000 * 0.5 + 200, "the share of histories, and a few lists"
            account.advance_clock(DAY)
        assert days > 5
        # The day's new deal may be asked again with the ones it was cut off from; nothing else is.
        assert len(requested) - len(set(requested)) <= days


def test_a_spent_budget_ends_the_run_with_a_valid_state(
    simulator: Any, sync: Sync, tmp_path: Path
) -> None:
    settings = {"daily_tokens": 300, "state_dir": str(tmp_path)}
    with pytest.raises(BudgetSpentError):
        sync(**settings)
    first = run_tap.last  # type: ignore[attr-defined]
    spent = simulator.control("GET", "stats")["tokens"]
    assert spent <= 310, "one call before the date is known"
    assert first.states, "what was done is kept"
    simulator.control("POST", "stats/reset")
    with pytest.raises(BudgetSpentError):
        sync(first.state, **settings)
    # The simulated date is not this machine's: the first answer tells, and then it is known. Of
    # threads that asked for the last tokens at once all may have been refused: some were left.
    assert simulator.control("GET", "stats")["tokens"] + spent <= 320
    simulator.account.advance_clock(DAY)
    with pytest.raises(BudgetSpentError):
        sync(first.state, **settings)
    assert any(run_tap.last.records.values()), "a new day, new tokens"  # type: ignore[attr-defined]


def test_a_429_of_the_daily_limit_is_a_spent_budget(simulator: Any, sync: Sync) -> None:
    simulator.control("POST", "limits", {"daily_tokens": 150})
    with pytest.raises(BudgetSpentError):
        sync()
    stats = simulator.control("GET", "stats")
    assert stats["tokens"] <= 150
    # What was under way when the first refusal came is refused too; nothing is asked after it.
    assert stats["served_429"] <= DEFAULTS["lists_ahead"]


def test_a_supervised_run_reports_instead_of_failing(
    simulator: Any, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.json"
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(report))
    sync(daily_tokens=300)
    assert '"stopped": "budget"' in report.read_text()


def plan(
    config: dict[str, Any], tmp_path: Path, state: dict[str, Any] | None = None, *options: str
) -> str:
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = ["--config", str(tmp_path / "config.json"), "--plan", *options]
    if state is not None:
        (tmp_path / "state.json").write_text(json.dumps(state))
        arguments += ["--state", str(tmp_path / "state.json")]
    outcome = CliRunner().invoke(TapPipedrive.cli, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def row(text: str, stream: str) -> tuple[int, int]:
    line = next(line for line in text.splitlines() if line.split()[:1] == [stream])
    calls, tokens = line.split()[1:3]
    return int(calls.replace(",", "")), int(tokens.replace(",", ""))


def test_a_plan_costs_at_most_60_tokens_and_is_never_too_low(
    simulator: Any, config: dict[str, Any], sync: Sync, tmp_path: Path
) -> None:
    simulator.account.advance_clock(5)
    text = plan(config | {"daily_tokens": 1000}, tmp_path)
    assert simulator.control("GET", "stats")["tokens"] <= 60
    assert "day(s)" in text
    simulator.control("POST", "stats/reset")
    first = sync()
    spent = simulator.control("GET", "stats")["operations"]
    assert row(text, "deal_changelog")[0] >= spent["getDealChangelog"]["calls"]
    assert row(text, "deals")[0] >= spent["getDeals"]["calls"] + spent["getArchivedDeals"]["calls"]

    later = plan(config, tmp_path, first.state)
    assert "exact: changed since the bookmark" in later
    assert row(later, "deals")[0] == 2
    assert row(later, "deal_changelog")[0] <= 5


def test_a_plan_shows_the_age_of_lists_and_the_cost_of_an_idle_run(
    simulator: Any, config: dict[str, Any], sync: Sync, tmp_path: Path
) -> None:
    simulator.account.advance_clock(60)
    # The catalog selects what the state is of.
    only = {"deals", "stages", "leads", "products", "users"}
    catalog = TapPipedrive(config=config).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["stream"] in only
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    first = sync(only=only)
    simulator.account.advance_clock(2 * 3600 + 60)
    text = plan(config, tmp_path, first.state, "--catalog", str(tmp_path / "catalog.json"))
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    aged = "last read 2 h 1 min ago, on a schedule every"
    assert f"a short list; {aged} 3 h" in lines["stages"]
    assert f"; {aged} 3 h" in lines["products"]
    assert f"; v2 /deals/archived {aged} 1 h" in lines["deals"]
    assert f"; v1 /leads/archived {aged} 1 h" in lines["leads"]
    # deals 10 + 20, leads 20 + 40, stages 5, products 10, users 20.
    expected = (
        "125 tokens by hand; on a schedule 30; 60 more every 3,600 s; 35 more every 10,800 s."
    )
    assert expected in text
    assert "not read yet" in plan(config, tmp_path)
    assert "on a schedule" not in plan({**config, "sweep": True}, tmp_path), "it reads everything"


def test_listed_histories_are_read_in_order_and_once(
    simulator: Any, sync: Sync, tmp_path: Path
) -> None:
    """A backfill reads the listed logs; the scan leaves out logs that are known since then."""
    deals = [d["id"] for d in simulator.truth("deals") if d["_listed"]]
    listed, known = tmp_path / "listed", tmp_path / "known"
    wanted = deals[7:2:-1]
    listed.write_text("".join(f"{deal_id}\n" for deal_id in wanted))
    logs = {"deal_changelog", "deal_changelog_sync"}
    read = sync(only=logs, history_deals_file=str(listed))
    assert marks_of(read) == wanted
    assert {row["deal_id"] for row in read.records["deal_changelog"]} <= set(wanted)
    requested = simulator.control("GET", "stats")["operations"]
    assert {name: of["calls"] for name, of in requested.items()} == {
        "getDealChangelog": 5,
        "getPipelines": 1,
    }

    moved, stored = wanted[0], set(wanted[1:])
    simulator.account.advance_clock(600)
    simulator.account.update_deal(moved, title="known no more")
    through = {mark["deal_id"]: mark["synced_through"] for mark in read.records[
        "deal_changelog_sync"]}  # fmt: skip
    seconds = {i: int(to_time(text).timestamp()) for i, text in through.items()}
    # Logs read within two minutes of an update may lack it; these were not.
    known.write_text("".join(f"{i} {second + 300}\n" for i, second in seconds.items()))
    walked = sync(only=HISTORY, history_known_file=str(known))
    assert set(marks_of(walked)) == set(deals) - stored


def test_listed_histories_stop_at_the_share_of_histories(
    simulator: Any, sync: Sync, tmp_path: Path
) -> None:
    deals = [d["id"] for d in simulator.truth("deals") if d["_listed"]]
    listed = tmp_path / "listed"
    listed.write_text("".join(f"{deal_id}\n" for deal_id in deals))
    with pytest.raises(BudgetSpentError):
        sync(
            only={"deal_changelog", "deal_changelog_sync"},
            history_deals_file=str(listed),
            daily_tokens=200,
            state_dir=str(tmp_path),
            history_token_share=0.5,
        )
    last = run_tap.last  # type: ignore[attr-defined]
    assert marks_of(last) == deals[: len(marks_of(last))]
    assert 1 <= len(marks_of(last)) <= 5 + 6, "the share, and what was under way already"


@pytest.mark.parametrize("setting", ["history_deals_file", "history_known_file"])
def test_an_invalid_history_file_is_a_configuration_error(
    sync: Sync, tmp_path: Path, setting: str
) -> None:
    (tmp_path / "list").write_text("one\n")
    for path in (tmp_path / "list", tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match=setting):
            sync(only={"deal_changelog", "deal_changelog_sync"}, **{setting: str(path)})
