"""Plays a story to the marts: after each sync dbt builds what is due, as in a job."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pipeline
import psycopg
from play import Play
from project_copy import Project, copy_project
from properties import Change, Truth, own_records
from readers import read_all, relations
from stays import found_stays, known_stays
from story import Story, Sync
from warehouse_helpers import CHANGED_ARGUMENTS, DBT, Dbt
from warehouse_helpers import Warehouse as DbtWarehouse

from pipeboard.launch import environ_of_program
from pipeboard.outcomes import BEHIND, SUCCEEDED
from pipeboard.run.changed import decide_by_warehouse

#: All that a story makes in its database.
SCHEMAS = "pipedrive, ops, staging, intermediate, marts, snapshots, test_failures, copies"
#: Of the builds, so many are killed; the next sync's build is not.
KILLED_SHARE = 0.25
#: A deal that is deleted is in no stage.
STATUSES = ("open", "won", "lost")


class Raw(pipeline.Warehouse):
    """The schemas that dbt reads and writes."""

    @property
    def raw(self) -> str:
        """The schema of the raw tables."""
        return "pipedrive"

    @property
    def ops(self) -> str:
        """The schema of the loader's bookkeeping."""
        return "ops"

    def drop(self) -> None:
        """Remove all schemas, those of the models too."""
        self.connection.execute(f"drop schema if exists {SCHEMAS} cascade".encode())


@contextmanager
def project_in(folder: Path, url: str) -> Iterator[Project]:
    """Yield a copy of the dbt project that builds in this database, by one dbt process."""
    folder.mkdir()
    warehouse = DbtWarehouse(url, folder, folder, Dbt())
    project = copy_project(folder / "transform", warehouse)
    # Empty: the models ask the database what time it is.
    project.environ = {"AS_OF": "", "DBT_PROJECT_DIR": str(project.folder)}
    project.rates = {}
    try:
        yield project
    finally:
        warehouse.dbt_process.end()


class WarehousePlay(Play):
    """A story whose syncs are followed by builds.

    The promises, beside those of the raw tables: each build succeeds, nobody who reads misses a
    mart meanwhile, and the stage history then is the account's own; a build that is killed leaves
    every mart; after an idle run nothing is due; in the end a full refresh finds the same rows.

    Attributes:
        builds: how many were made; `killed_builds` were killed beside these.
        histories: how many deals' stays were compared.

    """

    def __init__(self, story: Story, project: Project) -> None:
        """Play in the database of this project, which is emptied."""
        super().__init__(story, project.warehouse.url)
        self._project = project
        self._random = Random(f"{story.seed} kills")
        self._intervals: list[list[dict[str, Any]]] = []
        self._read: list[str] = []
        self.builds = self.killed_builds = self.histories = 0

    def _new_warehouse(self) -> pipeline.Warehouse:
        return Raw(self.url, "")

    def _truth(self) -> Truth:
        self._intervals.append(list(own_records(self._account, "stage_intervals")))
        return super()._truth()

    def _sync(self, name: str, sync: Sync, page_size: int | None = None) -> str:
        self._intervals = []
        status = super()._sync(name, sync, page_size)
        if status in (SUCCEEDED, BEHIND):
            self._build(name)
        if name == "idle run":
            self._compare_with_full()
        return status

    def _build(self, name: str) -> None:
        """Build what is due."""
        decision = decide_by_warehouse(self._environ())
        number = "all" if decision.due is None else len(decision.due)
        self._note(f"  {number} models are due: {decision.reason}")
        if decision.due == ():
            return
        if name == "idle run":
            msg = f"after an idle run {decision.due} are due: {decision.reason}"
            raise self._broken(msg)
        chosen = [] if decision.due is None else ["--select", *decision.due]
        arguments = ["build", *CHANGED_ARGUMENTS, *chosen]
        if self._random.random() < KILLED_SHARE and self.builds:
            self._kill_a_build(arguments, self._random.uniform(0.5, 6))
        with self._readers():
            done = self._project.run(*arguments)
        self.builds += 1
        if done.returncode:
            msg = f"the build fails: {done.stdout[-1500:]}"
            raise self._broken(msg)
        self._read = relations(self.url)
        self._check_history()

    def _environ(self) -> dict[str, str]:
        warehouse, environ = self._project.warehouse, self._project.environ
        return environ_of_program("dbt", DBT, {**warehouse.environ(), **environ})

    @contextmanager
    def _readers(self) -> Iterator[None]:
        try:
            with read_all(self.url, self._read, rounds=0):
                yield
        except AssertionError as error:
            msg = f"who reads notices a build: {error}"
            raise self._broken(msg) from error

    def _kill_a_build(self, arguments: list[str], seconds: float) -> None:
        """Kill dbt in a build; the next one makes it right."""
        warehouse = self._project.warehouse
        fired = threading.Event()

        def kill() -> None:
            fired.set()
            warehouse.dbt_process.process.kill()

        timer = threading.Timer(seconds, kill)
        with self._readers():
            timer.start()
            with suppress(json.JSONDecodeError, BrokenPipeError):  # what is left of its answer
                self._project.run(*arguments)
            timer.cancel()
            timer.join()
        if fired.is_set():
            self.killed_builds += 1
            self._note(f"  dbt is killed {seconds:.1f} s after the start of a build")
            warehouse.dbt_process.end()
            warehouse.dbt_process = Dbt()
        with psycopg.connect(self.url) as connection:
            for relation in self._read:
                connection.execute(f"select * from {relation} limit 1".encode())

    def _check_history(self) -> None:
        """Compare the stays of each deal whose whole log is in the raw tables."""
        before, after = (
            known_stays(truth.records["deals"].values(), intervals, STATUSES)
            for truth, intervals in (
                (self._versions[0], self._intervals[0]),
                (self._versions[-1], self._intervals[-1]),
            )
        )
        found = found_stays(self._project.warehouse, STATUSES)
        for deal in sorted(self._deals_with_whole_logs()):
            if before.get(deal) == after.get(deal):
                self.histories += 1
                if found.get(deal, []) != before.get(deal, []):
                    msg = f"deal {deal}: stays {found.get(deal)}, not {before.get(deal)}"
                    raise self._broken(msg)

    def _deals_with_whole_logs(self) -> set[int]:
        """Return deals whose raw change log is the account's, which others need not be."""
        rows = self._project.warehouse.rows(
            "select deal_id from marts.fct_deal where history_quality = 'exact'"
        )
        exact = {deal for (deal,) in rows}
        stored: dict[int, set[Change]] = {}
        query = "select to_jsonb(t) from pipedrive.deal_changelog as t"
        for (row,) in self._project.warehouse.rows(query):
            stored.setdefault(row["deal_id"], set()).add(
                (row["field_key"], row["old_value"], row["new_value"])
            )
        own: dict[int, set[Change]] = {}
        for change in self._versions[0].changes:
            own.setdefault(change[0], set()).add(change[2:])
        return {deal for deal in exact if stored.get(deal) == own.get(deal)}

    def _compare_with_full(self) -> None:
        """Compare all that was built with a full refresh at the same moment."""
        query = "select to_char(as_of at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
        ((now,),) = self._project.warehouse.rows(f"{query} from intermediate.int_warehouse_clock")
        before = self._project.environ
        self._project.environ = {**before, "AS_OF": now}
        try:
            self._project.build()
            found = self._project.differences()
        finally:
            self._project.environ = before
        if found:
            name, rows = next(iter(found.items()))
            msg = f"incremental and full differ in {sorted(found)}: {name}: {rows}"
            raise self._broken(msg)
