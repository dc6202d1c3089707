"""Backfills: everything again, or the change logs that were never read; over days, if need be.

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
from typing import TYPE_CHECKING

import click
import psycopg

from pipeboard import history
from pipeboard.jobs import BACKFILL, job_named
from pipeboard.lane import is_locked
from pipeboard.measures import exists
from pipeboard.plan import Estimate, Plan, ask
from pipeboard.problems import ExitCode
from pipeboard.runner import Outcome, run_job
from pipeboard.summary import show_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeboard.console import Console
    from pipeboard.jobs import Job
    from pipeboard.paths import Paths
    from pipeboard.worlds import World

#: What Pipedrive charges for one change log.
TOKENS_A_LOG = 20
#: What meltano.yml lets tap-pipedrive-history spend of a day's tokens.
HISTORY_SHARE = 0.7 * 0.95
#: Deals read in one run; then the list is made anew, for sync reads histories, too.
DEALS_A_RUN = 10_000

MISSING = """
    from pipedrive.deals
    {marts}
    where not exists (
        select from pipedrive.deal_changelog_sync as known where known.deal_id = deals.id
    )
      and (%(since)s::date is null or deals.update_time >= %(since)s::date)
"""
# Values in the base currency where there are rates; open deals before closed ones of equal value.
BY_VALUE = """
    order by {value} desc nulls last, deals.status = 'open' desc, deals.update_time desc, deals.id
    limit %(most)s
