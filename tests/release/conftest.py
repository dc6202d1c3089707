from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def git(folder: Path, *arguments: str) -> str:
    """Run git, and return what it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def prepare(folder: Path) -> Path:
    """Give a repository an author, and the environments of this tree."""
    for key, value in (
        *(("user.name", "Test"), ("user.email", "test@example.com")),
        *(("tag.gpgsign", "false"), ("commit.gpgsign", "false"), ("gc.auto", "0")),
    ):
        git(folder, "config", key, value)
    (folder / ".pipeboard").mkdir()
    (folder / ".pipeboard" / "env").symlink_to(ROOT / ".pipeboard" / "env")
    return folder


def clone(source: Path, target: Path, *options: str) -> Path:
    """Clone a repository with what `prepare` gives."""
    git(source, "clone", "--quiet", *options, str(source), str(target))
    git(target, "remote", "remove", "origin")
    return prepare(target)


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with one commit: the files of this one as they are now."""
    folder = tmp_path_factory.mktemp("copy")
    names = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        source, target = ROOT / name, folder / name
        if source.is_file() and source.suffix != ".png":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    prepare(folder)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "feat: all of it")
    return folder
