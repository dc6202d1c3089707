"""Backfills: re-read all data, or read missing change logs, over several days if necessary.

A full backfill has a Singer state of its own, named after it. It goes on from there, run after
run, until a run did all its work; `ops.backfill` says which one is open. A history backfill needs
no state: what is missing is what the warehouse has no mark of.

Both only load; the marts are built once in the end, in turn with sync.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from pipeboard.commands.plan import Estimate, Plan, plan_job
from pipeboard.commands.run_summary import show_run
from pipeboard.database import connect
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.outcomes import BEHIND, LOADED, SKIPPED, SUCCEEDED
from pipeboard.run import history
from pipeboard.run.jobs import BACKFILL, job_named
from pipeboard.run.run_lock import is_locked
from pipeboard.run.run_metrics import exists
from pipeboard.run.runner import Outcome, run_job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job

#: What Pipedrive charges for one change log.
TOKENS_A_LOG = 20
#: The share of a day's tokens that meltano.yml gives to tap-pipedrive-history.
HISTORY_SHARE = 0.7 * 0.95
#: Deals read in one run; then the list is computed again, since sync reads histories, too.
DEALS_A_RUN = 10_000

# No history, or one that was read before the deal's last move.
MISSING = """
    from pipedrive.deals
    {marts}
    where not exists (
        select from pipedrive.deal_changelog_sync as known
        where
            known.deal_id = deals.id
            and known.synced_through >= coalesce(deals.stage_change_time, known.synced_through)
    )
      and (%(since)s::date is null or deals.update_time >= %(since)s::date)
"""
# Values in the base currency where there are rates; open deals before closed ones of equal value.
BY_VALUE = """
    order by {value} desc nulls last, deals.status = 'open' desc, deals.update_time desc, deals.id
    limit %(most)s
