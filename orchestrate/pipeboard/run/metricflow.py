"""The command `mf`: MetricFlow's command line on the semantic models of transform/.

launch.py starts this file with dbt's Python. MetricFlow reads `target/semantic_manifest.json` of a project folder
and knows no other place, so it gets the folder above dbt's target, with a `dbt_project.yml` of two lines. The
manifest is made anew first: a sync does not always write it. MetricFlow would also ask PyPI for a newer version of
itself at each start; that is off.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

#: What MetricFlow reads of a project: its name and its profile.
PROJECT = "name: pipeboard\nprofile: pipeboard\n"
#: The commands that read the manifest.
QUERIES = {"query", "list", "validate-configs"}


def main() -> None:
    """Run `mf` with the words of the command line; it ends this process with its exit code."""
    words = sys.argv[1:]
    if QUERIES.intersection(words) and "--help" not in words:
        _make_manifest(Path(os.environ["DBT_TARGET_PATH"]))
    import_module("update_checker").UpdateChecker.check = lambda *_: None
    import_module("dbt_metricflow.cli.main").cli(prog_name="mf")


def _make_manifest(target: Path) -> None:
    """Parse the project, and give MetricFlow a folder in which it finds the manifest."""
    parsed = import_module("dbt.cli.main").dbtRunner().invoke(["--quiet", "parse"])
    if not parsed.success:
        sys.exit(f"mf: the project cannot be parsed: {parsed.exception}")
    (target.parent / "dbt_project.yml").write_text(PROJECT)
    os.environ["DBT_PROJECT_DIR"] = str(target.parent)


if __name__ == "__main__":
    main()
