"""The generated blocks of the pages have the form that `make readme` gives them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from readme import (
    BLOCK,
    COSTS,
    COSTS_HEAD,
    PAGES,
    ROOT,
    SHOWN,
    STORIES,
    TRUST,
    TRUST_HEAD,
    costs,
    excerpt,
    rewritten,
    trust,
)

OUTPUT = """\
sync          0:09  starting
Rows and API tokens
  stream   rows   calls   tokens
  deals   9,936      44      490
  persons 4,490      12      120
  total  14,426      56      610

done: sync in 54 s
"""


def blocks() -> dict[str, str]:
    return {
        name: content
        for page in PAGES
        for name, content in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    }


def test_every_block_is_on_a_page_and_no_other() -> None:
    assert set(blocks()) == {*SHOWN, COSTS, TRUST}
    marks = sum((ROOT / page).read_text().count("<!-- make readme:") for page in PAGES)
    assert marks == len(blocks())


@pytest.mark.parametrize("name", SHOWN)
def test_a_block_shows_the_lines_that_are_generated(name: str) -> None:
    lines = [line.removeprefix("    ") for line in blocks()[name].splitlines()]
    shown = [line for line in lines if line.strip() not in ("", "...")]
    assert len(shown) == len(SHOWN[name])
    for line, pattern in zip(shown, SHOWN[name], strict=True):
        assert re.match(pattern, line)


def test_the_costs_are_a_row_for_each_sync() -> None:
    head, rows = blocks()[COSTS].strip().split(COSTS_HEAD)
    assert head == ""
    found = re.findall(r"^\| [^|]+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", rows, re.M)
    assert len(found) == len(rows.strip().splitlines()) == 3


def test_the_stories_are_a_row_of_figures_and_no_record_is_lost() -> None:
    head, row = blocks()[TRUST].strip().split(TRUST_HEAD)
    assert head == ""
    cells = row.strip().strip("|").replace(",", "").split("|")
    stories, syncs, faults, kills, survived, lost, doubled = map(int, cells[:7])
    assert syncs > stories <= faults
    assert kills > 0
    assert (survived, lost, doubled) == (stories, 0, 0)
    assert re.fullmatch(r" [\d.]+ %(, others [\d.]+ %)? ", cells[7])
    assert re.fullmatch(r" \d+ of \d+ ", cells[8])


def test_the_figures_of_the_proof_are_those_of_the_reports(tmp_path: Path) -> None:
    shown = f"{TRUST_HEAD}\n| 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 % | 9 of 10 |\n"
    assert trust(tmp_path, shown) == shown, "no report: the figures stay"
    for name, report in {
        "trust": {name: number for number, name in enumerate(STORIES, 1000)},
        "coverage": {
            "tap-pipedrive": {"lines": 100.0, "branches": 99.9},
            "target-postgres": {"lines": 100.0, "branches": 100.0},
            "pipeboard": {"lines": 97.1, "branches": 95.2},
            "metabase": {"lines": 95.4, "branches": 96.0},
        },
        "mutation": {
            "merge": {"killed": 900, "mutants": 1000},
            "proof": {"killed": 98, "mutants": 100},
        },
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    figures = " | ".join(f"{number:,}" for number in range(1000, 1007))
    row = f"| {figures} | 99.9 %, others 95.2 % | 998 of 1,100 |"
    assert trust(tmp_path, shown) == f"{TRUST_HEAD}\n{row}\n"


def test_an_excerpt_marks_what_it_leaves_out() -> None:
    shown = ("Rows", "  stream", "  deals", "  total", "done")
    assert excerpt(OUTPUT, shown) == [
        "Rows and API tokens",
        "  stream   rows   calls   tokens",
        "  deals   9,936      44      490",
        "  ...",
        "  total  14,426      56      610",
        "",
        "done: sync in 54 s",
    ]


@pytest.mark.parametrize("shown", [("  leads",), ("done", "Rows")])
def test_a_line_that_the_demo_does_not_print_is_an_error(shown: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no line like"):
        excerpt(OUTPUT, shown)


def test_only_blocks_are_rewritten() -> None:
    page = "a\n<!-- make readme: first -->\nold\n<!-- end -->\nb\n"
    expected = "a\n<!-- make readme: first -->\nnew\n<!-- end -->\nb\n"
    assert rewritten(page, {"first": "new\n"}) == expected


def test_costs_are_the_totals() -> None:
    output = "  total                130,661  10,133  200,870\n"
    assert "| first sync, 10,000 deals | 130,661 | 10,133 | 200,870 |\n" in costs([output] * 3)
    with pytest.raises(ValueError, match="no total"):
        costs(["", output, output])
