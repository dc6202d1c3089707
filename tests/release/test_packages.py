"""Tap and loader can be used alone: from a git address, from a wheel, and with `meltano add`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

sys.path.insert(0, str(ROOT / "plugins" / "hub"))
import generate

UV = ROOT / ".pipeboard" / "env" / "uv" / "bin" / "uv"
MELTANO = ROOT / ".pipeboard" / "env" / "meltano" / "bin" / "meltano"
#: Distribution, folder, its command's argument, and what that prints.
PACKAGES = (
    ("pipeboard-tap-pipedrive", "tap-pipedrive", "--about", "api_token"),
    ("pipeboard-target-postgres", "plugins/loaders/target-postgres", "--about", "sqlalchemy_url"),
    ("pipedrive-simulator", "plugins/utilities/pipedrive-simulator", "--help", "deals"),
    ("pipeboard-metabase", "plugins/utilities/metabase", "--help", "apply"),
    ("pipeboard", "orchestrate", "--help", "backfill"),
)
#: Start the first command of a distribution; its files have to be the installed ones.
START = """
import sys
from importlib.metadata import distribution
name, place, argument = sys.argv[1:]
*_, entry = [e for e in distribution(name).entry_points if e.group == "console_scripts"]
assert sys.modules.get(entry.module) is None
main = entry.load()
assert sys.modules[entry.module].__file__.startswith(place), sys.modules[entry.module].__file__
sys.argv = [entry.name, argument]
sys.exit(main())
"""


def environ(**more: str) -> dict[str, str]:
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "TAP_", "TARGET_"))
    }
    return {**clean, **more}


@pytest.mark.long
@pytest.mark.parametrize(("distribution", "folder", "argument", "shown"), PACKAGES)
def test_a_package_installs_from_a_git_address_and_runs(
    copy: Path, tmp_path: Path, distribution: str, folder: str, argument: str, shown: str
) -> None:
    subprocess.run(
        [str(UV), "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path)]
        + ["--build-constraints", str(ROOT / "requirements" / "build.txt")]
        + ["--python", sys.executable, f"{distribution} @ git+file://{copy}#subdirectory={folder}"],
        check=True,
    )
    # The installed files come first; of this tree, only the dependencies are used.
    done = subprocess.run(
        [sys.executable, "-c", START, distribution, str(tmp_path), argument],
        cwd=tmp_path, env=environ(PYTHONPATH=str(tmp_path)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("tap-pipedrive", "tap_pipedrive"),
        ("plugins/loaders/target-postgres", "pipeboard_target_postgres"),
        ("plugins/utilities/pipedrive-simulator", "pipedrive_simulator"),
    ],
)
def test_the_tests_of_a_package_pass_with_its_wheel(
    copy: Path, tmp_path: Path, folder: str, package: str
) -> None:
    tree, installed = tmp_path / "tree", tmp_path / "installed"
    subprocess.run(
        [str(UV), "pip", "install", "--quiet", "--no-deps", "--target", str(installed)]
        + ["--build-constraints", str(ROOT / "requirements" / "build.txt")]
        + ["--python", sys.executable, str(copy / folder)],
        check=True,
    )
    shutil.copytree(copy, tree, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    # Nothing but the wheel has the package's modules.
    shutil.rmtree(tree / folder / package)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
        + ["-m", "not long and not nightly"],
        cwd=tree / folder, env=environ(PYTHONPATH=str(installed)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize(("module", "name", "facts"), generate.PLUGINS)
def test_the_definitions_are_generated(module: str, name: str, facts: dict[str, object]) -> None:
    text = (generate.HUB / name).read_text(encoding="utf-8")
    assert text == generate.text_of(module, facts, text), "run: make generate"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty project of Meltano, with both plugins added from their definitions."""
    folder = tmp_path_factory.mktemp("meltano") / "project"
    folder.mkdir()
    (folder / "meltano.yml").write_text("version: 1\nsend_anonymous_usage_stats: false\n")
    for _, name, _ in generate.PLUGINS:
        kind, plugin, _ = name.split("/")
        meltano(
            folder, "add", "--plugin-type", kind, "--from-ref", str(generate.HUB / name),
            "--no-install", plugin,
        )  # fmt: skip
    return folder


def meltano(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(MELTANO), *arguments], cwd=folder, env=environ(MELTANO_CLI_DISABLE_VERSION_CHECK="1"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_meltano_adds_the_plugins_and_lists_their_settings(project: Path) -> None:
    plugins = yaml.safe_load((project / "meltano.yml").read_text())["plugins"]
    assert plugins["extractors"][0]["pip_url"] == "pipeboard-tap-pipedrive"
    assert plugins["loaders"][0]["pip_url"] == "pipeboard-target-postgres"
    listed = meltano(project, "config", "list", "tap-pipedrive", "--all")
    assert "TAP_PIPEDRIVE_API_TOKEN" in listed
    assert "changelog_mode" in listed


def changed(project: Path, folder: Path, old: str, new: str) -> Path:
    """Return a copy of the project with one line of its file changed."""
    text = (project / "meltano.yml").read_text()
    assert text.count(f"    {old}\n") == 1
    shutil.copytree(project, folder)
    (folder / "meltano.yml").write_text(text.replace(f"    {old}\n", f"    {new}\n"))
    return folder


@pytest.mark.long
def test_meltano_starts_the_added_tap(project: Path, tmp_path: Path) -> None:
    # Its environment is that of this tree: to install another one takes a minute.
    installed = ROOT / ".pipeboard" / "env" / "tap" / "bin" / "tap-pipedrive"
    line = "executable: tap-pipedrive"
    with_tap = changed(project, tmp_path / "project", line, f"executable: {installed}")
    assert "page_size" in meltano(with_tap, "invoke", "tap-pipedrive", "--about")


@pytest.mark.nightly
def test_meltano_installs_the_tap_from_a_git_address(
    project: Path, copy: Path, tmp_path: Path
) -> None:
    address = f"git+file://{copy}#subdirectory=tap-pipedrive"
    line = "pip_url: pipeboard-tap-pipedrive"
    with_tap = changed(project, tmp_path / "project", line, f"pip_url: {address}")
    meltano(with_tap, "install", "extractor", "tap-pipedrive")
    assert "page_size" in meltano(with_tap, "invoke", "tap-pipedrive", "--about")
