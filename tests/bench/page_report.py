"""The part of the report that is about the static page."""

from __future__ import annotations

from typing import Any

from bench.cases.page import LIMIT_BYTES, LIMIT_FILTER_MS, LIMIT_OPEN_MS


def page_section(samples: list[dict[str, Any]]) -> list[str]:
    """Its weight, the time to open it, and the time of a filter on each dashboard."""
    (opened,) = (s for s in samples if s["phase"] == "open")
    return [
        "## The static page",
        "",
        f"The page of {opened['deals']:,} deals in Chromium: written in "
        f"{opened['written_seconds']:.1f} s, {opened['bytes'] / 1e6:.1f} MB (limit "
        f"{LIMIT_BYTES / 1e6:.0f}), drawn after {opened['ms']:,.0f} ms (limit {LIMIT_OPEN_MS:,}; "
        f"longest {opened['most_ms']:,.0f}; {opened['cpu_ms']:,.0f} ms of the processor). A "
        f"filter, from the choice to the picture (limit {LIMIT_FILTER_MS} ms), and its processor "
        "time with what is drawn out of sight:",
        "",
        "| dashboard | median | longest | processor |",
        "|---|---|---|---|",
        *(
            f"| {s['dashboard']} | {s['ms']:,.0f} ms | {s['most_ms']:,.0f} ms "
            f"| {s['cpu_ms']:,.0f} ms |"
            for s in samples
            if s["phase"] == "filter"
        ),
    ]
