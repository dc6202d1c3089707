"""Run the tests of every room, each with its own settings, and end with one line for all.

`python tests/run.py [--long | --all | --nightly] [--order NUMBER] [ROOM...]` runs some of them, up
to five side by side, three more than there are cores, since rooms also wait (JOBS=1: one by one).
Tests marked `long` are left out; `--long` runs only these, `--all` both. Tests marked `nightly` are
more of what shorter ones show, and run with `--nightly` alone. The modules of a room, and the tests
of a module, run in a random order; `--order` repeats the order that has this number. Where the
programs of PostgreSQL 15, the oldest we promise, are installed, the whole pipeline and the loader
run on it; of the loader's tests, those about SQL run with `--nightly` on the embedded server too,
on which other rooms load.
"""

from __future__ import annotations

import argparse
import os
import random
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
#: pytest, whose garbage collector runs seldom: what it finds is not worth a tenth of the time.
PYTEST = """
import gc, os, sys, pytest
gc.set_threshold(50_000, 20, 100)
sys.path[0] = os.getcwd()
sys.exit(pytest.main())
"""
MOST_JOBS = min(5, (os.cpu_count() or 1) + 3)
#: Options that choose tests, and the marks that each of them chooses.
CHOICES = {"long": "long and not nightly", "all": "not nightly", "nightly": "nightly"}
#: The only settings of this project that tests inherit.
SETTINGS_OF_TESTS = (
    "PIPEBOARD_CRM_DIR",
    "PIPEDRIVE_SPEC_DIR",
    "PIPEBOARD_SIGNAL_ROUNDS",
    "PIPEBOARD_SIGNAL_SEED",
    "PIPEBOARD_CHANGES_ALONE",
    "PIPEBOARD_TRUST_SEEDS",
)


@dataclass(frozen=True)
class Room:
    """One folder with tests of its own."""

    name: str
    folder: str
    #: Whether it runs on the oldest PostgreSQL, where that is installed, instead of the embedded.
    on_oldest: bool = False
    #: Its tests that the night runs on both then: those whose outcome may depend on the version.
    on_both: tuple[str, ...] = ()
    #: Its files that run as a share of their own, so that no room is much longer than the others.
    apart: tuple[str, ...] = ()


#: The loader's tests of its SQL, not those of its process: signals, exit codes, reports, metrics.
LOADERS_SQL = tuple(
    f"tests/test_loader_{name}.py"
    for name in ("merge", "types", "standard", "drop_in", "quarantine", "sweep", "traps")
)


#: About half of the end-to-end tests; the first five share what they set up.
END_TO_END_SHARE = tuple(
    f"test_{name}.py"
    for name in (
        *("demo", "own_account", "other_target", "sweep", "preflight"),
        *("backfill", "roles", "secrets"),
    )
)

WAREHOUSE_SHARE = tuple(
    f"test_{name}.py"
    for name in (
        "exchange_rates",
        "grouped_rules",
        "incremental",
        "lifetime",
        "package",
        "public_crm",
        "publishing",
        "random_histories",
        "thirty_days",
    )
)

# The longest first: what is left for the end is short.
ROOMS = (
    Room("orchestrate", "orchestrate"),
    Room("warehouse", "tests/warehouse", apart=WAREHOUSE_SHARE),
    Room("tap-pipedrive", "tap-pipedrive"),
    # One test sorts by an ICU collation, which the embedded server is built without.
    Room("metabase", "plugins/utilities/metabase", on_oldest=True),
    Room("end-to-end", "tests/end_to_end", on_oldest=True, apart=END_TO_END_SHARE),
    Room("target-postgres", "plugins/loaders/target-postgres", on_oldest=True, on_both=LOADERS_SQL),
    Room("image", "tests/docker"),
    Room("trust", "tests/trust"),
    Room("prefect", "tests/prefect"),
    Room("run_project", "tests/run_project"),
    Room("docs", "tests/docs"),
    Room("observability", "tests/observability"),
    Room("pipedrive-simulator", "plugins/utilities/pipedrive-simulator"),
    Room("release", "tests/release"),
    Room("kubernetes", "tests/kubernetes"),
    Room("bench", "tests/bench"),
)


class Visit(NamedTuple):
    """One run of a room."""

    room: Room
    title: str
    #: The folder of the server's programs; empty: those of the embedded server.
    postgres: str = ""
    #: Only these of its tests; empty: all of them.
    files: tuple[str, ...] = ()
    #: Whether it repeats, on another server, tests that are not for the night.
    again: bool = False


