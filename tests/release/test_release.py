"""`make release` makes all of a release but the push, and refuses what would be wrong."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from conftest import ROOT, clone, git

PAGE = "https://example.com/acme/pipeboard"
#: Ends with an error unless its input is a document as CycloneDX describes it.
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""
SBOM = ROOT / ".pipeboard" / "env" / "sbom" / "bin" / "python"
#: One environment stands for all: the others are read in the same way, and take as long.
RUN = "import sys, release; release.COMPONENTS_OF = ('tap',); sys.exit(release.main(sys.argv[1:]))"


def release(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], cwd=folder / "orchestrate",
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "build" / "release").iterdir()}


def test_help_names_what_there_is(copy: Path) -> None:
    shown = release(copy, "--help").stdout
    assert all(word in shown for word in ("version", "--dry-run", "--files-of", "--repository"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["two", "--repository", PAGE], "'two' is no version"),
        (["0.0.9", "--repository", PAGE], "0.0.9 is older than 0.1.0"),
        (["0.2.0"], "origin has no web page"),
        (["--files-of", "v9.9.9"], "the packages have version 0.1.0, the tag is v9.9.9"),
    ],
)
def test_a_wrong_release_is_refused(copy: Path, arguments: list[str], reason: str) -> None:
    refused = release(copy, *arguments)
    assert refused.returncode == 64
    assert reason in refused.stderr
    assert git(copy, "status", "--porcelain") == ""


def test_a_changed_tree_is_refused(copy: Path) -> None:
    (copy / "stray.txt").write_text("x")
    try:
        refused = release(copy, "0.2.0", "--repository", PAGE)
    finally:
        (copy / "stray.txt").unlink()
    assert refused.returncode == 64
    assert "stray.txt" in refused.stderr


def test_an_existing_tag_is_refused(copy: Path) -> None:
    git(copy, "tag", "v0.3.0")
    try:
        refused = release(copy, "0.3.0", "--repository", PAGE)
    finally:
        git(copy, "tag", "--delete", "v0.3.0")
    assert refused.returncode == 64
    assert "the tag v0.3.0 exists" in refused.stderr


def test_a_dependency_under_another_licence_is_refused(copy: Path) -> None:
    code = RUN.replace("; ", "; release.ALLOWED_LICENCES -= {'MPL-2.0'}; ", 1)
    refused = subprocess.run(
        [sys.executable, "-c", code, "0.2.0", "--repository", PAGE], cwd=copy / "orchestrate",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 64
    assert re.search(r"licences that are not allowed:\n.*certifi", refused.stderr, re.S)


def test_a_dry_run_restores_the_tree(copy: Path) -> None:
    before = git(copy, "rev-parse", "HEAD")
    tried = release(copy, "0.1.1", "--repository", PAGE, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert (git(copy, "status", "--porcelain"), git(copy, "rev-parse", "HEAD")) == ("", before)
    assert any(name.startswith("pipeboard_tap_pipedrive-0.1.1-") for name in files(copy))


@pytest.mark.long
def test_a_release_is_made_and_its_tag_gives_the_same_bytes(copy: Path, tmp_path: Path) -> None:
    # The other tests share the copy.
    made_in = clone(copy, tmp_path / "made", "--branch", "main")
    done = release(made_in, "0.2.0", "--repository", PAGE)
    assert done.returncode == 0, done.stderr
    assert "git push --atomic origin HEAD v0.2.0" in done.stdout
    assert git(made_in, "status", "--porcelain") == ""
    assert git(made_in, "log", "-1", "--format=%s") == "chore(release): 0.2.0"
    made = files(made_in)
    assert len([name for name in made if name.endswith(".whl")]) == 5
    assert_versions(made_in)
    assert_metadata(made)
    listed = json.loads(made["sbom.cdx.json"])
    assert listed["bomFormat"] == "CycloneDX"
    assert {"singer-sdk", "requests"} <= {each["name"] for each in listed["components"]}
    changelog = (made_in / "CHANGELOG.md").read_text()
    assert re.search(r"-->\n\n## \[0\.2\.0\] - 2\d{3}-\d\d-\d\d\n\n### \w+\n\n- ", changelog)
    assert "\n\n\n" not in changelog
    left = git(made_in, "ls-files", "changelog.d").splitlines()
    assert left == ["changelog.d/README.md", "changelog.d/section.md.jinja"]
    assert b"### Added" in made["notes.md"]

    # Elsewhere, later: what the workflow does.
    checkout = clone(made_in, tmp_path / "elsewhere" / "checkout", "--branch", "v0.2.0")
    again = release(checkout, "--files-of", "v0.2.0")
    assert again.returncode == 0, again.stderr
    assert files(checkout) == made


def assert_versions(copy: Path) -> None:
    """Hold every place that names a version of this project against the new one."""
    places = (
        r'(pipeboard:|revision: v|^ARG VERSION=|^__version__ = "|^version = "|^version: ")[0-9.]+'
    )
    where = ["--", "*", ":!examples/*/dbt_project.yml", ":!tests"]
    found = git(copy, "grep", "-noE", places, *where).splitlines()
    versions = {re.split(r"[^0-9.]", each)[-1] for each in found}
    assert len(found) > 15
    assert versions == {"0.2.0"}, found


def assert_metadata(made: dict[str, bytes]) -> None:
    """Hold what PyPI shows of each wheel against what a reader needs."""
    names = set()
    for name, content in made.items():
        if not name.endswith(".whl"):
            continue
        path = Path(name)
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            (entry,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = message_from_bytes(wheel.read(entry))
            inside = wheel.namelist()
        names.add(metadata["Name"])
        assert metadata["Version"] == "0.2.0", path
        assert metadata["License-Expression"] == "MIT"
        assert any(n.endswith("licenses/LICENSE") for n in inside), path
        assert any(n.endswith("/py.typed") for n in inside), path
        assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.15"}
        assert any(url.startswith(f"Source, {PAGE}") for url in metadata.get_all("Project-URL"))
        assert "Typing :: Typed" in metadata.get_all("Classifier")
        assert metadata.get_payload().startswith("# ")
    # Two of these names without their prefix are other projects on PyPI.
    assert names == {
        "pipeboard", "pipeboard-metabase", "pipeboard-tap-pipedrive", "pipeboard-target-postgres",
        "pipedrive-simulator",
    }  # fmt: skip


@pytest.mark.nightly
def test_all_components_are_listed_as_cyclonedx_and_have_an_allowed_licence() -> None:
    code = "import json, release; print(json.dumps(release.check_licences(release.components())))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "orchestrate",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    subprocess.run([SBOM, "-c", VALIDATE], input=done.stdout, text=True, check=True)
    assert len(json.loads(done.stdout)["components"]) > 150
