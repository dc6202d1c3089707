"""The part of the report that is about the dashboards' cards."""

from __future__ import annotations

from typing import Any

from bench.cases.cards import LIMIT_SECONDS, REPEAT, worst


def cards_section(samples: list[dict[str, Any]]) -> list[str]:
    """Every card's query time, the slowest first."""
    ranked = sorted(samples, key=worst, reverse=True)
    slow = [s["card"] for s in ranked if worst(s) > LIMIT_SECONDS]
    total = sum(s["seconds"] for s in samples)
    return [
        "## Cards",
        "",
        f"The select of every card of the dashboards, on marts of {samples[0]['deals']:,} deals: "
        f"without a filter, with each filter alone, and with all; medians of {REPEAT}. "
        f"{len(slow)} of {len(samples)} take longer than {LIMIT_SECONDS:g} s"
        f"{': ' + ', '.join(slow) if slow else ''}; all of them after one another, unfiltered, "
        f"take {total:.1f} s.",
        "",
        "| card | dashboard | rows | without a filter | slowest filter | its time |",
        "|---|---|---|---|---|---|",
        *(
            f"| {s['card']} | {s['dashboard']} | {s['rows']:,} | {s['seconds'] * 1000:,.0f} ms "
            f"| {s.get('slowest_filter') or '-'} | {(s['filtered_seconds'] or 0) * 1000:,.0f} ms |"
            for s in ranked
        ),
    ]