"""


class CommandResult(NamedTuple):
    """How a backfill ended: status and exit code of all its runs together."""

    status: str
    code: int


@dataclass(frozen=True)
class Resumable:
    """A backfill that is not done."""

    id: str
    streams: list[str]
    since: date | None

    def is_for(self, streams: list[str], since: date | None) -> bool:
        """Tell whether it has the same options."""
        return (sorted(self.streams), self.since) == (sorted(streams), since)


def check_streams(job: Job, given: Mapping[str, str], streams: list[str]) -> None:
    """Check names of streams before anything is started or discarded.

    Raises:
        PipeboardError: the job reads no stream of such a name.

    """
    known = job.selected(given)
    wrong = sorted(set(streams) - known) if known else []
    if wrong:
        what = f"no stream of this job is called {', '.join(wrong)}"
        raise PipeboardError(what, f"There are {', '.join(sorted(known))}", ExitCode.USAGE)


@dataclass(frozen=True)
class Backfiller:
    """What all backfills need."""

    paths: Paths
    environment: Environment
    given: Mapping[str, str]
    console: Console
    check: Callable[[], object]
    yes: bool
    builds: bool

    # -- everything again ----------------------------------------------------------------------

    def full(self, streams: list[str], since: date | None, *, restart: bool) -> CommandResult:
        """Read everything of some streams (of all: none named), from a day on, once more."""
        job = job_named(self.paths.root, "backfill").within(self.given)
        if self._is_running():
            return CommandResult(*self._run(job).status_and_code)  # which skips, and reports it
        with self._connected() as connection:
            found = self._open_one(connection)
        goes_on = found is not None and not restart and found.is_for(streams, since)
        backfill_id = found.id if found and goes_on else history.new_run_id()
        environ = {
            "MELTANO_RUN_STATE_ID_SUFFIX": self._suffix(backfill_id),
            **({"PIPEDRIVE_START_DATE": since.isoformat()} if since else {}),
        }
        plan = plan_job(self.paths, self.environment, job, self.console, environ).only(streams)
        how = "goes on" if goes_on else "begins"
        self.console.note("backfill", f"{backfill_id} {how}: {', '.join(streams) or 'everything'}")
        plan.show(self.console)
        discards = found is not None and not goes_on
        if found and discards:
            self.console.note("backfill", f"{found.id} is not done, and will be discarded")
        if not self._agreed():
            return CommandResult(SKIPPED, ExitCode.OK)
        if found and discards:
            self._close(found.id, complete=False)
        if not goes_on:
            self._open(backfill_id, streams, since)
        if streams:
            environ["TAP_PIPEDRIVE_BACKFILL__SELECT_FILTER"] = json.dumps(streams)
        outcome = self._run(job, environ)
        if outcome.is_complete:
            self._close(backfill_id, complete=True)
        return self._built(outcome)

    def _open_one(self, connection: psycopg.Connection) -> Resumable | None:
        """Return the backfill that is not done, None if there is none."""
        row = connection.execute(
            """
            select backfill_id, streams, from_date from ops.backfill
            where environment = %s and finished_at is null
            """,
            [self.environment.name],
        ).fetchone()
        return Resumable(*row) if row else None

    def _open(self, backfill_id: str, streams: list[str], since: date | None) -> None:
        with self._connected() as connection:
            connection.execute(
                """
                insert into ops.backfill (backfill_id, environment, streams, from_date)
                values (%s, %s, %s, %s)
                """,
                [backfill_id, self.environment.name, streams, since],
            )

    def _suffix(self, backfill_id: str) -> str:
        return f"{self.environment.variables['MELTANO_RUN_STATE_ID_SUFFIX']}-{backfill_id}"

    def _close(self, backfill_id: str, *, complete: bool) -> None:
        with self._connected() as connection:
            connection.execute(
                """
                update ops.backfill set finished_at = clock_timestamp(), is_complete = %s
                where backfill_id = %s and finished_at is null
                """,
                [complete, backfill_id],
            )

    # -- histories that were never read --------------------------------------------------------

    def histories(self, since: date | None, most: int | None, a_day: int | None) -> CommandResult:
        """Read the change logs of the deals that have none yet, most valuable deals first."""
        job = job_named(self.paths.root, "backfill-history").within(self.given)
        if self._is_running():
            return CommandResult(*self._run(job).status_and_code)
        missing = self._missing(since)
        planned = min(missing, most or missing)
        what = f"{missing:,} deals without history"
        self.console.note("backfill", what if planned == missing else f"{planned:,} of {what}")
        if not planned:
            return CommandResult(SUCCEEDED, ExitCode.OK)
        tokens = planned * TOKENS_A_LOG
        estimate = Estimate("deal_changelog", planned, tokens, "exact, if no log has two pages")
        budget = round(a_day * HISTORY_SHARE) if a_day else None
        Plan([estimate], budget).show(self.console)
        if not self._agreed():
            return CommandResult(SKIPPED, ExitCode.OK)
        listed = self.paths.local / "plans" / f"{self.environment.name}-history.ids"
        listed.parent.mkdir(parents=True, exist_ok=True)
        outcome = None
        while planned > 0:
            requested = self._list(listed, since, min(planned, DEALS_A_RUN))
            if not requested:
                break
            environ = {"PIPEBOARD_HISTORY_DEALS": str(listed)}
            outcome = self._run(job, environ, goal=("deal_changelog_sync", requested))
            if not outcome.is_complete:
                break
            planned -= requested
        self.console.note("backfill", f"{self._missing(since):,} deals without history are left")
        return self._built(outcome) if outcome else CommandResult(SUCCEEDED, ExitCode.OK)

    def _missing(self, since: date | None) -> int:
        with self._connected() as connection:
            if not exists(connection, "pipedrive.deals", "pipedrive.deal_changelog_sync"):
                self.console.line("Run `make sync` first: it says which deals there are.")
                return 0
            query = f"select count(*) {MISSING.format(marts='')}"
            row = connection.execute(query.encode(), {"since": since}).fetchone()
        return int(row[0]) if row else 0

    def _list(self, path: Path, since: date | None, most: int) -> int:
        """Write the ids of the most valuable deals without a history; return how many."""
        with self._connected() as connection:
            known = exists(connection, "marts.fct_deal")
            marts = "left join marts.fct_deal as mart on mart.deal_id = deals.id" if known else ""
            value = "coalesce(mart.value_base, deals.value)" if known else "deals.value"
            query = f"select deals.id {MISSING.format(marts=marts)} {BY_VALUE.format(value=value)}"
            rows = connection.execute(query.encode(), {"since": since, "most": most}).fetchall()
        path.write_text("".join(f"{deal_id}\n" for (deal_id,) in rows))
        return len(rows)

    # -- both ------------------------------------------------------------------------------------

    def _run(
        self,
        job: Job,
        environ: Mapping[str, str] | None = None,
        goal: tuple[str, int] | None = None,
    ) -> Outcome:
        outcome = run_job(
            self.paths,
            self.environment,
            job,
            self.console,
            before=self.check,
            environ=environ,
            goal=goal,
        )
        show_run(self.console, job.name, outcome)
        return outcome

    def _built(self, outcome: Outcome) -> CommandResult:
        """Build the marts if rows came; return the result of both runs."""
        result = CommandResult(*outcome.status_and_code)
        if outcome.status not in LOADED:
            return result
        if outcome.status == BEHIND:
            # Also if only the share for histories is spent: the backfill continues another time.
            result = CommandResult(BEHIND, ExitCode.BUDGET)
        if not self.builds:
            return result
        build = job_named(self.paths.root, "build").within(self.given)
        built = run_job(self.paths, self.environment, build, self.console)
        show_run(self.console, build.name, built)
        if built.status == SKIPPED:
            self.console.line("The marts were not built; the next sync does it.")
        return CommandResult(*built.status_and_code) if built.code else result

    def _is_running(self) -> bool:
        with self._connected() as connection:
            return is_locked(connection, BACKFILL)

    def _agreed(self) -> bool:
        """Ask for confirmation on a terminal."""
        if self.yes or not (sys.stdin.isatty() and self.console.tty):
            return True
        return click.confirm("Go on?", default=True)

    def _connected(self) -> closing[psycopg.Connection]:
        return closing(connect(self.environment.database.url))


def known_histories(paths: Paths, environment: Environment) -> dict[str, str]:
    """List the histories that a sync need not read, while histories are missing.

    Returns:
        What the run's environment must say; nothing where the last sync had caught up.

    """
    path = paths.local / "plans" / f"{environment.name}-known.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        connect(environment.database.url) as connection,
        path.open("wb") as out,
    ):
        if not exists(connection, "pipedrive.deal_changelog_sync", "ops.etl_run"):
            return {}
        last = connection.execute(
            """
            select status = 'succeeded' and details -> 'behind' = '[]'::jsonb from ops.etl_run
            where pipeline = 'main' and environment = %s
              and status not in ('running', 'skipped', 'abandoned')
            order by started_at desc limit 1
            """,
            [environment.name],
        ).fetchone()
        if last == (True,):
            return {}
        query = "copy (select deal_id, extract(epoch from synced_through)::bigint from "
        query += "pipedrive.deal_changelog_sync) to stdout (delimiter ' ')"
        with connection.cursor().copy(query.encode()) as rows:
            for block in rows:
                out.write(block)
    return {"PIPEBOARD_HISTORY_KNOWN": str(path)}
