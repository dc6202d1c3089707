"""The first look: the dashboards as one page that works offline, made by another room's command."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pipeboard.catalogue import described_world
from pipeboard.problems import ExitCode, Problem
from pipeboard.worlds import DEMO

if TYPE_CHECKING:
    from pathlib import Path

    from pipeboard.console import Console
    from pipeboard.paths import Paths
    from pipeboard.services import Services
    from pipeboard.worlds import World

#: Packages from a slow registry, then a dozen selects.
SECONDS = 300
REMEDY = "Run `make look` to try again"


def look(services: Services, console: Console) -> None:
    """Write the page of somebody's own account, or of the demo's where that is all there is."""
    world = described_world(services, console)
    console.note("first look", f"of {world.database.place}")
    page = write_page(services.paths, world)
    console.note("first look", page)


def write_page(paths: Paths, world: World) -> str:
    """Write the page of a world and return its address.

    Raises:
        Problem: when it is not there, in the words of who should have made it; or when it is
            there, but cards in it could not be read.
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
    if outcome.returncode:
        said = world.redact(outcome.stderr.strip()).splitlines() or ["it said nothing"]
        what = said[0].removeprefix("pipeboard-metabase: ")
        known = outcome.returncode in set(ExitCode)
        raise Problem(what, "", ExitCode(outcome.returncode) if known else ExitCode.FAILED)
    return outcome.stdout.strip()


def page_of(paths: Paths) -> Path:
    """Return where the page is: under build/, or with the rest of a state kept elsewhere."""
    home = paths.root if paths.local == paths.tools else paths.local
    return home / "build" / "dashboard" / "index.html"
