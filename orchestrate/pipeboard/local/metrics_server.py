"""The metrics server: query-exporter with our queries, pointed at the environment's database.

It becomes query-exporter (exec), so that the caller supervises that process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.launch import environ_of

if TYPE_CHECKING:
    from pipeboard.database_url import DatabaseUrl
    from pipeboard.paths import Paths

QUERIES = Path("k8s/components/metrics-server/queries.yml")
#: A role that may only read; unset, the sync's own role is used, in read-only sessions.
URL_VARIABLE = "PIPEBOARD_METRICS_DATABASE_URL"


def serve(
    paths: Paths, database: DatabaseUrl, host: str, port: int, queries: Path | None
) -> NoReturn:
    """Become query-exporter."""
    program = paths.environment("metrics") / "bin" / "query-exporter"
    if not program.exists():
        what = f"the metrics server is not installed ({program})"
        remedy = "Run `python3 orchestrate/bootstrap.py metrics`, with Python 3.11 or newer"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    chosen = queries or paths.root / QUERIES
    if not chosen.is_file():
        what = f"there is no file {chosen}"
        raise PipeboardError(what, "Name another one by --queries", ExitCode.CONFIGURATION)
    arguments = [
        "--config",
        str(chosen),
        "--host",
        host,
        "--port",
        str(port),
        "--log-format",
        "json",
    ]
    given = {k: v for k, v in os.environ.items() if not k.startswith(("QE_", URL_VARIABLE))}
    environ = environ_of("query-exporter", given)
    environ["PIPEBOARD_METRICS_DSN"] = database.for_sqlalchemy()
    sys.stdout.flush()
    os.execve(program, [str(program), *arguments], environ)
