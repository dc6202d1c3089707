"""The catalogue of every table and column, as one web page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pipeboard.local.simulator import Account
from pipeboard.problems import ExitCode, Problem
from pipeboard.worlds import DEMO_DATABASE, OWN_DATABASE, settings

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.local.services import Services
    from pipeboard.worlds import World


def write_catalogue(services: Services, console: Console) -> Path:
    """Let dbt describe what is built, and leave the page under build/."""
    world = described_world(services, console)
    console.note("catalogue", f"of {world.database.place}")
    outcome = subprocess.run(
        [str(services.paths.binaries / "dbt"), "docs", "generate", "--static"],
        cwd=services.paths.root,
        env=world.environ,
        text=True,
        capture_output=True,
        check=False,
    )
    if outcome.returncode:
        what = f"dbt cannot write the catalogue: {world.redact(outcome.stdout.strip()[-400:])}"
        raise Problem(what, "", ExitCode.DATA)
    page = services.paths.root / "build" / "docs" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(world.environ["DBT_TARGET_PATH"]) / "static_index.html", page)
    console.note("catalogue", str(page.relative_to(services.paths.root)))
    return page


def described_world(services: Services, console: Console) -> World:
    """Return the world whose marts are built: somebody's own, else the demo's."""
    if settings(services.paths).get("PIPEBOARD_DATABASE_URL"):
        return services.own(console)
    services.start_postgres(console, OWN_DATABASE)
    urls = services.postgres.urls(OWN_DATABASE, DEMO_DATABASE) or {}
    if _has_marts(urls.get(OWN_DATABASE)):
        return services.own(console)
    if _has_marts(urls.get(DEMO_DATABASE)):
        return services.demo(console, Account())
    what = "no marts are built yet"
    raise Problem(what, "Run `make demo` or `make sync` first", ExitCode.CONFIGURATION)


def _has_marts(url: str | None) -> bool:
    try:
        with psycopg.connect(url or "", connect_timeout=5) as connection:
            row = connection.execute("select to_regclass('marts.fct_deal') is not null").fetchone()
            return row == (True,)
    except psycopg.Error:
        return False
