"""Run the tests of every room, each with its own settings, and end with one line for all.

`python tests/run.py [ROOM...]` runs some of them, two rooms side by side (JOBS=1: one by one).
Where the programs of PostgreSQL 15, the oldest we promise, are installed, the loader runs on it as
well as on the embedded server, and the whole pipeline runs on it instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".pipeboard" / "test"
OLDEST_POSTGRES = (
    "/usr/lib/postgresql/15/bin",
    "/usr/pgsql-15/bin",
    "/opt/homebrew/opt/postgresql@15/bin",
)
NO_TESTS = 5
#: The only settings of ours that get through to the tests.
SETTINGS_OF_TESTS = ("PIPEBOARD_CRM_DIR", "PIPEBOARD_SIGNAL_ROUNDS", "PIPEBOARD_SIGNAL_SEED")


@dataclass(frozen=True)
class Room:
    """One folder with tests of its own."""

    name: str
    folder: str
    #: Where the oldest PostgreSQL is installed: "also" there, or there "instead".
    on_oldest: str = ""
    runner: str = "pytest"


# The longest first: what is left for the end is short.
ROOMS = (
    Room("end-to-end", "tests/end_to_end", on_oldest="instead"),
    Room("tap-pipedrive", "tap-pipedrive"),
    Room("target-postgres", "plugins/loaders/target-postgres", on_oldest="also"),
    Room("prefect", "tests/prefect"),
    Room("warehouse", "tests/warehouse"),
    Room("orchestrate", "orchestrate"),
    Room("pipedrive-simulator", "plugins/utilities/pipedrive-simulator"),
    Room("metabase", "plugins/utilities/metabase"),
    Room("observability", "tests/observability"),
    Room("image", "tests/docker"),
    Room("bench", "tests/bench"),
    Room("kubernetes", "tests/kubernetes"),
    Room("run_project", "tests/run_project", runner="bats"),
)


def main(names: list[str]) -> int:
    """Run the rooms named, or all; return what `make` needs to know."""
    unknown = set(names) - {room.name for room in ROOMS}
    if unknown:
        print(f"no such room: {', '.join(unknown)}; there are {', '.join(r.name for r in ROOMS)}")
        return 64
    REPORTS.mkdir(parents=True, exist_ok=True)
    oldest = oldest_postgres()
    if oldest is None:
        print("PostgreSQL 15 is not installed: tests run on the embedded server only", flush=True)
    began = time.monotonic()
    totals: Counter[str] = Counter()
    visits = []
    for room in ROOMS:
        if not names or room.name in names:
            if not oldest or room.on_oldest != "instead":
                visits.append((room, room.name, ""))
            if oldest and room.on_oldest:
                visits.append((room, f"{room.name} on PostgreSQL 15", oldest))
    failed = []
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        under_way = {pool.submit(run_room, *visit): visit[1] for visit in visits}
        for future in as_completed(under_way):
            if future.result().failed:
                failed.append(under_way[future])
            print(future.result().output, flush=True)
            totals += future.result().counts
    print_total(totals, failed, time.monotonic() - began)
    return 1 if failed or totals["failed"] or totals["errors"] else 0


class Outcome(NamedTuple):
    """How a room went."""

    failed: bool
    output: str
    counts: Counter[str]


def run_room(room: Room, title: str, postgres: str) -> Outcome:
    """Run one room; what it says is kept together, since another one runs beside it."""
    began = time.monotonic()
    print(f"######## {title} ...", flush=True)
    report = REPORTS / f"{title.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PIPEDRIVE_", "PIPEBOARD_"))},
        **{k: os.environ[k] for k in SETTINGS_OF_TESTS if k in os.environ},
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if postgres:
        # The supervisor's own setting, and the one of the loader's tests.
        environ["PIPEBOARD_POSTGRES_BIN"] = environ["PIPEBOARD_TEST_POSTGRES_BIN"] = postgres
    if room.runner == "bats":
        # It names its report itself.
        report = REPORTS / "report.xml"
        report.unlink(missing_ok=True)
        command = [str(Path(sys.executable).parent / "bats"), "--report-formatter", "junit"]
        command += ["--output", str(REPORTS), "."]
    else:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--junitxml={report}"]
    outcome = subprocess.run(
        command,
        cwd=ROOT / room.folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    counts: Counter[str] = Counter()
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            found = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
            bad = found["failures"] + found["errors"] + found["skipped"]
            counts["passed"] += found["tests"] - bad
            counts["failed"] += found["failures"]
            counts["errors"] += found["errors"]
            counts["skipped"] += found["skipped"]
    failed = outcome.returncode not in (0, NO_TESTS)
    head = f"######## {title}: {'FAILED' if failed else 'done'} in {time.monotonic() - began:.0f} s"
    return Outcome(failed, f"\n{head}\n{outcome.stdout}", counts)


def oldest_postgres() -> str | None:
    """Find the programs of PostgreSQL 15."""
    for folder in (os.environ.get("PIPEBOARD_POSTGRES_15_BIN", ""), *OLDEST_POSTGRES):
        if folder and (Path(folder) / "postgres").exists():
            return folder
    return None


def print_total(totals: Counter[str], failed: list[str], seconds: float) -> None:
    """Say how all rooms together went, in pytest's own words."""
    for title in failed:
        print(f"failed: {title}")
    counts = [
        f"{totals[kind]} {kind}"
        for kind in ("failed", "passed", "skipped", "errors")
        if totals[kind] or kind == "passed"
    ]
    print(f"\n==== {', '.join(counts)} in {seconds:.2f}s ====", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
