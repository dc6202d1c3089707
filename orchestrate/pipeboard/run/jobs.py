"""The jobs of meltano.yml: their steps, concurrency groups and time limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pipeboard.errors import ExitCode, PipeboardError

HOUR = 3600.0
MAIN, BACKFILL = "main", "backfill"


@dataclass(frozen=True)
class Job:
    """A job, as the supervisor runs it.

    Attributes:
        pipeline: its name in metrics and in the history.
        concurrency_group: jobs of one group never run at the same time. All but backfills share
            one, because they build the same tables; a backfill only loads.
        wait: seconds it waits for the run lock before it skips. A job that runs every half hour
            need not wait; a daily one should.
        timeout: seconds it may take.
        stall: seconds it may go on without any sign of progress.
        plugin: the extractor it reads with, None if it reads nothing.
        commands: of utilities, in their order: `dbt:build`.
        streams: that meltano.yml selects by name, so that the tap must report on each.

    """

    name: str
    pipeline: str
    concurrency_group: str = MAIN
    wait: float = HOUR / 2
    timeout: float = 4 * HOUR
    stall: float = HOUR / 2
    plugin: str | None = None
    commands: tuple[str, ...] = ()
    streams: frozenset[str] = frozenset()

    @property
    def builds(self) -> bool:
        """Whether dbt is one of its steps."""
        return any(command.partition(":")[0] == "dbt" for command in self.commands)

    @property
    def steps(self) -> int:
        """How many steps Meltano must complete: extract and load is one, each command another."""
        return len(self.commands) + (self.plugin is not None)

    def within(self, environ: Mapping[str, str]) -> Job:
        """Return the job with the limits that the environment sets."""
        return replace(
            self,
            timeout=_seconds(environ, "PIPEBOARD_TIMEOUT_SECONDS", self.timeout),
            stall=_seconds(environ, "PIPEBOARD_STALL_SECONDS", self.stall),
            wait=_seconds(environ, "PIPEBOARD_WAIT_SECONDS", self.wait),
        )

    def selected(self, environ: Mapping[str, str]) -> frozenset[str]:
        """Return the streams that the tap must report on in a run with this environment."""
        if self.plugin is None:
            return frozenset()
        prefix = self.plugin.upper().replace("-", "_")
        patterns = _list(environ.get(f"{prefix}__SELECT"))
        streams = self.streams if patterns is None else selected_by_name(patterns)
        only = _list(environ.get(f"{prefix}__SELECT_FILTER"))
        if only is not None:
            wanted = {str(name) for name in only if not str(name).startswith("!")}
            dropped = {str(name)[1:] for name in only if str(name).startswith("!")}
            streams = (streams & wanted if wanted else streams) - dropped
        return streams


#: The limits of the known jobs; their steps are in meltano.yml.
_KNOWN = (
    Job("sync", "main", wait=0),
    # An alias of sync.
    Job("elt", "main", wait=0),
    Job("reference", "reference"),
    Job("people", "people"),
    Job("sweep", "sweep"),
    Job("backfill", "backfill", BACKFILL, wait=0, timeout=20 * HOUR),
    Job("backfill-history", "backfill", BACKFILL, wait=0, timeout=20 * HOUR),
    Job("build", "dbt"),
)
KNOWN = {job.name: job for job in _KNOWN}


def job_named(root: Path, name: str) -> Job:
    """Return a job of meltano.yml; an unknown one gets the default limits.

    Raises:
        PipeboardError: meltano.yml has no such job, or it cannot be supervised.

    """
    project = yaml.safe_load((root / "meltano.yml").read_text(encoding="utf-8")) or {}
    jobs = {str(job["name"]): job.get("tasks") or [] for job in project.get("jobs") or []}
    if name not in jobs:
        what = f"meltano.yml has no job {name}"
        raise PipeboardError(what, f"There are {', '.join(jobs)}", ExitCode.USAGE)
    extractors = {
        str(plugin["name"]): plugin
        for plugin in (project.get("plugins") or {}).get("extractors") or []
    }
    found = KNOWN.get(name) or Job(name, name)
    steps = list(_steps(jobs[name]))
    plugins = [step for step in steps if step in extractors]
    if len(plugins) > 1:
        what = f"the job {name} has {len(plugins)} extractors: {', '.join(plugins)}"
        raise PipeboardError(what, "Write a job for each", ExitCode.CONFIGURATION)
    return replace(
        found,
        plugin=plugins[0] if plugins else None,
        commands=tuple(step for step in steps if ":" in step),
        streams=selected_by_name(_select(extractors, plugins[0])) if plugins else frozenset(),
    )


def selected_by_name(patterns: list[Any]) -> frozenset[str]:
    """Return the streams that select patterns name in full; `*.*` names none."""
    names = {str(pattern).partition(".")[0] for pattern in patterns}
    chosen = {name for name in names if not set("!*?[") & set(name)}
    # `!deals.value` leaves out a property, not the stream.
    return frozenset(chosen - {name for name in chosen if f"!{name}.*" in patterns})


def _select(extractors: Mapping[str, dict[str, Any]], name: str) -> list[Any]:
    """Return the patterns of an extractor, or of the one it inherits from."""
    seen: set[str] = set()
    while name in extractors and name not in seen:
        seen.add(name)
        patterns = extractors[name].get("select")
        if patterns is not None:
            return list(patterns)
        name = str(extractors[name].get("inherit_from") or "")
    return []


def _steps(tasks: object) -> Iterator[str]:
    """Return the steps of a job's tasks, which may be nested."""
    if isinstance(tasks, str):
        yield from tasks.split()
    elif isinstance(tasks, list):
        for task in tasks:
            yield from _steps(task)


def _list(text: str | None) -> list[Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    given = environ.get(name)
    if not given:
        return default
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:  # nan is in no range
        what = f"{name} is {given!r}"
        raise PipeboardError(what, "Write seconds: 3600", ExitCode.CONFIGURATION)
    return seconds
