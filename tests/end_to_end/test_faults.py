"""Killed processes during a run: the next run is complete, and history and metrics are right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from conftest import by_day, every_other_day, truth
from project_under_test import (
    Live,
    Site,
    alive,
    deals_of_account,
    deals_of_marts,
    kill_server,
    make_site,
    until,
)

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.run.run_lock import is_locked

# The fastest job that reads and loads: what ends it does not care what comes after.
JOB = "backfill"


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(server, tmp_path_factory.mktemp("site")) as found:
        yield found


def started(site: Site, *arguments: str) -> tuple[Live, dict[str, int]]:
    """Start a run and wait until it is in the middle of it; return it and its parts."""
    live = site.start("run", JOB, *arguments)
    until("a run in the middle", site.is_slow)
    parts = live.parts()
    assert set(parts) == {"watchdog", "meltano", "tap-pipedrive", "target-postgres"}, parts
    return live, parts


def lock_is_free(site: Site, concurrency_group: str = "backfill") -> bool:
    with psycopg.connect(site.url) as connection:
        return not is_locked(connection, concurrency_group)


@pytest.mark.parametrize(
    ("victim", "code", "stage"),
    by_day(
        ("tap-pipedrive", 69, "tap-pipedrive"),
        ("target-postgres", 69, "target-postgres"),
        ("meltano", 69, "meltano"),
        ("watchdog", 69, "tap-pipedrive"),
    ),
)
def test_a_part_that_is_killed_fails_the_run(
    site: Site, victim: str, code: int, stage: str
) -> None:
    with site.slow():
        live, parts = started(site)
        os.kill(parts[victim], signal.SIGKILL)
        ended, out = live.wait()
    assert ended == code, out
    assert not any(map(alive, parts.values()))
    assert site.history()[-1] == ("failed", code, stage), out
    ((reason,),) = site.query("select reason from ops.etl_run order by started_at desc limit 1")
    message = (
        "its watchdog was killed" if victim == "watchdog" else "killed by signal 9 (SIGKILL), prob"
    )
    assert message in reason
    assert lock_is_free(site)
    if site.gateway:
        metrics = site.metrics("backfill")
        assert metrics["pipedrive_etl_last_run_status"] == {(): 0.0}
        assert metrics["pipedrive_etl_last_run_exit_code"] == {(): 69.0}
        assert "pipedrive_etl_last_success_timestamp_seconds" not in metrics


def test_a_killed_supervisor_leaves_no_process(site: Site) -> None:
    with site.slow():
        live, parts = started(site)
        live.end(signal.SIGKILL)
        freed_early = lock_is_free(site) and alive(parts["meltano"])
        until("the end of all its parts", lambda: not any(map(alive, parts.values())), 40)
    assert not freed_early
    until("a free lock", lambda: lock_is_free(site), 5)
    assert site.history()[-1][0] == "running", "nobody could tell yet"
    history = site.run("history", "--last", "1")
    assert "abandoned" in history.out


def test_a_second_run_is_skipped_and_names_the_running_one(site: Site) -> None:
    with site.slow():
        live, _ = started(site)
        assert site.history()[-2][0] == "abandoned", "the next run found out"
        second = site.run("run", JOB)
        assert second.code == 0
        (run_id,) = site.query("select run_id from ops.etl_run where status = 'running'")[0]
        assert f"skipped       run {run_id} of backfill has been running since" in second.out
        # SIGTERM: the records read so far are loaded and the state is stored.
        code, out = live.end(signal.SIGTERM)
    assert code == 143, out
    assert "interrupted by SIGTERM" in out
    assert [status for status, *_ in site.history()[-2:]] == ["interrupted", "skipped"]
    assert site.query("select count(*) >= 10 from pipedrive.deal_changelog_sync") == [(True,)]
    if site.gateway:
        runs = site.metrics("backfill")["pipedrive_etl_runs_total"]
        counted = site.query("select status, count(*) from ops.etl_run group by 1")
        assert {k[0]: v for k, v in runs.items() if v} == dict(counted)


@every_other_day(0)
def test_a_run_that_hangs_is_ended(site: Site) -> None:
    with site.slow("hang", after=0):
        code, out = site.start("run", JOB, "--stall", "3").wait()
    assert code == 69, out
    assert "no progress for 3 s" in out
    ((reason,),) = site.query("select reason from ops.etl_run order by started_at desc limit 1")
    assert "no progress for 3 s" in reason


@every_other_day(1)
def test_a_run_survives_or_fails_with_a_killed_database(site: Site) -> None:
    with site.slow():
        live, parts = started(site)
        kill_server(site.server)
        site.server.start(site.binaries, "site")
    code, out = live.wait()
    # Loader and Meltano may have survived or not; the recorded outcome must be the real one.
    status, exit_code, _ = site.history()[-1]
    assert (status, exit_code) in {("succeeded", 0), ("failed", 69)}, out
    assert code == exit_code
    assert not any(map(alive, parts.values()))


def test_the_run_after_faults_is_complete(site: Site) -> None:
    seen = {status for status, *_ in site.history()}
    assert {"failed", "interrupted", "skipped", "abandoned"} <= seen
    run = site.run("run", JOB)
    assert run.code == 0, run.out + run.err
    assert site.history()[-1][:2] == ("succeeded", 0)
    really = {d["id"] for d in truth(site.simulator, "deals") if not d["_purged"]}
    assert {i for (i,) in site.query("select id from pipedrive.deals")} == really
    known = {i for (i,) in site.query("select deal_id from pipedrive.deal_changelog_sync")}
    assert known == really
    changes = site.query("select count(*), count(distinct id) from pipedrive.deal_changelog")
    expected = [c for c in truth(site.simulator, "deal_changelog") if c["deal_id"] in really]
    assert changes == [(len(expected), len(expected))]


# From here on `sync`, as it is scheduled: what is killed may be the build as well.


def test_a_supervisor_killed_while_dbt_builds_leaves_no_process(site: Site) -> None:
    site.control("advance", {"deals": 30, "hours": 6})
    with site.building() as (live, parts):
        assert {"watchdog", "meltano", "dbt"} <= set(parts), parts
        live.end(signal.SIGKILL)
        until("the end of all its parts", lambda: not any(map(alive, parts.values())), 45)
    until("a free lock", lambda: lock_is_free(site, "main"), 5)
    assert "abandoned" in site.run("history", "--last", "1").out


def test_a_database_killed_while_dbt_builds_fails_the_run(site: Site) -> None:
    with suppress(psycopg.OperationalError), site.building() as (live, parts):
        runs = site.query("select status, reason from ops.etl_run order by started_at desc")
        assert runs[1] == (
            "abandoned",
            "its supervisor died before it could record the end of the run",
        )
        kill_server(site.server)
    site.server.start(site.binaries, "site")
    code, out = live.wait()
    assert code == 69, out
    assert site.history()[-1] == ("failed", 69, "dbt"), out
    assert not any(map(alive, parts.values()))
    assert lock_is_free(site, "main")
    if site.gateway:
        metrics = site.metrics("main")
        assert metrics["pipedrive_etl_last_run_status"] == {(): 0.0}
        assert metrics["pipedrive_etl_last_run_exit_code"] == {(): 69.0}
        runs = {k[0]: v for k, v in metrics["pipedrive_etl_runs_total"].items() if v}
        assert runs == {"abandoned": 1.0, "failed": 1.0}
        assert "pipedrive_etl_last_success_timestamp_seconds" not in metrics


def test_the_sync_after_faults_is_right_in_every_table(site: Site) -> None:
    run = site.run("run", "sync")
    assert run.code == 0, run.out + run.err
    assert site.history()[-1][:2] == ("succeeded", 0)
    assert deals_of_marts(site) == deals_of_account(site)
    for name in ("persons", "organizations", "activities"):
        really = {r["id"] for r in truth(site.simulator, name) if r["_listed"]}
        known = site.query(f"select id from pipedrive.{name} where _sdc_deleted_at is null")
        assert really <= {i for (i,) in known}, name
    known = {d["id"] for d in truth(site.simulator, "deals") if not d["_purged"]}
    expected = [c for c in truth(site.simulator, "deal_changelog") if c["deal_id"] in known]
    changes = site.query("select count(*), count(distinct id) from pipedrive.deal_changelog")
    assert changes == [(len(expected), len(expected))], "nothing twice, nothing missing"
    if site.gateway:
        metrics = site.metrics("main")
        assert metrics["pipedrive_etl_last_run_status"] == {(): 1.0}
        assert metrics["pipedrive_etl_last_success_timestamp_seconds"]
        assert metrics["pipedrive_etl_runs_total"][("succeeded",)] == 1
        assert metrics["pipedrive_etl_dbt_tests"][("error", "fail")] == 0


@every_other_day(1)
def test_a_restored_backup_resumes_from_its_state(site: Site, tmp_path: Path) -> None:
    """By the commands of the operator's guide, as the role that syncs, which is no superuser."""
    assert site.run("run", JOB).code == 0
    dump, url = tmp_path / "pipeboard.dump", site.url
    programs = site.binaries.folder
    arguments = [programs / "pg_dump", "--format=custom", f"--file={dump}", url]
    subprocess.run(arguments, check=True, capture_output=True, env={})
    counted = "select count(*), sum(hashtext(deals::text)) from marts.fct_deal as deals"
    before, runs = site.query(counted), site.history()
    site.server.start(site.binaries, "site", fresh=True)
    assert site.query("select to_regclass('marts.fct_deal') is null") == [(True,)]
    arguments = [programs / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", dump]
    subprocess.run(arguments, check=True, capture_output=True, env={})
    assert (site.query(counted), site.history()) == (before, runs)
    site.control("stats/reset", {})
    run = site.run("run", JOB)
    assert run.code == 0, run.out + run.err
    stats = site.control("stats", method="GET")["operations"]
    read = stats.get("getDealChangelog", {}).get("calls", 0)
    assert read < 10, "its state came along: only what changed is read"


@pytest.mark.nightly
def test_a_lost_local_folder_costs_short_lists_only(site: Site) -> None:
    """Whatever `.pipeboard/` has beside programs, with a database that is not in it."""
    assert site.run("run", JOB).code == 0
    counted = (
        "select count(*), sum(hashtext(deals.id || deals.title)) from pipedrive.deals as deals"
    )
    before = site.query(counted)
    shutil.rmtree(site.checkout.state)
    site.control("stats/reset", {})
    run = site.run("run", JOB)
    assert run.code == 0, run.out + run.err
    assert site.query(counted) == before
    stats = site.control("stats", method="GET")["operations"]
    assert stats.get("getDealChangelog", {}).get("calls", 0) < 10
    assert site.history()[-1][:2] == ("succeeded", 0)
