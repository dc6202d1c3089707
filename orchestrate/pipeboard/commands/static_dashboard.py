"""The static dashboard: all dashboards in one page that works offline, by `pipeboard-metabase`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pipeboard.commands.data_dictionary import described_environment
from pipeboard.environments import DEMO
from pipeboard.errors import ExitCode, PipeboardError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.local.services import Services
    from pipeboard.paths import Paths

#: The first time, packages come from a registry that may be slow.
TIMEOUT_SECONDS = 300
REMEDY = "Run `make look` to try again"


def write_static_dashboard(services: Services, console: Console) -> int:
    """Write the page of the user's own account, or of the demo if only that is built."""
    environment = described_environment(services, console)
    console.note("dashboard", f"of {environment.database.place}")
    page, complaints = write_page(services.paths, environment)
    for line in complaints:
        console.note("dashboard", line)
    console.note("dashboard", page)
    return ExitCode.DATA if complaints else ExitCode.OK


def write_page(paths: Paths, environment: Environment) -> tuple[str, list[str]]:
    """Write the page of an environment; return its address, and the cards that it lacks and why.

    Raises:
        PipeboardError: no page was written; the message is that of `pipeboard-metabase`.

    """
    command = [str(paths.binaries / "pipeboard-metabase"), "static-dashboard"]
    command += ["--out", str(page_of(paths)), "--cache", str(paths.tools / "look")]
    command += ["--node", str(paths.environment("look"))]
    try:
        outcome = subprocess.run(
            [*command, *(["--demo"] if environment.kind == DEMO else [])],
            cwd=paths.root,
            env=environment.variables,
            text=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        what = f"the static dashboard was not written: {type(error).__name__}"
        raise PipeboardError(what, REMEDY, ExitCode.UNAVAILABLE) from error
    messages = [
        line.removeprefix("pipeboard-metabase: ")
        for line in environment.redact(outcome.stderr.strip()).splitlines()
    ]
    page = outcome.stdout.strip()
    if not page:
        known = outcome.returncode in set(ExitCode)
        what = (
            messages[-1] if messages else "the static dashboard was not written, without a reason"
        )
        raise PipeboardError(what, "", ExitCode(outcome.returncode) if known else ExitCode.FAILED)
    return page, messages if outcome.returncode else []


def page_of(paths: Paths) -> Path:
    """Return the path of the page: below build/, or below the local state if that is elsewhere."""
    base = paths.root if paths.local == paths.tools else paths.local
    return base / "build" / "dashboard" / "index.html"
