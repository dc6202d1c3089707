"""`mf` as the project starts it: with a manifest made anew, and without packages it needs not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from stand_ins import MEASURED, ROOT

from pipeboard.run import metricflow

PYTHON = ROOT / ".pipeboard" / "env" / "dbt" / "bin" / "python"
PROJECT = """
name: small
profile: pipeboard
flags: {send_anonymous_usage_stats: false, version_check: false}
"""
#: Nothing of these tests connects.
PROFILE = """
pipeboard:
  target: any
  outputs:
    any: {type: postgres, host: 127.0.0.1, port: 9, user: a, password: b, dbname: c, schema: d}
"""
TIME_SPINE = """
models:
  - name: days
    time_spine: {standard_granularity_column: day}
    columns: [{name: day, granularity: day}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "transform"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILE)
    (folder / "models" / "days.sql").write_text("select current_date as day")
    (folder / "models" / "days.yml").write_text(TIME_SPINE)
    return folder


def mf(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PYTHON), "-I", metricflow.__file__, *arguments],
        cwd=project,
        env={
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **MEASURED,
            "DBT_PROJECT_DIR": str(project),
            "DBT_PROFILES_DIR": str(project),
            "DBT_TARGET_PATH": str(project.parent / "local" / "target"),
        },
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.long
def test_a_query_finds_the_manifest_that_is_made_for_it(project: Path) -> None:
    done = mf(project, "list", "metrics")
    local = project.parent / "local"
    assert (local / "target" / "semantic_manifest.json").exists(), done.stdout + done.stderr
    assert (local / "dbt_project.yml").read_text() == "name: pipeboard\nprofile: pipeboard\n"
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 metrics" in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.long
def test_a_project_that_dbt_cannot_parse_is_one_line(project: Path) -> None:
    (project / "models" / "broken.sql").write_text("{{ ref('absent') }}")
    done = mf(project, "list", "metrics")
    assert done.returncode == 1
    assert "mf: dbt cannot parse the project: " in done.stderr
    assert "absent" in done.stderr
