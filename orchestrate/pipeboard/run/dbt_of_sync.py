"""The command `dbt` as a sync runs it: manifest.json is written when the project has changed.

dbt writes that file twice in each run, which takes as long as twenty models. launch.py starts this
file with dbt's own Python. Everything else, run_results.json too, is as dbt does it.
"""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path


def is_current(manifest: Path, stamp: Path, fingerprint: str) -> bool:
    """Tell whether a manifest is that of the project, and nobody has written it since."""
    try:
        written = manifest.stat().st_mtime_ns
        return stamp.stat().st_mtime_ns >= written and stamp.read_text() == fingerprint
    except OSError:
        return False


def main() -> None:
    """Run dbt with the words of the command line; it ends this process with its exit code."""
    fingerprint = os.environ.get("PIPEBOARD_PROJECT_FINGERPRINT", "")
    manifest = Path(os.environ.get("DBT_TARGET_PATH", "target")) / "manifest.json"
    stamp = manifest.with_suffix(".fingerprint")
    known = is_current(manifest, stamp, fingerprint)
    if known:
        for module in ("dbt.parser.manifest", "dbt.task.runnable"):
            vars(import_module(module))["write_manifest"] = lambda *_, **__: None
    began = time.time_ns()
    try:
        import_module("dbt.cli.main").cli()
    finally:
        if not known and manifest.exists() and manifest.stat().st_mtime_ns >= began:
            stamp.write_text(fingerprint)


if __name__ == "__main__":
    main()
