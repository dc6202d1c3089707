"""The first look: the dashboards as one page that works offline, made by another room's command."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pipeboard.commands.catalogue import described_world
from pipeboard.problems import ExitCode, Problem
from pipeboard.worlds import DEMO

if TYPE_CHECKING:
    from pathlib import Path

    from pipeboard.console import Console
    from pipeboard.local.services import Services
    from pipeboard.paths import Paths
    from pipeboard.worlds import World

#: Packages from a slow registry, then a dozen selects.
SECONDS = 300
REMEDY = "Run `make look` to try again"


def look(services: Services, console: Console) -> int:
    """Write the page of somebody's own account, or of the demo's where that is all there is."""
    world = described_world(services, console)
    console.note("first look", f"of {world.database.place}")
    page, complaints = write_page(services.paths, world)
    for line in complaints:
        console.note("first look", line)
    console.note("first look", page)
    return ExitCode.DATA if complaints else ExitCode.OK


def write_page(paths: Paths, world: World) -> tuple[str, list[str]]:
    """Write the page of a world; return its address, and what could not be shown on it.

    Raises:
        Problem: when there is none, in the words of who should have made it.
    """
    words = [str(paths.binaries / "pipeboard-metabase"), "first-look"]
    words += ["--out", str(page_of(paths)), "--cache", str(paths.tools / "look")]
    words += ["--node", str(paths.environment("look"))]
    try:
        outcome = subprocess.run(
            [*words, *(["--demo"] if world.name == DEMO else [])],
            cwd=paths.root,
            env=world.environ,
            text=True,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        what = f"the first look was not made: {type(error).__name__}"
        raise Problem(what, REMEDY, ExitCode.UNAVAILABLE) from error
    said = [
        line.removeprefix("pipeboard-metabase: ")
        for line in world.redact(outcome.stderr.strip()).splitlines()
    ]
    page = outcome.stdout.strip()
    if not page:
        known = outcome.returncode in set(ExitCode)
        what = said[-1] if said else "the first look was not made, and nobody said why"
        raise Problem(what, "", ExitCode(outcome.returncode) if known else ExitCode.FAILED)
    return page, said if outcome.returncode else []


def page_of(paths: Paths) -> Path:
    """Return where the page is: under build/, or with the rest of a state kept elsewhere."""
    home = paths.root if paths.local == paths.tools else paths.local
    return home / "build" / "dashboard" / "index.html"
