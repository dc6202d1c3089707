"""Write docs/metrics.md from what the models say about their metrics (`meta.metrics` in their yml).

`python transform/metric_docs.py` writes it; `--check` only tells whether it is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MODELS = Path(__file__).parent / "models"
PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
HEAD = """\
# Metrics

Each metric is defined once, in the model named here. This page is written by
`python transform/metric_docs.py` from the models' own yml; edit that.

Counted are deals that are not deleted; archived ones count. Months and days are those of the
reporting time zone. Money is in the base currency: a deal without an exchange rate is in no sum,
and is counted in `deals_without_rate` beside it. A ratio without a denominator is null, never 0,
and its parts stand beside it, so that they can be added up and divided again.
"""


def metrics() -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield number, relation and description of every metric."""
    for path in MODELS.rglob("*.yml"):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", []):
            schema = "ops" if path.parent.name == "ops" else "marts"
            for metric in model.get("config", {}).get("meta", {}).get("metrics", []):
                yield metric["number"], f"{schema}.{model['name']}", metric


def page() -> str:
    """Return the page."""
    found = sorted(metrics(), key=lambda entry: (entry[0], entry[1]))
    parts = [HEAD, "| metric | where | columns |", "|---|---|---|"]
    parts += [f"| {m['name']} | `{where}` | {code(m['columns'])} |" for _, where, m in found]
    for _, where, metric in found:
        parts += ["", f"## {metric['name']}", "", f"`{where}`: {code(metric['columns'])}", ""]
        parts += [f"{sentence(metric['definition'])}", "", f"{metric['edge_cases'].strip()}"]
    return "\n".join(parts) + "\n"


def code(columns: str) -> str:
    """Set column names in code."""
    return ", ".join(f"`{name.strip()}`" for name in columns.split(","))


def sentence(words: str) -> str:
    """Begin with a capital letter, end with a full stop."""
    words = words.strip()
    return f"{words[0].upper()}{words[1:]}".rstrip(".") + "."


def main(arguments: list[str]) -> int:
    """Write the page, or check it; 1 if it is not current."""
    wanted = page()
    if "--check" in arguments:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted
        if not current:
            print("docs/metrics.md is not current: run `python transform/metric_docs.py`")
        return 0 if current else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
