"""Measure which lines and branches of each package its tests reach: `make coverage`.

`python tests/branch_coverage.py [PACKAGE...]` measures these packages, or all, two at a time. Each
is measured by the tests of one room, with the processes that they start; of one that is killed,
nothing counts. What no test reaches is listed. Exit code 0: each package reaches its bound.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run import oldest_postgres

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".pipeboard" / "coverage"
REPORT = FOLDER / "report.json"
COVERAGE = str(Path(sys.executable).with_name("coverage"))


@dataclass(frozen=True)
class Package:
    """What is measured, and by which tests.

    Attributes:
        source: the folder of its code, and `room`, the one of its tests.
        bound: the least share of lines, and of branches, that they reach, in percent.
        pytest: what chooses the tests.

    """

    source: str
    room: str
    bound: int = 95
    pytest: tuple[str, ...] = ("-m", "not nightly")


PACKAGES = {
    "tap-pipedrive": Package("tap-pipedrive/tap_pipedrive", "tap-pipedrive", 100),
    "target-postgres": Package(
        "plugins/loaders/target-postgres/pipeboard_target_postgres",
        "plugins/loaders/target-postgres", 100,
    ),
    "pipeboard": Package("orchestrate/pipeboard", "orchestrate"),
    "deploy": Package("orchestrate/deploy", "tests/run_project"),
    "metabase": Package(
        "plugins/utilities/metabase/pipeboard_metabase", "plugins/utilities/metabase"
    ),
    "simulator": Package(
        "plugins/utilities/pipedrive-simulator/pipedrive_simulator",
        "plugins/utilities/pipedrive-simulator",
    ),
    "dashboards": Package(
        "k8s/components/grafana/generate", "tests/observability",
        pytest=("test_contract.py", "-k", "dashboards"),
    ),
}  # fmt: skip


def main(names: list[str]) -> int:
    """Measure these packages, or all; print and report what their tests reach."""
    unknown = set(names) - PACKAGES.keys()
    if unknown:
        print(f"no such package: {', '.join(unknown)}; there are {', '.join(PACKAGES)}")
        return 64
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        report = dict(pool.map(measured, names or PACKAGES))
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps({**known, **report}, indent=1) + "\n")
    is_good = all(
        found["tests_passed"] and min(found["lines"], found["branches"]) >= PACKAGES[name].bound
        for name, found in report.items()
    )
    return 0 if is_good else 1


def measured(name: str) -> tuple[str, dict[str, Any]]:
    """Run the tests of a package, print what they miss, and return the shares that they reach."""
    package = PACKAGES[name]
    place = FOLDER / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    environ = {
        **os.environ,
        "COVERAGE_FILE": str(place / "data"),
        "COVERAGE_RCFILE": str(ROOT / "pyproject.toml"),
        "COVERAGE_SOURCE": str(ROOT / package.source),
    }
    oldest = oldest_postgres()
    if oldest and name == "metabase":  # as in tests/run.py
        environ["PIPEBOARD_POSTGRES_BIN"] = environ["PIPEBOARD_TEST_POSTGRES_BIN"] = oldest
    began = time.monotonic()
    print(f"{name} ...", flush=True)

    def run(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COVERAGE, *arguments], cwd=folder, env=environ, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    tests = run(
        *("run", "-m", "pytest", "-q", "-p", "no:cacheprovider"), *package.pytest,
        folder=ROOT / package.room,
    )  # fmt: skip
    run("combine", "-q")
    run("json", "-q", "-o", str(place / "report.json"))
    totals = json.loads((place / "report.json").read_text())["totals"]
    found = {
        "lines": share(totals["covered_lines"], totals["num_statements"]),
        "branches": share(totals["covered_branches"], totals["num_branches"]),
        "tests_passed": tests.returncode == 0,
    }
    print(
        *([tests.stdout] if tests.returncode else []),
        run("report").stdout.rstrip(),
        f"{name}: {found['lines']} % of {totals['num_statements']:,} lines and"
        f" {found['branches']} % of {totals['num_branches']:,} branches, at least {package.bound} %"
        f" are asked for ({time.monotonic() - began:.0f} s)\n",
        sep="\n",
        flush=True,
    )
    return name, found


def share(covered: int, of: int) -> float:
    """Return a share in percent, rounded down: 100 means all."""
    return 1000 * covered // max(of, 1) / 10


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