def main(arguments: list[str]) -> int:
    """Run the rooms named, or all; return what `make` needs to know."""
    parser = argparse.ArgumentParser(description="Run the tests of every room.")
    which = parser.add_mutually_exclusive_group()
    for name, marked in CHOICES.items():
        which.add_argument(
            f"--{name}", action="store_const", const=marked, dest="which", help=f"run: {marked}"
        )
    parser.add_argument("--order", type=int, default=random.randrange(1_000_000), metavar="NUMBER")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="default: all of them")
    parser.set_defaults(which="not long and not nightly")
    given = parser.parse_args(arguments)
    unknown = set(given.rooms) - {room.name for room in ROOMS}
    if unknown:
        print(f"no such room: {', '.join(unknown)}; there are {', '.join(r.name for r in ROOMS)}")
        return 64
    REPORTS.mkdir(parents=True, exist_ok=True)
    oldest = oldest_postgres()
    if oldest is None:
        print("PostgreSQL 15 is not installed: tests run on the embedded server only", flush=True)
    print(f"the order of the tests is number {given.order}", flush=True)
    is_night = given.which == CHOICES["nightly"]
    began = time.monotonic()
    totals: Counter[str] = Counter()
    visits = [
        visit
        for room in ROOMS
        if not given.rooms or room.name in given.rooms
        for visit in visits_of(room, oldest)
        if is_night or not visit.again
    ]
    failed = []
    with ThreadPoolExecutor(int(os.environ.get("JOBS", MOST_JOBS))) as pool:
        under_way = {
            pool.submit(
                run_room, visit, CHOICES["all"] if visit.again else given.which, given.order
            ): visit.title
            for visit in visits
        }
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


def visits_of(room: Room, oldest: str | None) -> list[Visit]:
    """Decide on which servers a room runs, and in how many shares."""
    title, server = room.name, ""
    if oldest and room.on_oldest:
        title, server = f"{room.name} on PostgreSQL 15", oldest
    visits = [Visit(room, title, server)]
    if room.apart:
        others = {path.name for path in (ROOT / room.folder).glob("test_*.py")} - {*room.apart}
        visits = [
            Visit(room, f"{title}, share {nr}", server, files)
            for nr, files in enumerate((tuple(sorted(others)), room.apart), 1)
        ]
    if server and room.on_both:
        visits.append(Visit(room, room.name, files=room.on_both, again=True))
    return visits


def run_room(visit: Visit, marks: str, order: int) -> Outcome:
    """Run one room; print its output as one block, because another room runs beside it."""
    room, title, postgres, files, _ = visit
    began = time.monotonic()
    print(f"######## {title} ...", flush=True)
    report = REPORTS / f"{title.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    environ = environ_of_tests(postgres)
    command = [sys.executable, "-c", PYTEST, "-q", "-p", "no:cacheprovider"]
    command += ["-m", marks, f"--random-order-seed={order}", f"--junitxml={report}", *files]
    with subprocess.Popen(
        command,
        cwd=ROOT / room.folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    counts: Counter[str] = Counter()
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            found = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
            bad = found["failures"] + found["errors"] + found["skipped"]
            counts["passed"] += found["tests"] - bad
            counts["failed"] += found["failures"]
            counts["errors"] += found["errors"]
            counts["skipped"] += found["skipped"]
    failed = process.returncode not in (0, NO_TESTS)
    seconds = time.monotonic() - began
    # Servers that run in the background are not counted: they are nobody's children.
    cpu = used.ru_utime + used.ru_stime
    head = f"{title}: {'FAILED' if failed else 'done'} in {seconds:.0f} s ({cpu:.0f} s of CPU)"
    return Outcome(failed, f"\n######## {head}\n{output}", counts)


def environ_of_tests(postgres: str) -> dict[str, str]:
    """Return the variables of tests on this server's programs; empty: the embedded server."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PIPEDRIVE_", "PIPEBOARD_"))},
        **{k: os.environ[k] for k in SETTINGS_OF_TESTS if k in os.environ},
    }
    # The environment of the tests is not compiled when it is made: its processes do it, once.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # `make test PYTHON=...` reaches every `make` below it, also one of a test that gives another.
    for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS"):
        environ.pop(name, None)
    if postgres:
        # The supervisor's own setting, and the one of the loader's tests.
        environ["PIPEBOARD_POSTGRES_BIN"] = environ["PIPEBOARD_TEST_POSTGRES_BIN"] = postgres
    return environ


def oldest_postgres() -> str | None:
    """Find the programs of PostgreSQL 15."""
    for folder in (os.environ.get("PIPEBOARD_POSTGRES_15_BIN", ""), *OLDEST_POSTGRES):
        if folder and (Path(folder) / "postgres").exists():
            return folder
    return None


def print_total(totals: Counter[str], failed: list[str], seconds: float) -> None:
    """Return the summary of all rooms, in pytest's format."""
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
