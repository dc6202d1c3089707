"""Play stories and report them: `python tests/trust --seeds 1000`, `--seed 42` for one.

`--warehouse 5` plays five of them to the marts: after each run dbt builds what is due.

Each seed is a story of ten runs of tap and loader over an account that is edited, with faults of
the API, of the database and of the processes. Exit code 0: every promise held in every story.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server import ROOT, postgres
from shrink import shrink
from stories import Result, play, play_all, result_of
from story import write_story

REPORT = ROOT / ".pipeboard" / "trust" / "report.json"
WAREHOUSE_REPORT = REPORT.with_name("warehouse.json")
#: What stories to the marts are compared by.
sys.path.append(str(ROOT / "tests" / "warehouse"))
STORIES_PER_REPORT = 50
#: So many broken stories are made short: each of them is played up to sixty times for it.
MOST_EXPLAINED = 3


def main(arguments: list[str]) -> int:
    """Play, print and report."""
    parser = argparse.ArgumentParser(prog="make trust", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many stories (default 50)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seed", type=int, help="play this story alone and print its log")
    parser.add_argument("--warehouse", type=int, metavar="N", help="N stories, to the marts")
    parser.add_argument("--syncs", type=int, default=10, help="runs of a story (default 10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="side by side")
    options = parser.parse_args(arguments)
    # SIGTERM ends the server of the stories too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with (
        tempfile.TemporaryDirectory(prefix="pipeboard-trust-") as folder,
        postgres(Path(folder) / "server") as url,
    ):
        if options.warehouse:
            return _to_the_marts(options, Path(folder) / "dbt", url)
        if options.seed is not None:
            result = play(write_story(options.seed, options.syncs), url)
            print("\n".join(result.log))
            return 1 if result.broken else 0
        return _many(options, url)


def _many(options: argparse.Namespace, url: str) -> int:
    began = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    results: list[Result] = []
    is_terminal = sys.stdout.isatty()
    for result in play_all(seeds, options.syncs, url, options.jobs):
        results.append(result)
        if result.broken:
            print(f"\r{result.broken}", flush=True)
        if is_terminal:
            print(f"\r{len(results)} of {options.seeds} stories", end="", flush=True)
        if len(results) % STORIES_PER_REPORT == 0:  # one that is stopped leaves what it found
            _write(_report(results, began))
    print("\r" if is_terminal else "", end="")
    report = _report(results, began)
    _write(report)
    for result in [result for result in results if result.broken][:MOST_EXPLAINED]:
        _explain(result, options, url)
    text = ", ".join(f"{count:,} {name}" for name, count in report["outcomes"].items())
    print(
        f"{report['seeds']:,} stories, {report['runs']:,} runs ({text}), {report['faults']:,} "
        f"faults and {report['kills']:,} kills in {report['seconds']} s: "
        f"{report['survived']:,} survived, {report['lost']:,} records lost, "
        f"{report['doubled']:,} doubled"
    )
    return 1 if report["broken"] else 0


def _to_the_marts(options: argparse.Namespace, folder: Path, url: str) -> int:
    """Play stories one after the other, since each of them needs the database for itself."""
    from warehouse_play import WarehousePlay, project_in

    first = options.first if options.seed is None else options.seed
    seeds = range(first, first + (options.warehouse if options.seed is None else 1))
    began = time.monotonic()
    report: Counter[str] = Counter()
    with project_in(folder, url) as project:
        for seed in seeds:
            playing = WarehousePlay(write_story(seed, options.syncs), project)
            result = result_of(playing)
            if result.broken or options.seed is not None:
                print("\n".join(result.log), flush=True)
            report["broken"] += bool(result.broken)
            report["stories"] += 1
            for name in ("builds", "killed_builds", "histories"):
                report[name] += getattr(playing, name)
            report["seconds"] = round(time.monotonic() - began)
            _write(report, WAREHOUSE_REPORT)
    print(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report.items()))
    return 1 if report["broken"] else 0


def _report(results: list[Result], began: float) -> dict[str, Any]:
    """Count what happened in the stories so far, and what became of it."""
    outcomes = Counter(outcome for result in results for outcome in result.outcomes)
    broken = sorted((r for r in results if r.broken), key=lambda result: result.seed)
    return {
        "seeds": len(results),
        "runs": sum(outcomes.values()),
        "faults": sum(result.faults for result in results),
        "kills": sum(result.kills for result in results),
        "survived": len(results) - len(broken),
        "lost": sum(result.lost for result in results),
        "doubled": sum(result.doubled for result in results),
        "outcomes": dict(outcomes.most_common()),
        "broken": [asdict(result) for result in broken],
        "seconds": round(time.monotonic() - began),
        "cpu_seconds": round(sum(result.cpu_seconds for result in results)),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    }


def _write(report: dict[str, Any], path: Path = REPORT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


def _explain(result: Result, options: argparse.Namespace, url: str) -> None:
    """Print a short story that breaks the same promise."""
    short = shrink(
        write_story(result.seed, options.syncs), lambda story: play(story, url).broken is not None
    )
    print(f"\n{result.broken}\nThe shortest story found; all of it: make trust SEED={result.seed}")
    print("\n".join(f"  {line:.200}" for line in play(short, url).log))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
