"""Measure which lines and branches of each package its tests reach: `make coverage`.

`python tests/branch_coverage.py [PACKAGE...]` measures these packages, or all, three rooms of tests
at a time. Processes that the tests start count too; of one that is killed, nothing does. What no
test reaches is listed. Exit code 0: the tests pass, and each package reaches its bound.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import coverage
from run import environ_of_tests, oldest_postgres

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".pipeboard" / "coverage"
REPORT = FOLDER / "report.json"
ENVIRONMENTS = ROOT / ".pipeboard" / "env"


@dataclass(frozen=True)
class Package:
    """What is measured: the folder of its code, and the least share of lines, and of branches."""

    source: str
    bound: int = 95


@dataclass(frozen=True)
class Room:
    """Tests, the packages that they measure, and what chooses some of them."""

    folder: str
    packages: tuple[str, ...]
    pytest: tuple[str, ...] = ("-m", "not nightly")


OF_EACH_CHANGE = ("-m", "not long and not nightly")
PACKAGES = {
    "tap-pipedrive": Package("tap-pipedrive/tap_pipedrive", 100),
    "target-postgres": Package("plugins/loaders/target-postgres/pipeboard_target_postgres", 100),
    "pipeboard": Package("orchestrate/pipeboard"),
    "deploy": Package("orchestrate/deploy"),
    "flows": Package("orchestrate/flows"),
    "metabase": Package("plugins/utilities/metabase/pipeboard_metabase"),
    "simulator": Package("plugins/utilities/pipedrive-simulator/pipedrive_simulator"),
    "dashboards": Package("k8s/components/grafana/generate"),
}
ROOMS = (
    Room("tap-pipedrive", ("tap-pipedrive",), OF_EACH_CHANGE),
    # All of its tests: which of them are for the night depends on the day.
    Room("orchestrate", ("pipeboard",), ()),
    Room("plugins/utilities/metabase", ("metabase",)),
    Room("plugins/loaders/target-postgres", ("target-postgres",), OF_EACH_CHANGE),
    Room("tests/run_project", ("deploy",)),
    Room("tests/observability", ("pipeboard", "dashboards")),
    Room("plugins/utilities/pipedrive-simulator", ("simulator",)),
    Room("tests/prefect", ("pipeboard", "flows"), ()),
)


def main(names: list[str]) -> int:
    """Measure these packages, or all; print and report what their tests reach."""
    unknown = set(names) - PACKAGES.keys()
    if unknown:
        print(f"no such package: {', '.join(unknown)}; there are {', '.join(PACKAGES)}")
        return 64
    chosen = names or list(PACKAGES)
    rooms = [room for room in ROOMS if {*room.packages} & {*chosen}]
    shutil.rmtree(FOLDER / "data", ignore_errors=True)
    (FOLDER / "data").mkdir(parents=True)
    with counted_environments(), ThreadPoolExecutor(int(os.environ.get("JOBS", "3"))) as pool:
        have_passed = all([*pool.map(run_room, rooms)])
    found = reached()
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps({**known, **{n: found[n] for n in chosen}}, indent=1) + "\n")
    is_enough = True
    for name in chosen:
        lines, branches = found[name]["lines"], found[name]["branches"]
        bound = PACKAGES[name].bound
        is_enough &= min(lines, branches) >= bound
        print(f"{name}: {lines} % of lines and {branches} % of branches (bound {bound} %)")
    return 0 if have_passed and is_enough else 1


def run_room(room: Room) -> bool:
    """Run the tests of a room; print how they ended, and return whether they passed."""
    # The dashboards' tests need the server that they have in tests/run.py.
    postgres = oldest_postgres() if room.packages == ("metabase",) else None
    environ = {
        **environ_of_tests(postgres or ""),
        "COVERAGE_FILE": str(FOLDER / "data" / ".coverage"),
        "COVERAGE_RCFILE": str(ROOT / "pyproject.toml"),
    }
    sources = ",".join(str(ROOT / PACKAGES[name].source) for name in room.packages)
    command = [sys.executable, "-m", "coverage", "run", f"--source={sources}"]
    command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", *room.pytest]
    began = time.monotonic()
    print(f"{room.folder} ...", flush=True)
    done = subprocess.run(
        command, cwd=ROOT / room.folder, env=environ, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    summary = (done.stdout.strip().splitlines() or ["no output"])[-1]
    shown = done.stdout if done.returncode else summary
    print(f"{room.folder}: {shown} ({time.monotonic() - began:.0f} s)", flush=True)
    return done.returncode == 0


def reached() -> dict[str, dict[str, float]]:
    """Print what is missed, and return the shares of lines and branches of each package."""
    measured = coverage.Coverage(
        data_file=str(FOLDER / "data" / ".coverage"), config_file=str(ROOT / "pyproject.toml")
    )
    measured.combine()
    measured.report()
    measured.json_report(outfile=str(FOLDER / "files.json"))
    sums: dict[str, Counter[str]] = {name: Counter() for name in PACKAGES}
    for file, found in json.loads((FOLDER / "files.json").read_text())["files"].items():
        for name, package in PACKAGES.items():
            if (ROOT / file).is_relative_to(ROOT / package.source):
                summary = {k: n for k, n in found["summary"].items() if isinstance(n, int)}
                sums[name].update(summary)
    return {
        name: {
            "lines": share(of["covered_lines"], of["num_statements"]),
            "branches": share(of["covered_branches"], of["num_branches"]),
        }
        for name, of in sums.items()
    }


def share(covered: int, of: int) -> float:
    """Return a share in percent, rounded down: 100 means all."""
    return 1000 * covered // max(of, 1) / 10


@contextmanager
def counted_environments() -> Iterator[None]:
    """Count the processes of other environments, too, as long as this lasts.

    They have no coverage of their own: a file that Python reads when it starts lends them that of
    the tests, where a measured process is to be started.
    """
    lent = FOLDER / "lent"
    shutil.rmtree(lent, ignore_errors=True)
    lent.mkdir(parents=True)
    (lent / "coverage").symlink_to(Path(coverage.__file__).parent)
    line = (
        "import os, sys; os.environ.get('COVERAGE_PROCESS_CONFIG') and "
        f"(sys.path.append({str(lent)!r}), "
        "__import__('coverage').process_startup(slug='pth'))\n"
    )
    places = [
        place / "pipeboard_coverage.pth"
        for name in ("meltano", "dbt", "prefect")
        for place in (ENVIRONMENTS / name).glob("lib/python*/site-packages")
    ]
    for place in places:
        place.write_text(line)
    try:
        yield
    finally:
        for place in places:
            place.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
