"""The loader report: counts of received records by outcome, for the caller of the loader."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipeboard_target_postgres.merge import Counts

ENV_REPORT = "PIPEBOARD_LOADER_REPORT"
#: Always present, in this order; those of `_IF_ANY` follow if they are not zero.
_ALWAYS = ("inserted", "updated", "unchanged", "deleted", "quarantined")
_IF_ANY = ("superseded", "filtered", "nulled_values")


def write(
    path: str, outcome: str, exit_code: int, message: str | None, streams: Mapping[str, Counts]
) -> None:
    """Write the report in one step, readable by its owner only.

    Args:
        path: the file; its folder must exist.
        outcome: complete, interrupted or failed.
        exit_code: of this process.
        message: the error, on one line; None without an error.
        streams: counts of committed records, by stream.

    Raises:
        OSError: the file cannot be written.
    """
    report = {
        "version": 1,
        "outcome": outcome,
        "exit_code": exit_code,
        "message": message,
        "finished_at": dt.datetime.now(tz=dt.timezone.utc).isoformat(),
        "streams": {name: _entry(counts) for name, counts in streams.items()},
    }
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=target.name, dir=target.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(report, file)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _entry(counts: Counts) -> dict[str, int]:
    return {
        "received": counts.read,
        **{name: getattr(counts, name) for name in _ALWAYS},
        **{name: value for name in _IF_ANY if (value := getattr(counts, name))},
    }
