"""The jobs of meltano.yml: which exclude each other, how long each may take, what it reads with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeboard.problems import ExitCode, Problem

HOUR = 3600.0
MAIN, BACKFILL = "main", "backfill"


@dataclass(frozen=True)
class Job:
    """What the supervisor has to know of a job; what it does is meltano.yml's affair.

    Attributes:
        pipeline: its name in metrics and in the history.
        lane: jobs of one lane never run at the same time. All but backfills share one, because
            they build the same tables; a backfill only loads, and so disturbs nobody.
        plugin: the extractor it reads with, None if it reads nothing.
        wait: seconds it waits for its lane before it skips. What comes every half hour need not
            wait; what comes once a day should.
        timeout: seconds it may take.
        stall: seconds it may go without any sign of progress.

    """

    name: str
    pipeline: str
    lane: str = MAIN
    plugin: str | None = None
    wait: float = HOUR / 2
    timeout: float = 4 * HOUR
    stall: float = HOUR / 2

    def within(self, environ: Mapping[str, str]) -> Job:
        """Return the job with the limits that the environment sets."""
        return replace(
            self,
            timeout=_seconds(environ, "PIPEBOARD_TIMEOUT_SECONDS", self.timeout),
            stall=_seconds(environ, "PIPEBOARD_STALL_SECONDS", self.stall),
            wait=_seconds(environ, "PIPEBOARD_WAIT_SECONDS", self.wait),
        )


_KNOWN = (
    Job("sync", "main", plugin="tap-pipedrive", wait=0),
    # Two names of one thing.
    Job("elt", "main", plugin="tap-pipedrive", wait=0),
    Job("reference", "reference", plugin="tap-pipedrive-reference"),
    Job("people", "people", plugin="tap-pipedrive-people"),
    Job("sweep", "sweep", plugin="tap-pipedrive-sweep"),
    Job("backfill", "backfill", BACKFILL, "tap-pipedrive-backfill", wait=0, timeout=20 * HOUR),
    Job("backfill-history", "backfill", BACKFILL, "tap-pipedrive-history", 0, 20 * HOUR),
    Job("build", "dbt"),
)
PIPELINES = tuple(dict.fromkeys(job.pipeline for job in _KNOWN))
KNOWN = {job.name: job for job in _KNOWN}


def job_named(name: str) -> Job:
    """Return a job by its name; one that only meltano.yml knows gets the careful defaults."""
    return KNOWN.get(name) or Job(name, name)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    given = environ.get(name)
    if not given:
        return default
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if seconds < 0:
        what = f"{name} is {given!r}"
        raise Problem(what, "Write seconds: 3600", ExitCode.CONFIGURATION)
    return seconds
