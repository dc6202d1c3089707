"""Run the demo and write what it prints into README.md and the operator's guide (`make readme`).

The demo runs with local state of its own, which is deleted afterwards: a first sync, one after
changes, and one without any. The figures of the proof come from the reports of the last `make
trust`, `make coverage` and `make mutation`; where there is none, they stay. A page has the blocks
between `<!-- make readme: NAME -->` and `<!-- end -->`. `readme.py trust` writes those of the proof
alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PIPEBOARD = ROOT / ".pipeboard" / "bin" / "pipeboard"
#: The lines of the demo's output that a block of README.md shows.
SHOWN = {
    "first": (
        r"Rows and API tokens$",
        r"  stream +rows",
        r"  deals ",
        r"  deal_products ",
        r"  deal_changelog ",
        r"  total ",
        r"How many deals do we win\?$",
        r"  period ",
        r"  all time ",
        r"  last 90 days ",
        r"How long does a deal stay in a stage\?$",
        r"  pipeline +stage +stays",
        r"  Vendas +Prospecção +[\d,]+ +[\d.]+$",
        r"  Vendas +Qualificação +[\d,]+ +[\d.]+$",
    ),
    "second": (
        r"Rows and API tokens$",
        r"  stream +rows",
        r"  deal_changelog ",
        r"  total ",
        r"Only what changed was synced",
    ),
}
COSTS = "costs"
COSTS_HEAD = "| run | rows | calls | tokens |\n|---|---:|---:|---:|"
TRUST = "trust"
TRUST_HEAD = (
    "| stories | syncs | faults | kills | stories survived | records lost | doubled |\n"
    "|---:|---:|---:|---:|---:|---:|---:|"
)
TOTAL = re.compile(r"^  total +([\d,]+) +([\d,]+) +([\d,]+)$", re.M)
BLOCK = re.compile(r"<!-- make readme: (\w+) -->\n(.*?)<!-- end -->\n", re.S)
PAGES = ("README.md", "docs/operators-guide.md")


def main(only: list[str]) -> int:
    """Rewrite the blocks of all pages."""
    blocks = {} if only == [TRUST] else of_the_demo()
    for name, (path, write) in REPORTS.items():
        report = ROOT / ".pipeboard" / path
        if report.exists():
            blocks[name] = write(json.loads(report.read_text()))
    for name in PAGES:
        page = ROOT / name
        page.write_text(rewritten(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    return 0


def of_the_demo() -> dict[str, str]:
    """Run the demo three times; return the blocks that show its output."""
    with tempfile.TemporaryDirectory(prefix="pipeboard-readme-") as state:
        try:
            outputs = [
                pipeboard(state, *arguments)
                for arguments in (("demo",), ("demo",), ("run", "sync", "--demo"))
            ]
        finally:
            pipeboard(state, "stop", "--forget")
    return {
        "first": as_code(excerpt(outputs[0], SHOWN["first"])),
        "second": as_code(excerpt(outputs[1], SHOWN["second"])),
        COSTS: costs(outputs),
    }


def pipeboard(state: str, *arguments: str) -> str:
    """Run one command with its own local state and return what it prints on stdout."""
    return subprocess.run(
        [str(PIPEBOARD), *arguments],
        cwd=ROOT,
        env={**os.environ, "PIPEBOARD_STATE_DIR": state},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def excerpt(output: str, shown: Iterable[str]) -> list[str]:
    """Return the lines that match, in order; skipped table rows between them become `...`.

    Raises:
        ValueError: a pattern matches no line, or they match in another order.
    """
    lines = output.splitlines()
    lines_shown: list[str] = []
    position = 0
    for pattern in shown:
        found = next((n for n in range(position, len(lines)) if re.match(pattern, lines[n])), None)
        if found is None:
            message = f"the demo prints no line like {pattern!r} where it is expected"
            raise ValueError(message)
        if lines_shown and not lines[found].startswith(" "):
            lines_shown.append("")
        elif lines_shown and found > position:
            lines_shown.append("  ...")
        lines_shown.append(lines[found].rstrip())
        position = found + 1
    return lines_shown


def as_code(lines: list[str]) -> str:
    """Indent lines as a code block of Markdown."""
    return "\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines) + "\n"


def costs(outputs: list[str]) -> str:
    """Return the table of what the three syncs read and cost."""
    names = ("first sync, 10,000 deals", "the next one, after 200 deals changed", "with no changes")
    rows = []
    for name, output in zip(names, outputs, strict=True):
        total = TOTAL.search(output)
        if total is None:
            message = f"{name}: the output has no total"
            raise ValueError(message)
        rows.append(f"| {name} | {' | '.join(total.groups())} |")
    return "\n".join(["", COSTS_HEAD, *rows, "", ""])


def trust(report: dict[str, Any]) -> str:
    """Return the table of what the stories of `make trust` were, and what became of them."""
    names = ("seeds", "runs", "faults", "kills", "survived", "lost", "doubled")
    row = " | ".join(f"{report[name]:,}" for name in names)
    return f"{TRUST_HEAD}\n| {row} |\n"


def marts(report: dict[str, Any]) -> str:
    """Return what became of the stories that went on to the marts."""
    return (
        f"- `make trust WAREHOUSE=10` plays some of them to the marts. The last time: "
        f"{report['stories']} stories, {report['builds']} builds after {report['killed_builds']} "
        f"that were killed, {report['histories']:,} stage histories compared, "
        f"{report['broken']} stories broken.\n"
    )


def coverage(report: dict[str, Any]) -> str:
    """Return the share of lines and branches that tests reach, by package (`coverage json`)."""
    shares = []
    for name, package in (("tap", "tap_pipedrive"), ("loader", "pipeboard_target_postgres")):
        files = [f["summary"] for path, f in report["files"].items() if f"/{package}/" in path]
        reached = sum(file["covered_lines"] + file["covered_branches"] for file in files)
        every = sum(file["num_statements"] + file["num_branches"] for file in files)
        shares.append(f"{math.floor(1000 * reached / every) / 10} % of the {name}")
    return f"- `make coverage`: tests reach {' and '.join(shares)}, branches included.\n"


def mutation(report: dict[str, Any]) -> str:
    """Return the share of mutants that the tests notice, by part."""
    shares = ", ".join(
        f"{name} {part['percent']} % of {part['mutants']}" for name, part in report.items()
    )
    return f"- `make mutation` changes one place of the code at a time. Noticed: {shares}.\n"


#: The blocks of the proof: the report of each, and what writes it.
REPORTS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    TRUST: ("trust/report.json", trust),
    "marts": ("trust/warehouse.json", marts),
    "coverage": ("coverage/report.json", coverage),
    "mutation": ("mutation/report.json", mutation),
}


def rewritten(page: str, blocks: dict[str, str]) -> str:
    """Replace the content of each block of a page; one without new content stays."""
    return BLOCK.sub(
        lambda block: (
            f"<!-- make readme: {block[1]} -->\n{blocks.get(block[1], block[2])}<!-- end -->\n"
        ),
        page,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
