"""`pipeboard-metabase static-dashboard`: write the page and say where it is."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from pipeboard_metabase.definitions import load
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.static_dashboard.bundle import make_bundle
from pipeboard_metabase.static_dashboard.page import render_page
from pipeboard_metabase.static_dashboard.queries import read

#: The second name is the one of earlier releases.
NAMES = ("static-dashboard", "first-look")
DATABASE = "PIPEBOARD_DATABASE_URL"

EPILOG = f"""\
The database is the one of {DATABASE}. Exit codes: 0 done; 64 usage; 65 the page is written, but
cards could not be read; 69 database or npm registry unavailable, try again; 78 configuration, or no
marts yet."""


def add_command(commands: Any) -> None:
    """Add the command to a parser's subcommands; the namespace gets `run`."""
    name, *aliases = NAMES
    parser = commands.add_parser(
        name,
        aliases=aliases,
        help="write the dashboards as one page that works offline",
        description="Write the dashboards as one page that works offline: the cards and selects "
        "that Metabase gets, as they are now.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("build/dashboard/index.html"))
    local = Path(".pipeboard")
    parser.add_argument(
        "--cache", type=Path, default=local / "look", help="where packages and the bundle are kept"
    )
    parser.add_argument(
        "--node", type=Path, default=local / "env" / "look", help="the environment that Node is in"
    )
    parser.add_argument("--demo", action="store_true", help="say that the account is simulated")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page; return the exit code.

    Raises:
        PipeboardError: when there is no page: no Node, no registry, no database, no marts.
    """
    url = os.environ.get(DATABASE)
    if not url:
        what = f"{DATABASE} is not set"
        remedy = "Write postgresql://user:password@host:5432/database"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    definitions = load()
    try:
        account, results = read(url, definitions)
    except psycopg.OperationalError as error:
        # libpq names host and user; of a password with a bare "@" it takes a part for the host.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = "its address is not understood" if "@" in lines[0] else lines[0]
        what = f"the database cannot be read: {reason}"
        raise PipeboardError(what, f"Is {DATABASE} right?", ExitCode.UNAVAILABLE) from None
    bundle = make_bundle(arguments.cache.resolve(), arguments.node)
    write(arguments.out, render_page(definitions, account, results, bundle, demo=arguments.demo))
    print(arguments.out.absolute().as_uri())
    failed = {key: answer.error for key, answer in results.items() if answer.error}
    for key, reason in failed.items():
        print(f"pipeboard-metabase: card {key} could not be read: {reason}", file=sys.stderr)
    return ExitCode.DATA if failed else ExitCode.OK


def write(path: Path, text: str) -> None:
    """Write the page for its owner alone: it is full of customers.

    Raises:
        PipeboardError: it cannot be written; the page before it is as it was.

    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        what = f"{path} cannot be written: {error.strerror}"
        raise PipeboardError(what, "Make room or change --out", ExitCode.UNAVAILABLE) from error
