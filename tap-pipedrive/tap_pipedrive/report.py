"""What a run did and what it cost, left as a file for whoever supervises it.

The path comes from the environment variable ``PIPEBOARD_RUN_REPORT``; exit codes do not cross
Meltano, this file does. Shape::

    {"stopped": null | "budget" | "error", "message": null | str, "calls": int, "tokens": int,
     "behind": [name of a stream that goes on in the next run],
     "streams": {name: {"records": int, "calls": int, "tokens": int, "retries": int}},
     "plan_tokens_left": int | null, "started_at": str, "finished_at": str}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_pipedrive.bookmarks import to_text

if TYPE_CHECKING:
    from tap_pipedrive.client import PipedriveClient
    from tap_pipedrive.streams.base import PipedriveStream

VARIABLE = "PIPEBOARD_RUN_REPORT"


def is_supervised() -> bool:
    """Whether somebody waits for the report (and so learns of a spent budget from there)."""
    return bool(os.environ.get(VARIABLE))


def write_report(
    client: PipedriveClient,
    streams: Iterable[PipedriveStream],
    started_at: datetime,
    error: BaseException | None = None,
    *,
    behind: Iterable[str] = (),
    budget_spent: bool = False,
) -> None:
    """Write the report, atomically, if anybody asked for one."""
    target = os.environ.get(VARIABLE)
    if not target:
        return
    stopped = "budget" if budget_spent else "error" if error else None
    report: dict[str, Any] = {
        "stopped": stopped,
        "message": str(error) if error else None,
        "started_at": to_text(started_at),
        "finished_at": to_text(datetime.now(timezone.utc)),
        "behind": sorted(behind),
        "calls": sum(u.calls for u in client.usage.values()),
        "tokens": sum(u.tokens for u in client.usage.values()),
        "plan_tokens_left": client.governor.plan_remaining,
        "streams": {s.name: {"records": s.emitted, **vars(client.usage[s.name])} for s in streams},
    }
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
