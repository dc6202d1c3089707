"""The command `pipeboard-metabase`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeboard_metabase.client import Client
from pipeboard_metabase.console import Console
from pipeboard_metabase.definitions import load
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.provision import provision
from pipeboard_metabase.run import Run
from pipeboard_metabase.settings import Settings, language_of, read_settings
from pipeboard_metabase.setup import (
    administrator,
    connect,
    keep_key,
    login,
    stored_key,
    wait_until_healthy,
    write_key,
)
from pipeboard_metabase.smoke import smoke
from pipeboard_metabase.static_dashboard import command as static_dashboard
from pipeboard_metabase.translations import DefinitionError
from pipeboard_metabase.warehouse import Contents, NoMarts, read_contents

EPILOG = """\
Settings come from the environment: METABASE_URL, METABASE_DATABASE_URL, METABASE_API_KEY or
METABASE_ADMIN_EMAIL with METABASE_ADMIN_PASSWORD, METABASE_LOCALE (en or pt), METABASE_SITE_URL,
METABASE_TIMEOUT_SECONDS, PIPEBOARD_DATABASE_URL. `make metabase` reads them from .env.

Exit codes: 0 done, or nothing differs; 1 check: something differs; 2 plan: something would change;
64 usage; 65 data, or a card failed; 69 Metabase or warehouse unavailable, try again; 77 not
permitted; 78 configuration."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="pipeboard-metabase",
        description="Bring cards and dashboards into Metabase, and keep them as the files say.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in {
        "plan": "show what apply would change, and change nothing",
        "apply": "create, change and archive objects as the files define them",
        "check": "fail if anything differs from the files",
        "smoke": "run every card on the server",
    }.items():
        one = commands.add_parser(name, help=help_text, description=f"{help_text.capitalize()}.")
        one.add_argument("--locale", help="en or pt, instead of METABASE_LOCALE")
        if name == "apply":
            one.add_argument(
                "--no-key", action="store_true", help="make no API key, and write none to a file"
            )
            one.add_argument(
                "--early",
                action="store_true",
                help="before the first sync: do what needs no marts, instead of failing",
            )
    key = commands.add_parser(
        "api-key",
        help="make an API key with the administrator's password",
        description="Keep the stored API key if it works; else make one, and store it.",
    )
    key.add_argument("--renew", action="store_true", help="make a new one; the old one ends")
    key.add_argument("--print", action="store_true", help="write it to the output, to no file")
    static_dashboard.add_command(commands)
    return top


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> None:
    """Run a command; a problem becomes one line and its exit code."""
    given = dict(os.environ if environ is None else environ)
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:
        sys.exit(ExitCode.USAGE if end.code else ExitCode.OK)
    try:
        code = run_command(options, given)
    except (PipeboardError, DefinitionError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"pipeboard-metabase: {error}\n")
        code = error.code if isinstance(error, PipeboardError) else ExitCode.DATA
    except KeyboardInterrupt:
        sys.stderr.write("\npipeboard-metabase: interrupted; run again, it goes on\n")
        code = 130
    sys.exit(int(code))


def run_command(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run one command; return its exit code."""
    if options.command in static_dashboard.NAMES:
        return int(options.run(options))
    if getattr(options, "locale", None):
        environ = {**environ, "METABASE_LOCALE": options.locale}
        language_of(options.locale)
    settings = read_settings(environ, checkout(environ))
    if options.command == "api-key":
        # The key itself may go to the output: everything else must not be in its way.
        console = Console(sys.stderr if options.print else None)
        return make_key(settings, console, renew=options.renew, show=options.print)
    console = Console()
    definitions = load()
    applies = options.command == "apply"
    try:
        contents = read_contents(settings)
    except NoMarts as error:
        if not (applies and options.early):
            raise
        console.note(
            "warehouse", f"{error.what} yet: cards follow with an apply after the first sync"
        )
        contents = None
    # An apply follows a deployment, and Metabase may still be migrating.
    timeout_seconds = settings.timeout_seconds if applies else 0.0
    client = connect(settings, console, timeout_seconds=timeout_seconds, set_up=applies)
    known = contents or Contents((), ())
    run = Run(client, settings, definitions, known, console, dry=not applies)
    if options.command == "smoke":
        if client is None:
            what = f"nobody has set up the Metabase at {settings.url} yet"
            raise PipeboardError(what, "`pipeboard-metabase apply` does", ExitCode.CONFIGURATION)
        return smoke(run, client)
    if applies and client and not options.no_key and not settings.api_key:
        keep_file_key(client, settings, console)
    try:
        provision(run, with_content=contents is not None)
    finally:
        tell(run)
    if applies or not run.changes:
        return ExitCode.OK
    return ExitCode.CHANGES if options.command == "plan" else ExitCode.FAILED


def checkout(environ: Mapping[str, str]) -> Path:
    """Return the folder of the project."""
    named = environ.get("MELTANO_PROJECT_ROOT")
    return Path(named) if named else Path(__file__).resolve().parents[4]


def keep_file_key(client: Client, settings: Settings, console: Console) -> None:
    """Store an API key, so that the next run needs no password."""
    if not client.identified_by_key:
        write_key(settings, keep_key(client, settings))
        console.note("api key", f"written to {settings.key_file} (0600)")


def make_key(settings: Settings, console: Console, *, renew: bool, show: bool) -> int:
    """Keep or make the stored API key, or show a new one."""
    wait_until_healthy(settings, console, 0)
    client = Client(settings.url, settings.secrets)
    if not renew and not show and (key := stored_key(settings)):
        client.identify(key=key)
        try:
            administrator(client)
        except PipeboardError:
            console.note("api key", f"the one in {settings.key_file} does not work any longer")
        else:
            console.note("api key", f"the one in {settings.key_file} works; kept")
            return ExitCode.OK
    login(client, settings)
    administrator(client)
    key = keep_key(client, settings)
    if show:
        print(key)
    else:
        write_key(settings, key)
        console.note("api key", f"written to {settings.key_file} (0600)")
    return ExitCode.OK


def tell(run: Run) -> None:
    """Sum up the changes, as far as they got."""
    if not run.changes:
        run.console.line("No changes: Metabase is as the files say.")
        return
    totals = Counter(change.action for change in run.changes)
    verbs = {"create": "create", "update": "change", "restore": "restore", "archive": "archive"}
    to, d = ("to ", "") if run.dry else ("", "d")
    summary = ", ".join(f"{totals[name]} {to}{verb}{d}" for name, verb in verbs.items())
    run.console.line(f"{'Plan' if run.dry else 'Done'}: {summary}.")
