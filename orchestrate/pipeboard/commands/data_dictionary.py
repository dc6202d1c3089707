"""The data dictionary: every table and column, as one web page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pipeboard.environments import DEMO_DATABASE, OWN_DATABASE, settings
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.simulator import Account

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.local.services import Services


def write_data_dictionary(services: Services, console: Console) -> Path:
    """Let dbt generate the page; return its path under build/."""
    environment = described_environment(services, console)
    console.note("docs", f"of {environment.database.place}")
    outcome = subprocess.run(
        [str(services.paths.binaries / "dbt"), "docs", "generate", "--static"],
        cwd=services.paths.root,
        env=environment.variables,
        text=True,
        capture_output=True,
        check=False,
    )
    if outcome.returncode:
        reason = environment.redact(outcome.stdout.strip()[-400:])
        what = f"dbt cannot write the data dictionary: {reason}"
        raise PipeboardError(what, "", ExitCode.DATA)
    page = services.paths.root / "build" / "docs" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(environment.variables["DBT_TARGET_PATH"]) / "static_index.html", page)
    console.note("docs", str(page.relative_to(services.paths.root)))
    return page


def described_environment(services: Services, console: Console) -> Environment:
    """Return the environment whose marts are built: the user's own, else the demo."""
    if settings(services.paths).get("PIPEBOARD_DATABASE_URL"):
        return services.own(console)
    services.start_postgres(console, OWN_DATABASE)
    urls = services.postgres.urls(OWN_DATABASE, DEMO_DATABASE) or {}
    if _has_marts(urls.get(OWN_DATABASE)):
        return services.own(console)
    if _has_marts(urls.get(DEMO_DATABASE)):
        return services.demo(console, Account())
    what = "no marts are built yet"
    raise PipeboardError(what, "Run `make demo` or `make sync` first", ExitCode.CONFIGURATION)


def _has_marts(url: str | None) -> bool:
    try:
        with psycopg.connect(url or "", connect_timeout=5) as connection:
            row = connection.execute("select to_regclass('marts.fct_deal') is not null").fetchone()
            return row == (True,)
    except psycopg.Error:
        return False
