"""`make bench`: measure, write results/latest.json, and the report and the plot from it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench import arithmetic, machine, plot, report
from bench.bench_env import ROOT, bench_env
from bench.cases import CASES
from bench.measuring import BenchError
from pipeboard.errors import PipeboardError

RESULTS = Path(__file__).parent / "results"
#: Some cases only are not what is published; further ones of the same commit and scale join them.
PARTIAL = ROOT / ".pipeboard" / "bench" / "results"


def main(arguments: list[str]) -> int:
    """Measure the requested cases; return the exit code (0 done, 1 failed, 69 no server)."""
    given = parse(arguments)
    if given.report:
        write(json.loads((RESULTS / "latest.json").read_text()), RESULTS)
        return 0
    if sys.platform != "linux":
        print("bench: needs Linux: memory and processor time are read from /proc", file=sys.stderr)
        return 69
    # A polite end cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        measured = measure(given.scale, given.repeat, given.only, given.dbt_scale or given.scale)
    except (BenchError, PipeboardError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 69 if isinstance(error, PipeboardError) else 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    folder = PARTIAL
    if given.publish or set(measured["samples"]) == set(CASES):
        folder = RESULTS
        measured = with_published(measured)
        write(measured, folder)
    print(report.ratios_in_short(measured))
    print(f"written: {folder.relative_to(ROOT)}/latest.json, latest.md, latest.svg")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", type=int, default=100_000, help="deals (default: 100,000)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (default: 3)")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="in results/, even if cases lack: those published stay",
    )
    parser.add_argument("--dbt-scale", type=int, help="deals of the case dbt (default: --scale)")
    parser.add_argument("--only", default="", help=f"some of: {','.join(CASES)}")
    parser.add_argument("--without", default="", help="all but these")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing: render latest.json again"
    )
    given = parser.parse_args(arguments)
    named = {*split(given.only), *split(given.without)}
    if unknown := named - set(CASES):
        parser.exit(64, f"bench: no such case: {', '.join(unknown)}; one of {', '.join(CASES)}\n")
    if not 100 <= given.scale <= 1_000_000 or given.repeat < 1:
        parser.exit(64, "bench: --scale is 100 to 1000000, --repeat at least 1\n")
    wanted = split(given.only) or list(CASES)
    given.only = [name for name in CASES if name in wanted and name not in split(given.without)]
    return given


def split(names: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name for name in names.replace(" ", "").split(",") if name]


def measure(scale: int, repeat: int, names: list[str], dbt_scale: int) -> dict[str, Any]:
    """Run the cases; return everything that was seen, and the ratios."""
    with bench_env(scale, repeat) as env:
        env.dbt_scale = dbt_scale
        found = {
            "commit": machine.commit(ROOT),
            "machine": machine.describe(env.server.version),
            "scale": scale,
            "repeat": repeat,
        }
        measured = {**found, "seconds": 0, "samples": {}, **earlier(found)}
        for name in names:
            print(CASES[name].TITLE, flush=True)
            began = time.monotonic()
            samples = {**measured["samples"], name: CASES[name].measure(env)}
            measured["samples"] = {name: samples[name] for name in CASES if name in samples}
            measured["seconds"] += round(time.monotonic() - began)
            # Written at once: a case that fails later takes nothing away from this one.
            write(measured, PARTIAL)
    return measured


def earlier(found: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier run of the same commit, scale and machine measured.

    A figure never mixes two runs: a case is measured together with its baselines.
    """
    try:
        before: dict[str, Any] = json.loads((PARTIAL / "latest.json").read_text())
    except (OSError, ValueError):
        return {}
    same = all(before.get(key) == value for key, value in found.items())
    return before if same and "dirty" not in str(found["commit"]) else {}


def with_published(measured: dict[str, Any]) -> dict[str, Any]:
    """Add the cases that were published before and not measured now, and say which are whose."""
    try:
        before: dict[str, Any] = json.loads((RESULTS / "latest.json").read_text())
    except (OSError, ValueError):
        return measured
    lacking = set(before["samples"]) - set(measured["samples"])
    if not lacking or any(before[key] != measured[key] for key in ("machine", "scale", "repeat")):
        return measured
    samples = {**before["samples"], **measured["samples"]}
    commits = dict.fromkeys(before["samples"], before["commit"]) | before.get("commits", {})
    commits |= dict.fromkeys(measured["samples"], measured["commit"])
    return {
        **before,
        "samples": {name: samples[name] for name in CASES if name in samples},
        "commits": {name: of for name, of in commits.items() if of != before["commit"]},
        "seconds": before["seconds"] + measured["seconds"],
    }


def write(measured: dict[str, Any], folder: Path) -> None:
    """Write the numbers, and what is made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    measured["ratios"] = arithmetic.ratios(measured["samples"])
    (folder / "latest.json").write_text(json.dumps(measured, indent=1) + "\n")
    (folder / "latest.md").write_text(report.render(measured))
    plot.draw(measured, folder / "latest.svg")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