"""


@dataclass(frozen=True)
class Backfiller:
    """What all backfills need."""

    paths: Paths
    world: World
    given: Mapping[str, str]
    console: Console
    check: Callable[[], object]
    yes: bool
    builds: bool

    # -- everything again ----------------------------------------------------------------------

    def full(self, streams: list[str], since: date | None, *, restart: bool) -> int:
        """Read everything of some streams (of all: none named), from a day on, once more."""
        job = job_named("backfill").within(self.given)
        if self._is_at_work():
            return self._run(job).code  # which skips, and says so
        with self._connected() as connection:
            backfill_id, is_new = self._open(connection, streams, since, restart=restart)
        environ = {
            "MELTANO_RUN_STATE_ID_SUFFIX": self._suffix(backfill_id),
            **({"PIPEDRIVE_START_DATE": since.isoformat()} if since else {}),
        }
        plan = ask(self.paths, self.world, job, self.console, environ).only(streams)
        how = "begins" if is_new else "goes on"
        self.console.note("backfill", f"{backfill_id} {how}: {', '.join(streams) or 'everything'}")
        plan.show(self.console)
        if not self._agreed():
            if is_new:
                self._close(backfill_id, complete=False)
            return ExitCode.OK
        if streams:
            environ["TAP_PIPEDRIVE_BACKFILL__SELECT_FILTER"] = json.dumps(streams)
        outcome = self._run(job, environ)
        if outcome.is_complete:
            self._close(backfill_id, complete=True)
        return self._built(outcome)

    def _open(
        self,
        connection: psycopg.Connection,
        streams: list[str],
        since: date | None,
        *,
        restart: bool,
    ) -> tuple[str, bool]:
        """Return the backfill to go on with, or a new one; and whether it is new."""
        environment = self.world.environment
        found = connection.execute(
            """
            select backfill_id, streams, from_date from ops.backfill
            where environment = %s and finished_at is null
            """,
            [environment],
        ).fetchone()
        if found:
            same = (sorted(found[1]), found[2]) == (sorted(streams), since)
            if same and not restart:
                return found[0], False
            self._close(found[0], complete=False)
            self.console.note("backfill", f"{found[0]} is given up for another one")
        backfill_id = history.new_run_id()
        connection.execute(
            """
            insert into ops.backfill (backfill_id, environment, streams, from_date)
            values (%s, %s, %s, %s)
            """,
            [backfill_id, environment, streams, since],
        )
        return backfill_id, True

    def _suffix(self, backfill_id: str) -> str:
        return f"{self.world.environ['MELTANO_RUN_STATE_ID_SUFFIX']}-{backfill_id}"

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

    def histories(self, since: date | None, most: int | None, a_day: int | None) -> int:
        """Read the change logs of the deals that have none yet, most valuable deals first."""
        job = job_named("backfill-history").within(self.given)
        if self._is_at_work():
            return self._run(job).code
        missing = self._missing(since)
        planned = min(missing, most or missing)
        what = f"{missing:,} deals without history"
        self.console.note("backfill", what if planned == missing else f"{planned:,} of {what}")
        if not planned:
            return ExitCode.OK
        tokens = planned * TOKENS_A_LOG
        estimate = Estimate("deal_changelog", planned, tokens, "exact, if no log has two pages")
        budget = round(a_day * HISTORY_SHARE) if a_day else None
        Plan([estimate], budget).show(self.console)
        if not self._agreed():
            return ExitCode.OK
        listed = self.paths.local / "plans" / f"{self.world.environment}-history.ids"
        listed.parent.mkdir(parents=True, exist_ok=True)
        outcome = None
        while planned > 0:
            asked = self._list(listed, since, min(planned, DEALS_A_RUN))
            if not asked:
                break
            environ = {"PIPEBOARD_HISTORY_DEALS": str(listed)}
            outcome = self._run(job, environ, goal=("deal_changelog_sync", asked))
            if not outcome.is_complete:
                break
            planned -= asked
        self.console.note("backfill", f"{self._missing(since):,} deals without history are left")
        return self._built(outcome) if outcome else ExitCode.OK

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
            self.world,
            job,
            self.console,
            before=self.check,
            environ=environ,
            goal=goal,
        )
        show_run(self.console, job.name, outcome)
        return outcome

    def _built(self, outcome: Outcome) -> int:
        """Build the marts from what came, if anything did; return the code of both."""
        if outcome.status == "skipped":
            return outcome.code
        code = outcome.code
        if code == 0 and not outcome.is_complete:
            code = ExitCode.BUDGET
        if code not in (ExitCode.OK, ExitCode.BUDGET):
            return code
        if not self.builds:
            return code
        build = job_named("build").within(self.given)
        built = run_job(self.paths, self.world, build, self.console)
        show_run(self.console, build.name, built)
        if built.status == "skipped":
            self.console.line("The marts were not built; the next sync does it.")
        return built.code or code

    def _is_at_work(self) -> bool:
        with self._connected() as connection:
            return is_locked(connection, BACKFILL)

    def _agreed(self) -> bool:
        """Ask, where there is somebody to ask."""
        if self.yes or not (sys.stdin.isatty() and self.console.tty):
            return True
        return click.confirm("Go on?", default=True)

    def _connected(self) -> closing[psycopg.Connection]:
        url = self.world.database.url
        return closing(psycopg.connect(url, connect_timeout=10, autocommit=True))


def known_histories(paths: Paths, world: World) -> dict[str, str]:
    """Tell a sync that is still reading histories which ones it need not pay for.

    Returns:
        What the run's environment must say; nothing where the last sync had caught up.

    """
    path = paths.local / "plans" / f"{world.environment}-known.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        psycopg.connect(world.database.url, connect_timeout=10, autocommit=True) as connection,
        path.open("wb") as out,
    ):
        if not exists(connection, "pipedrive.deal_changelog_sync", "ops.etl_run"):
            return {}
        last = connection.execute(
            """
            select exit_code = 0 and details -> 'behind' = '[]'::jsonb from ops.etl_run
            where pipeline = 'main' and environment = %s and status in ('succeeded', 'failed')
            order by started_at desc limit 1
            """,
            [world.environment],
        ).fetchone()
        if last == (True,):
            return {}
        query = "copy (select deal_id, extract(epoch from synced_through)::bigint from "
        query += "pipedrive.deal_changelog_sync) to stdout (delimiter ' ')"
        with connection.cursor().copy(query.encode()) as rows:
            for block in rows:
                out.write(block)
    return {"PIPEBOARD_HISTORY_KNOWN": str(path)}
