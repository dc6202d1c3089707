"""The command `pipeboard`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeboard.checks import preflight
from pipeboard.checks.doctor import run_doctor, show_history, show_status
from pipeboard.checks.preflight import check_account, check_settings
from pipeboard.checks.warehouse import prepare_database, show_connection
from pipeboard.commands import roles
from pipeboard.commands import tune as tuning
from pipeboard.commands.backfill import Backfiller, check_streams, known_histories
from pipeboard.commands.data_dictionary import write_data_dictionary
from pipeboard.commands.demo import run_demo
from pipeboard.commands.plan import plan_job
from pipeboard.commands.run_summary import show_run
from pipeboard.commands.static_dashboard import write_static_dashboard
from pipeboard.console import Console, console_for
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import DEMO, OWN, Environment, settings
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.launch import UMASK
from pipeboard.local.metrics_server import URL_VARIABLE, serve
from pipeboard.local.schedule import Scheduler, has_it, holder, read_schedules
from pipeboard.local.services import Services
from pipeboard.local.simulator import Account
from pipeboard.outcomes import BEHIND, code_behind, process_code
from pipeboard.paths import find_paths
from pipeboard.redaction import Redactor, redacted_output
from pipeboard.run.jobs import job_named
from pipeboard.run.ops import migrate_database
from pipeboard.run.reporting import as_pipeboard_error, report_failures
from pipeboard.run.runner import run_job

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = click.FloatRange(min=0)
PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pipeboard")
@click.pass_context
def command(context: click.Context) -> None:
    """Sync Pipedrive into PostgreSQL: prepares an environment, runs Meltano, checks the result.

    Exit codes: 0 done; 64 usage; 65 data refused or a test failed; 69 source or database
    unavailable, retry; 75 token budget used up, resumable; 77 not permitted; 78 configuration.
    65, 69 and 77 may also mean that one stream is missing while the others are loaded and built.
    """
    context.obj = Services(find_paths())


@command.command()
@click.option("--deals", envvar="PIPEBOARD_DEMO_DEALS", default=10_000, show_default=True)
@click.option("--seed", envvar="PIPEBOARD_DEMO_SEED", default=42, show_default=True)
@click.option(
    "--changes",
    envvar="PIPEBOARD_DEMO_CHANGES",
    default=200,
    show_default=True,
    help="Deals that change between two runs.",
)
@click.pass_obj
def demo(services: Services, deals: int, seed: int, changes: int) -> int:
    """Sync a simulated account and show results; the next time, sync the changes only."""
    return run_demo(services, console_for(os.environ), Account(deals, seed), changes)


@command.command()
@click.argument("job")
@click.option("--demo", "in_demo", is_flag=True, help="The demo instead of what .env names.")
@click.option("--full-refresh", is_flag=True, help="Read everything again.")
@click.option("--wait", type=SECONDS, help="How long to wait for another run before skipping.")
@click.option("--timeout", type=SECONDS, help="How long the run may take.")
@click.option("--stall", type=SECONDS, help="How long it may go without any progress.")
@click.pass_obj
def run(
    services: Services,
    job: str,
    in_demo: bool,
    full_refresh: bool,
    wait: float | None,
    timeout: float | None,
    stall: float | None,
) -> int:
    """Run JOB of meltano.yml against the account and database of .env.

    If another run is in progress, it does nothing and exits with 0.
    """
    known = job_named(services.paths.root, job)
    given = {} if in_demo else settings(services.paths)
    console = console_for(given or os.environ)
    limits = {"WAIT": wait, "TIMEOUT": timeout, "STALL": stall}
    limits_set = {
        f"PIPEBOARD_{name}_SECONDS": str(s) for name, s in limits.items() if s is not None
    }
    with report_failures(services.scope(known, console, given, DEMO if in_demo else OWN)) as scope:
        code_behind(os.environ)
        base = None if in_demo else check_settings(given)
        known = known.within({**os.environ, **given, **limits_set})
        environment = services.demo(console, Account()) if in_demo else services.own(console)
        scope.environment = environment
        prepare_database(environment)
        console.note("database", environment.database.place)
        reads_on = known.pipeline == "main" and not full_refresh
        outcome = run_job(
            services.paths,
            environment,
            known,
            console,
            full_refresh=full_refresh,
            before=(lambda: greet(console, check_account(given, base))) if base else None,
            environ=known_histories(services.paths, environment) if reads_on else None,
        )
    show_run(console, job, outcome)
    show_connection(console, environment.database.url, embedded=environment.embedded)
    return process_code(outcome.status, outcome.code, os.environ)


def greet(console: Console, account: preflight.Account | None) -> None:
    """Show the account."""
    if account:
        console.note("account", f"{account.company or account.base}, as {account.user}")


@command.command()
@click.argument("job")
@click.pass_obj
def plan(services: Services, job: str) -> int:
    """Show what JOB would cost now: calls, tokens, days. This costs 62 tokens at most."""
    known = job_named(services.paths.root, job)
    given = settings(services.paths)
    console = console_for(given)
    # The tap retries for minutes before it gives up a host; this check says at once what is wrong.
    check_account(given, check_settings(given))
    environment = services.own(console)
    prepare_database(environment)
    plan_job(services.paths, environment, known, console).show(console)
    return 0


@command.command()
@click.option("--streams", default="", help="Only these, with commas between: deals,persons.")
@click.option(
    "--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="Only what was updated since."
)
@click.option(
    "--history", "histories", is_flag=True, help="Change logs never read, best deals first."
)
@click.option("--max-deals", type=click.IntRange(min=1), help="With --history: at most so many.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-build", is_flag=True, help="Leave the marts to the next sync.")
@click.pass_obj
def backfill(
    services: Services,
    streams: str,
    since: datetime | None,
    histories: bool,
    max_deals: int | None,
    restart: bool,
    yes: bool,
    no_build: bool,
) -> int:
    """Re-read old data, or (--history) read the change logs that were never read.

    Shows the cost before it begins. Stops with exit code 75 when its share of the day's tokens is
    spent, and continues there the next time. `sync` can run at the same time.
    """
    if histories and (streams or restart):
        what = "--history takes neither --streams nor --restart"
        remedy = "It reads what is missing; to read logs again: --streams deal_changelog"
        raise PipeboardError(what, remedy, ExitCode.USAGE)
    if max_deals and not histories:
        raise PipeboardError("--max-deals needs --history", "", ExitCode.USAGE)  # noqa: EM101
    given = settings(services.paths)
    console = console_for(given)
    job = job_named(services.paths.root, "backfill-history" if histories else "backfill")
    day = since.date() if since else None
    named = [name.strip() for name in streams.split(",") if name.strip()]
    if not histories:
        check_streams(job, given, named)
    with report_failures(services.scope(job, console, given, OWN)) as scope:
        code_behind(os.environ)
        base = check_settings(given)
        environment = scope.environment = services.own(console)
        prepare_database(environment)
        migrate_database(environment.database, console)
        account = check_account(given, base)
        greet(console, account)
        filler = Backfiller(
            services.paths,
            environment,
            given,
            console,
            lambda: check_account(given, base),
            yes,
            not no_build,
        )
        if histories:
            own = given.get("PIPEDRIVE_DAILY_TOKENS", "")
            a_day = int(own) if own.isdigit() else account.daily_tokens if account else None
            status, code = filler.histories(day, max_deals, a_day)
        else:
            status, code = filler.full(named, day, restart=restart)
    return process_code(status, code, os.environ)


@command.command()
@click.option("--last", default=20, show_default=True, help="How many runs.")
@click.option("--pipeline", help="Only these: main, reference, sweep, backfill, dbt.")
@click.option("--demo", "in_demo", is_flag=True, help="Of the simulated account.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
@click.pass_obj
def history(
    services: Services, last: int, pipeline: str | None, in_demo: bool, as_json: bool
) -> int:
    """List the latest runs, newest first."""
    show_history(services, Console(), last, pipeline, in_demo=in_demo, as_json=as_json)
    return 0


@command.command()
@click.pass_obj
def migrate(services: Services) -> int:
    """Make or update the tables of schema ops (every run does, where it may)."""
    console = console_for(settings(services.paths))
    environment = services.own(console)
    prepare_database(environment)
    changed = migrate_database(environment.database, console)
    console.note("migrate", "schema ops is up to date" + ("" if changed else " already"))
    return 0


@command.command("roles")
@click.option(
    "--print", "only_print", is_flag=True, help="Print the SQL, for psql; change nothing."
)
@click.pass_obj
def make_roles(services: Services, only_print: bool) -> int:
    """Make or update the database roles: one loads, one builds, one counts, one reads.

    Connects with PIPEBOARD_ADMIN_DATABASE_URL, else as the role that syncs. Passwords come from
    WAREHOUSE_PASSWORD, TRANSFORM_PASSWORD, METRICS_PASSWORD and READER_PASSWORD; those that are not
    set are generated. The roles' URLs go to a private file.
    """
    if only_print:
        print(roles.for_psql(services.paths), end="")
        return 0
    given = settings(services.paths)
    return roles.apply(services.paths, given, console_for(given))


@command.command()
@click.option("--demo", "in_demo", is_flag=True, help="The demo instead of what .env names.")
@click.option("--deals", envvar="PIPEBOARD_DEMO_DEALS", default=10_000, hidden=True)
@click.option("--seed", envvar="PIPEBOARD_DEMO_SEED", default=42, hidden=True)
@click.pass_obj
def up(services: Services, in_demo: bool, deals: int, seed: int) -> int:
    """Start database, Redis, Pushgateway, Prometheus, metrics server and schedule.

    What runs already is left alone; what is not installed is named. All of it is on this machine's
    loopback and ends with `pipeboard stop`.
    """
    console = Console()
    given = services.settings_of_up(DEMO if in_demo else OWN)
    if not in_demo:
        check_settings(given)
    account = Account(deals, seed)
    environment = services.demo(console, account) if in_demo else services.own(console)
    version = prepare_database(environment)
    migrate_database(environment.database, console)
    console.note("database", f"PostgreSQL {version}, {environment.database.place}")
    started = services.stack(environment.kind).up(environment, given, console)
    if in_demo:
        console.note("account", "changes before each scheduled sync")
    console.note("next", "`make status` shows all of it, `make stop` ends all of it")
    return started.code


@command.command()
@click.option("--demo", "in_demo", is_flag=True, help="The demo instead of what .env names.")
@click.option("--quiet", is_flag=True, help="Leave out what the runs say; their logs have it.")
@click.pass_obj
def schedule(services: Services, in_demo: bool, quiet: bool) -> int:
    """Run the jobs of meltano.yml when they are due, until SIGTERM. `up` starts this."""
    kind = DEMO if in_demo else OWN
    given = services.settings_of_up(kind)
    if not in_demo:
        check_settings(given)
    console = console_for(given)
    schedules = read_schedules(services.paths.root, given)
    return Scheduler(services.paths, kind, console, quiet=quiet).serve(schedules)


@command.command()
@click.option("--rows", type=click.IntRange(min=1000), default=30_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--sizes", default=",".join(map(str, tuning.SIZES)), show_default=True)
@click.option("--reset", is_flag=True, help="Measure nothing; back to the loader's default.")
@click.pass_obj
def tune(services: Services, rows: int, rounds: int, sizes: str, reset: bool) -> int:
    """Measure which number of rows per batch loads fastest here; later runs use it.

    Loads deals of the warehouse once more, into a schema of its own that goes afterwards. Asks
    Pipedrive nothing. Syncs skip meanwhile.
    """
    plan = tuning.Plan(rows, rounds, tuning.parsed_sizes(sizes))
    given = settings(services.paths)
    console = console_for(given)
    with report_failures(services.scope(tuning.JOB, console, given, OWN)) as scope:
        environment = scope.environment = services.own(console)
        prepare_database(environment)
        if reset:
            return tuning.forget(environment, console)
        return tuning.tune(services.paths, environment, plan, console)


@command.command()
@click.option("--demo", "in_demo", is_flag=True, help="For the simulated account.")
@click.pass_obj
def prefect(services: Services, in_demo: bool) -> int:
    """Schedule with Prefect on this machine: server, worker and deployments. Again: no change."""
    console = Console()
    given = settings(services.paths)
    own, simulated = services.prefects
    chosen = simulated if in_demo else own
    owner = holder(services.paths, chosen.kind)
    if owner and not chosen.works:
        raise has_it(chosen.kind, owner)
    if in_demo:
        services.demo(console, Account(int(os.environ.get("PIPEBOARD_DEMO_DEALS") or 10_000)))
    else:
        check_settings(given)
    url = chosen.start(console, given)
    console.heading("Prefect runs")
    console.line(f"  {url}")
    if chosen.auth:
        console.line(f"  it asks for the line in {chosen.password_file}")
    console.line("  a run now: a deployment's button Run, Quick run. `make stop` ends it all.")
    return 0


@command.command()
@click.option("--forget", is_flag=True, help="Also delete the embedded databases and metrics.")
@click.pass_obj
def stop(services: Services, forget: bool) -> int:
    """End the background programs that pipeboard started, and no others."""
    if forget and sys.stdin.isatty() and sys.stdout.isatty():
        what = "Delete the embedded databases, yours and the demo's, and all that `up` stored?"
        click.confirm(what, default=False, abort=True)
    stopped = services.stop()
    print(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")
    if forget:
        services.postgres.destroy()
        for name in ("demo", "tap", "prefect"):
            shutil.rmtree(services.paths.local / name, ignore_errors=True)
        for kind in (OWN, DEMO):
            services.stack(kind).forget()
        print("deleted the embedded databases, and what `up` and `prefect` stored")
    return 0


@command.command()
@click.pass_obj
def status(services: Services) -> int:
    """Show the background programs and the freshness of the tables."""
    return show_status(services, Console())


@command.command()
@click.pass_obj
def doctor(services: Services) -> int:
    """Check everything a run needs, each failure with a remedy."""
    return run_doctor(services, Console())


@command.command()
@click.pass_obj
def docs(services: Services) -> int:
    """Write the data dictionary (all tables and columns) to build/docs/index.html."""
    write_data_dictionary(services, Console())
    return 0


@command.command()
@click.pass_obj
def look(services: Services) -> int:
    """Write the dashboards as one page that works offline: build/dashboard/index.html."""
    return write_static_dashboard(services, Console())


@command.command("metrics-server")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9560, show_default=True)
@click.option("--queries", type=click.Path(path_type=Path), help="Instead of the shipped file.")
@click.pass_obj
def metrics_server(services: Services, host: str, port: int, queries: Path | None) -> int:
    """Serve metrics of the warehouse to Prometheus, at /metrics."""
    named = settings(services.paths).get(URL_VARIABLE)
    database = DatabaseUrl.parse(named) if named else services.own(Console(sys.stderr)).database
    serve(services.paths, database, host, port, queries)


@command.command(context_settings=PASS_ON)
@click.option("--demo", "in_demo", is_flag=True, help="The demo instead of what .env names.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def env(services: Services, in_demo: bool, arguments: Sequence[str]) -> int:
    """Show the variables that an environment sets, or run a command with them.

    Secrets are shown; do not paste the output.
    """
    console = Console(sys.stderr)
    if in_demo or means_demo(arguments):
        environment = services.demo(console, Account())
    else:
        environment = services.own(console)
    if not arguments:
        for name in sorted(set(environment.variables) - {"PATH"}):
            if os.environ.get(name) != environment.variables[name]:
                line = f"export {name}={shlex.quote(environment.variables[name])}"
                print(line, file=getattr(sys.stdout, "unredacted", sys.stdout))
        return 0
    _prepare(environment, arguments)
    found = shutil.which(arguments[0], path=environment.variables["PATH"])
    if not found:
        what = f"{arguments[0]} is no command here"
        raise PipeboardError(what, "Is it installed?", ExitCode.USAGE)
    sys.stdout.flush()
    os.execve(found, command_in(services, arguments), environment.variables)


def command_in(services: Services, arguments: Sequence[str]) -> list[str]:
    """Return a command as it runs in an environment: Meltano must not read .env once more."""
    if arguments[0] != "meltano":
        return list(arguments)
    return ["meltano", "--env-file", str(services.paths.no_dotenv), *arguments[1:]]


def means_demo(arguments: Sequence[str]) -> bool:
    """Tell whether a Meltano command names the environment demo."""
    if not arguments or arguments[0] != "meltano":
        return False
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(
        word == f"--environment={DEMO}" or (word == "--environment" and after == DEMO)
        for word, after in pairs
    )


def _prepare(environment: Environment, arguments: Sequence[str]) -> None:
    """Create the schema of Meltano's state before Meltano creates its tables in it."""
    if arguments[0] == "meltano" and not {"--help", "--version"} & set(arguments):
        prepare_database(environment)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; an error with a remedy becomes one line and its exit code."""
    # Files of this process and its children are private.
    os.umask(UMASK)
    with redacted_output(Redactor.of(_known_settings())):
        code = _run(arguments)
    sys.exit(code)


def _known_settings() -> dict[str, str]:
    try:
        return settings(find_paths())
    except (PipeboardError, OSError, ValueError):
        return dict(os.environ)


def _run(arguments: list[str] | None) -> int:
    try:
        code: Any = command.main(arguments, prog_name="pipeboard", standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\npipeboard: interrupted; nothing is lost, run again\n")
        code = 130
    except Exception as error:
        known = as_pipeboard_error(error)
        if known is None:
            # Python's own traceback could show secrets that an exception quotes.
            traceback.print_exc()
            return ExitCode.FAILED
        sys.stdout.flush()
        sys.stderr.write(f"pipeboard: {known}\n")
        spent = known.code is ExitCode.BUDGET
        code = process_code(BEHIND, known.code, os.environ) if spent else known.code
    return int(code or 0)
