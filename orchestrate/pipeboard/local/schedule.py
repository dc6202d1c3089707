"""The schedule: when which job runs, and the process that starts the jobs on one machine.

Times are configured in `schedules:` of meltano.yml; the CronJobs of k8s/base have the same (a test
compares). The program that schedules an environment, this one or another, holds the lock of
:func:`claim` as long as it runs, so that two programs never start the same job.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import yaml

from pipeboard.environments import OWN, SCHEDULED
from pipeboard.errors import ExitCode, PipeboardError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apscheduler.triggers.cron import CronTrigger

    from pipeboard.console import Console
    from pipeboard.paths import Paths

#: The time zone of the schedule, and of the CronJobs.
ZONE_VARIABLE, ZONE = "PIPEBOARD_REPORTING_TIMEZONE", "America/Sao_Paulo"
#: A start that was missed by less, because the machine slept, is made up for once.
LATEST_SECONDS = 3600
#: After exit code 69 (unavailable) a run is retried once, as by the CronJobs.
RETRY_SECONDS = 60.0
#: After SIGTERM a run takes at most 20 seconds, and then records its end.
RUN_END_TIMEOUT_SECONDS = 40.0
PIPEBOARD = "pipeboard"


@dataclass(frozen=True)
class Schedule:
    """When a job runs."""

    name: str
    job: str
    crontab: str
    zone: ZoneInfo

    @property
    def trigger(self) -> CronTrigger:
        """The trigger for APScheduler.

        Raises:
            PipeboardError: the five fields are not understood.

        """
        # The library counts days of the week from Monday, cron from Sunday: only names are clear.
        if re.search(r"(?<![*/\d])\d", self.crontab.split()[-1]):
            what = f"schedule {self.name} of meltano.yml names days of the week by number"
            raise PipeboardError(what, "Write names: mon-fri", ExitCode.CONFIGURATION)
        try:
            # Not at the top: the command line imports this module for a run, too.
            from apscheduler.triggers.cron import CronTrigger

            return CronTrigger.from_crontab(self.crontab, self.zone)
        except ValueError as error:
            what = f"schedule {self.name} of meltano.yml is {self.crontab!r}: {error}"
            remedy = "Write five fields as for cron: */30 * * * *"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from error

    def next(self, now: datetime | None = None) -> datetime:
        """Return when it is due next."""
        at = now or datetime.now(self.zone)
        found: datetime = self.trigger.get_next_fire_time(None, at)
        return found

    @property
    def runs_a_day(self) -> int:
        """Return how often it is due on a day, as the mean of a week without a change of clocks."""
        at = datetime(2026, 1, 4, tzinfo=self.zone)
        end, runs = at + timedelta(days=7), 0
        while (at := self.next(at)) < end:
            runs, at = runs + 1, at + timedelta(seconds=1)
        return round(runs / 7)


def read_schedules(root: Path, environ: Mapping[str, str]) -> list[Schedule]:
    """Return the schedules of meltano.yml.

    Raises:
        PipeboardError: the time zone is not known, or times are not understood.

    """
    named = environ.get(ZONE_VARIABLE) or ZONE
    try:
        zone = ZoneInfo(named)
    except (KeyError, ValueError, OSError) as error:
        what = f"{ZONE_VARIABLE} is {named!r}, which is no time zone known here"
        raise PipeboardError(what, f"Write one such as {ZONE}", ExitCode.CONFIGURATION) from error
    found = yaml.safe_load((root / "meltano.yml").read_text(encoding="utf-8"))
    schedules = [
        Schedule(str(each["name"]), str(each["job"]), str(each["interval"]), zone)
        for each in found.get("schedules") or ()
    ]
    for schedule in schedules:
        _ = schedule.trigger
    return schedules


# -- one scheduler per environment ---------------------------------------------------------------


def _lock_file(paths: Paths, kind: str) -> Path:
    return paths.local / "up" / kind / "schedule.lock"


def claim(paths: Paths, kind: str, owner: str) -> int:
    """Take the schedule of an environment; return the descriptor that holds it.

    It is held until the last process with a copy of the descriptor has ended: hand it to a child
    (`pass_fds`) that schedules on.

    Raises:
        PipeboardError: another program has it.

    """
    path = _lock_file(paths, kind)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise has_it(kind, path.read_text().strip()) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, owner.encode(), 0)
    return descriptor


def has_it(kind: str, owner: str) -> PipeboardError:
    """Return the error if another program schedules the environment."""
    named = {PIPEBOARD: "`make up`"}.get(owner, owner) or "another program"
    what = f"{named} has the schedule of the {kind} environment already"
    return PipeboardError(what, "End it first: `make stop`", ExitCode.UNAVAILABLE)


def holder(paths: Paths, kind: str) -> str | None:
    """Return who schedules an environment, None if none does."""
    path = _lock_file(paths, kind)
    try:
        with path.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return handle.read().strip() or "another program"
    except OSError:
        pass
    return None


# -- the process ---------------------------------------------------------------------------------


class Scheduler:
    """Starts `pipeboard` when a job is due, one run of a job at a time, until SIGTERM."""

    def __init__(self, paths: Paths, kind: str, console: Console, *, quiet: bool) -> None:
        self._paths, self._kind, self._console, self._quiet = paths, kind, console, quiet
        self._ending = threading.Event()
        self._running: set[subprocess.Popen[str]] = set()
        #: Held while a run starts: the one that ends the runs then knows all of them.
        self._starting = threading.Lock()

    def serve(self, schedules: Sequence[Schedule]) -> int:
        """Start due jobs until SIGTERM or SIGINT; then send SIGTERM to running jobs."""
        descriptor = claim(self._paths, self._kind, PIPEBOARD)
        with contextlib.closing(os.fdopen(descriptor)), self._signals():
            # Two threads would do: one for sync, one for a daily job that waits for the run lock.
            from apscheduler.schedulers.background import BackgroundScheduler

            scheduler = BackgroundScheduler()
            for schedule in schedules:
                scheduler.add_job(
                    self._run,
                    schedule.trigger,
                    args=[schedule],
                    id=schedule.name,
                    # The data may be old: the first sync starts at once.
                    **({"next_run_time": datetime.now(schedule.zone)} if syncs(schedule) else {}),
                    max_instances=1,
                    coalesce=True,
                    misfire_grace_time=LATEST_SECONDS,
                )
                self._log(schedule, f"at {schedule.crontab} ({schedule.zone.key})")
            scheduler.start()
            self._ending.wait()
            scheduler.shutdown(wait=False)
            self._end_runs()
        return 0

    def command(self, job: str) -> list[str]:
        """Return the command that runs a job in this environment."""
        pipeboard = str(self._paths.binaries / "pipeboard")
        if self._kind == OWN:
            return [pipeboard, "run", job]
        # A simulated account changes only when `demo` advances it.
        return [pipeboard, "demo"] if job == "sync" else [pipeboard, "run", "--demo", job]

    def _run(self, schedule: Schedule) -> None:
        code = self._once(schedule)
        if code == ExitCode.UNAVAILABLE and not self._ending.wait(RETRY_SECONDS):
            self._once(schedule)

    def _once(self, schedule: Schedule) -> int:
        began = time.monotonic()
        process = self._start(schedule)
        if process is None:
            return 0
        last: deque[str] = deque(maxlen=3)
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                if not self._quiet:
                    sys.stdout.write(line)
                    sys.stdout.flush()
                if line.strip():
                    last.append(line.strip())
        self._running.discard(process)
        code = process.returncode
        text = f"ended with {code} after {time.monotonic() - began:.0f} s"
        self._log(schedule, text + (f": {' | '.join(last)}" if code and self._quiet else ""))
        return code

    def _start(self, schedule: Schedule) -> subprocess.Popen[str] | None:
        """Start a run; None once the scheduler ends."""
        with self._starting:
            if self._ending.is_set():
                return None
            self._log(schedule, "begins")
            process = subprocess.Popen(
                self.command(schedule.job),
                cwd=self._paths.root,
                env={**os.environ, **({SCHEDULED: "true"} if syncs(schedule) else {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C in a terminal does not reach it
            )
            self._running.add(process)
            return process

    def _log(self, schedule: Schedule, text: str) -> None:
        now = datetime.now(schedule.zone)
        self._console.note(schedule.job, f"{now:%Y-%m-%d %H:%M:%S}  {text}")

    def _end_runs(self) -> None:
        """Send SIGTERM to running jobs; a run loads what it has read and records its end."""
        deadline = time.monotonic() + RUN_END_TIMEOUT_SECONDS
        with self._starting:
            for process in list(self._running):
                process.terminate()
        while self._running and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in list(self._running):
            process.kill()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {
            number: signal.signal(number, lambda *_: self._ending.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def syncs(schedule: Schedule) -> bool:
    """Tell whether the schedule runs a sync."""
    return schedule.job in ("sync", "elt")
