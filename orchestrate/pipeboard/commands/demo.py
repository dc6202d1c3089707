"""The demo: syncs a simulated account and shows results; later runs sync the changes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeboard.checks.warehouse import prepare_database
from pipeboard.commands.run_summary import show_query_results, show_run
from pipeboard.commands.static_dashboard import write_page
from pipeboard.database import connect
from pipeboard.environments import DEMO
from pipeboard.errors import PipeboardError
from pipeboard.outcomes import SUCCESSES
from pipeboard.run.jobs import job_named
from pipeboard.run.reporting import report_failures
from pipeboard.run.runner import run_job

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.local.services import Services
    from pipeboard.local.simulator import Account

OTHER_NEXT = """\
  make demo                    again: the account moves on, and only the changes are synced
  make docs                    the data dictionary, as a web page
  make stop                    end the server and the account; the data stays
  cp .env.example .env         then your token, and `make sync` reads your own account"""


def run_demo(services: Services, console: Console, account: Account, changes: int) -> int:
    """Run the demo once."""
    job = job_named(services.paths.root, "sync")
    with report_failures(services.scope(job, console, {}, DEMO)) as scope:
        environment = scope.environment = services.demo(console, account)
        version = prepare_database(environment)
        again = _was_synced(environment)
        if again:
            moved = services.simulator.advance(changes)
            console.note("account", f"the account has changed: {_changes(moved)}")
        else:
            console.note("account", f"{account.deals:,} deals and all that belongs to them")
        outcome = run_job(services.paths, environment, job, console)
    show_run(console, "sync", outcome)
    if outcome.status not in SUCCESSES:
        return outcome.code
    if again:
        sent = sum(int(s.get("records", 0)) for s in (outcome.report or {})["streams"].values())
        console.line(f"Only what changed was synced: {sent:,} rows, not the whole account.")
    if not console.for_people:
        return outcome.code
    show_query_results(console, environment)
    console.heading("Look around")
    show_page(services, environment, console)
    url = environment.database
    console.line(f"  psql '{url.url}'")
    console.line(
        f"  DBeaver, Metabase, ...: host {url.host}, port {url.port}, database {url.database},"
    )
    console.line(f"  user {url.user}, password {url.password} (PostgreSQL {version})")
    console.line("  Start with marts.deal_wide, marts.fct_deal and marts.fct_deal_stage_history.")
    console.heading("What next")
    console.line(OTHER_NEXT)
    return outcome.code


def show_page(services: Services, environment: Environment, console: Console) -> None:
    """Show the address of the page of dashboards; a failure there is shown, but is no error."""
    try:
        page, complaints = write_page(services.paths, environment)
    except PipeboardError as error:
        console.line(f"  No page of dashboards: {error}")
        return
    console.line(f"  Open in a browser: {page}")
    for line in complaints:
        console.line(f"  {line}")


def _was_synced(environment: Environment) -> bool:
    """Tell whether a demo run was completed in this database before."""
    with connect(environment.database.url) as connection:
        row = connection.execute("select to_regclass('marts.fct_deal') is not null").fetchone()
    return row == (True,)


def _changes(moved: dict[str, Any]) -> str:
    """Return the changes of an advance, by kind."""
    counts = [
        f"{len(ids):,} {kind.replace('_', ' ')}" for kind, ids in moved.get("deal_ids", {}).items()
    ]
    return f"{moved['deals']:,} deals changed ({', '.join(counts)})"
