"""Change one place of the code at a time; its narrowest tests must fail: `make mutation`.

`python tests/mutation.py [PART...]` mutates these parts, or all. Each is tried in a copy of its
package under `.pipeboard/mutation`, which keeps the mutants: `mutmut show NAME` there shows one.
Exit code 0: of each part, at least its bound of mutants is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".pipeboard" / "mutation"
REPORT = FOLDER / "report.json"
sys.path.append(str(ROOT / "tests" / "trust"))


@dataclass(frozen=True)
class Part:
    """What is mutated, and the tests that must notice.

    Attributes:
        room: the folder of its package.
        module: its file, and `tests`, below that folder.
        bound: the share of mutants that are killed, in percent.

    """

    room: str
    module: str
    tests: tuple[str, ...]
    bound: int


TAP, LOADER = "tap-pipedrive", "plugins/loaders/target-postgres"
PARTS = {
    "bookmarks": Part(
        TAP, "tap_pipedrive/state/bookmarks.py", ("tests/state/test_bookmarks.py",), 93
    ),
    "history": Part(
        TAP, "tap_pipedrive/sync/deal_history.py",
        ("tests/sync/test_deal_history.py", "tests/state/test_parents.py"), 96,
    ),
    "shared-scan": Part(
        TAP, "tap_pipedrive/sync/shared_scan.py", ("tests/sync/test_shared_scan.py",), 92
    ),
    "windows": Part(
        TAP, "tap_pipedrive/sync/windows.py",
        ("tests/sync/test_windows.py", "tests/test_threads.py"), 92,
    ),
    "merge": Part(
        LOADER, "pipeboard_target_postgres/merge.py", ("tests/test_loader_merge.py",), 94
    ),
    "dispatch": Part(
        LOADER, "pipeboard_target_postgres/dispatcher.py",
        ("tests/test_loader_dispatch.py",), 95,
    ),
    "proof": Part("orchestrate", "pipeboard/run/proof.py", ("tests/test_proof.py",), 97),
}  # fmt: skip


def main(names: list[str]) -> int:
    """Mutate these parts, or all; print and report what became of the mutants."""
    unknown = set(names) - PARTS.keys()
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 64
    from server import postgres

    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    is_low = False
    with (
        tempfile.TemporaryDirectory(prefix="pipeboard-mutation-") as folder,
        postgres(Path(folder) / "server") as url,
    ):
        for name in names or PARTS:
            found = mutate(name, PARTS[name], url)
            report[name] = found
            REPORT.write_text(json.dumps(report, indent=1) + "\n")
            bound = PARTS[name].bound
            is_low |= found["percent"] < bound
            print(
                f"{name}: {found['killed']} of {found['mutants']} mutants killed "
                f"({found['percent']} %, bound {bound} %) in {found['seconds']} s"
            )
            print("".join(f"  survived: {mutant}\n" for mutant in found["survivors"]), end="")
    return 1 if is_low else 0


def mutate(name: str, part: Part, url: str) -> dict[str, object]:
    """Try all mutants of a part."""
    began = time.monotonic()
    place = FOLDER / name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(ROOT / part.room, place, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "meltano.yml", place)
    package = part.module.split("/")[0]
    settings = {
        "source_paths": [package],
        "only_mutate": [part.module],
        # A mutant that waits for ever is killed as soon as one test shows that.
        "pytest_add_cli_args": [
            "-p", "no:cacheprovider", "-m", "not long and not nightly", "--timeout=30",
        ],
        "pytest_add_cli_args_test_selection": list(part.tests),
        "track_dependencies": False,
        "use_git_change_detection": False,
    }  # fmt: skip
    with (place / "pyproject.toml").open("a") as file:
        lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
    log = place.with_suffix(".log")
    with log.open("w") as output:
        done = subprocess.run(
            [Path(sys.executable).with_name("mutmut"), "run"],
            cwd=place, env={**os.environ, "PIPEBOARD_TEST_DATABASE_URL": url},
            stdout=output, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    meta = place / "mutants" / f"{part.module}.meta"
    if done.returncode or not meta.exists():
        # Its tests fail before anything is changed, say: nothing is known of any mutant then.
        sys.exit(f"{name}: mutmut ended with {done.returncode}; the end of {log} says why")
    codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
    # 0: the tests pass; 33: none runs it; None: not tried.
    survivors = sorted(mutant for mutant, code in codes.items() if code in (0, 33, None))
    killed = len(codes) - len(survivors)
    return {
        "mutants": len(codes),
        "killed": killed,
        "percent": 100 * killed // max(len(codes), 1),
        "survivors": survivors,
        "seconds": round(time.monotonic() - began),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
