"""Days of half-hour syncs in one command: what grows with time, though the account does not.

`make soak` plays 30 days, `make soak DAYS=7` a week: `python tests/trust/soak.py --days 7`. The
account is edited before each sync, faults and kills disturb some of them, and a sweep runs each
night. At the end the raw tables are compared with the account. Exit code 0: they agree, and
nothing grows that must not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import pipeline
from play import BrokenPromiseError
from server import ROOT, running
from soak_play import SYNCS_PER_DAY, Sample, Soak

REPORT = ROOT / ".pipeboard" / "soak"
#: Of so many samples the first one is left out: the tables fill up the space of their first rows.
WARM_UP = 4
#: Fewer show no slope.
LEAST_POINTS = 3
#: Bytes of the tables in the end, for each byte that they need.
MOST_BLOAT = 2.0
#: A day passes in seconds, and the server looks for dead rows at intervals of real time.
AUTOVACUUM = {"autovacuum_naptime": "1s"}


@dataclass(frozen=True)
class Bound:
    """How much a figure may grow in the measured time: a share of it, or `least` if more."""

    name: str
    title: str
    share: float
    least: float

    def points(self, samples: Sequence[Sample]) -> list[tuple[float, float]]:
        """Return the figure by day, without the first samples and those that lack it."""
        measured = samples[len(samples) // WARM_UP :]
        points = [(s.day, getattr(s, self.name)) for s in measured]
        return [(day, value) for day, value in points if value is not None]

    def most(self, points: Sequence[tuple[float, float]]) -> float:
        """Return the growth that is allowed."""
        return max(self.share * median(value for _, value in points), self.least)


#: What must be flat. Rows may grow, as the account does.
BOUNDS = (
    # It has an entry for each deal of the last minutes that a run read.
    Bound("state_bytes", "Singer state, bytes", 0.1, 500),
    Bound("files", "files of the tap", 0.05, 1),
    Bound("file_bytes", "bytes of these files", 0.05, 1000),
    Bound("tap_peak_bytes", "memory of the tap, bytes", 0.05, 2e6),
    Bound("loader_peak_bytes", "memory of the loader, bytes", 0.05, 2e6),
    Bound("bytes_per_row", "bytes of tables and indexes per row", 0.1, 0),
    Bound("catalog_bytes", "PostgreSQL's catalog, bytes", 0.1, 0),
    Bound("tokens", "API tokens per sync", 0.15, 10),
)


def growth_of(points: Sequence[tuple[float, float]]) -> float:
    """Return the growth from the first point to the last, by the median slope of all pairs."""
    slopes = [(after - before) / (b - a) for (a, before), (b, after) in combinations(points, 2)]
    return median(slopes) * (points[-1][0] - points[0][0])


def findings(samples: Sequence[Sample]) -> list[str]:
    """Return what grows too much after the first samples, one line each."""
    found = []
    for bound in BOUNDS:
        points = bound.points(samples)
        if len(points) >= LEAST_POINTS and (growth := growth_of(points)) > bound.most(points):
            days, first = points[-1][0] - points[0][0], points[0][1]
            found.append(
                f"{bound.name} grows by {growth:,.0f} in {days:.1f} days, from {first:,.0f}"
            )
    return found


def table(samples: Sequence[Sample]) -> str:
    """Return the figures with a bound as a table of Markdown."""
    rows = []
    for bound in BOUNDS:
        points = bound.points(samples)
        if len(points) >= LEAST_POINTS:
            figures = (points[0][1], points[-1][1], growth_of(points), bound.most(points))
            rows.append(f"| {bound.title} | {' | '.join(f'{each:,.0f}' for each in figures)} |\n")
    measured = samples[len(samples) // WARM_UP :]
    head = f"| | day {measured[0].day:.0f} | day {measured[-1].day:.0f} | growth | bound |\n"
    return head + "|---|---:|---:|---:|---:|\n" + "".join(rows)


_MB = 1e6
#: Panels of the plot: title, and lines of a name, a figure and its unit.
PANELS = (
    ("Singer state, bytes", (("state", "state_bytes", 1.0),)),
    ("Files of the tap", (("files", "files", 1.0),)),
    ("Rows", (("rows", "rows", 1.0), ("dead rows", "dead_rows", 1.0))),
    ("Tables, MB", (
        ("tables", "table_bytes", _MB), ("indexes", "index_bytes", _MB),
        ("PostgreSQL's catalog", "catalog_bytes", _MB),
    )),
    ("Bytes per row", (("tables and indexes", "bytes_per_row", 1.0),)),
    ("Memory at its peak, MB", (
        ("tap", "tap_peak_bytes", _MB), ("loader", "loader_peak_bytes", _MB),
    )),
    ("Processor per sync, ms", (
        ("tap", "tap_seconds", 1e-3), ("loader", "loader_seconds", 1e-3),
    )),
    ("API tokens per sync", (("tokens", "tokens", 1.0),)),
)  # fmt: skip


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Draw all figures by day."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pipeboard"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 2, figsize=(9, 10), sharex=True, layout="constrained")
    for (title, lines), axis in zip(PANELS, axes.flat, strict=True):
        for label, name, unit in lines:
            points = [(s.day, value) for s in samples if (value := getattr(s, name)) is not None]
            axis.plot([d for d, _ in points], [v / unit for _, v in points], label=label)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axis.legend(frameon=False, fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("days")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(arguments: list[str]) -> int:
    """Play, print a line for each day, and write the report and the plot."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="simulated days (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other edits")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    pipeline.quiet()
    began = time.monotonic()
    broken = None
    with (
        tempfile.TemporaryDirectory(prefix="pipeboard-soak-") as folder,
        running(Path(folder) / "server", **AUTOVACUUM) as server,
    ):
        soak = Soak(server.url, options.days * SYNCS_PER_DAY, seed=options.seed)
        soak.on_sample = lambda sample: print(_line(sample), flush=True)
        try:
            soak.run()
        except BrokenPromiseError as error:
            broken = str(error)
    report = {
        "days": options.days,
        "syncs": options.days * SYNCS_PER_DAY,
        "outcomes": dict(Counter(soak.outcomes).most_common()),
        "sweeps_compared": soak.sweeps,
        "seconds": round(time.monotonic() - began),
        "bloat": round(soak.bloat, 2),
        "broken": broken,
        "grows": findings(soak.samples),
        "samples": [asdict(sample) for sample in soak.samples],
    }
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (REPORT / "story.log").write_text("\n".join(soak.log) + "\n")
    if soak.samples:
        (REPORT / "report.md").write_text(table(soak.samples))
        draw(soak.samples, REPORT / "report.svg")
    failures = [*report["grows"], *([broken] if broken else [])]
    if soak.bloat > MOST_BLOAT:
        failures.append(f"tables have {soak.bloat:.1f} times the bytes that they need")
    print("\n".join(failures) or "nothing grows, and the raw tables are the account")
    place = (REPORT / "report.svg").relative_to(ROOT)
    print(f"{report['syncs']:,} syncs in {report['seconds']:,} s: {place}")
    return 1 if failures else 0


def _line(sample: Sample) -> str:
    memory = [
        f"{name} {peak / _MB:.0f} MB"
        for name, peak in (("tap", sample.tap_peak_bytes), ("loader", sample.loader_peak_bytes))
        if peak is not None
    ]
    return (
        f"day {sample.day:4.1f}: {sample.failed} of {sample.syncs} failed, "
        f"state {sample.state_bytes:,} bytes, {sample.files} files, {sample.rows:,} rows "
        f"(dead {sample.dead_rows:,}) at {sample.bytes_per_row:,.0f} bytes, "
        f"{sample.tokens:.0f} tokens, tap {sample.tap_seconds * 1000:.0f} ms, "
        f"loader {sample.loader_seconds * 1000:.0f} ms, {', '.join(memory)}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
