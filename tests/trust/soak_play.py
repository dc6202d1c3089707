"""Syncs of an account on a schedule for days, in virtual time, with samples of what they leave."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import mock

import edits
import pipeline
import yaml
from play import Play
from processes import served
from properties import Truth
from server import ROOT
from story import DEFINITION_EDITS, RECORD_EDITS, Edit, Story, Sync, draw_fault

from pipeboard.outcomes import BEHIND, SUCCEEDED

# Before the module `bench` of the simulator.
sys.path.insert(0, str(ROOT / "tests"))
from bench.measuring import BenchError, Command, run

HALF_HOUR, SYNCS_PER_DAY = 1800, 48
#: By the number of a day's sync, of which the first is at noon UTC: working hours of the team,
#: the sweep ten minutes after the sync of 3:30, and the sync that runs as processes too.
WORKING_HOURS, SWEEP_AT, PROCESSES_AT = range(20), 31, 4
#: Lists in which a deleted record is missing; deals are listed as deleted.
SWEPT = {"persons", "organizations", "activities", "notes", "leads", "products"}


def streams_of(plugin: str) -> list[str]:
    """Return the streams that a plugin of meltano.yml selects."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    extractors = project["plugins"]["extractors"]
    selected = next(each["select"] for each in extractors if each["name"] == plugin)
    return sorted(pattern.partition(".")[0] for pattern in selected)


@dataclass(frozen=True)
class Sample:
    """What there is after a number of syncs, and what these cost.

    Attributes:
        day: since the first sync.
        syncs: since the sample before; `failed` of them failed.
        state_bytes: of the Singer states of sync and sweep, as JSON.
        files: in the folder of the tap, of `file_bytes`.
        rows: of all tables; `dead_rows` wait for a vacuum.
        table_bytes: of the tables, with `index_bytes` beside them.
        catalog_bytes: of the tables in which PostgreSQL describes tables.
        tokens: of the API, for one sync.
        tap_seconds: processor time of the tap for one sync, start of the process left out;
            `loader_seconds` likewise.
        tap_peak_bytes: memory at its peak of a sync that ran as processes, None if none did;
            `loader_peak_bytes` likewise.

    """

    day: float
    syncs: int
    failed: int
    state_bytes: int
    files: int
    file_bytes: int
    rows: int
    dead_rows: int
    table_bytes: int
    index_bytes: int
    catalog_bytes: int
    tokens: float
    tap_seconds: float
    loader_seconds: float
    tap_peak_bytes: int | None
    loader_peak_bytes: int | None

    @property
    def bytes_per_row(self) -> float:
        """Bytes of tables and indexes for each row."""
        return (self.table_bytes + self.index_bytes) / max(self.rows, 1)


