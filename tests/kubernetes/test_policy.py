"""A policy scanner looks at every overlay; what it finds is mended, or explained."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Rendered

SCANNER = ROOT / ".pipeboard" / "env" / "policy" / "bin" / "checkov"
EXCEPTIONS = yaml.safe_load((Path(__file__).parent / "exceptions.yml").read_text())


def findings(folder: Path, home: Path) -> set[tuple[str, str]]:
    """Return which check failed on what."""
    outcome = subprocess.run(
        [str(SCANNER), "-d", str(folder), "--framework", "kubernetes", "--output", "json"]
        + ["--skip-download", "--compact", "--quiet", "--soft-fail"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LOG_LEVEL": "ERROR"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 500
    return {(f["check_id"], f["resource"]) for f in report["results"]["failed_checks"]}


@pytest.mark.long
def test_every_finding_is_mended_or_explained(
    rendered: dict[str, Rendered], tmp_path: Path
) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    for name, overlay in rendered.items():
        (manifests / f"{name}.yaml").write_text(overlay.text)
    found = findings(manifests, tmp_path)
    used = set()
    unexplained = []
    for check, resource in sorted(found):
        matching = [
            number
            for number, exception in enumerate(EXCEPTIONS)
            if exception["check"] == check and fnmatch.fnmatchcase(resource, exception["resource"])
        ]
        used.update(matching)
        if not matching:
            unexplained.append(f"{check} on {resource}")
    assert unexplained == []
    assert [e for n, e in enumerate(EXCEPTIONS) if n not in used] == [], "no longer needed"
    assert all(len(exception["because"]) > 40 for exception in EXCEPTIONS)
