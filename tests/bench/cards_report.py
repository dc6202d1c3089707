"""The part of the report that is about the dashboards' cards."""

from __future__ import annotations

from typing import Any

from bench.cases.cards import LIMIT_SECONDS, REPEAT


def cards_section(samples: list[dict[str, Any]]) -> list[str]:
    """Every card's query time, the slowest first."""
    ranked = sorted(samples, key=worst, reverse=True)
    slow = [s["card"] for s in ranked if worst(s) > LIMIT_SECONDS]
    total = sum(s["seconds"] for s in samples)
    return [
        "## Cards",
        "",
        f"The select of every card of the dashboards, on marts of {samples[0]['deals']:,} deals: "
        f"without a filter, and with all its filters set; medians of {REPEAT}. "
        f"{len(slow)} of {len(samples)} take longer than {LIMIT_SECONDS:g} s"
        f"{': ' + ', '.join(slow) if slow else ''}; all of them after one another, unfiltered, "
        f"take {total:.1f} s.",
        "",
        "| card | dashboard | rows | without a filter | filtered |",
        "|---|---|---|---|---|",
        *(
            f"| {s['card']} | {s['dashboard']} | {s['rows']:,} | {s['seconds'] * 1000:,.0f} ms "
            f"| {s['filtered_seconds'] * 1000:,.0f} ms |"
            for s in ranked
        ),
    ]


def worst(sample: dict[str, Any]) -> float:
    """Return the longer of its two times."""
    return float(max(sample["seconds"], sample["filtered_seconds"]))
