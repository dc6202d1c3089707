"""Random signals to every process of a run: no false success, no state ahead of its rows.

Among the long tests, to runs that load; at night also to runs that build.

`PIPEBOARD_SIGNAL_ROUNDS=200` for a long night; `PIPEBOARD_SIGNAL_SEED` repeats the plan of a run.
"""

from __future__ import annotations

import os
import random
import signal
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import truth
from project_under_test import Live, Site, alive, make_site, until
from raw_tables import differences

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.outcomes import ABANDONED, STATUSES, SUCCEEDED, SUCCESSES
from pipeboard.run import history
from pipeboard.run.jobs import KNOWN
from pipeboard.run.run_lock import is_locked

ROUNDS = int(os.environ.get("PIPEBOARD_SIGNAL_ROUNDS", "3"))
#: Of them, to runs that build: a quarter.
BUILDING = (ROUNDS + 3) // 4
SEED = os.environ.get("PIPEBOARD_SIGNAL_SEED") or str(random.randrange(10**6))
#: A new database, and a run without signals at its end, after so many rounds.
ROUNDS_OF_A_DATABASE = 6
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
#: How long each process lives, until a longer life was seen.
SECONDS = {
    "tap-pipedrive": 2.5,
    "target-postgres": 3.0,
    "meltano": 5.0,
    "supervisor": 7.0,
    "dbt": 20.0,
}
END_SECONDS = 180
#: Many pages and many batches, so that there are many states to be ahead of.
SMALL_STEPS = {
    "TAP_PIPEDRIVE_PAGE_SIZE": "10",
    "TAP_PIPEDRIVE_BACKFILL_PAGE_SIZE": "10",
    "TARGET_POSTGRES_BATCH_SIZE_ROWS": "10",
}


@dataclass(frozen=True)
class Round:
    """What happens in one round.

    Attributes:
        moment: as a share of the life of the process.
        latency: seconds that each answer of the account takes.
        changes: deals of the account that change before.

    """

    number: int
    job: str
    target: str
    signal: signal.Signals
    moment: float
    latency: float
    changes: int

    def __str__(self) -> str:
        return (
            f"seed {SEED}, round {self.number}: {self.job}, {self.signal.name} to {self.target} "
            f"at {self.moment:.0%}, {self.changes} changes, latency {self.latency} s"
        )


def planned(job: str, number: int, targets: tuple[str, ...]) -> Round:
    rng = random.Random(f"{SEED}/{job}/{number}")
    return Round(
        number,
        job,
        rng.choice(targets),
        rng.choice(SIGNALS),
        rng.random(),
        rng.choice((0.0, 0.02, 0.05)),
        rng.choice((0, 3, 12)),
    )


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(server, tmp_path_factory.mktemp("site of signals"), deals=60) as found:
        found.given.update(SMALL_STEPS)
        found.gateway = None
        yield found


def test_signals_while_a_run_loads(site: Site) -> None:
    # backfill does not build, so a round is short.
    targets = ("tap-pipedrive", "target-postgres", "meltano", "supervisor")
    play(site, [planned("backfill", n, targets) for n in range(ROUNDS - BUILDING)])


def test_the_check_finds_missing_and_older_rows(site: Site) -> None:
    assert differences(site) == []
    ((note,),) = site.query("delete from pipedrive.notes where id = 1 returning id")
    ((deal, stage),) = site.query(
        "update pipedrive.deals set stage_id = stage_id + 1 where id = 2 returning id, stage_id"
    )
    site.query("delete from pipedrive.deal_changelog where deal_id = 2 returning id")
    found = differences(site)
    assert f"deals {deal}: stage_id is {stage}, not {stage - 1}" in found
    assert f"notes {note}: missing" in found
    assert any(line.startswith("deal_changelog: (2,") for line in found)


@pytest.mark.nightly
def test_signals_while_a_run_builds(site: Site) -> None:
    targets = ("dbt", "dbt", "dbt", "tap-pipedrive", "target-postgres", "meltano", "supervisor")
    rounds = [planned("sync", n, targets) for n in range(BUILDING)]
    play(site, rounds, first_database_only=True)
    if rounds:
        deals = {
            (d["id"], d["status"], d["stage_id"], d["value"])
            for d in truth(site.simulator, "deals")
            if d["_listed"] and not d["is_deleted"]
        }
        built = "select deal_id, status, stage_id, value::float from marts.fct_deal"
        assert set(site.query(f"{built} where not is_deleted")) == deals


def play(site: Site, rounds: list[Round], *, first_database_only: bool = False) -> None:
    seen: Counter[str] = Counter()
    lives = dict(SECONDS)
    for position, one in enumerate(rounds):
        if position == 0 or (position % ROUNDS_OF_A_DATABASE == 0 and not first_database_only):
            site.use_new_database(f"{one.job}_{position}")
        site.control("latency", {"seconds": one.latency})
        let_the_account_move(site, one)
        ended = play_round(site, one, lives)
        print(f"{one}: {ended}", flush=True)
        seen[f"{one.target} {one.signal.name} {ended}"] += 1
        is_last = position == len(rounds) - 1
        if is_last or position % ROUNDS_OF_A_DATABASE == ROUNDS_OF_A_DATABASE - 1:
            check_state(site, one)
    for line, count in sorted(seen.items()):
        print(f"{count:4} {line}")


