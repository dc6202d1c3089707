"""The demo: from nothing to answers, then only what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeboard.checks.warehouse import prepare_database
from pipeboard.commands.first_look import write_page
from pipeboard.commands.summary import show_answers, show_run
from pipeboard.database import connect
from pipeboard.outcomes import SUCCESSES
from pipeboard.problems import Problem
from pipeboard.run.jobs import job_named
from pipeboard.run.reporting import report_failures
from pipeboard.run.runner import run_job
from pipeboard.worlds import DEMO

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.local.services import Services
    from pipeboard.local.simulator import Account
    from pipeboard.worlds import World

OTHER_NEXT = """\
  make demo                    again: the account moves on, and only the changes are synced
  make docs                    the catalogue of every table and column, as a web page
  make stop                    end the server and the account; the data stays
  cp .env.example .env         then your token, and `make sync` reads your own account"""


def run_demo(services: Services, console: Console, account: Account, changes: int) -> int:
    """Run the demo once."""
    job = job_named(services.paths.root, "sync")
    with report_failures(services.scope(job, console, {}, DEMO)) as scope:
        world = scope.world = services.demo(console, account)
        version = prepare_database(world)
        again = _was_synced(world)
        if again:
            moved = services.simulator.advance(changes)
            console.note("account", f"the account moved on: {_told(moved)}")
        else:
            console.note("account", f"{account.deals:,} deals and all that belongs to them")
        outcome = run_job(services.paths, world, job, console)
        show_run(console, "sync", outcome)
    if outcome.status not in SUCCESSES:
        return outcome.code
    if again:
        sent = sum(int(s.get("records", 0)) for s in (outcome.report or {})["streams"].values())
        console.line(f"Only what changed was synced: {sent:,} rows, not the whole account.")
    if not console.for_people:
        return outcome.code
    show_answers(console, world)
    console.heading("Look around")
    show_page(services, world, console)
    console.line(f"  psql '{world.database.url}'")
    console.line(
        f"  DBeaver, Metabase, ...: host {world.database.host}, port {world.database.port}, "
        f"database {world.database.database},"
    )
    console.line(
        f"  user {world.database.user}, password {world.database.password} (PostgreSQL {version})"
    )
    console.line("  Start with marts.deal_wide, marts.fct_deal and marts.fct_deal_stage_history.")
    console.heading("What next")
    console.line(OTHER_NEXT)
    return outcome.code


def show_page(services: Services, world: World, console: Console) -> None:
    """Say where the page of dashboards is; the demo ends well without it, and says why."""
    try:
        page, complaints = write_page(services.paths, world)
    except Problem as problem:
        console.line(f"  No page of dashboards: {problem}")
        return
    console.line(f"  Open in a browser: {page}")
    for line in complaints:
        console.line(f"  {line}")


def _was_synced(world: World) -> bool:
    """Tell whether a demo run got to its end in this database before."""
    with connect(world.database.url) as connection:
        row = connection.execute("select to_regclass('marts.fct_deal') is not null").fetchone()
    return row == (True,)


def _told(moved: dict[str, Any]) -> str:
    """Say what an advance changed, by kind."""
    kinds = [
        f"{len(ids):,} {kind.replace('_', ' ')}" for kind, ids in moved.get("deal_ids", {}).items()
    ]
    return f"{moved['deals']:,} deals changed ({', '.join(kinds)})"
