"""Each recipe of docs/recipes.md works in a copy of the tree, with the page's own blocks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import wheel_binaries

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
PACKAGES = (
    "tap-pipedrive",
    "plugins/loaders/target-postgres",
    "plugins/utilities/pipedrive-simulator",
    "plugins/utilities/metabase",
    "orchestrate",
)
#: One step: how it begins, up to its block.
STEP = re.compile(r"^(Add|Write|Run)\b((?:(?!\n\n).)*?)(?:\n\n)?\n*```\w+\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"`([^`]+)`")


class Step(NamedTuple):
    """What to do, the names in code of its sentence, and its block."""

    verb: str
    sentence: str
    block: str

    @property
    def named(self) -> list[str]:
        return CODE.findall(self.sentence)


def recipes() -> dict[str, list[Step]]:
    """Return the steps of each recipe, by its heading."""
    sections = re.split(r"^## (.*)\n", PAGE, flags=re.M)[1:]
    return {
        heading: [Step(*found.groups()) for found in STEP.finditer(text)]
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }


RECIPES = recipes()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server"))
    binaries = wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    yield server.start(binaries, "recipes", fresh=True)["recipes"]
    server.destroy()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if (ROOT / name).is_file() and not name.endswith((".png", ".svg")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".pipeboard").mkdir()
    (folder / ".pipeboard" / "env").symlink_to(ROOT / ".pipeboard" / "env")
    return folder


def edit(copy: Path, step: Step) -> None:
    """Write a block into the file that its sentence names."""
    path = copy / step.named[0]
    if step.verb == "Write":
        assert not path.exists(), f"{step.named[0]} exists"
        path.write_text(step.block, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if step.sentence.startswith(" at the end of"):
        place = len(lines)
        if path.suffix == ".py":
            lines += ["\n", "\n"]
            place += 2
    else:
        assert ", below" in step.sentence, step.sentence
        places = [n for n, line in enumerate(lines, 1) if line.strip() == step.named[1]]
        assert places, f"{step.named[0]} has no line {step.named[1]}"
        place = places[0]
    path.write_text("".join([*lines[:place], step.block, *lines[place:]]), encoding="utf-8")


def run(copy: Path, command: str, database: str) -> None:
    """Run a command of the page on the copy: the environments are those of this tree."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PIPEDRIVE_", "PIPEBOARD_"))},
        "PYTHONPATH": os.pathsep.join(str(copy / package) for package in PACKAGES),
        # The environments are built already, and belong to this tree.
        "PYTHON": "true",
        "PIPEBOARD_DATABASE_URL": database,
        "DBT_TARGET_PATH": str(copy / "target"),
    }
    done = subprocess.run(
        ["bash", "-c", command], cwd=copy, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_page_has_the_five_recipes() -> None:
    things = ("stream", "mart", "card", "metric", "setting")
    assert list(RECIPES) == [f"Add a {thing}" for thing in things]
    blocks = PAGE.count("\n```\n")
    assert sum(map(len, RECIPES.values())) == blocks, "a block that no step uses"
    assert all([step.verb for step in steps].count("Run") == 1 for steps in RECIPES.values())


#: These take long, the first two most of all, since they start dbt: the day chooses one of them for
#: the long tests; the rest is for the night.
SLOW = ("Add a stream", "Add a mart", "Add a metric", "Add a card")
TODAY = date.today().toordinal() % len(SLOW)


def mark_of(recipe: str) -> list[pytest.MarkDecorator]:
    if recipe not in SLOW:
        return []
    return [pytest.mark.long if SLOW.index(recipe) == TODAY else pytest.mark.nightly]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=mark_of(name)) for name in RECIPES],
)
def test_a_recipe_works_as_it_is_written(name: str, copy: Path, database: str) -> None:
    *edits, checks = RECIPES[name]
    for step in edits:
        edit(copy, step)
    for command in checks.block.splitlines():
        run(copy, command, database)


def test_a_step_whose_line_is_missing_fails(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"a\.py has no line two"):
        edit(tmp_path, Step("Add", " to `a.py`, below `two`:", "three\n"))