class Soak(Play):
    """Syncs on a schedule, with samples of what they leave behind.

    Attributes:
        samples: one after every `sample_every` syncs.
        sweeps: how many sweeps were compared with the account.
        bloat: bytes of tables and indexes in the end, for each byte that they have when rewritten.
        on_sample: called with each sample.

    """

    def __init__(
        self, url: str, syncs: int, *, sample_every: int = SYNCS_PER_DAY, seed: int = 1,
        deals: int = 300, processes: bool = True,
    ) -> None:  # fmt: skip
        """Play so many syncs in a schema of this database; one of each day as processes too."""
        story = Story(
            seed, deals, page_size=500, batch_rows=5000, reconnects=True,
            streams=streams_of("tap-pipedrive"), syncs=[],
        )  # fmt: skip
        super().__init__(story, url)
        self._syncs, self._sample_every, self._processes = syncs, sample_every, processes
        self._random = Random(seed)
        self._sweep_state: dict[str, Any] = {}
        self._sweep_streams = streams_of("tap-pipedrive-sweep")
        self._is_compared, self._has_deals = False, True
        #: Since the last sample: syncs, their tokens, and seconds of tap, loader and source.
        self._used: Counter[str] = Counter()
        self._peaks: dict[str, int] = {}
        self._sampled = 0
        self.samples: list[Sample] = []
        self.sweeps, self.bloat = 0, 0.0
        self.on_sample: Callable[[Sample], None] = lambda _: None

    def _new_warehouse(self) -> pipeline.Warehouse:
        return pipeline.Warehouse(self.url, "soak")

    def _play_syncs(self) -> None:
        start = self.clock.monotonic()
        for number in range(self._syncs):
            at = number % SYNCS_PER_DAY
            self._live_until(start + number * HALF_HOUR, at in WORKING_HOURS)
            if at == PROCESSES_AT and self._processes:
                self._run_as_processes()
            name = f"run {number}"
            self.config.setdefault(name, {"scheduled": True})
            status = self._sync(name, self._disturbed(number))
            if at == SWEEP_AT or not number:
                self._has_deals = status in (SUCCEEDED, BEHIND)
                self._sweep(f"sweep {number}")
            if (number + 1) % self._sample_every == 0:
                self._sample((number + 1) / SYNCS_PER_DAY)

    def _play_end(self) -> None:
        self._is_compared = self._has_deals = True
        super()._play_end()
        _, tables, indexes, _ = self._sizes()
        for table in self._tables():
            self.warehouse.connection.execute(f"vacuum full {table}".encode())
        _, least_tables, least_indexes, _ = self._sizes()
        self.bloat = (tables + indexes) / (least_tables + least_indexes)

    # -- what happens ------------------------------------------------------------------------------

    def _live_until(self, moment: float, is_working: bool) -> None:
        """Edit the account at some moments from now to then."""
        rng = self._random
        count = rng.choice((2, 5, 10)) if is_working else rng.choice((0, 0, 1))
        for _ in range(count):
            self.clock.sleep(max(0.0, (moment - self.clock.monotonic()) * rng.random()))
            names = DEFINITION_EDITS if rng.random() < 0.03 else RECORD_EDITS
            edit = Edit(rng.choice(names), rng.randrange(100_000), rng.randrange(100_000))
            self._note(f"  {edits.make(self._account, edit)}")
        self.clock.sleep(max(0.0, moment - self.clock.monotonic()))

    def _disturbed(self, number: int) -> Sync:
        """Return a run, which a fault or a kill disturbs now and then."""
        rng, sync = self._random, Sync(0)
        if not number:
            return sync
        if rng.random() < 0.06:
            sync.faults = [draw_fault(rng)]
        if rng.random() < 0.02:
            sync.tap_ends = (rng.randrange(1, 12), rng.choice(("KILL", "TERM", "INT")))
        if rng.random() < 0.02:
            sync.loader_ends = (rng.choice(("commit", "state")), rng.randrange(1, 6))
        if rng.random() < 0.02:
            sync.session_ends = rng.randrange(1, 6)
        return sync

    def _sweep(self, name: str) -> None:
        """Run a sweep, which has a state of its own, and compare all records with the account."""
        self.config[name] = {"sweep": True}
        self.clock.sleep(600)
        of_sync = self.warehouse.state, self.story.streams
        self.warehouse.state, self.story.streams = self._sweep_state, self._sweep_streams
        self._is_compared = True
        status = self._sync(name, self._disturbed(1))
        self.sweeps += status in (SUCCEEDED, BEHIND)
        self._is_compared = False
        self._runs.pop()  # it reads no change logs
        self._sweep_state = self.warehouse.state
        self.warehouse.state, self.story.streams = of_sync

    def _truth(self) -> Truth:
        return super()._truth() if self._is_compared else Truth({}, {}, Counter(), set())

    def _check(self, tap: pipeline.TapRun) -> None:
        if self._is_compared:
            super()._check(tap)

    # -- what is measured --------------------------------------------------------------------------

    def _run(
        self, sync: Sync, page_size: int | None, more: dict[str, Any]
    ) -> tuple[pipeline.TapRun, pipeline.LoaderRun]:
        if self._is_compared:  # a sweep, which costs more than a sync
            return super()._run(sync, page_size, more)
        before = self._used["tap"] + self._used["source"]
        began = time.process_time()
        ended = super()._run(sync, page_size, more)
        of_tap = self._used["tap"] + self._used["source"] - before
        self._used["loader"] += time.process_time() - began - of_tap
        self._used["syncs"] += 1
        return ended

    def _tap(self, sync: Sync, page_size: int, more: dict[str, Any]) -> pipeline.TapRun:
        answer, stats, used = self.transport.answer, self._api.stats, self._used

        def timed(*arguments: Any) -> Any:
            began = time.thread_time()
            try:
                return answer(*arguments)
            finally:
                used["source"] += time.thread_time() - began

        tokens, source, began = stats.summary()["tokens"], used["source"], time.process_time()
        with mock.patch.object(self.transport, "answer", timed):
            run = super()._tap(sync, page_size, more)
        used["tap"] += time.process_time() - began - (used["source"] - source)
        used["tokens"] += stats.summary()["tokens"] - tokens
        return run

    def _run_as_processes(self) -> None:
        """Run the sync that is due as two processes too, for their memory, with copies of states.

        They load into the same tables; the sync after it reads the same again.
        """
        with served(self._account, self._home / "state") as (folder, server):
            files = {
                "tap": {
                    "api_url": server.url, "api_token": server.token, "scheduled": True,
                    "state_dir": str(folder / "state"),
                },
                "loader": self.warehouse.config(self.story, Sync(0)),
                "state": self.warehouse.state,
            }  # fmt: skip
            for name, content in files.items():
                (folder / f"{name}.json").write_text(json.dumps(content))
            tap, loader, state = (folder / f"{name}.json" for name in files)
            python = (sys.executable, "-m")
            commands = (
                Command("tap", [*python, "tap_pipedrive", "--config", tap, "--state", state]),
                Command("loader", [*python, "pipeboard_target_postgres", "--config", loader]),
            )
            try:
                measured = run(commands, log=folder / "log")
            except BenchError as error:
                raise self._broken(str(error)) from error
            self._peaks = {name: used.peak_bytes for name, used in measured.processes.items()}

    def _sample(self, day: float) -> None:
        """Measure what there is now."""
        states = (self.warehouse.state, self._sweep_state)
        files = [path for path in self._home.rglob("*") if path.is_file()]
        dead_rows, tables, indexes, catalog = self._sizes()
        rows = " union all ".join(f"select count(*) from {table}" for table in self._tables())
        counted = self.warehouse.connection.execute(
            f"select sum(count) from ({rows}) as t".encode()
        )
        used, outcomes = self._used, self.outcomes
        syncs = used["syncs"]
        sample = Sample(
            day=day,
            syncs=syncs,
            failed=sum(o not in (SUCCEEDED, BEHIND) for o in outcomes[self._sampled :]),
            state_bytes=sum(len(json.dumps(state)) for state in states),
            files=len(files),
            file_bytes=sum(path.stat().st_size for path in files),
            rows=sum(int(number) for (number,) in counted),
            dead_rows=dead_rows,
            table_bytes=tables,
            index_bytes=indexes,
            catalog_bytes=catalog,
            tokens=used["tokens"] / syncs,
            tap_seconds=used["tap"] / syncs,
            loader_seconds=used["loader"] / syncs,
            tap_peak_bytes=self._peaks.get("tap"),
            loader_peak_bytes=self._peaks.get("loader"),
        )
        self._used, self._sampled, self._peaks = Counter(), len(outcomes), {}
        self.samples.append(sample)
        self.on_sample(sample)

    @property
    def _schemas(self) -> list[str]:
        return [self.warehouse.raw, self.warehouse.ops]

    def _tables(self) -> list[str]:
        query = "select format('%%I.%%I', schemaname, tablename) from pg_tables"
        found = self.warehouse.connection.execute(
            f"{query} where schemaname = any(%s)".encode(), (self._schemas,)
        )
        return [table for (table,) in found]

    def _sizes(self) -> list[int]:
        """Return dead rows, bytes of the tables, of their indexes, and of PostgreSQL's catalog."""
        (found,) = self.warehouse.connection.execute(_SIZES, (self._schemas,))
        return [int(number) for number in found]


_SIZES = """
select
    coalesce(sum(s.n_dead_tup), 0),
    coalesce(sum(pg_table_size(s.relid)), 0),
    coalesce(sum(pg_indexes_size(s.relid)), 0),
    (
        select sum(pg_total_relation_size(c.oid))
        from pg_class as c
        where c.relkind = 'r' and c.relnamespace = 'pg_catalog'::regnamespace
    )
from pg_stat_user_tables as s
where s.schemaname = any(%s)
"""
