"""Run the tests of every room, each with its own settings, and end with one line for all.

`python tests/run.py [ROOM...]` runs some of them. What talks to PostgreSQL runs on the embedded
server, and once more on PostgreSQL 15, the oldest we promise, where its programs are installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".pipeboard" / "test"
OLDEST_POSTGRES = (
    "/usr/lib/postgresql/15/bin",
    "/usr/pgsql-15/bin",
    "/opt/homebrew/opt/postgresql@15/bin",
)
NO_TESTS = 5


@dataclass(frozen=True)
class Room:
    """One folder with tests of its own."""

    name: str
    folder: str
    on_every_postgres: bool = False
    runner: str = "pytest"


ROOMS = (
    Room("tap-pipedrive", "tap-pipedrive"),
    Room("pipedrive-simulator", "plugins/utilities/pipedrive-simulator"),
    Room("target-postgres", "plugins/loaders/target-postgres", on_every_postgres=True),
    Room("orchestrate", "orchestrate", on_every_postgres=True),
    Room("observability", "tests/observability"),
    Room("warehouse", "tests/warehouse"),
    Room("bench", "tests/bench"),
    Room("end-to-end", "tests/end_to_end", on_every_postgres=True),
    Room("image", "tests/docker"),
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
    failed = []
    for room in ROOMS:
        if names and room.name not in names:
            continue
        for postgres in ("", oldest) if room.on_every_postgres and oldest else ("",):
            title = f"{room.name} on PostgreSQL 15" if postgres else room.name
            if run_room(room, title, postgres or "", totals):
                failed.append(title)
    print_total(totals, failed, time.monotonic() - began)
    return 1 if failed or totals["failed"] or totals["errors"] else 0


def run_room(room: Room, title: str, postgres: str, totals: Counter[str]) -> bool:
    """Run one room; add up its results. Return whether it failed."""
    print(f"\n######## {title}", flush=True)
    report = REPORTS / f"{title.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PIPEDRIVE_", "PIPEBOARD_"))},
        **{k: os.environ[k] for k in ("PIPEBOARD_CRM_DIR",) if k in os.environ},
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
        check=False,
    )
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            counts = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
            bad = counts["failures"] + counts["errors"] + counts["skipped"]
            totals["passed"] += counts["tests"] - bad
            totals["failed"] += counts["failures"]
            totals["errors"] += counts["errors"]
            totals["skipped"] += counts["skipped"]
    return outcome.returncode not in (0, NO_TESTS)


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
