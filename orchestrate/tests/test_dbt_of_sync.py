"""The dbt of a sync writes manifest.json only when the project has changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeboard.run import dbt_of_sync

#: In dbt's place: writes a manifest when it has parsed, and another one when it has run.
MODULES = {
    "parser/manifest.py": "def write_manifest(path, text): open(path, 'w').write(text)",
    "task/runnable.py": "from dbt.parser.manifest import write_manifest",
    "cli/main.py": """
import os, sys
import dbt.parser.manifest, dbt.task.runnable
def cli():
    path = os.environ["DBT_TARGET_PATH"] + "/manifest.json"
    dbt.parser.manifest.write_manifest(path, "parsed")
    dbt.task.runnable.write_manifest(path, " ".join(sys.argv[1:]))
    sys.exit(3)
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in MODULES.items():
        path = tmp_path / "dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    (tmp_path / "dbt" / "__init__.py").touch()
    return tmp_path


def manifest_after(folder: Path, word: str, fingerprint: str) -> str:
    """Run it with a word; return what the manifest holds then."""
    done = subprocess.run(
        [sys.executable, dbt_of_sync.__file__, word],
        env={
            "PYTHONPATH": str(folder),
            "DBT_TARGET_PATH": str(folder),
            "PIPEBOARD_PROJECT_FINGERPRINT": fingerprint,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    return (folder / "manifest.json").read_text()


def test_a_manifest_is_written_when_the_project_has_changed(folder: Path) -> None:
    assert manifest_after(folder, "first", "a") == "first"
    assert manifest_after(folder, "second", "a") == "first"
    assert manifest_after(folder, "third", "b") == "third"
    assert manifest_after(folder, "fourth", "b") == "third"


def test_a_manifest_that_another_program_wrote_is_replaced(folder: Path) -> None:
    manifest_after(folder, "first", "a")
    (folder / "manifest.json").write_text("of another project")
    assert manifest_after(folder, "second", "a") == "second"
