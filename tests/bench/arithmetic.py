"""Computes the figures from the samples: medians, rates, ratios."""

from __future__ import annotations

from statistics import median
from typing import Any

Sample = dict[str, Any]
Samples = dict[str, list[Sample]]


def chosen(samples: list[Sample], **wanted: Any) -> list[Sample]:
    """Return the samples that have these values."""
    return [s for s in samples if all(s.get(k) == v for k, v in wanted.items())]


def rates(samples: list[Sample]) -> list[float]:
    """Return rows per second, of each sample."""
    return [s["rows"] / s["seconds"] for s in samples]


def rate(samples: list[Sample]) -> float | None:
    """Return the median of rows per second; None without a sample."""
    return median(rates(samples)) if samples else None


def rate_at(samples: list[Sample], start: list[Sample], rows: int) -> float | None:
    """Return rows per second of a load of so many rows: the start counts once, the rows count all.

    Slow contenders are measured with fewer rows. Without this correction their start would weigh
    more than in a load of full size, and the ratio would be too high.
    """
    if not samples or not start:
        return rate(samples)
    once = median(s["seconds"] for s in start)
    each = median((s["seconds"] - once) / s["rows"] for s in samples)
    return float(rows / (once + each * rows))


def ratio(pipeboard: float | None, baseline: float | None) -> float | None:
    """Divide; None if either is missing."""
    return round(pipeboard / baseline, 3) if pipeboard is not None and baseline else None


def loader_rate(samples: list[Sample], contender: str, phase: str) -> float | None:
    """Return the rate of a loader in a phase, for as many rows as Pipeboard's loader gets."""
    own = chosen(samples, contender="pipeboard", phase="first")
    rows = own[0]["rows"] if own else 1
    found = chosen(samples, contender=contender, phase=phase)
    if found and found[0]["rows"] == rows:
        return rate(found)
    return rate_at(found, chosen(samples, contender=contender, phase="start"), rows)


def past_start(samples: list[Sample], start: list[Sample]) -> float | None:
    """Return rows per second once it runs, its start left out; None if nothing is left."""
    if not samples or not start:
        return None
    once = median(s["seconds"] for s in start)
    left = [s["seconds"] - once for s in samples]
    if min(left) <= 0:
        return None
    return float(median(s["rows"] / sec for s, sec in zip(samples, left, strict=True)))


def ratios(samples: Samples) -> dict[str, float | None]:
    """Return all ratios, Pipeboard's figure over the baseline's; see `MEANING` in report.py."""
    found: dict[str, float | None] = {}
    found |= loader_ratios(samples.get("loader", []))
    found |= tap_ratios(samples.get("tap", []))
    found |= idle_ratios(samples.get("idle", []))
    found |= run_ratios(samples.get("run", []))
    found |= memory_ratios(samples.get("memory", []))
    found |= token_ratios(samples.get("calls", []))
    found |= wal_ratios(samples.get("loader", []))
    found |= batch_ratios(samples.get("batch", []))
    found |= dbt_ratios(samples.get("dbt", []))
    return found


def loader_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """Pipeboard's loader against each baseline, phase by phase."""
    found: dict[str, float | None] = {}
    for baseline in ("stock_default", "stock_best", "pipelinewise", "floor", "floor_decoding"):
        for phase, suffix in (("first", ""), ("unchanged", "_unchanged"), ("changed", "_changed")):
            found[f"loader_vs_{baseline}{suffix}"] = ratio(
                loader_rate(samples, "pipeboard", phase), loader_rate(samples, baseline, phase)
            )
    found["loader_vs_floor_past_start"] = ratio(
        *(
            past_start(
                chosen(samples, contender=name, phase="first"),
                chosen(samples, contender=name, phase="start"),
            )
            for name in ("pipeboard", "floor")
        )
    )
    found["loader_unchanged_vs_first"] = ratio(
        loader_rate(samples, "pipeboard", "unchanged"), loader_rate(samples, "pipeboard", "first")
    )
    return found


def tap_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """Pipeboard's tap against the bare loop, and against the speed that the latency allows."""

    def speed(contender: str, milliseconds: int) -> float | None:
        return rate(chosen(samples, contender=contender, milliseconds=milliseconds))

    found = {"tap_vs_floor": ratio(speed("pipeboard", 0), speed("bare", 0))}
    found["tap_vs_floor_past_start"] = ratio(
        *(
            past_start(
                chosen(samples, contender=name, milliseconds=0),
                chosen(samples, contender=f"{name}_start"),
            )
            for name in ("pipeboard", "bare")
        )
    )
    found["tap_vs_reading_alone"] = ratio(speed("pipeboard", 0), speed("bare_read_only", 0))
    for milliseconds in (50, 300):
        found[f"tap_vs_floor_{milliseconds}ms"] = ratio(
            speed("pipeboard", milliseconds), speed("bare", milliseconds)
        )
    for milliseconds, contender, suffix in (
        (50, "pipeboard", ""),
        (300, "pipeboard", ""),
        (300, "pipeboard_all", "_all"),
    ):
        burst = next((s["burst"] for s in samples if s["milliseconds"] == milliseconds), None)
        limit = None if burst is None else burst / 2 * 500
        reachable = [v for v in (speed(contender, 0), limit) if v is not None]
        found[f"tap_{milliseconds}ms_vs_reachable{suffix}"] = ratio(
            speed(contender, milliseconds), min(reachable) if len(reachable) == 2 else None
        )
    return found


