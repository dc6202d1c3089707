"""The check of the vocabulary finds old words, and only those."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import vocabulary
from vocabulary import Allowed, in_file, main


@pytest.mark.parametrize(
    ("file", "text", "line", "word"),
    [
        ("a.md", "A new run\nwaits for its lane.\n", 2, "lane"),
        ("a.md", "What somebody else runs\n", 1, "somebody"),
        ("a.py", "class LocalHome:\n    pass\n", 1, "LocalHome"),
        ("a.py", "x = 1\nwhat_was_told = x\n", 2, "told"),
        ("a.py", "class Problem(Exception):\n    pass\n", 1, "Problem"),
        ("a.py", "# in the demo's world\n", 1, "world"),
        ("a.sql", "with clocked as (select 1)\n", 1, "clocked"),
        ("a.yml", "settings:\n  lane: main\n", 2, "lane"),
        ("a.ts", "const textKept = 1\n", 1, "kept"),
        ("tests/kit.py", "x = 1\n", 0, "kit"),
        ("answers.py", "x = 1\n", 0, "answers"),
        ("first_look/page.py", "x = 1\n", 0, "first look"),
    ],
)
def test_an_old_word_is_found_where_it_stands(file: str, text: str, line: int, word: str) -> None:
    assert [(found.line, found.word) for found in in_file(file, text)] == [(line, word)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.md", "It is kept, as was said. The problem is solved; planes fly.\n"),
        ("a.py", 'problem = home = 1  # what was asked\nprint("you are told")\n'),
        ("a.sql", "select 1 -- dated\n"),
    ],
)
def test_ordinary_words_pass(file: str, text: str) -> None:
    assert list(in_file(file, text)) == []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file, `a.md`, that has an old word in line 3."""
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    monkeypatch.setattr(vocabulary, "EXCEPTIONS", ())
    monkeypatch.setattr(vocabulary, "files", lambda: ["a.md"])
    (tmp_path / "a.md").write_text("Title\n\nThe keeper ends it.\n")
    return tmp_path


def test_a_finding_names_file_line_word_and_replacement(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main() == 1
    assert capsys.readouterr().out == "a.md:3: 'keeper'; use instead: watchdog\n"


def test_an_exception_lets_its_word_pass(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "EXCEPTIONS", (Allowed("*.md", "keeper", "a quotation"),))
    assert main() == 0


def test_an_exception_that_is_not_needed_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        vocabulary,
        "EXCEPTIONS",
        (Allowed("*.md", "keeper", "a quotation"), Allowed("*.md", "lane", "a road")),
    )
    assert main() == 1
    assert "'lane' is allowed but does not occur" in capsys.readouterr().out


def test_all_files_but_ignored_ones_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "other.md", "docs/new.md", "docs/run.log", "docs/facts.json"):
        (tmp_path / name).write_text("")
    subprocess.run(["git", "add", "README.md", "other.md"], cwd=tmp_path, check=True)
    assert vocabulary.files() == [".gitignore", "README.md", "docs/new.md", "other.md"]
