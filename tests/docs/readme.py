"""Run the demo and write what it prints into README.md and the operator's guide (`make readme`).

The demo runs with local state of its own, which is deleted afterwards: a first sync, one after
changes, and one without any. The figures of the proof come from the reports of the last `make
trust`, `make coverage` and `make mutation`; where there is none, they stay. A page has the blocks
between `<!-- make readme: NAME -->` and `<!-- end -->`. `readme.py trust` writes those of the proof
alone.
"""

from __future__ import annotations

import json
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
    "| stories | syncs | faults | kills | survived | lost | doubled "
    "| `make coverage`: tap, loader | `make mutation`: killed |\n"
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)
TOTAL = re.compile(r"^  total +([\d,]+) +([\d,]+) +([\d,]+)$", re.M)
BLOCK = re.compile(r"<!-- make readme: (\w+) -->\n(.*?)<!-- end -->\n", re.S)
PAGES = ("README.md", "docs/operators-guide.md")


def main(only: list[str]) -> int:
    """Rewrite the blocks of all pages."""
    blocks = {} if only == [TRUST] else of_the_demo()
    shown = dict(BLOCK.findall((ROOT / PAGES[0]).read_text(encoding="utf-8")))
    blocks[TRUST] = trust(ROOT / ".pipeboard", shown[TRUST])
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


def share_covered(report: dict[str, Any]) -> str:
    """Return the least share of lines or branches that tests reach, of tap and loader, and else."""
    core = {name: report[name] for name in ("tap-pipedrive", "target-postgres")}
    others = {name: found for name, found in report.items() if name not in core}
    of_core, of_others = (
        min(min(found["lines"], found["branches"]) for found in part.values())
        for part in (core, others)
    )
    return f"{of_core:.1f} %, others {of_others:.1f} %"


def mutants_killed(report: dict[str, Any]) -> str:
    """Return how many mutants the tests notice, of all parts that were measured."""
    killed, mutants = (sum(part[n] for part in report.values()) for n in ("killed", "mutants"))
    return f"{killed:,} of {mutants:,}"


def of_stories(name: str) -> Callable[[dict[str, Any]], str]:
    """Return what reads one figure of the stories of `make trust`."""
    return lambda report: f"{report[name]:,}"


STORIES = ("seeds", "runs", "faults", "kills", "survived", "lost", "doubled")
#: The cells of the proof: the report of each below .pipeboard, and what reads it.
CELLS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    *(("trust/report.json", of_stories(name)) for name in STORIES),
    ("coverage/report.json", share_covered),
    ("mutation/report.json", mutants_killed),
)


def trust(folder: Path, shown: str) -> str:
    """Return the table of the proof from the reports in a folder.

    Args:
        folder: of the reports; where one is absent, its cells stay.
        shown: the table that the page has.

    """
    cells = [cell.strip() for cell in shown.strip().splitlines()[-1].strip("|").split("|")]
    cells += [""] * (len(CELLS) - len(cells))
    for number, (path, read) in enumerate(CELLS):
        if (folder / path).exists():
            cells[number] = read(json.loads((folder / path).read_text()))
    return f"{TRUST_HEAD}\n| {' | '.join(cells)} |\n"


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