def idle_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """How much faster a sync with nothing new is than one that reads list after list."""
    seconds = {
        way: median(found) if (found := [s["seconds"] for s in chosen(samples, way=way)]) else None
        for way in ("one by one", "as shipped")
    }
    return {"idle_sync_300ms_vs_one_by_one": ratio(seconds["one by one"], seconds["as shipped"])}


def run_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """Pipeboard's whole run against the baselines' and against a pipe of its two programs."""

    def speed(contender: str) -> float | None:
        return loader_rate(samples, contender, "first")

    found = {
        f"run_vs_{baseline}": ratio(speed("pipeboard"), speed(baseline))
        for baseline in ("stock_default", "stock_best", "pipe")
    }
    found["run_vs_pipe_past_start"] = ratio(
        *(
            past_start(
                chosen(samples, contender=name, phase="first"),
                chosen(samples, contender=name, phase="start"),
            )
            for name in ("pipeboard", "pipe")
        )
    )
    return found


def memory_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """Peak memory at the largest size against a tenth of it: the worse of tap and loader."""
    sizes = {s["deals"]: s["peak_bytes"] for s in samples}
    if len(sizes) != 2:
        return {"peak_memory_1m_vs_100k": None}
    small, large = sorted(sizes)
    worse = max(sizes[large][part] / sizes[small][part] for part in ("tap", "loader"))
    name = "peak_memory_1m_vs_100k" if large == 1_000_000 else "peak_memory_all_vs_tenth"
    return {"peak_memory_1m_vs_100k": None, name: round(worse, 3)}


def token_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """Tokens spent against the least possible."""
    return {
        f"tokens_{sync}_vs_least": ratio(
            sum(s["tokens"] for s in chosen(samples, sync=sync)) or None,
            sum(s["least_tokens"] for s in chosen(samples, sync=sync)),
        )
        for sync in ("first", "incremental", "idle")
    }


def batch_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """BATCH messages against lines, through Meltano; above 1, files win."""
    lines = rate(chosen(samples, contender="lines"))
    return {
        f"{way}_vs_lines": ratio(rate(chosen(samples, contender=way)), lines)
        for way in ("batch_gzip", "batch_plain", "batch_made")
    }


def dbt_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """How much faster dbt is when little or nothing changed than from nothing, by deals."""
    found: dict[str, float | None] = {}
    for deals in dict.fromkeys(s["deals"] for s in samples):
        seconds = {s["phase"]: s["seconds"] for s in chosen(samples, deals=deals)}
        for phase in ("nothing new", "changed"):
            name = f"dbt_{phase.replace(' ', '_')}_vs_full_at_{deals // 1000}k"
            found[name] = ratio(seconds.get("full"), seconds.get(phase))
    return found


def wal_per_row(samples: list[Sample], contender: str, phase: str) -> float | None:
    """Return the median of bytes of WAL per row of the input."""
    found = chosen(samples, contender=contender, phase=phase)
    return median(s["wal_bytes"] / s["rows"] for s in found) if found else None


def wal_ratios(samples: list[Sample]) -> dict[str, float | None]:
    """Bytes of WAL of Pipeboard's loader against the stock loader's; below 1 is less."""
    return {
        f"wal_{phase}_vs_stock_best": ratio(
            wal_per_row(samples, "pipeboard", phase), wal_per_row(samples, "stock_best", phase)
        )
        for phase in ("first", "unchanged", "changed")
    }


def busy_past_start(samples: list[Sample], start: list[Sample]) -> dict[str, float]:
    """Return what share of a core each part keeps busy once it has started; medians.

    Nothing if that time is too short to tell.
    """
    once = median(s["seconds"] for s in start)
    spent = medians([cpu_seconds(s) for s in start])
    if min(s["seconds"] for s in samples) < 1.5 * once:
        return {}
    seen = [
        {
            name: max(cpu - spent.get(name, 0.0), 0.0) / (sample["seconds"] - once)
            for name, cpu in cpu_seconds(sample).items()
        }
        for sample in samples
    ]
    return medians(seen)


def cpu_seconds(sample: Sample) -> dict[str, float]:
    """Return the processor time of each part of a run, the database among them."""
    return {**sample["cpu_seconds"], "postgres": sample["postgres_cpu_seconds"]}


def medians(seen: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each name."""
    return {name: median(s.get(name, 0.0) for s in seen) for name in (seen[0] if seen else ())}
