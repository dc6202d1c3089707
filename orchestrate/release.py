"""Make a release, except for the push.

`release.py VERSION` writes the version into every package, manifest and page that names it, makes
a section of the changelog from changelog.d, checks the licences of all dependencies, builds wheels
and a list of components (SBOM, CycloneDX) into build/release, commits and tags. `--dry-run` does
the same and restores the tree. `release.py --files-of TAG` only builds the files again, byte for
byte, from a checkout of the tag: that is what the workflow publishes.

Exit codes: 0 done, 64 refused (nothing was changed), 70 a step failed (the tree was restored).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "build" / "release"
ENVIRONMENTS = ROOT / ".pipeboard" / "env"
UV = ENVIRONMENTS / "uv" / "bin" / "uv"
#: What lists the packages of an environment.
SBOM = ENVIRONMENTS / "sbom" / "bin" / "python"
PINS = ROOT / "requirements" / "build.txt"
#: The packages that are released. The simulator is one: it serves tests of other projects.
PACKAGES = (
    "tap-pipedrive",
    "plugins/loaders/target-postgres",
    "plugins/utilities/pipedrive-simulator",
    "plugins/utilities/metabase",
    "orchestrate",
)
#: The environments whose packages users run.
COMPONENTS_OF = ("meltano", "tap", "loader", "dbt", "metabase", "demo", "metrics", "prefect")

#: Where the version is: files, and what is before and after it on a line.
VERSION_PLACES = (
    ("**/pyproject.toml", r'^version = "', '"$'),
    ("**/__init__.py", r'^__version__ = "', '"$'),
    ("transform/dbt_project.yml", r'^version: "', '"$'),
    ("Dockerfile", r"^ARG VERSION=", "$"),
    ("**/*.yaml", r"\bpipeboard:", r'(?="?[}\s]|$)'),
    ("**/base-job-template.json", r'"pipeboard:', r'"'),
    ("**/*.yml", r"^#? *revision: v", "$"),
    ("**/README.md", r"^ *revision: v", "$"),
)
VERSION = r"\d+\.\d+\.\d+"
VERSION_LINE = rf'^version = "({VERSION})"$'

#: What a dependency may state: permissive, or copyleft of the library only. Identifiers of SPDX,
#: and classifiers of PyPI, which older packages have instead.
ALLOWED_LICENCES = frozenset(
    {
        "0BSD",
        "Artistic-1.0",
        "Apache Software License",
        "Apache-2.0",
        "BSD License",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CNRI-Python",
        "GNU Library or Lesser General Public License (LGPL)",
        "HPND",
        "ISC",
        "LGPL-2.1",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "Mozilla Public License 2.0 (MPL 2.0)",
        "PostgreSQL",
        "PSF-2.0",
        "Public Domain",
        "Python-2.0",
        "Unlicense",
        "ZPL-2.1",
        "Zlib",
    }
)
#: Packages whose metadata does not decide it; a person read the licence in the package.
READ_LICENCES = {
    # States none; its LICENSE file is the three-clause one.
    "protobuf": "BSD-3-Clause",
    # The Artistic License or the GPL, as one chooses.
    "text-unidecode": "Artistic-1.0",
}
#: Programs that are started and never imported: their licence does not reach the code here.
SEPARATE_PROGRAMS = {"query-exporter": "GPL-3.0-or-later"}


class Refused(Exception):
    """A release that may not be made; nothing was changed."""


def refuse(reason: str) -> NoReturn:
    """End the release with a reason."""
    raise Refused(reason)


def main(arguments: list[str]) -> int:
    """Make a release or its files, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make release VERSION=", description="Make a release, except for the push."
    )
    parser.add_argument("version", nargs="?", help="the new version, for example 0.2.0")
    parser.add_argument("--dry-run", action="store_true", help="do it all, then restore the tree")
    parser.add_argument("--files-of", metavar="TAG", help="only build the files of this tag")
    parser.add_argument(
        "--repository", metavar="URL", default=os.environ.get("REPOSITORY") or origin(),
        help="the project's page on the web, for the wheels' metadata; default: that of origin",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    if bool(given.version) == bool(given.files_of):
        parser.error("name a version, or --files-of TAG")
    try:
        if given.files_of:
            bom = check_tag(given.files_of)
            make_files(int(git("log", "-1", "--format=%ct")), given.files_of[1:], bom)
        else:
            bom = check(given.version, given.repository)
            release(given.version, given.repository, bom, dry_run=given.dry_run)
    except Refused as reason:
        print(f"refused: {reason}", file=sys.stderr)
        return 64
    except subprocess.CalledProcessError as failure:
        print(failure.stderr or "", f"{failure.cmd[0]} failed", sep="", file=sys.stderr)
        return 70
    return 0


def origin() -> str:
    """Return the address of the project's page, if the remote `origin` has one."""
    try:
        remote = git("remote", "get-url", "origin")
    except subprocess.CalledProcessError:
        return ""
    found = re.match(r"(?:https://|git@|ssh://git@)([\w.-]+\.[a-z]+)[:/](.+?)(?:\.git)?$", remote)
    return f"https://{found[1]}/{found[2]}" if found else ""


def git(*arguments: str, **environ: str) -> str:
    """Run git in the tree, and return what it prints."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, env={**os.environ, **environ},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def check(version: str, repository: str) -> dict[str, Any]:
    """Refuse a release that would be wrong, before anything is changed; return the components."""
    if not re.fullmatch(VERSION, version):
        refuse(f"{version!r} is no version of the form 1.2.3")
    if ordered(version) < ordered(current_version()):
        refuse(f"{version} is older than {current_version()}")
    if not repository.startswith("https://"):
        refuse("origin has no web page. Name it: REPOSITORY=https://...")
    if changed := git("status", "--porcelain"):
        refuse(f"the tree has changes that are not committed:\n{changed}")
    if git("tag", "--list", f"v{version}"):
        refuse(f"the tag v{version} exists")
    if len(list((ROOT / "changelog.d").glob("*.md"))) == 1:
        refuse("changelog.d has nothing but its README")
    return check_licences(components())


def check_tag(tag: str) -> dict[str, Any]:
    """Refuse a tag that is not the checkout, or not its version; return the components."""
    if tag != f"v{current_version()}":
        refuse(f"the packages have version {current_version()}, the tag is {tag}")
    if git("rev-parse", f"{tag}^{{commit}}") != git("rev-parse", "HEAD"):
        refuse(f"the checkout is not {tag}")
    if changed := git("status", "--porcelain"):
        refuse(f"the tree has changes that are not in {tag}:\n{changed}")
    return check_licences(components())


def ordered(version: str) -> tuple[int, ...]:
    """Return a version as numbers."""
    return tuple(map(int, version.split(".")))


def current_version() -> str:
    """Return the version that all packages have."""
    texts = [(ROOT / folder / "pyproject.toml").read_text() for folder in PACKAGES]
    (version,) = {version for text in texts for version in re.findall(VERSION_LINE, text, re.M)}
    return str(version)


def release(version: str, repository: str, bom: dict[str, Any], *, dry_run: bool) -> None:
    """Write, build, commit and tag; on failure and after a dry run, restore the tree."""
    now = int(time.time())
    done = False
    try:
        write_version(version)
        write_urls(repository)
        write_changelog(version, time.strftime("%Y-%m-%d", time.gmtime(now)))
        make_files(now, version, bom)
        if not dry_run:
            git("add", "--update")
            at = {"GIT_AUTHOR_DATE": f"@{now} +0000", "GIT_COMMITTER_DATE": f"@{now} +0000"}
            git("commit", "--quiet", "--message", f"chore(release): {version}", **at)
            done = True
            git("tag", "--annotate", f"v{version}", "--message", section(version), **at)
    finally:
        if not done:
            git("checkout", "HEAD", "--", ".")
    if dry_run:
        print("The tree is as before. Without DRY_RUN=1 this would be committed and tagged.")
    else:
        print(f"Committed and tagged. To publish it: git push --atomic origin HEAD v{version}")


def places() -> Iterator[tuple[Path, str, str]]:
    """Yield the tracked files that may name the version, with what is before and after it."""
    tracked = [Path(name) for name in git("ls-files").splitlines()]
    for pattern, before, after in VERSION_PLACES:
        for path in tracked:
            if path.match(pattern.removeprefix("**/")) and (ROOT / path).is_file():
                yield ROOT / path, before, after


def write_version(version: str) -> None:
    """Write the version to each place that has the current one."""
    old = re.escape(current_version())
    for path, before, after in places():
        text = path.read_text(encoding="utf-8")
        new = re.sub(rf"({before}){old}({after})", rf"\g<1>{version}\g<2>", text, flags=re.M)
        if new != text:
            path.write_text(new, encoding="utf-8")


def write_urls(repository: str) -> None:
    """Write the project's addresses into packages and plugin definitions, for PyPI and the Hub."""
    for folder in PACKAGES:
        path = ROOT / folder / "pyproject.toml"
        page = f"{repository}/tree/main/{folder}"
        urls = (
            f'[project.urls]\nHomepage = "{page}#readme"\n'
            f'Changelog = "{repository}/blob/main/CHANGELOG.md"\n'
            f'Issues = "{repository}/issues"\nSource = "{page}"\n\n'
        )
        text = re.sub(r"^\[project\.urls\]\n(?:\w.*\n)*\n", "", path.read_text(), flags=re.M)
        path.write_text(text.replace("[project.scripts]\n", urls + "[project.scripts]\n", 1))
    for path in (ROOT / "plugins" / "hub").glob("*/*/*.yml"):
        text = re.sub(r"^repo: .*\n", "", path.read_text(), flags=re.M)
        path.write_text(text + f"repo: {repository}\n")


def section(name: str) -> str:
    """Return the text of a section of the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(name)}\].*?\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found[1].strip() if found else ""


def write_changelog(version: str, day: str) -> None:
    """Make a section of the files in changelog.d, and delete them."""
    subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--yes", "--version", version, "--date", day],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip


def make_files(epoch: int, version: str, bom: dict[str, Any]) -> None:
    """Build wheels, SBOM, notes and checksums; the same epoch (in seconds) gives the same bytes."""
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        python = builder(Path(scratch))
        for folder in PACKAGES:
            build(python, folder, epoch)
    described = {"type": "application", "name": "pipeboard", "version": version}
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    bom = {**bom, "metadata": {"timestamp": at, "component": described}}
    (FILES / "sbom.cdx.json").write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n")
    (FILES / "notes.md").write_text(section(version) + "\n", encoding="utf-8")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(FILES.iterdir())
    ]
    (FILES / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


def builder(folder: Path) -> Path:
    """Make an environment of the pinned build tools, and return its Python."""
    python = folder / "bin" / "python"
    for command in (
        ["venv", "-q", "--no-project", "--python", sys.executable, str(folder)],
        ["pip", "sync", "-q", "--python", str(python), "--no-build", "--require-hashes", str(PINS)],
    ):
        subprocess.run([str(UV), *command], cwd=ROOT, capture_output=True, text=True, check=True)
    return python


def build(python: Path, folder: str, epoch: int) -> None:
    """Build the wheel of one package into build/release."""
    subprocess.run(
        [str(python), "-m", "hatchling", "build", "--target", "wheel", "--directory", str(FILES)],
        cwd=ROOT / folder, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip


def components() -> dict[str, Any]:
    """Return one CycloneDX document of all packages that users run, sorted."""
    found: dict[str, dict[str, Any]] = {}
    document: dict[str, Any] = {}
    for name in COMPONENTS_OF:
        python = ENVIRONMENTS / name / "bin" / "python"
        if not python.exists():
            refuse(f"the environment {name} is missing: make setup")
        made = subprocess.run(
            [str(SBOM), "-m", "cyclonedx_py", "environment", "--output-reproducible"]
            + ["--no-validate", "--spec-version", "1.6", "--output-format", "JSON", str(python)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        document = json.loads(made.stdout)
        for component in document["components"]:
            # Packages of this repository are what is released, not what that depends on.
            if not any(p.get("value") == "true" for p in component.get("properties", [])):
                found.setdefault(f"{component['name']}=={component['version']}", component)
    header = {key: document[key] for key in ("$schema", "bomFormat", "specVersion", "version")}
    return {**header, "components": [found[key] for key in sorted(found)]}


def check_licences(bom: dict[str, Any]) -> dict[str, Any]:
    """Refuse dependencies under a licence that is not on the list; return the document."""
    refused = []
    for component in bom["components"]:
        stated = licences_of(component)
        if SEPARATE_PROGRAMS.get(component["name"]) in stated:
            continue
        if not stated or not all(allowed(each) for each in stated):
            refused.append(f"{component['name']} {component['version']}: {stated or 'none stated'}")
    if refused:
        refuse("licences that are not allowed:\n" + "\n".join(refused))
    return bom


def licences_of(component: dict[str, Any]) -> list[str]:
    """Return the licences that a package states, as SPDX expressions where it has them."""
    if component["name"] in READ_LICENCES:
        return [READ_LICENCES[component["name"]]]
    stated = []
    for choice in component.get("licenses", []):
        licence = choice.get("license", {})
        stated.append(choice.get("expression") or licence.get("id") or licence.get("name", ""))
    return [each.rpartition(":: ")[2] for each in stated]


def allowed(expression: str) -> bool:
    """Tell whether one of the alternatives of an SPDX expression is on the list."""
    if expression in ALLOWED_LICENCES:
        return True
    alternatives = re.split(r"\s+OR\s+", expression.replace("(", "").replace(")", ""))
    return any(
        all(part in ALLOWED_LICENCES for part in re.split(r"\s+AND\s+", alternative))
        for alternative in alternatives
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
