"""The records of decisions have one form, and their index lists them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
RECORDS = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")


def title(record: Path) -> str:
    return record.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def test_the_numbers_are_consecutive() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_is_short_and_has_all_parts(record: Path) -> None:
    slug = re.sub(r"[^a-z0-9]+", "-", title(record).lower().replace("'", "")).strip("-")
    assert record.name[4:] == f"-{slug}.md", "the name of the file is the title"
    lines = record.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert re.fullmatch(r"Decided on \d{4}-\d\d-\d\d\.( Replaced by \[.+\]\(.+\)\.)?", lines[2])
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## Context", "## Decision", "## Consequences"]


def test_the_index_lists_every_record_with_its_title() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = [line for line in index.splitlines() if line.startswith("- ")]
    assert listed == [f"- [{r.name[:4]}]({r.name}) {title(r)}" for r in RECORDS]
