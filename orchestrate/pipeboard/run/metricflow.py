"""The command `mf`: MetricFlow's command line on the semantic models of transform/.

launch.py starts this file with dbt's Python. MetricFlow looks for `target/semantic_manifest.json`
in a project folder and knows no other place, so it gets the folder above dbt's target, with a
`dbt_project.yml` of two lines. The manifest is made anew first: a sync does not always write it.

Two packages that MetricFlow's command line imports are not installed: `halo`, a spinner without a
wheel, and `update_checker`, which would ask PyPI for a newer version at each start.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

#: What MetricFlow reads of a project: its name and its profile.
PROJECT = "name: pipeboard\nprofile: pipeboard\n"
#: The commands that read the manifest.
QUERIES = {"query", "list", "validate-configs"}


class Progress:
    """Instead of the spinner: one line on standard error when a step has ended."""

    def __init__(self, text: str = "", **_: Any) -> None:
        self.text = text

    def start(self) -> None:
        """Write nothing: a step takes a second or two."""

    def succeed(self, text: str = "") -> None:
        """Write how the step ended."""
        print(text or self.text, file=sys.stderr)

    fail = succeed


class NoUpdates:
    """Instead of a question to PyPI."""

    def check(self, *_: str) -> None:
        """Know of no newer version."""


def main() -> None:
    """Run `mf` with the arguments of the command line; it ends this process with its exit code."""
    arguments = sys.argv[1:]
    if QUERIES.intersection(arguments) and "--help" not in arguments:
        _make_manifest(Path(os.environ["DBT_TARGET_PATH"]))
    _stand_in("halo", Halo=Progress)
    _stand_in("update_checker", UpdateChecker=NoUpdates)
    import_module("dbt_metricflow.cli.main").cli(prog_name="mf")


def _make_manifest(target: Path) -> None:
    """Parse the project, and give MetricFlow a folder in which it finds the manifest."""
    # launch.py starts files: this one's package is not installed here.
    runpy.run_path(str(Path(__file__).with_name("dbt_of_sync.py")))["share_parsed_project"]()
    parsed = import_module("dbt.cli.main").dbtRunner().invoke(["--quiet", "parse"])
    if not parsed.success:
        sys.exit(f"mf: dbt cannot parse the project: {parsed.exception}")
    (target.parent / "dbt_project.yml").write_text(PROJECT)
    os.environ["DBT_PROJECT_DIR"] = str(target.parent)


def _stand_in(name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


if __name__ == "__main__":
    main()
