"""The report: Markdown computed from the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from statistics import median
from typing import Any

from bench.arithmetic import (
    Samples,
    busy_past_start,
    chosen,
    loader_rate,
    rate,
    rates,
    wal_per_row,
)
from bench.cards_report import cards_section
from bench.cases.dbt import CHANGES, LIMITS
from bench.page_report import page_section

Row = Iterable[object]

#: What each ratio says. `*` stands for the parts of a name that vary.
MEANING = {
    "loader_vs_*": "rows/s of our loader over the baseline's, first load; `_unchanged`, "
    "`_changed`: the same keys again, with no or every tenth row changed",
    "loader_vs_floor": "against COPY + ON CONFLICT from a CSV file made beforehand, so that the "
    "floor decodes nothing; `floor_decoding` makes the CSV from the messages on its way",
    "*_past_start": "the same without what starting the processes costs",
    "loader_unchanged_vs_first": "our reload of unchanged rows over our first load",
    "tap_vs_floor": "rows/s of our tap over a bare loop of requests and msgspec writing records",
    "tap_vs_reading_alone": "the same over a loop that decodes and writes nothing",
    "tap_*ms_vs_reachable": "rows/s at that latency over the lower of our own rows/s at 0 ms and "
    "of what the burst limit of the largest plan allows; `_all` with all the deals of this run",
    "idle_sync_300ms_vs_one_by_one": "time of a sync with nothing new at 300 ms a page, lists read "
    "one after the other, over that of one as shipped",
    "run_vs_*": "rows/s of the whole `meltano run` over the baseline's; `pipe` is the same two "
    "programs joined by a shell",
    "peak_memory_1m_vs_100k": "peak memory at 1,000,000 deals over that at 100,000; the worse of "
    "tap and loader",
    "peak_memory_all_vs_tenth": "the same for the scale of this run and a tenth of it",
    "tokens_*_vs_least": "API tokens spent over the least that brings the same; 1 is the optimum",
    "batch_*_vs_lines": "rows/s of a run in which the tap writes files and sends BATCH messages "
    "over one that sends lines; above 1, BATCH would be worth having",
    "dbt_*_vs_full_at_*": "time of a build from nothing over that with little or nothing new",
    "wal_*_vs_stock_best": "bytes of WAL per row, over the stock loader's; below 1 is less",
}


def render(measured: dict[str, Any]) -> str:
    """Return the whole report."""
    sections: dict[str, Callable[[list[dict[str, Any]]], list[str]]] = {
        "loader": loader_section,
        "tap": tap_section,
        "idle": idle_section,
        "run": partial(run_section, cores=measured["machine"]["cores"]),
        "batch": batch_section,
        "memory": memory_section,
        "calls": calls_section,
        "dbt": dbt_section,
        "cards": cards_section,
        "page": page_section,
    }
    lines = [*head(measured), "", *ratio_section(measured)]
    for name, section in sections.items():
        if measured["samples"].get(name):
            lines += ["", *section(measured["samples"][name])]
    return "\n".join(lines) + "\n"


def head(measured: dict[str, Any]) -> list[str]:
    """Say what was measured, where, and how to do it again."""
    machine = measured["machine"]
    return [
        "# Benchmark",
        "",
        f"Commit `{measured['commit']}`, {measured['scale']:,} deals, {measured['repeat']} "
        f"repetitions, {measured['seconds'] / 60:.0f} minutes. Written by `make bench`; every "
        "number is computed from the samples in `latest.json`.",
        *(
            f"Measured again since: `{name}`, at commit `{commit}`."
            for name, commit in measured.get("commits", {}).items()
        ),
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['kernel']}, Python {machine['python']}, PostgreSQL {machine['postgres']} "
        "(the embedded one as shipped) on the same machine.",
        "",
        quietness(measured["samples"]),
        "",
        "```sh",
        f"make bench SCALE={measured['scale']} REPEAT={measured['repeat']}",
        f"make bench ONLY={','.join(measured['samples'])}",
        "```",
        "",
        "![rows per second](latest.svg)",
    ]


def quietness(samples: Samples) -> str:
    """Say whether something else ran on the machine."""
    seen = [s["other_cores"] for found in samples.values() for s in found if "other_cores" in s]
    if not seen:
        return "Nothing was timed."
    text = f"Other work on the machine kept {median(seen):.2f} cores busy (median; at most "
    text += f"{max(seen):.2f})"
    if median(seen) < 0.1:
        return f"{text}."
    return f"{text}: **the machine was not idle, and no figure is reliable. Measure again.**"


def ratio_section(measured: dict[str, Any]) -> list[str]:
    """List all ratios, and what they mean."""
    found = {name: value for name, value in measured["ratios"].items() if value is not None}
    missing = [name for name, value in measured["ratios"].items() if value is None]
    lines = [
        "## Ratios",
        "",
        "Pipeboard divided by the baseline; of speed, above 1 is faster. Contenders ran in turn "
        "(A B C, A B C), each with a checkpoint before it and a schema of its own; medians.",
        "",
        *table(["ratio", ""], ([f"`{name}`", f"{value:g}"] for name, value in found.items())),
        "",
        *(f"- `{name}`: {text}." for name, text in MEANING.items()),
    ]
    if missing:
        lines += ["", f"Not measured in this run: {', '.join(f'`{name}`' for name in missing)}."]
    return lines


def ratios_in_short(measured: dict[str, Any]) -> str:
    """Return the ratios for a terminal."""
    found = {name: value for name, value in measured["ratios"].items() if value is not None}
    width = max(map(len, found), default=0)
    return "\n".join(f"  {name:<{width}}  {value:g}" for name, value in found.items())


def loader_section(samples: list[dict[str, Any]]) -> list[str]:
    """The loaders, phase by phase."""
    names = list(dict.fromkeys(s["contender"] for s in samples if s["phase"] == "first"))
    phases = ("first", "unchanged", "changed")
    titles = {s["contender"]: s["title"] for s in samples if s["phase"] == "first"}

    def speed(name: str) -> Row:
        first = chosen(samples, contender=name, phase="first")
        yield from (titles[name], f"{first[0]['rows']:,}")
        for phase in phases:
            found = chosen(samples, contender=name, phase=phase)
            yield spread(rates(found))
        yield number(loader_rate(samples, name, "first"))
        start = chosen(samples, contender=name, phase="start")
        yield f"{median(s['seconds'] for s in start):.1f} s"

    def work(name: str) -> Row:
        first = chosen(samples, contender=name, phase="first")
        yield titles[name]
        yield f"{median(s['cpu_seconds']['loader'] / s['rows'] for s in first) * 1e6:.0f} µs"
        yield f"{median(s['postgres_cpu_seconds'] / s['rows'] for s in first) * 1e6:.0f} µs"
        yield megabytes(max(s["peak_bytes"]["loader"] for s in first))
        for phase in phases:
            yield number(wal_per_row(samples, name, phase))

    settings = chosen(samples, phase="settings")
    halves = chosen(samples, phase="half")
    return [
        "## The loader alone",
        "",
        "A Singer file of deals, written by our tap from the simulated account, custom fields and "
        "all. Rows per second: median (least to most), start of the process included. Slow loaders "
        "got fewer rows; the ratios use the column 'same rows': what they would reach with as many "
        "rows as Pipeboard's, their start counted once.",
        "",
        *table(
            ["loader", "rows", "first load", "unchanged", "a tenth changed", "same rows", "start"],
            map(speed, names),
        ),
        "",
        "What a row of the first load costs, and bytes of WAL per row read:",
        "",
        *table(
            ["loader", "loader's CPU", "PostgreSQL's CPU", "peak memory"]
            + [f"WAL {phase}" for phase in phases],
            map(work, names),
        ),
        "",
        "Is the cost per row of the slow ones flat? Microseconds per row past the start, with half "
        "of the rows and with all:",
        "",
        *table(["loader", "half", "all"], (flatness(samples, half) for half in halves)),
        "",
        "Settings of the stock loader that were tried, rows per second; the fastest is its best:",
        "",
        *table(["settings", "rows/s"], ([s["contender"], number(rate([s]))] for s in settings)),
    ]


def flatness(samples: list[dict[str, Any]], half: dict[str, Any]) -> Row:
    """Return what a row costs with half of the rows, and with all."""
    start = chosen(samples, contender=half["contender"], phase="start")
    once = median(s["seconds"] for s in start)
    yield half["title"]
    for found in ([half], chosen(samples, contender=half["contender"], phase="first")):
        yield f"{median((s['seconds'] - once) / s['rows'] for s in found) * 1e6:.0f}"


def tap_section(samples: list[dict[str, Any]]) -> list[str]:
    """The tap at each latency."""
    titles = {
        "pipeboard": "tap-pipedrive",
        "pipeboard_all": "tap-pipedrive, all the deals",
        "bare": "bare loop",
        "bare_read_only": "bare loop that writes nothing",
    }

    def row(name: str, milliseconds: int) -> Row:
        found = chosen(samples, contender=name, milliseconds=milliseconds)
        used = [
            sum(cpu for part, cpu in s["cpu_seconds"].items() if part != "account") / s["rows"]
            for s in found
        ]
        yield from (f"{milliseconds} ms", titles[name], f"{found[0]['rows']:,}")
        yield from (spread(rates(found)), f"{median(used) * 1e6:.0f} µs")

    latencies = list(dict.fromkeys(s["milliseconds"] for s in samples))
    pairs = [
        (name, ms)
        for ms in latencies
        for name in titles
        if chosen(samples, contender=name, milliseconds=ms)
    ]
    burst = next((s["burst"] for s in samples if s["burst"]), None)
    return [
        "## The tap alone",
        "",
        "Deals of the simulated account to nowhere, start of the process included. The account "
        "answers that many milliseconds later"
        + (
            f", and allows {burst} calls in two seconds (the largest plan), "
            f"that is {burst * 250:,} rows/s, where there is a latency."
            if burst
            else "."
        ),
        "",
        *table(["latency", "", "rows", "rows/s", "CPU per row"], (row(*pair) for pair in pairs)),
    ]


def run_section(samples: list[dict[str, Any]], cores: int) -> list[str]:
    """The whole runs, and what they are busy with."""
    titles = {
        "pipeboard": "`meltano run tap-pipedrive target-postgres`",
        "pipe": "our two programs in a pipe",
        "stock_best": "`meltano run`, SDK's tap and stock loader, both tuned",
        "stock_default": "`meltano run`, SDK's tap and stock loader, defaults",
    }
    parts = {"tap": "tap", "meltano": "meltano", "loader": "loader"}
    parts |= {"postgres": "PostgreSQL", "account": "account"}

    def row(name: str) -> Row:
        found, start = phases(name)
        yield from (titles[name], f"{found[0]['rows']:,}", spread(rates(found)))
        yield number(loader_rate(samples, name, "first"))
        yield f"{median(s['seconds'] for s in start):.1f} s"

    def phases(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return (
            chosen(samples, contender=name, phase="first"),
            chosen(samples, contender=name, phase="start"),
        )

    def shares(name: str) -> Row:
        found = busy_past_start(*phases(name))
        yield titles[name]
        yield from (f"{found[part]:.0%}" if part in found else "-" for part in parts)

    names = [n for n in titles if chosen(samples, contender=n, phase="first")]
    return [
        "## The whole run",
        "",
        "Deals from the simulated account into PostgreSQL. 'start' is the same run of an account "
        "with one deal.",
        "",
        *table(["", "rows", "rows/s", "same rows", "start"], map(row, names)),
        "",
        "How busy each part is once it has started, in shares of one core (the simulated account "
        "is not part of a real run, but needs the same cores here):",
        "",
        *table(["", *parts.values()], map(shares, names)),
        "",
        bottleneck(*phases("pipeboard"), cores),
    ]


def bottleneck(pipeboard: list[dict[str, Any]], start: list[dict[str, Any]], cores: int) -> str:
    """Say which stage holds up the rest of our run."""
    once = median(s["seconds"] for s in start)
    text = f"Of {median(s['seconds'] for s in pipeboard):.1f} s, {once:.1f} s are starting."
    shares = busy_past_start(pipeboard, start)
    if not shares:
        return f"{text} There are too few deals to tell what holds up the rest."
    stage, share = max(shares.items(), key=lambda item: item[1])
    total = sum(shares.values())
    text += f" After that {total:.2f} of {cores} cores are busy, most with `{stage}` ({share:.0%})"
    if share >= 0.9:
        return f"{text}: it is the bottleneck, and the other stages wait for it."
    if total >= 0.9 * cores:
        return f"{text}: the cores themselves are the limit, and no stage waits for anything else."
    return f"{text}: no stage is at its limit; they take turns."


def batch_section(samples: list[dict[str, Any]]) -> list[str]:
    """Lines against files."""
    titles = {
        "lines": "RECORD messages",
        "batch_gzip": "BATCH, jsonl compressed by gzip at its fastest",
        "batch_plain": "BATCH, jsonl not compressed",
        "batch_made": "BATCH, files written before the run",
    }

    def row(name: str) -> Row:
        found = chosen(samples, contender=name)
        yield from (titles[name], f"{found[0]['rows']:,}", spread(rates(found)))
        for part in ("tap", "meltano", "loader"):
            yield f"{median(s['cpu_seconds'].get(part, 0) / s['rows'] for s in found) * 1e6:.0f} µs"

    files = {name: rates(chosen(samples, contender=name)) for name in titles if name != "lines"}
    lines = rates(chosen(samples, contender="lines"))
    name, best = max(files.items(), key=lambda item: median(item[1]))
    # Runs vary; who wins must do so every time.
    verdict = "wins" if min(best) > max(lines) and len(lines) > 1 else "does not win"
    return [
        "## BATCH messages",
        "",
        "A file of deals through `meltano run` into our loader, sent by a tap that costs next to "
        "nothing: the most that BATCH could win.",
        "",
        *table(
            ["", "rows", "rows/s", "tap's CPU", "meltano's CPU", "loader's CPU"], map(row, titles)
        ),
        "",
        f"BATCH {verdict}: at its best ({titles[name]}) {median(best) / median(lines):.2f} of the "
        f"speed of lines, from {min(best) / max(lines):.2f} to {max(best) / min(lines):.2f}.",
    ]


def dbt_section(samples: list[dict[str, Any]]) -> list[str]:
    """Builds from nothing and later ones."""
    titles = {"full": "from nothing", "nothing new": "again", "changed": "after a sync of changes"}

    limits = " and ".join(f"{name} {value}" for name, value in LIMITS.items())

    def row(sample: dict[str, Any]) -> Row:
        yield from (titles[sample["phase"]], f"{sample['rows']:,}", f"{sample['changes']:,}")
        yield f"{sample['seconds']:.0f} s"
        yield f"{sum(sample['cpu_seconds'].values()):.0f} s"
        yield f"{sample['postgres_cpu_seconds']:.0f} s"
        yield megabytes(sample["wal_bytes"])

    return [
        "## dbt",
        "",
        "`dbt:changed` as a sync runs it, with the tests of what it builds. The raw tables are a "
        "real sync, "
        "multiplied in SQL; before "
        f"the last build the account lived on ({CHANGES:,} deals changed), and that was synced. "
        f"Sessions may use {limits} and no more.",
        "",
        *table(
            ["build", "deals", "changes of fields", "took", "dbt's CPU", "PostgreSQL's CPU", "WAL"],
            map(row, samples),
        ),
    ]


def idle_section(samples: list[dict[str, Any]]) -> list[str]:
    """Time of a sync with nothing new."""

    def row(way: str) -> Row:
        found = [s["seconds"] for s in chosen(samples, way=way)]
        yield from (way, f"{median(found):.1f} s", f"{min(found):.1f} to {max(found):.1f} s")

    return [
        "## A sync with nothing new",
        "",
        "All streams of the shipped pipeline, at 300 ms a page and the largest plan's burst limit.",
        "",
        *table(["lists", "took", ""], map(row, dict.fromkeys(s["way"] for s in samples))),
    ]


def memory_section(samples: list[dict[str, Any]]) -> list[str]:
    """Peaks of a run at both sizes."""

    def row(sample: dict[str, Any]) -> Row:
        yield from (f"{sample['rows']:,}", f"{sample['seconds']:.0f} s", number(rate([sample])))
        for part in ("tap", "loader", "meltano"):
            yield megabytes(sample["peak_bytes"][part])

    return [
        "## Memory",
        "",
        "Peak resident memory (VmHWM) of each process in a whole `meltano run`.",
        "",
        *table(["rows", "took", "rows/s", "tap", "loader", "meltano"], map(row, samples)),
    ]


def calls_section(samples: list[dict[str, Any]]) -> list[str]:
    """Calls and tokens of each sync."""

    def row(sync: str) -> Row:
        found = chosen(samples, sync=sync)
        yield sync
        for part in ("calls", "least_calls", "tokens", "least_tokens"):
            yield f"{sum(s[part] for s in found):,}"

    above = [
        f"{s['operation']}, {s['sync']} sync ({s['calls']} calls, {s['least_calls']} would do)"
        for s in samples
        if s["tokens"] > s["least_tokens"]
    ]
    return [
        "## API calls and tokens",
        "",
        "All streams of the shipped pipeline. 'least' is computed from what the account holds: "
        "each list once in full pages, the log of each deal once, later of those that moved.",
        "",
        *table(
            ["sync", "calls", "least", "tokens", "least"],
            map(row, dict.fromkeys(s["sync"] for s in samples)),
        ),
        "",
        f"Above the least: {'; '.join(above) or 'nothing'}.",
    ]


def table(columns: list[str], rows: Iterable[Row]) -> list[str]:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)]


def spread(values: list[float]) -> str:
    """Return median, least and most."""
    if len(values) < 2:
        return number(values[0] if values else None)
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def number(value: float | None) -> str:
    """Return a whole number."""
    return "-" if value is None else f"{value:,.0f}"


def megabytes(value: int) -> str:
    """Return mebibytes."""
    return f"{value / 2**20:.0f} MB"
