"""The plot: rows per second of everybody, in one picture."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from bench.arithmetic import chosen, rates

PIPEBOARD_COLOR, BASELINE_COLOR = "#2f6f4f", "#b9b9b9"
PANELS: dict[str, tuple[str, dict[str, Any]]] = {
    "loader": ("Loader, first load", {"phase": "first"}),
    "tap": ("Tap, 0 ms per page", {"milliseconds": 0}),
    "run": ("Whole run", {"phase": "first"}),
}


def draw(measured: dict[str, Any], path: Path) -> None:
    """Draw a panel for each of the cases that compare; nothing if none was measured."""
    import matplotlib

    matplotlib.use("svg")
    # The same samples give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "pipeboard"
    from matplotlib import pyplot

    panels = {name: panel for name, panel in PANELS.items() if measured["samples"].get(name)}
    if not panels:
        return
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(8, 1 + 1.8 * len(panels)), squeeze=False, layout="constrained"
    )
    for (name, (title, wanted)), axis in zip(panels.items(), axes[:, 0], strict=True):
        found = chosen(measured["samples"][name], **wanted)
        names = [n for n in dict.fromkeys(s["contender"] for s in found) if "_start" not in n]
        seen = [rates(chosen(found, contender=n)) for n in names]
        middle = [median(values) for values in seen]
        low = [m - min(values) for m, values in zip(middle, seen, strict=True)]
        high = [max(values) - m for m, values in zip(middle, seen, strict=True)]
        axis.barh(
            [n.replace("_", " ") for n in names],
            middle,
            xerr=[low, high],
            color=[PIPEBOARD_COLOR if n == "pipeboard" else BASELINE_COLOR for n in names],
            error_kw={"lw": 1, "capsize": 2},
        )
        axis.invert_yaxis()
        axis.set_title(title, loc="left", fontsize=10)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("rows per second, start included; median, least and most")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