def play_round(site: Site, one: Round, lives: dict[str, float]) -> str:
    """Run the job, send the signal, check how it ended; return that in words."""
    before = {run["run_id"] for run in runs(site)}
    live = site.start("run", one.job)
    parts, was_sent = send(live, one, lives)
    code, out = live.wait(END_SECONDS)
    about = f"{one}\n{out}"
    parts.pop("supervisor")
    until("the end of every process", lambda: not any(map(alive, parts.values())), 45)
    until("no process of the run", lambda: not left_over(site), 45)
    with psycopg.connect(site.url) as connection:
        assert not is_locked(connection, KNOWN[one.job].concurrency_group), about
    recorded = [run for run in reversed(runs(site)) if run["run_id"] not in before]
    for run in recorded:
        ends = STATUSES[run["status"]].exit_codes
        assert run["exit_code"] in (ends or (None,)), (run, about)
        if run["status"] in SUCCESSES:
            assert differences(site) == [], about
    last = recorded[-1] if recorded else {"status": "unknown", "exit_code": None}
    ended_by_signal = was_sent and one.target == "supervisor" and code in ends_by(one.signal)
    if ended_by_signal:
        # Before the run began, or after its end was recorded, the process ends immediately.
        assert last["status"] != ABANDONED or one.signal == signal.SIGKILL, about
        assert recorded or one.signal == signal.SIGKILL or "\naccount " not in f"\n{out}", about
    else:
        assert last["exit_code"] == code, (last, about)
    if code == 0:
        assert last["status"] == SUCCEEDED, about
    ended = f"{last['status']} {code}"
    if was_sent:
        print(f"    {last.get('reason')}")
    return ended if was_sent else f"{ended}, no process to send it to"


def send(live: Live, one: Round, lives: dict[str, float]) -> tuple[dict[str, int], bool]:
    """Send the signal at its moment; return all processes seen, and whether it was sent."""
    parts = {"supervisor": live.process.pid}
    appeared_at: float | None = None
    while live.process.poll() is None:
        found = {**live.parts(), "supervisor": live.process.pid}
        parts |= found
        if appeared_at is None and one.target in found:
            appeared_at = time.monotonic()
        # A tap lives twice: first it only discovers its catalog.
        if appeared_at is not None and one.target in found:
            lived = time.monotonic() - appeared_at
            lives[one.target] = max(lives[one.target], lived)
            rest = one.moment * lives[one.target] - lived
            if rest <= 0.3:
                time.sleep(max(rest, 0))
                # A zombie accepts a signal, too.
                with suppress(ProcessLookupError):
                    if alive(found[one.target]):
                        os.kill(found[one.target], one.signal)
                        return parts | live.parts(), True
        time.sleep(0.1)
    return parts, False


def ends_by(number: int) -> tuple[int, int]:
    return (-number, 128 + number)


def check_state(site: Site, one: Round) -> None:
    """After an undisturbed run, the data of the killed runs is complete."""
    found = site.run("run", one.job)
    assert found.code == 0, (str(one), found.out + found.err)
    assert runs(site)[0]["status"] == SUCCEEDED
    assert differences(site) == [], f"the rounds up to this one: {one}"


def runs(site: Site) -> list[dict[str, Any]]:
    """Return the runs of the database, newest first, as `pipeboard history` shows them."""
    if site.query("select to_regclass('ops.etl_run') is null") == [(True,)]:
        return []
    with psycopg.connect(site.url) as connection:
        return history.latest(connection, 1000)


def left_over(site: Site) -> list[str]:
    """Return the command lines of all processes that belong to a run of this site."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environ = folder.joinpath("environ").read_bytes().split(b"\0")
            is_of_site = f"PIPEBOARD_STATE_DIR={site.checkout.state}".encode() in environ
            if is_of_site and any(line.startswith(b"PIPEBOARD_RUN_ID=") for line in environ):
                found.append(folder.joinpath("cmdline").read_text().replace("\0", " "))
    return found


def let_the_account_move(site: Site, one: Round) -> None:
    """Change deals, and one record of each other kind, now and then."""
    rng = random.Random(f"{SEED}/{one.job}/{one.number}/edits")
    site.control("advance", {"deals": one.changes, "hours": rng.choice((0.1, 3))})
    if not one.changes:
        return

    def some(name: str) -> Any:
        return rng.choice([r["id"] for r in truth(site.simulator, name) if r.get("_listed", True)])

    text = f"{one.job} {one.number}"
    edits = (
        {"op": "create_person", "name": text},
        {"op": "update_person", "person_id": some("persons"), "name": text},
        {"op": "create_organization", "name": text},
        {"op": "update_organization", "org_id": some("organizations"), "name": text},
        {"op": "update_product", "product_id": some("products"), "name": text},
        {"op": "attach_product", "deal_id": some("deals"), "product_id": some("products")},
        {"op": "create_note", "content": text, "deal_id": some("deals")},
        {"op": "create_lead", "title": text},
        {"op": "update_lead", "lead_id": some("leads"), "title": text},
        {"op": "rename_stage", "stage_id": some("stages"), "name": text},
        {"op": "update_user", "user_id": some("users"), "name": text},
        {"op": "rename_field", "entity": "person", "field": "job_title", "name": text},
    )
    for edit in rng.sample(edits, 6):
        # An edit that the account refuses (of a deleted deal, say) changes nothing.
        with suppress(urllib.error.HTTPError):
            site.control("edit", dict(edit))
