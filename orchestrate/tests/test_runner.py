from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psycopg
import pytest

from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.history import begin, latest
from pipeboard.jobs import job_named
from pipeboard.lane import Lane
from pipeboard.ops import migrate_database
from pipeboard.paths import Paths
from pipeboard.problems import ExitCode, Problem
from pipeboard.runner import run_job
from pipeboard.worlds import World, own_world


@pytest.fixture
def world(tmp_path: Path, database: DatabaseUrl) -> World:
    migrate_database(database)
    return own_world(Paths(tmp_path), {}, database.url, embedded=True)


def meltano(paths: Paths, script: str) -> None:
    """Put a program in Meltano's place: how it ends is what matters here."""
    paths.binaries.mkdir(parents=True, exist_ok=True)
    (paths.binaries / "meltano").write_text(f"#!/bin/sh\n{script}\n")
    (paths.binaries / "meltano").chmod(0o755)


def statuses(world: World) -> list[str]:
    with psycopg.connect(world.database.url) as connection:
        return [run["status"] for run in latest(connection, 99)]


@pytest.mark.parametrize("second", ["sync", "elt", "sweep", "whatever"])
def test_a_second_run_in_a_lane_skips(tmp_path: Path, world: World, second: str) -> None:
    first = Lane(world.database, "main", "first")
    assert first.take()
    begin(first.connection, "first", job_named("sync"), "dev")
    paths, job = Paths(tmp_path), job_named(second).within({"PIPEBOARD_WAIT_SECONDS": "0"})
    outcome = run_job(paths, world, job, Console())
    assert (outcome.status, outcome.code) == ("skipped", 0)
    assert str(outcome.reason).startswith("run first of sync is at work since")
    first.close()
    meltano(paths, "exit 0")
    assert run_job(paths, world, job, Console()).status == "succeeded"
    assert statuses(world) == ["succeeded", "skipped", "abandoned"]


def test_a_backfill_runs_beside_a_sync(tmp_path: Path, world: World) -> None:
    first = Lane(world.database, "main", "first")
    assert first.take()
    meltano(Paths(tmp_path), "exit 0")
    assert run_job(Paths(tmp_path), world, job_named("backfill"), Console()).status == "succeeded"
    first.close()


def test_a_run_knows_its_own_name(tmp_path: Path, world: World) -> None:
    paths = Paths(tmp_path)
    meltano(paths, 'echo "$PIPEBOARD_RUN_ID $PIPEBOARD_PIPELINE $@" > "$PIPEBOARD_RUN_REPORT.seen"')
    outcome = run_job(paths, world, job_named("elt"), Console())
    seen = (paths.report("dev").parent / "dev.json.seen").read_text()
    assert seen.startswith(f"{outcome.run_id} main --env-file")
    assert seen.endswith("--environment=dev run --force elt\n")


def test_what_cannot_begin_is_a_failed_run_too(tmp_path: Path, world: World) -> None:
    def refuse() -> None:
        what = "the token is wrong"
        raise Problem(what, "Copy it again", ExitCode.NOT_PERMITTED)

    with pytest.raises(Problem, match="the token is wrong"):
        run_job(Paths(tmp_path), world, job_named("sync"), Console(), before=refuse)
    with pytest.raises(Problem, match="does not start"):
        run_job(Paths(tmp_path), world, job_named("sync"), Console())
    with psycopg.connect(world.database.url) as connection:
        found = [(r["status"], r["exit_code"], r["failed_stage"]) for r in latest(connection, 9)]
    assert found == [("failed", 78, "preflight"), ("failed", 77, "preflight")]


def test_an_interrupted_wait_is_no_good_run(tmp_path: Path, world: World) -> None:
    first = Lane(world.database, "main", "first")
    assert first.take()
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
    outcome = run_job(Paths(tmp_path), world, job_named("sweep"), Console())
    assert (outcome.status, outcome.code) == ("skipped", 143)
    assert outcome.seconds < 30
    first.close()


@pytest.mark.parametrize(
    ("limit", "words"),
    [("TIMEOUT", "not done within 1 s"), ("STALL", "no progress for 1 s")],
)
def test_what_takes_too_long_is_ended(tmp_path: Path, world: World, limit: str, words: str) -> None:
    meltano(Paths(tmp_path), "exec sleep 300")
    job = job_named("sync").within({f"PIPEBOARD_{limit}_SECONDS": "1"})
    outcome = run_job(Paths(tmp_path), world, job, Console())
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert words in str(outcome.reason)
    assert outcome.seconds < 30
