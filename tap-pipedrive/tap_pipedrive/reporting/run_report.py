"""The report of a run: its outcome and its cost, as a file for the supervisor.

The environment variable ``PIPEBOARD_RUN_REPORT`` names the file. Meltano does not pass exit codes
on, so the supervisor reads this file. It is written atomically, and only its owner may read it.
Shape::

    {"version": 2,
     "exit_code": the exit code of the tap without a supervisor,
     "stopped": null | "budget" | "error" | "signal", the reason for an early end,
     "message": null | str,
     "started_at": str, "finished_at": str,
     "calls": int, "tokens": int, "plan_tokens_left": int | null,
     "behind": [streams that continue in the next run],
     "streams": {name: {"outcome": see streams/outcomes.py, "reason": null | str,
                        "records": RECORD messages sent for this stream,
                        "calls": int, "tokens": int, "retries": int,
                        "quarantined": records in quarantine,
                        "nulled_values": values that were sent as null because they do not fit,
                        "incomplete_parents": parent records whose rows could not be read}}}

There is one entry for each selected stream, and one for ``tap_quarantine`` if records were sent
there.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tap_pipedrive.api.usage import Usage
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import ConfigurationError
from tap_pipedrive.streams.base import PipedriveStream, Streams
from tap_pipedrive.streams.outcomes import Outcome
from tap_pipedrive.times import to_text

VARIABLE = "PIPEBOARD_RUN_REPORT"
QUARANTINE = "tap_quarantine"


def is_supervised() -> bool:
    """Whether a supervisor reads the report."""
    return bool(os.environ.get(VARIABLE))


def write_report(
    run: RunContext,
    streams: Streams,
    started_at: datetime,
    *,
    exit_code: int,
    stopped: str | None = None,
    message: str | None = None,
) -> None:
    """Write the report, if the environment names a file.

    Raises:
        ConfigurationError: the file cannot be written.

    """
    target = os.environ.get(VARIABLE)
    if not target:
        return
    usage = dict(run.client.usage) if run.has_client else {}
    entries = {s.name: _entry(run, s, usage.get(s.name, Usage())) for s in streams.selected}
    if set_aside := run.writer.sent[QUARANTINE]:
        entries[QUARANTINE] = _numbers(Outcome.COMPLETE, None, set_aside, Usage())
    report: dict[str, Any] = {
        "version": 2,
        "exit_code": exit_code,
        "stopped": stopped,
        "message": message,
        "started_at": to_text(started_at),
        "finished_at": to_text(datetime.now(timezone.utc)),
        "calls": sum(u.calls for u in usage.values()),
        "tokens": sum(u.tokens for u in usage.values()),
        "plan_tokens_left": run.governor.plan_remaining if run.has_client else None,
        "behind": sorted(
            name for name, entry in entries.items() if entry["outcome"] == Outcome.BEHIND
        ),
        "streams": entries,
    }
    try:
        _write(Path(target), json.dumps(report, indent=1) + "\n")
    except OSError as error:
        msg = f"the report of the run cannot be written ({VARIABLE}={target}): {error.strerror}"
        raise ConfigurationError(msg) from error


def _entry(run: RunContext, stream: PipedriveStream, usage: Usage) -> dict[str, Any]:
    names = {stream_map.stream_alias for stream_map in stream.stream_maps} or {stream.name}
    return _numbers(
        stream.result.outcome,
        stream.result.reason,
        sum(run.writer.sent[name] for name in names),
        usage,
        quarantined=stream.quarantined,
        nulled_values=stream.nulled_values,
        incomplete_parents=stream.incomplete_parents,
    )


def _numbers(
    outcome: Outcome,
    reason: str | None,
    records: int,
    usage: Usage,
    *,
    quarantined: int = 0,
    nulled_values: int = 0,
    incomplete_parents: int = 0,
) -> dict[str, Any]:
    return {
        "outcome": outcome.value,
        "reason": reason,
        "records": records,
        **vars(usage),
        "quarantined": quarantined,
        "nulled_values": nulled_values,
        "incomplete_parents": incomplete_parents,
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
