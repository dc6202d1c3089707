"""The table of outcomes, with the whole pipeline: what the account answers, and who is killed.

`backfill` loads and does not build, so it stands for every job where dbt does not matter. All
statuses for all streams are tried with the tap alone, in its own room.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Run, by_day, every_other_day
from project_under_test import Live, Site, alive, make_site, until

from pipeboard.local.embedded_postgres import EmbeddedPostgres

JOB = "backfill"


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(server, tmp_path_factory.mktemp("site of outcomes"), deals=100) as found:
        yield found


def run(site: Site, job: str, *rules: dict[str, Any], **environ: str) -> Run:
    """Run a job while the account fails by these rules."""
    for rule in rules:
        site.control("faults", rule)
    try:
        return site.run("run", job, **environ)
    finally:
        site.control("faults", method="DELETE")


def last(site: Site) -> tuple[str, int, str]:
    """Return status, exit code and reason of the last run."""
    ((status, code, reason),) = site.query(
        "select status, exit_code, coalesce(reason, '') from ops.etl_run "
        "order by started_at desc limit 1"
    )
    return status, code, reason


def streams(site: Site) -> dict[str, str]:
    """Return how each stream ended in the last run."""
    return dict(
        site.query(
            "select stream, outcome from ops.stream_outcome where run_id = "
            "(select run_id from ops.etl_run order by started_at desc limit 1)"
        )
    )


def output_of(site: Site, *arguments: str) -> str:
    found = site.run(*arguments)
    return found.out + found.err


@pytest.fixture(scope="module")
def killed(site: Site) -> tuple[int, str]:
    """The first sync, in which dbt was killed: its exit code and output."""
    with site.building() as (live, parts):
        os.kill(parts["dbt"], signal.SIGKILL)
    return live.wait(180)


def test_a_killed_dbt_fails_the_run(site: Site, killed: tuple[int, str]) -> None:
    code, out = killed
    assert code == 69, out
    reason = "dbt was killed by signal 9 (SIGKILL), probably out of memory"
    assert last(site) == ("failed", 69, reason)


@pytest.fixture(scope="module")
def first(site: Site, killed: tuple[int, str]) -> Run:
    """A backfill, of a token that may not read leads. Backfills have a state of their own."""
    return run(site, JOB, {"kind": "403", "operation": "getLeads"})


def test_a_stream_that_was_never_permitted_is_named_and_no_failure(site: Site, first: Run) -> None:
    assert first.code == 0, first.out + first.err
    assert last(site)[:2] == ("succeeded", 0)
    ended = streams(site)
    assert ended["leads"] == "not_permitted"
    assert {outcome for name, outcome in ended.items() if name != "leads"} == {"complete"}
    assert "leads: refused, and never readable with this token" in first.out
    assert "leads: refused, and never readable with this token" in output_of(site, "status")
    assert "Connect: psql 'postgresql://" in first.out


def test_a_refused_stream_makes_the_run_incomplete_and_the_rest_is_built(
    site: Site, first: Run
) -> None:
    # The first sync has read activities and notes; now the token may not.
    rules = [{"kind": "403", "operation": name} for name in ("getActivities", "getNotes")]
    found = run(site, "sync", *rules)
    assert found.code == 77, found.out + found.err
    status, code, reason = last(site)
    assert (status, code) == ("incomplete", 77)
    assert "activities" in reason and "notes" in reason
    ended = streams(site)
    assert {name for name, outcome in ended.items() if outcome == "refused"} == {
        "activities",
        "notes",
    }
    assert site.query("select count(*) > 0 from marts.fct_deal") == [(True,)], "built"
    assert "sync is incomplete" in found.out
    assert "activities: refused, and readable before" in output_of(site, "status")
    if site.gateway:
        metrics = site.metrics("main")
        assert metrics["pipedrive_etl_last_run_outcome"][("incomplete",)] == 1
        assert metrics["pipedrive_etl_last_run_status"] == {(): 0.0}
        assert metrics["pipedrive_etl_stream_outcome"][("refused", "notes")] == 1


@every_other_day(0)
@pytest.mark.parametrize(
    ("rule", "status", "code", "message"),
    by_day(
        # A stream that nothing can do without; an account that is not open at all.
        ({"kind": "403", "operation": "getDeals"}, "failed", 77, "deals"),
        ({"kind": "402", "operation": "getNotes"}, "failed", 77, "402"),
    ),
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_refused_request_has_its_status_and_exit_code(
    site: Site, first: Run, rule: dict[str, Any], status: str, code: int, message: str
) -> None:
    found = run(site, JOB, rule)
    assert found.code == code, found.out + found.err
    assert last(site)[:2] == (status, code)
    assert message in last(site)[2]
    if site.gateway:
        metrics = site.metrics("backfill")
        assert metrics["pipedrive_etl_last_run_outcome"][(status,)] == 1
        good = float(status in ("succeeded", "behind"))
        assert metrics["pipedrive_etl_last_run_status"] == {(): good}


@every_other_day(1)
def test_a_used_up_budget_is_behind_and_no_failure_for_a_cluster(site: Site, first: Run) -> None:
    rule = {"kind": "429_daily", "operation": "getNotes"}
    found = run(site, JOB, rule, PIPEBOARD_EXIT_CODE_BEHIND="0")
    assert found.code == 0, found.out + found.err
    status, code, reason = last(site)
    assert (status, code) == ("behind", 75)
    assert "budget is spent" in reason
    if site.gateway:
        metrics = site.metrics("backfill")
        assert metrics["pipedrive_etl_last_run_outcome"][("behind",)] == 1
        assert metrics["pipedrive_etl_last_run_status"] == {(): 1.0}
        assert metrics["pipedrive_etl_last_success_timestamp_seconds"]
    wrong = site.run("run", JOB, PIPEBOARD_EXIT_CODE_BEHIND="yes")
    assert (wrong.code, last(site)[:2]) == (78, ("failed", 78))


def started(site: Site) -> tuple[Live, dict[str, int]]:
    """Start a run that reads every change log anew, and wait until it is in the middle of it."""
    live = site.start("run", JOB, "--full-refresh")
    until("a run in the middle", site.is_slow)
    return live, live.parts()


@pytest.mark.parametrize("victim", by_day(("tap-pipedrive",), ("target-postgres",)))
def test_a_part_that_gets_sigterm_fails_the_run(site: Site, first: Run, victim: str) -> None:
    """A part that ends after SIGTERM has not done all its work, so the run fails."""
    with site.slow():
        live, parts = started(site)
        os.kill(parts[victim], signal.SIGTERM)
        code, out = live.wait()
    status, exit_code, reason = last(site)
    assert (status, exit_code) == ("failed", 69), out
    assert code == exit_code
    assert reason == f"{victim} was ended by signal 15 (SIGTERM)"
    assert not any(map(alive, parts.values()))


def test_a_successful_run_clears_the_status(site: Site, first: Run) -> None:
    """Everything may be read again, leads too."""
    found = run(site, JOB)
    assert found.code == 0, found.out + found.err
    assert last(site)[:2] == ("succeeded", 0)
    # Pipedrive's totals are read once a day, and an earlier run has read them.
    ended = {name: outcome for name, outcome in streams(site).items() if outcome != "complete"}
    assert ended == {"deal_summary_daily": "not_due"}
    assert "to look at" not in output_of(site, "status")


def test_what_the_tap_sent_is_what_the_loader_received(site: Site, first: Run) -> None:
    counts = site.query(
        "select stream, records_sent, records_received from ops.stream_outcome "
        "join ops.etl_run using (run_id) where status = 'succeeded'"
    )
    assert sum(sent for _, sent, _ in counts) > 500
    assert [name for name, sent, received in counts if sent != received] == []
