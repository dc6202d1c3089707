"""Plays a story: its edits, faults and kills, one run after the other, and checks the promises."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import damages
import edits
import pipeline
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipedrive_simulator.opening import Plan, open_account
from pipedrive_simulator.server.api import Api, ApiSettings
from pipedrive_simulator.server.limits import Limits
from pipedrive_simulator.server.reply import Reply
from properties import Span, Truth, differences
from story import Story, Sync
from transport import EndlessError, Transport
from virtual_time import VirtualTime, in_virtual_time

from pipeboard.outcomes import BEHIND, SUCCEEDED
from pipeboard.run.proof import streams_of

NOW = "2026-06-15T12:00:00Z"
#: Longer than any circuit stays open, also one of a clock that was fast, and the next day's tokens.
RECOVERY_SECONDS = 100_000
#: No run of these small accounts needs as many calls.
MOST_CALLS = 4_000
#: In the end an account without edits and faults costs one call a list, and no call a record.
MOST_IDLE_CALLS = 40
#: A folder in memory, where there is one: the tap writes its limits at each call.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class BrokenPromiseError(AssertionError):
    """A promise is broken."""


@dataclass
class Play:
    """One story as it is played.

    Attributes:
        log: what was done and how each run ended; the same for the same story.
        outcomes: of the runs.
        differences: between the raw tables and the account, of the run that broke a promise.
        around: by the name of a run, what is done before and after it.
        warehouse: the tables and the state, as soon as it is played; `transport`: the calls.
        config: more settings of the tap, by the name of a run.

    """

    story: Story
    url: str
    log: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    around: dict[str, Callable[[Play], AbstractContextManager[None]]] = field(default_factory=dict)
    config: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> None:
        """Play the story, then one run that nothing disturbs, then an idle one.

        Raises:
            BrokenPromiseError: a promise is broken; the log tells what led to it.

        """
        story = self.story
        account = open_account(Plan(deals=story.deals, seed=story.seed, now=NOW, frozen=True))
        warehouse = self._new_warehouse()
        with (
            closing(warehouse),
            tempfile.TemporaryDirectory(prefix="pipeboard-trust-", dir=MEMORY) as name,
        ):
            warehouse.drop()
            self._live(account, warehouse, Path(name))
            warehouse.drop()

    def _new_warehouse(self) -> pipeline.Warehouse:
        return pipeline.Warehouse(self.url, f"trust_{self.story.seed}")

    def _live(self, account: SimulatedAccount, warehouse: pipeline.Warehouse, home: Path) -> None:
        api = Api(account, ApiSettings(), Limits(burst=100_000, daily_tokens=10_000_000))
        clock = VirtualTime(float(account.clock.seconds()), account.advance_clock)
        transport = Transport(api, clock.sleep, MOST_CALLS)
        self._account, self._api, self.clock = account, api, clock
        self.transport, self.warehouse, self._home = transport, warehouse, home
        self._runs: list[Span] = []
        self._damaged: list[damages.Damaged] = []
        transport.damage = self._damage
        with in_virtual_time(clock, self.story.seed):
            self._play_syncs()
            self._play_end()

    def _play_syncs(self) -> None:
        """Run what the story has, disturbed or not."""
        for number, sync in enumerate(self.story.syncs):
            self._sync(f"run {number}", sync)

    def _play_end(self) -> None:
        """Run once with nothing that disturbs, and once with nothing to read."""
        self.clock.sleep(RECOVERY_SECONDS)
        self._undisturbed("undisturbed run")
        if self._damaged:
            for damaged in self._damaged:
                damaged.runs_left = 0
            self._undisturbed("run after the damages")
        self._sync("idle run", Sync(5), page_size=500)
        if self.transport.calls > MOST_IDLE_CALLS:
            msg = f"an idle run makes {self.transport.calls} calls"
            raise self._broken(msg)

    def _undisturbed(self, name: str) -> None:
        status = self._sync(name, Sync(0))
        if status not in (SUCCEEDED, BEHIND):
            msg = f"a run that nothing disturbs is {status}"
            raise self._broken(msg)

    def _damage(self, path: str, reply: Reply) -> None:
        damages.damage(self._damaged, path, reply)

    def _mend_and_damage(self, sync: Sync) -> None:
        """Mend what was hostile long enough, and damage other records."""
        for damaged in [d for d in self._damaged if d.runs_left <= 0]:
            self._note(f"  mended: {damaged}")
            damages.touch(self._account, damaged)
            self._damaged.remove(damaged)
        for damaged in self._damaged:
            damaged.runs_left -= 1
        for damage in sync.damages:
            new = damages.begin(self._account, damage)
            if new is not None and new.place not in [d.place for d in self._damaged]:
                self._note(f"  hostile: {new}")
                self._damaged.append(new)

    def _sync(self, name: str, sync: Sync, page_size: int | None = None) -> str:
        """Run once; return the outcome."""
        self.clock.sleep(sync.pause)
        self._note(f"{name}: after {sync.pause} s")
        self._mend_and_damage(sync)
        for edit in sync.edits:
            self._note(f"  {edits.make(self._account, edit)}")
        self._versions = [self._truth()]
        with self.around.get(name, lambda _: nullcontext())(self):
            tap, loader = self._run(sync, page_size, self.config.get(name, {}))
        for damaged in self._damaged:
            damaged.note((tap.report, loader.report))
        judgement = pipeline.judged(tap, loader, self.story.streams)
        self.outcomes.append(judgement.status)
        self._note(
            f"  {self.transport.calls} calls, tap {tap.code}, loader {loader.code}: "
            f"{judgement.status} ({judgement.reason or 'as it should be'})"
        )
        if judgement.status in (SUCCEEDED, BEHIND):
            self._check(tap)
        return judgement.status

    def _run(
        self, sync: Sync, page_size: int | None, more: dict[str, Any]
    ) -> tuple[pipeline.TapRun, pipeline.LoaderRun]:
        began = self._now()
        tap = self._tap(sync, page_size or self.story.page_size, more)
        self._runs.append((began, self._now()))
        loader = pipeline.run_loader(self.warehouse, tap.lines, self.story, sync, self._home)
        if loader.states:
            self.warehouse.state = loader.states[-1]
        return tap, loader

    def _tap(self, sync: Sync, page_size: int, more: dict[str, Any]) -> pipeline.TapRun:
        config: dict[str, Any] = {
            "api_token": self._api.settings.token, "page_size": page_size,
            "state_dir": str(self._home / "state"), "windows": sync.threads,
            "lists_ahead": sync.threads, "calls_ahead": sync.threads, **more,
        }  # fmt: skip
        if sync.loses_state_folder:
            config["state_dir"] = str(self._home / f"state{len(self.outcomes)}")
        if sync.daily_tokens:
            config["daily_tokens"] = sync.daily_tokens
        for rule in sync.faults:
            self._note(f"  fault {rule}")
            self._api.faults.add(**rule, seed=self.story.seed)
        during = {int(call): edit for call, edit in sync.edits_during.items()}

        def edit_at(call: int) -> None:
            if call in during:
                self._note(f"  at call {call}: {edits.make(self._account, during[call])}")
                self._versions.append(self._truth())

        self.clock.error = sync.clock_error
        if sync.loses_state:
            self.warehouse.state = {}
        for what in (
            "tap_ends", "loader_ends", "session_ends", "daily_tokens", "clock_error", "database",
            "loses_state",
        ):  # fmt: skip
            if getattr(sync, what):
                self._note(f"  {what}: {getattr(sync, what)}")
        try:
            return pipeline.run_tap(
                self.transport, config, self.warehouse.state, self.story.streams, self._home,
                sync.tap_ends, edit_at,
            )  # fmt: skip
        except EndlessError as error:
            raise self._broken(str(error)) from error
        finally:
            self._api.faults.clear()

    def _truth(self) -> Truth:
        return Truth.of(self._account, self.story.streams)

    def _now(self) -> str:
        now = datetime.fromtimestamp(self._account.clock.seconds(), timezone.utc)
        return now.isoformat()[:19]

    def _check(self, tap: pipeline.TapRun) -> None:
        """Check that a success is one: the raw tables are the account as of the run's start."""
        self.differences = differences(
            self.warehouse, self._complete(tap), self._versions, self._runs, self._damaged
        )
        if self.differences:
            raise self._broken("; ".join(self.differences[:5]))

    def _complete(self, tap: pipeline.TapRun) -> set[str]:
        """Return the streams that the run has read to their end."""
        outcomes = streams_of(tap.report or {})
        return {
            name for name in self.story.streams
            if outcomes.get(name, {}).get("outcome") == "complete"
        }  # fmt: skip

    def _broken(self, why: str) -> BrokenPromiseError:
        self._note(f"BROKEN: {why}")
        return BrokenPromiseError(f"seed {self.story.seed}: {why}")

    def _note(self, line: str) -> None:
        self.log.append(line)
